"""What every reader of a file that anybody may have made has to check, and to say in one line."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np

from ..errors import FormatError
from ..limits import Limits

__all__ = ["check_shape", "each_once", "opened_zip", "proportionate", "said"]


def said(error: BaseException) -> str:
    """What an error of a package says, on one line of bounded length."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The `object_pairs_hook` of JSON in which no name may come twice.

    Raises:
        FormatError: one does.
    """
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise FormatError(f"{name!r} stands twice in one object")
        found[name] = value
    return found


def check_shape(shape: Sequence[int], dtype: np.dtype[Any], what: str) -> None:
    """Refuse a shape that no array can have, also where it has no elements.

    Raises:
        FormatError: it is one; the message begins with `what`.
    """
    try:
        if not all(type(n) is int for n in shape):
            raise TypeError
        np.broadcast_to(np.zeros((), dtype), tuple(shape))  # takes no memory, whatever the shape
    except (ValueError, TypeError, OverflowError):
        text = f"{list(shape)[:8]!r}"[:100]
        more = f" of {len(shape)} dimensions" if len(shape) > 8 else ""
        raise FormatError(f"{what} has the shape {text}{more}, which no array can have") from None


def proportionate(nbytes: int, file_bytes: int, what: str) -> None:
    """Refuse what would take memory out of proportion to the file, as `nnr.Limits` has it.

    Raises:
        FormatError: too large.
    """
    allowed = Limits().output_bytes(file_bytes)
    if nbytes > allowed:
        raise FormatError(
            f"{what} would take {nbytes} bytes, out of proportion to a file of {file_bytes} bytes, for which "
            f"{allowed} are allowed"
        )


@contextlib.contextmanager
def opened_zip(file: IO[bytes], what: str) -> Iterator[zipfile.ZipFile]:
    """A zip archive opened for reading, whose members together are in proportion to it.

    Args:
        file: seekable.
        what: the file should be, with its article.

    Raises:
        FormatError: what is found wrong, also inside the block.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            size = file.seek(0, os.SEEK_END)
            total = 0
            for member in archive.infolist():
                if member.flag_bits & 1:
                    raise FormatError(f"member {member.orig_filename!r} is encrypted")
                total += member.file_size
                proportionate(total, size, f"member {member.orig_filename!r}, with those before it,")
            yield archive
    except zipfile.BadZipFile as error:
        raise FormatError(f"not {what}, or damaged: {said(error)}") from None
    except FormatError:
        raise
    except (zlib.error, EOFError, NotImplementedError, RuntimeError, struct.error, ValueError) as error:
        raise FormatError(f"not {what}, or damaged: {said(error)}") from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # a seek to where a damaged directory points
            raise
        raise FormatError(f"not {what}, or damaged: an offset points outside") from None
