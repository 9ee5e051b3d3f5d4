#!/usr/bin/env bash
# All fuzzers in turn, SECONDS in all. What they find is kept in .fuzz/found, and ends the run.
#
#   fuzz/run.sh .venv/bin/python SECONDS
#
# Needs clang with libFuzzer for the C targets (Debian: clang libclang-rt-14-dev) and, for the whole decoder, the
# Python package atheris; what is missing is said and left out. The mutation of the syntax layer needs neither.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$PWD/$1
share=$(($2 / 5 > 0 ? $2 / 5 : 1))
work=.fuzz
mkdir -p $work/found
"$python" fuzz/seeds.py $work/seeds

"$python" -m zipfile -e fuzz/corpus.zip $work/corpus

targets=(core_decode core_engine core_encode)
# Comparisons are not traced: in these targets that costs most of the speed and finds nothing.
flags="-std=c99 -O2 -g -ffp-contract=off -fno-trapping-math -fsanitize=fuzzer,address,undefined"
flags+=" -fno-sanitize-coverage=trace-cmp -fno-sanitize-recover=all"
if mkdir -p $work/core && (cd $work/core && clang $flags -c ../../c_core/*.c) 2>$work/clang.log &&
    clang $flags -o $work/core_decode fuzz/core_decode.c $work/core/*.o 2>>$work/clang.log; then
    for target in "${targets[@]}"; do
        clang $flags -o $work/$target fuzz/$target.c $work/core/*.o
        mkdir -p $work/found/$target $work/new/$target
        echo "$target: $share s"
        $work/$target -max_len=300 -max_total_time=$share -timeout=20 -rss_limit_mb=2048 -detect_leaks=0 \
            -print_final_stats=1 -artifact_prefix=$work/found/$target/ $work/new/$target $work/corpus/$target \
            $work/seeds/payloads >$work/$target.log 2>&1 || { tail -n 60 $work/$target.log; exit 1; }
        grep number_of_executed_units $work/$target.log
    done
else
    echo "no clang with libFuzzer: ${targets[*]} left out ($(head -n 1 $work/clang.log))"
fi

if "$python" -c 'import atheris' 2>/dev/null; then
    mkdir -p $work/found/decoder $work/new/decoder
    echo "decoder: $share s"
    "$python" fuzz/decoder.py -max_len=4096 -max_total_time=$share -timeout=30 -rss_limit_mb=4096 -print_final_stats=1 \
        -artifact_prefix=$work/found/decoder/ $work/new/decoder $work/corpus/streams $work/seeds/streams \
        >$work/decoder.log 2>&1 || { tail -n 60 $work/decoder.log; exit 1; }
    grep number_of_executed_units $work/decoder.log
else
    echo "no atheris: the decoder under coverage is left out (pip install atheris)"
fi

echo "structure: $share s"
root=$PWD
cd $work/found
"$python" "$root/fuzz/structure.py" $share
