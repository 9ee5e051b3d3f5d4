"""Print a script that completes commands, options and file names of `nnr` in a shell.

The package shtab writes it from the parser of this command: pip install 'nnr[completion]'.
"""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import MissingExtraError
from ..formats.extras import require
from .errors import CommandError

__all__ = ["EXAMPLES", "SUMMARY", "add_arguments", "run"]

SUMMARY = "print a script for completion in a shell"
EXAMPLES = (
    'eval "$(nnr completion bash)"',
    "nnr completion zsh > ~/.zfunc/_nnr",
    "nnr completion fish > ~/.config/fish/completions/nnr.fish",
)
SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")

#: What the help calls the names of files.
_FILES = frozenset(["IN", "OUT", "FILE", "FILE.json", "BASE", "UPDATE", "A", "B", "DIR", "ORIGINAL"])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `nnr completion`."""
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=f"one of {', '.join(SHELLS)}")


def run(args: argparse.Namespace) -> int:
    """Carry out `nnr completion`."""
    try:
        shtab = require("shtab", "completion", "a script for completion")
    except MissingExtraError as error:
        raise CommandError(str(error)) from error
    from .run import build_parser

    parser = build_parser()
    _mark(parser, shtab.FILE)
    print(shtab.complete(parser, shell=args.shell))
    return 0


def _mark(parser: argparse.ArgumentParser, files: Any) -> None:
    """Tell which values are names of files, and which are one of a few words."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                _mark(inner, files)
        elif action.metavar in _FILES:
            action.complete = files  # type: ignore[attr-defined]
        elif isinstance(action.metavar, str) and action.metavar.startswith("{"):
            action.choices = action.metavar.strip("{}").split(",")
