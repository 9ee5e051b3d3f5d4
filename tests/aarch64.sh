#!/usr/bin/env bash
# Build the package for 64-bit ARM and run tests on it under qemu: `tests/aarch64.sh PYTHON [TESTS]`, run by
# `make aarch64`. Needs Debian 12 with qemu-user and gcc-aarch64-linux-gnu, the architecture arm64 known to apt
# (dpkg --add-architecture arm64; apt-get update), and the package index.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$(realpath -s "$1")
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
root=$work/root site=$work/site tree=$work/tree

packages=(
    python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libpython3.11-dev libc6 zlib1g libexpat1
    libgcc-s1 libstdc++6 libffi8 libssl3 libbz2-1.0 liblzma5 libcrypt1
)
(cd "$work" && apt-get download -q "${packages[@]/%/:arm64}")
for package in "$work"/*.deb; do dpkg -x "$package" "$root"; done
"$python" -m pip install --quiet --disable-pip-version-check --platform manylinux2014_aarch64 \
    --platform manylinux_2_27_aarch64 --platform manylinux_2_28_aarch64 --python-version 3.11 \
    --only-binary=:all: --target "$site" numpy bitstring cffi ml_dtypes pytest hypothesis

mkdir "$tree"
cp -r nnr c_core tests conformance setup.cfg "$tree"
rm -f "$tree"/nnr/_core*.so
cd "$tree"
sources=$("$python" -c "
import sys; sys.path.insert(0, '.')
from nnr._core_build import SOURCES, compile_args, ffibuilder
ffibuilder.emit_c_code('nnr/_core.c')
print(*compile_args(), *(f'c_core/{name}' for name in SOURCES))" | tail -n 1)
# shellcheck disable=SC2086
aarch64-linux-gnu-gcc -shared -fPIC -DPy_LIMITED_API=0x030A0000 -I"$root/usr/include" \
    -I"$root/usr/include/python3.11" -Ic_core nnr/_core.c $sources -o nnr/_core.abi3.so

export PYTHONPATH=$site:$tree PYTHONHOME=$root/usr PYTHONDONTWRITEBYTECODE=1
arm_python=(qemu-aarch64 -L "$root" "$root/usr/bin/python3.11")
"${arm_python[@]}" tests/golden.py --check
"${arm_python[@]}" -m pytest -q -p no:cacheprovider "${@:-tests/core}"
