#!/usr/bin/env bash
# Compile the C core for other platforms, with warnings as errors: `tests/cross.sh PYTHON`, run by `make cross`.
# The compiler is the package ziglang. It has the headers of glibc, musl and MinGW; those of macOS and of MSVC
# it has not, so what only they would complain about is not seen here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$1
targets=(
    x86_64-linux-gnu.2.17 x86_64-linux-musl aarch64-linux-gnu.2.17 aarch64-linux-musl x86-linux-gnu
    arm-linux-gnueabihf s390x-linux-musl x86_64-windows-gnu aarch64-windows-gnu x86_64-macos aarch64-macos
)
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
sources=$("$python" -c "
import sys; sys.path.insert(0, '.')
from nnr._core_build import SOURCES; print(*(f'c_core/{name}' for name in SOURCES))")
failed=()
for target in "${targets[@]}"; do
    for simd in "" -DNNR_NO_SIMD=1; do
        for source in $sources; do
            "$python" -m ziglang cc -target "$target" -std=c99 -O1 -ffp-contract=off -Wall -Wextra -Werror $simd \
                -c "$source" -o "$out/unit.o" || failed+=("$target $simd $source")
        done
    done
    echo "$target"
done
if [ ${#failed[@]} -gt 0 ]; then
    printf 'failed: %s\n' "${failed[@]}" >&2
    exit 1
fi
