"""Makes docs/cli.md, the reference of the command line, from the parser that the command itself uses.

python docs/render_cli.py            # rewrites the page
"""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from nnr.cli.parser import Parser
from nnr.cli.run import COMMANDS, build_parser

PAGE = Path(__file__).resolve().parent / "cli.md"

HEAD = """# Command line

Made by `docs/render_cli.py` from what `nnr COMMAND --help` says.

Results go to standard output. An error is one line on standard error, `nnr: FILE: what is wrong`. `-` stands for standard input or
output. With `--json` a command prints one JSON object on one line, described below, and nothing else to standard output (to standard error,
where `-o -` sends a file to standard output); an error is also then a line
on standard error and a status, and standard output empty, or with the object of what could be read (`info`, `trace`, `check`; the last gives the
places of faults as data). JSON has neither NaN nor infinities: null stands for them.

| exit status | |
| ---: | --- |
| 0 | done; for `compare` and `check`: the same, conforms |
| 1 | the input is bad, unsupported or does not match |
| 2 | wrong usage |
| 128 + N | ended by signal N: 130 for Ctrl-C, 141 when the reader of a pipe went away |

| environment | |
| --- | --- |
| `COLUMNS`, `LINES` | size of the screen that tables are folded to, instead of what the terminal says |
| `TERM=dumb` | no progress on the terminal |
| `NNR_DEBUG=1` | a Python traceback before the line of an error |

Nothing is ever coloured, so `NO_COLOR` has nothing to do. Progress is shown on a terminal only; with `pip install 'nnr[progress]'` it tells
the rate and the time left.

"""


def render() -> str:
    """The page."""
    parser = build_parser()
    commands = _subparsers(parser)
    rows = [f"| [`nnr {name}`](#nnr-{name}) | {_summary(name)} |" for name in COMMANDS]
    parts = [HEAD, "| command | |\n| --- | --- |\n", "\n".join(rows), "\n"]
    for name in COMMANDS:
        parts += _command(name, commands[name])
    return "".join(parts)


def _subparsers(parser: argparse.ArgumentParser) -> Mapping[str, Parser]:
    actions = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return next((a.choices for a in actions), {})


def _summary(name: str) -> str:
    summary: str = importlib.import_module(f"nnr.cli.{name}").SUMMARY
    return summary


def _command(name: str, parser: Parser, level: str = "##") -> Iterator[str]:
    module = importlib.import_module(f"nnr.cli.{name.split(' ')[0]}")
    yield f"\n{level} nnr {name}\n\n```\n{parser.short_usage()}\n```\n\n{_prose(parser.description or '')}\n"
    for group in parser._action_groups:
        actions = [a for a in group._group_actions if a.help != argparse.SUPPRESS and a.dest != "help"]
        if actions and not isinstance(actions[0], argparse._SubParsersAction):
            yield f"\n| {group.title} | |\n| --- | --- |\n"
            yield from (f"| {_names(a)} | {_meaning(a)} |\n" for a in actions)
    for inner, subparser in _subparsers(parser).items():
        yield from _command(f"{name} {inner}", subparser, level + "#")
    if level == "##":
        examples = "\n".join(module.EXAMPLES)
        yield f"\n```sh\n{examples}\n```\n"
        if getattr(module, "JSON", None):
            yield "\n| key of `--json` | |\n| --- | --- |\n"
            yield from (f"| {_code(keys)} | {_escaped(text)} |\n" for keys, text in module.JSON.items())


def _prose(text: str) -> str:
    """Paragraphs, each on one line; those that are indented are code in Markdown, too."""
    paragraphs = text.strip().split("\n\n")
    return "\n\n".join(p if "\n " in f"\n{p}" else _marked(" ".join(p.split())) for p in paragraphs)


def _names(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else f" {_value(action)}"
    if not action.option_strings:
        return f"`{value.strip()}`"
    return ", ".join(f"`{name}{value}`" for name in action.option_strings)


def _value(action: argparse.Action) -> str:
    value = action.metavar or (f"{{{','.join(map(str, action.choices))}}}" if action.choices else action.dest)
    return f"{value} ..." if action.nargs in ("+", "*") else str(value)


def _meaning(action: argparse.Action) -> str:
    return _marked(_escaped((action.help or "").replace("%%", "%")))


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _marked(text: str) -> str:
    """Options in code type, where they are not yet."""
    return re.sub(r"(?<![\w`-])(--[a-z][a-z-]*)(?![\w`])", r"`\1`", text)


def _code(keys: str) -> str:
    return ", ".join(f"`{key}`" for key in keys.split(", "))


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
