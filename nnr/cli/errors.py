"""Errors on their way to the user: which file, what is wrong, in one line."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator

from ..errors import LimitError, NnrError

__all__ = ["CommandError", "UsageError", "about", "describe", "one_line"]

_LIMIT_ADVICE = re.compile(r"pass limits=nnr\.Limits\((\w+=\d+)\)")


class CommandError(Exception):
    """Ends a command with status 1; the text is the line for the user, without the leading `nnr: `."""


class UsageError(Exception):
    """Ends a command with status 2; the text is the line for the user, without the leading `nnr: `."""


def one_line(text: str) -> str:
    """`text` without control characters and line ends, so that a tensor's name cannot break the line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def describe(error: BaseException) -> str:
    """What `error` says, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, MemoryError):
        return f"not enough memory ({error})" if str(error) else "not enough memory"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, LimitError):
        return _LIMIT_ADVICE.sub(r"use --limit \1", str(error))
    return str(error) or type(error).__name__


@contextlib.contextmanager
def about(name: str | os.PathLike[str]) -> Iterator[None]:
    """Errors raised in the block are about the file `name` (`-`: a standard stream)."""
    shown = os.fspath(name)
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if isinstance(error.filename, (str, bytes)):
            shown = os.fsdecode(error.filename)
        raise CommandError(f"{shown}: {describe(error)}") from error
    except (NnrError, ValueError, TypeError, MemoryError, RecursionError, ImportError) as error:
        raise CommandError(f"{shown}: {describe(error)}") from error
