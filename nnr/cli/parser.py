"""The parser of arguments: wrong usage is one line, which says what was perhaps meant."""

from __future__ import annotations

import argparse
import difflib
import os
import shlex
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from .errors import UsageError

__all__ = ["HelpFormatter", "Parser"]

_MISSING = "the following arguments are required: "


class HelpFormatter(argparse.HelpFormatter):
    """Fills paragraphs to the width of the screen, and leaves lines that are indented as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = text.strip().split("\n\n")
        return "\n\n".join(p if "\n " in f"\n{p}" else textwrap.fill(p, width) for p in paragraphs)


class Parser(argparse.ArgumentParser):
    """Takes no abbreviated options, which new ones would make ambiguous.

    Attributes:
        example: a command line that works, for who left something out.
    """

    example = ""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, "formatter_class": HelpFormatter, **options})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As `parse_args`: every argument must be known."""
        self._check_words(args or ())
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"{' '.join(map(shlex.quote, unknown))}: not expected here")
        return known, unknown

    def error(self, message: str) -> NoReturn:
        command = self.prog.partition(" ")[2]
        if message.startswith(_MISSING):
            missing = message.removeprefix(_MISSING).split(", ")
            message = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
            message += f"; for example: {self.example}" if self.example else ""
        raise UsageError(f"{command + ': ' if command else ''}{message} (see `{self.prog} --help`)")

    def short_usage(self) -> str:
        """What must be given, and that there is more."""
        words = []
        for action in self._actions:
            if action.option_strings and action.required:
                words.append(f"{action.option_strings[0]} {action.metavar}")
            elif not action.option_strings:
                words.append(f"[{action.metavar} ...]" if action.nargs == "*" else str(action.metavar))
        return " ".join([self.prog, *words, "[option ...]"])

    def _check_words(self, args: Sequence[str]) -> None:
        """Options that do not exist, before their absence or value is found to be at fault."""
        commands = self._commands()
        for word in args:
            if word == "--":
                return
            if commands and not word.startswith("-"):
                if word not in commands:
                    self._no_command(word, commands)
                return
            option = word.partition("=")[0]
            if option.startswith("--") and option not in self._option_string_actions:
                options = [name for name in self._option_string_actions if name.startswith("--")]
                self.error(f"there is no option {option}{_perhaps(option, options)}")

    def _commands(self) -> Sequence[str]:
        actions = (a for a in self._actions if isinstance(a, argparse._SubParsersAction))
        return list(next(iter(a.choices for a in actions), ()))

    def _no_command(self, word: str, commands: Sequence[str]) -> NoReturn:
        path = Path(word)
        if "encode" in commands and (path.suffix or os.path.exists(word)):
            name, stem = shlex.quote(word), path.name.split(".")[0]
            hint = f"`nnr encode {name} -o {shlex.quote(stem + '.nnr')}` encodes it"
            if path.suffix.lower() == ".nnr":
                back = shlex.quote(stem + ".safetensors")
                hint = f"`nnr info {name}` shows what it holds, `nnr decode {name} -o {back}` decodes it"
            self.error(f"{word} is no command; {hint}")
        perhaps = _perhaps(word, commands) or f"; there are {', '.join(commands)}"
        self.error(f"there is no command {word}{perhaps}")


def _perhaps(word: str, known: Iterable[str]) -> str:
    """`; did you mean --qp?`, or nothing where no known word is like it."""
    known = sorted(known)
    begun = [name for name in known if name.startswith(word)] if len(word) > 2 else []
    like = begun[:3] or difflib.get_close_matches(word, known, n=2, cutoff=0.7)
    return f"; did you mean {' or '.join(like)}?" if like else ""
