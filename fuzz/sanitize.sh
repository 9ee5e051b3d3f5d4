#!/usr/bin/env bash
# The C core under AddressSanitizer and UndefinedBehaviorSanitizer, and all tests on it: the suite, the vectors, the
# corpus of the fuzzers. The first report ends the run. A copy of the package is built in build/sanitize, so that
# the core beside the sources stays as it is.
#
#   fuzz/sanitize.sh PYTHON [arguments for pytest]
#
# Compiler: $SANITIZE_CC; else clang where it has the sanitizers (Debian: clang libclang-rt-14-dev), else gcc.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$(readlink -f "$(dirname "$1")")/$(basename "$1")
shift

runtime() { # shared library of the address sanitizer that belongs to the compiler $1, or nothing
    local file
    for file in libclang_rt.asan-"$(uname -m)".so libasan.so; do
        file=$("$1" -print-file-name=$file 2>/dev/null) && [ -f "$file" ] && readlink -f "$file" && return
    done
    return 1
}

for cc in ${SANITIZE_CC:-clang gcc cc}; do
    library=$(runtime "$cc") && break
done
if [ -z "${library:-}" ]; then
    echo "no compiler with sanitizers: install gcc, or clang with libclang-rt" >&2
    exit 1
fi
echo "sanitizers of $($cc --version | head -n 1)"

checks="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g"
case $library in *clang_rt*) checks+=" -shared-libasan" ;; esac
# Slots of memory that is read before it is written hold this byte, so that results cannot hide it.
export ASAN_OPTIONS="detect_leaks=0:malloc_fill_byte=165:max_malloc_fill_size=1073741824:allocator_may_return_null=1:detect_stack_use_after_return=1"
export UBSAN_OPTIONS=print_stacktrace=1

copy=build/sanitize
rm -rf $copy
mkdir -p $copy
cp -R nnr c_core tests conformance docs benchmarks examples fuzz .ci ./*.* LICENSE Makefile $copy
rm -f $copy/nnr/_core*.{c,so}
export NNR_SHARED=${NNR_SHARED:-$PWD/../shared}
cd $copy
# The build compiles with CC and links with LDSHARED.
NNR_BASE_ONLY=1 CC=$cc LDSHARED="$cc -shared" CFLAGS="$checks" LDFLAGS="$checks" "$python" setup.py --quiet build_ext --inplace

watched() {
    # Python's own allocator hides the bounds of small objects from the sanitizer.
    LD_PRELOAD=$library PYTHONMALLOC=malloc PYTHONPATH=$PWD NNR_FUZZ_CC=$cc NNR_FUZZ_CFLAGS=${checks/-shared-libasan/} "$@"
}

# A run that cannot fail would prove nothing: a size that lies must be reported, by this very core.
lie="
from nnr import _core, core
assert _core.__file__.startswith('$PWD'), _core.__file__
levels, payload = bytearray(40000), bytearray(k * k * 37 % 251 for k in range(100))
tensor = core.new_tensors([[100, 100, 11, 0, 0, 0, 1, 0, 2, 0, core.address(levels)]])
core.decode_units(core.new_units([[core.address(payload), 4000, 0, 1, 1, 0, 0, 0, 31]]), tensor)"
if report=$(watched "$python" -c "$lie" 2>&1) || ! grep -q 'ERROR: AddressSanitizer' <<<"$report"; then
    echo "the sanitizer does not see the core: $report" >&2
    exit 1
fi

# Tests of how much memory something takes skip themselves at this sign.
export NNR_SANITIZED=1
watched "$python" -m pytest -p no:cacheprovider "$@"
