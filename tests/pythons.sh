#!/usr/bin/env bash
# The whole suite on several Pythons, in an environment and a copy of the checkout for each:
# `tests/pythons.sh PYTHON[,REQUIREMENT]...`, run by `make pythons`. A Python is a version, looked for among the
# commands (python3.12) and in pyenv, or a path; a requirement chooses another release: 3.11,numpy==1.26.4.
# PYTEST_ARGS goes to pytest. Ends with a line for each, and with status 1 if a suite failed or a Python is not there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -d ../shared ]; then export NNR_SHARED=${NNR_SHARED:-$(realpath ../shared)}; fi

interpreter() { # of a version or path, by its own word
    local candidate
    for candidate in "$1" "python$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"${1/%t/}".*/bin/"python$1"; do
        "$candidate" -c 'import sys; print(sys.executable)' 2>/dev/null && return
    done
    return 1
}

suite() { # PYTHON REQUIREMENT FOLDER
    mkdir -p "$3/tree"
    git ls-files -z | xargs -0 cp --parents -t "$3/tree"
    "$1" -m venv "$3/venv"
    cd "$3/tree"
    local pip=("$3/venv/bin/python" -m pip install --quiet --disable-pip-version-check)
    "${pip[@]}" --editable '.[test]' ${2:+"$2"}
    "$3/venv/bin/python" -c 'import platform, sys, numpy, cffi
print(platform.python_implementation(), sys.version.split(" (")[0], "numpy", numpy.__version__, "cffi", cffi.__version__)'
    # shellcheck disable=SC2086
    "$3/venv/bin/python" -m pytest -q ${PYTEST_ARGS:-}
}

number=0 failed=0
summary=()
for wanted; do
    number=$((number + 1))
    IFS=, read -r version requirement <<< "$wanted"
    if ! python=$(interpreter "$version"); then
        summary+=("$wanted: not found")
        failed=1
        continue
    fi
    log=$work/$number.log
    set +e # not a condition, or else commands could fail inside
    (set -e; suite "$python" "$requirement" "$work/$number") 2>&1 | tee "$log"
    status=$?
    set -e
    result=good
    if [ $status -ne 0 ]; then result=FAILED failed=1; fi
    facts=$(grep -m1 -E '^[A-Za-z]+ 3\.[0-9.]+.* numpy ' "$log" || true)
    tests=$(grep -E '(passed|failed|errors?).* in [0-9.]+s' "$log" | tail -n 1 || true)
    summary+=("$wanted: $result; ${facts:-not installed}; ${tests:-no tests}")
    rm -rf "${work:?}/$number"
done
printf '%s\n' "${summary[@]}"
exit $failed
