"""Help, wrong usage, and the documented JSON."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nnr.cli.run import COMMANDS, build_parser
from tests.cli.conftest import Cli


def parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every subcommand, also those of subcommands, by name."""
    waiting = [("nnr", build_parser())]
    while waiting:
        name, parser = waiting.pop()
        yield name, parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                waiting += [(f"{name} {inner}", sub) for inner, sub in action.choices.items()]


def test_every_option_with_a_value_says_its_default() -> None:
    for name, parser in parsers():
        for action in parser._actions:
            if action.option_strings and action.nargs != 0 and not action.required:
                assert "default" in (action.help or ""), f"{name} {action.option_strings}"
            elif not isinstance(action, argparse._SubParsersAction):
                assert action.help, f"{name} {action.dest}"


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_help_is_as_wide_as_the_screen(cli: Cli, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for name, _ in parsers():
        shown = cli(*name.split()[1:], "--help")
        assert shown.status == 0
        free = [line for line in shown.out.splitlines() if not line.startswith("  ")]
        assert all(len(line) <= max(columns, 70) for line in free), name


def test_examples_of_the_help_are_understood() -> None:
    for name in COMMANDS:
        for example in importlib.import_module(f"nnr.cli.{name}").EXAMPLES:
            words = shlex.split(re.split(r"[|<>)]", example.removeprefix('eval "$('))[0])
            assert words[:2] == ["nnr", name]
            build_parser().parse_args(words[1:])


def test_help_as_a_command(cli: Cli) -> None:
    assert cli("help") == cli("--help")
    assert cli("help", "encode") == cli("encode", "--help")
    assert cli("-V") == cli("--version")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("model.safetensors", "`nnr encode model.safetensors -o model.nnr` encodes it"),
        ("./a/model.nnr", "`nnr info ./a/model.nnr` shows what it holds"),
        ("model.nnr", "`nnr decode model.nnr -o model.safetensors` decodes it"),
        ("encod x.npz", "did you mean encode?"),
        ("Encode x.npz", "did you mean encode?"),
        ("frobnicate", "there are encode, decode, "),
        ("encode x.npz", "-o/--output is missing; for example: nnr encode model.safetensors -o model.nnr"),
        ("encode", "IN and -o/--output are missing"),
        ("encode x.npz --outptu y.nnr", "there is no option --outptu; did you mean --output?"),
        ("encode x.npz -o y.nnr --bits_per_weight 3", "did you mean --bits-per-weight?"),
        ("encode x.npz -o y.nnr --target 3k", "did you mean --target-size?"),
        ("encode x.npz -o y.nnr --thread=3", "there is no option --thread; did you mean --threads?"),
        ("decode x.nnr -x -o x.npz", "decode: -x: not expected here"),
        ("info a.nnr b.nnr", "info: b.nnr: not expected here"),
        ("encode x.npz -o y.nnr --qp", "--qp: expected one argument"),
    ],
)
def test_wrong_usage_says_what_was_perhaps_meant(
    cli: Cli, typed: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cli(*typed.split()).assert_one_error(2, said, "--help`)")


def test_what_stands_behind_two_dashes_is_no_option(cli: Cli, tmp_path: Path) -> None:
    cli("info", "--", "--json").assert_one_error(1, "nnr: --json: No such file")


def _paths(value: object, prefix: str = "") -> set[str]:
    if isinstance(value, dict):
        below = {path for key, inner in value.items() for path in _paths(inner, f"{prefix}{key}.")}
        return {prefix + key for key in value} | below
    if isinstance(value, list):
        return {path for item in value for path in _paths(item, prefix)}
    return set()


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("conformance", "completion")])
def test_json_is_one_object_with_the_documented_keys(
    cli: Cli, command: str, stream_file: Path, model_file: Path, tmp_path: Path
) -> None:
    arguments = {
        "encode": [model_file, "-o", tmp_path / "y.nnr"],
        "decode": [stream_file, "-o", tmp_path / "y.npz"],
        "compare": [model_file, stream_file],
        "demo": [],
    }.get(command, [stream_file])
    shown = cli(command, *arguments, "--json")
    assert shown.err == ""
    assert shown.out.count("\n") == 1
    facts = json.loads(shown.out, parse_constant=lambda text: pytest.fail(f"{text} is not JSON"))
    documented = importlib.import_module(f"nnr.cli.{command}").JSON
    assert sorted(facts) == sorted(", ".join(documented).split(", "))
    for key in ("tensors", "rows", "originals"):
        for path in _paths(facts.get(key, [])):
            last = path.split(".")[-1]  # the keys of errors are those of the total
            assert f"`{path}`" in documented[key] or f"`{last}`" in documented.get("total", ""), path


def test_numbers_without_a_finite_value_are_null(cli: Cli, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", w=np.zeros((0, 3)), v=np.zeros(3), n=np.arange(3))
    shown = cli("encode", tmp_path / "x.npz", "-o", tmp_path / "x.nnr", "--json")
    json.loads(shown.out, parse_constant=lambda text: pytest.fail(f"{text} is not JSON"))
    for command in ("info", "check", "trace"):
        shown = cli(command, tmp_path / "x.nnr", "--json")
        json.loads(shown.out, parse_constant=lambda text: pytest.fail(f"{text} is not JSON"))
