"""Errors on their way to the user: which file, what is wrong, and remedies that can be typed."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import functools
import json
import os
import re
from collections.abc import Iterator

from ..errors import NnrError

__all__ = ["CommandError", "UsageError", "about", "as_flags", "as_limits", "describe"]

_QUOTED = r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\""  # as repr writes a string
_LIMIT_ADVICE = re.compile(r"limits=nnr\.Limits\((\w+=\d+)\)")
_OUT_OF_BAND_ADVICE = re.compile(
    rf"(?:as )?out_of_band=\{{({_QUOTED}): \{{'tensor_dimensions': \[\.\.\.\]\}}\}}"
)


class CommandError(Exception):
    """Ends a command with status 1; the text is the line for the user, without the leading `nnr: `."""


class UsageError(Exception):
    """Ends a command with status 2; the text is the line for the user, without the leading `nnr: `."""


def describe(error: BaseException) -> str:
    """What `error` says, with the options of the command line where it names those of Python."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, MemoryError):
        return f"not enough memory ({error})" if str(error) else "not enough memory"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    text = as_limits(str(error))
    if isinstance(error, (ValueError, TypeError)) and not isinstance(error, NnrError):
        text = as_flags(text)  # an error of the bitstream names syntax elements, which are called alike
    return text or type(error).__name__


def as_limits(text: str) -> str:
    """`text` with limits and out-of-band parameters as the command line takes them."""
    text = _LIMIT_ADVICE.sub(r"--limit \1", text)
    return _OUT_OF_BAND_ADVICE.sub(_out_of_band, text)


def _out_of_band(match: re.Match[str]) -> str:
    name = json.dumps(ast.literal_eval(match.group(1)), ensure_ascii=False)
    return f'with --out-of-band FILE.json, which holds {{{name}: {{"tensor_dimensions": [...]}}}}'


def as_flags(text: str) -> str:
    """`text` with options of `nnr.EncoderConfig` as flags: `nonfinite='raw'` is `--nonfinite raw`.

    An option is known by a value (`compat=None`), by an underscore in its name (`qp_per_tensor`), or by its
    place in a sentence (`qp must be ...`). What is quoted otherwise, as names of tensors are, stays.
    """
    return _patterns().sub(_replacement, text)


@functools.cache
def _patterns() -> re.Pattern[str]:
    from ..encoder.config import EncoderConfig

    names = sorted((field.name for field in dataclasses.fields(EncoderConfig)), key=len, reverse=True)
    any_name = "|".join(names)
    underscored = "|".join(name for name in names if "_" in name)
    value = r"'\w+'|-?[\d.]+|\w+"
    return re.compile(
        rf"(?P<given>\b(?:{any_name}))=(?P<value>{value})"
        rf"|(?P<entry>\bqp_per_tensor)\[(?P<tensor>{_QUOTED})\]"
        rf"|^(?P<first>{any_name})(?= must\b| and \w+ exclude\b|: )"
        rf"|(?<= and )(?P<second>{any_name})(?= exclude\b)"
        rf"|(?P<stated>^{any_name}|(?<=needs )(?:{any_name})) (?P<word>'\w+'|\d+)(?= needs\b|:|$)"
        rf"|(?<!\w)(?:{_QUOTED})"
        rf"|(?<![\w.])(?P<bare>{underscored})(?![\w.=])"
    )


def _replacement(match: re.Match[str]) -> str:
    found = {key: text for key, text in match.groupdict().items() if text is not None}
    if not found:
        return match.group()
    name = next(found[key] for key in ("given", "entry", "first", "second", "stated", "bare") if key in found)
    flag = "--" + name.replace("_", "-")
    if "entry" in found:
        return f"{flag} {found['tensor']}"
    value = (found.get("value") or found.get("word") or "").strip("'")
    if value in ("True", "False"):
        return flag if value == "True" else f"--no-{flag[2:]}"
    if value:
        return f"{flag} {'none' if value == 'None' else value}"
    return f"{flag} NAME=N" if name == "qp_per_tensor" and "bare" in found else flag


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
