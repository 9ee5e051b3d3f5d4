#!/bin/sh
# Builds the core alone, strictly, with and without vector instructions and the compiler's own builtins. Usage: c_core/check.sh [CC]
set -e
cd "$(dirname "$0")"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for define in NNR_DEFAULT NNR_NO_SIMD NNR_PORTABLE; do
    for file in *.c; do
        "${1:-cc}" -std=c99 -pedantic -O2 -ffp-contract=off -Wall -Wextra -Wconversion -Wshadow -Werror \
            -D$define -c "$file" -o "$out/$file.o"
    done
done
echo "c_core: clean"
