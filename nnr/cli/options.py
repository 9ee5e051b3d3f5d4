"""Options of the encoder on the command line, made from the fields of `nnr.EncoderConfig`.

A field `scan_order` is the option `--scan-order`; a boolean has two, `--dq` and `--no-dq`; a mapping by
tensor name is given as `NAME=VALUE`, a sequence of words as one word, each repeatedly; a mapping of arrays
by tensor name is the name of a model file. A field's metadata may hold `help`, `metavar`, `unit` and
`choices`, and `flag=False` keeps it off the command line; fields of other types (lists of tools) are for
Python only.
"""

from __future__ import annotations

import argparse
import collections.abc
import dataclasses
import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from ..formats import load_tensors
from ..limits import Limits
from .errors import UsageError, about, describe

__all__ = [
    "add_config_options",
    "add_limits",
    "add_threads",
    "config_options",
    "limits",
    "make_config",
    "number",
    "parse_size",
]

_PREFIX = "config_"

_TOOLS = "coding tools"
_TARGETS = "targets, one of them instead of --qp"

#: Groups of the help, and the options in each; every other option is a tool.
_GROUPS = {
    "quality": (
        "qp", "nonweight_qp", "vector_bits", "qp_per_tensor", "qp_density", "allocate", "importance",
        "lambda_scale", "effort",
    ),
    _TARGETS: ("bits_per_weight", "target_size", "max_error", "psnr"),
    _TOOLS: (),
    "compatibility and carriage": ("profile", "compat", "nonfinite", "raw", "metadata", "parent_id"),
}  # fmt: skip
_SIZE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(?:([kMGT]?)(i?)B?)?", re.IGNORECASE)


def add_config_options(parser: argparse.ArgumentParser, config_type: type) -> None:
    """Add one option for each field of the dataclass `config_type` that the command line can express."""
    groups = {title: parser.add_argument_group(title) for title in _GROUPS}
    hints = typing.get_type_hints(config_type)
    for field in dataclasses.fields(config_type):
        if not field.init or field.metadata.get("flag") is False:
            continue
        settings = _argument(hints[field.name], field.metadata)
        if settings is not None:
            flag = "--" + field.name.replace("_", "-")
            groups[_group_of(field.name)].add_argument(
                flag, dest=_PREFIX + field.name, default=argparse.SUPPRESS,
                help=_help(field, settings.get("type")), **settings
            )  # fmt: skip


def _group_of(name: str) -> str:
    return next((title for title, names in _GROUPS.items() if name in names), _TOOLS)


class _ModelFile(str):
    """Name of a file that holds an array for each tensor."""

    __slots__ = ()


def config_options(args: argparse.Namespace) -> dict[str, Any]:
    """The options given on the command line, as keyword arguments; those not given are absent.

    Raises:
        CommandError: a file that an option names cannot be read.
    """
    options = {}
    for key, value in vars(args).items():
        if key.startswith(_PREFIX):
            if isinstance(value, list):  # of a repeated option
                value = dict(value) if isinstance(value[0], tuple) else tuple(value)
            elif isinstance(value, _ModelFile):
                with about(value):
                    value = load_tensors(value)
            options[key[len(_PREFIX) :]] = value
    return options


def make_config(args: argparse.Namespace, config_type: Callable[..., Any]) -> Any:
    """`config_type` with the options of the command line; what it refuses is wrong usage."""
    options = config_options(args)
    target = next((name for name in options if name in _GROUPS[_TARGETS]), None)
    if "qp" in options and target is not None:
        raise UsageError(f"{args.command}: --qp and --{target.replace('_', '-')} exclude each other")
    try:
        return config_type(**options)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{args.command}: {describe(error)} (see `nnr {args.command} --help`)") from error


def add_threads(parser: argparse.ArgumentParser) -> None:
    """`--threads`."""
    parser.add_argument(
        "-T", "--threads", metavar="N", type=_threads,
        help="threads to use; 0: one for each core (default: 0)",
    )  # fmt: skip


def add_limits(parser: argparse.ArgumentParser) -> None:
    """`--limit`."""
    fields = dataclasses.fields(Limits)
    names = ", ".join(f"{f.name} ({_LIMIT_DEFAULTS.get(f.name, f.default)})" for f in fields)
    parser.add_argument(
        "--limit", metavar="NAME=SIZE", action="append", type=_limit, default=[],
        help=f"change what a stream may cost, for streams from a source you trust; NAME (default) is one of "
        f"{names}",
    )  # fmt: skip


_LIMIT_DEFAULTS = {
    "max_output_bytes": "256 MiB, or max_output_ratio times the stream",
    "max_multiplications": "2^32, or 2^14 times the stream",
}


def limits(args: argparse.Namespace) -> Limits:
    """The limits in force, with the changes that `--limit` asks for."""
    return Limits(**dict(args.limit))


def _limit(text: str) -> tuple[str, int]:
    name, value = _pair(parse_size)(text)
    if name not in {field.name for field in dataclasses.fields(Limits)}:
        raise argparse.ArgumentTypeError(f"there is no limit called {name!r}")
    return name, value


def parse_size(text: str) -> int:
    """Bytes of a size such as `1200000`, `1.2MB` or `64KiB`; rounds down."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write 1200000, 1.2MB or 64KiB")
    number, prefix, binary = match.group(1), match.group(2) or "", match.group(3)
    return int(float(number) * (1024 if binary else 1000) ** " kmgt".index(prefix.lower() or " "))


def _threads(text: str) -> int | None:
    value = _whole_number(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of threads")
    return value or None


def _argument(hint: Any, metadata: Mapping[str, Any]) -> dict[str, Any] | None:
    """Keyword arguments for `add_argument`, or None for a type that the command line cannot express."""
    members = _members(hint)
    settings = next(filter(None, (_member_argument(member, metadata) for member in members)), None)
    if settings is None or "type" not in settings:
        return settings
    if metadata.get("choices"):
        words = ["none" if choice is None else str(choice) for choice in metadata["choices"]]
        settings["type"] = _choice(dict(zip(words, metadata["choices"])))
        settings["metavar"] = "{" + ",".join(words) + "}"
    else:
        if type(None) in members and "action" not in settings:
            settings["type"] = _or_none(settings["type"])
        settings["metavar"] = metadata.get("metavar") or settings["metavar"]
    return settings


def _members(hint: Any) -> list[Any]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [inner for member in typing.get_args(hint) for inner in _members(member)]
    return [hint]


def _member_argument(hint: Any, metadata: Mapping[str, Any]) -> dict[str, Any] | None:
    origin, parameters = typing.get_origin(hint), typing.get_args(hint)
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction}
    if metadata.get("unit") == "bytes" and hint in (int, float):
        return {"type": parse_size, "metavar": "SIZE"}
    if hint is int:
        return {"type": _whole_number, "metavar": "N"}
    if hint is float:
        return {"type": number, "metavar": "X"}
    if hint is str:
        return {"type": str, "metavar": "WORD"}
    if origin in (tuple, collections.abc.Sequence) and parameters[0] is str:
        return {"type": str, "metavar": "WORD", "action": "append"}
    if origin in (dict, collections.abc.Mapping) and parameters[0] is str and parameters[1] in (int, float):
        inner = _whole_number if parameters[1] is int else number
        return {"type": _pair(inner), "metavar": "NAME=N", "action": "append"}
    if origin in (dict, collections.abc.Mapping) and parameters == (str, Any):
        return {"type": _ModelFile, "metavar": "FILE"}
    return None


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def _choice(values: dict[str, Any]) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        if text not in values:
            raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(values)}")
        return values[text]

    return parse


def _pair(inner: Callable[[str], Any]) -> Callable[[str], tuple[str, Any]]:
    def parse(text: str) -> tuple[str, Any]:
        name, equals, value = text.rpartition("=")
        if not equals:
            raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
        return name, inner(value)

    return parse


def _or_none(inner: Callable[[str], Any]) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        return None if text == "none" else inner(text)

    return parse


def _help(field: dataclasses.Field[Any], kind: Any) -> str:
    text = str(field.metadata.get("help", "")).replace("%", "%%")
    if kind is _ModelFile:
        text += "; FILE is an .npz or .safetensors"
    notes = []
    if field.metadata.get("unit"):
        is_size = field.metadata["unit"] == "bytes"
        notes.append("in bytes, or as 900k, 1.2MB, 64KiB" if is_size else f"in {field.metadata['unit']}")
    default = field.default if field.default is not dataclasses.MISSING else None
    if default is True or default is False:
        notes.append(f"default: {'on' if default else 'off'}")
    elif default is not None and default != ():
        notes.append(f"default: {default:g}" if isinstance(default, float) else f"default: {default}")
    elif "by default" not in text:
        notes.append("default: none")
    note = f"({'; '.join(notes)})".replace("%", "%%") if notes else ""
    return f"{text} {note}".strip()
