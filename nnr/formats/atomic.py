"""Output files that appear complete or not at all.

Bytes go to a temporary file in the folder of the target, which takes the target's name only when everything
has been written; whatever happens before leaves an earlier file of that name as it was.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["atomic_output", "atomic_path", "check_target", "folder_for_scratch"]

_DESCRIPTORS = re.compile(r"/proc/\d+/(task/\d+/)?fd|/dev/fd")


def check_target(path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
    """Find out, before long work, that `path` can be written.

    Raises:
        FileExistsError: the file exists and `overwrite` is false.
        OSError: it is a folder, its folder is missing, or one of them is not writable.
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "Is a directory", str(path))
    if _in_place(target):
        return
    if target.exists() and not overwrite:
        raise FileExistsError(errno.EEXIST, "File exists", str(path))
    folder = _real(target).parent
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(folder))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str], *, overwrite: bool = True) -> Iterator[Path]:
    """Path of a new empty file, which becomes `path` when the block ends without an exception.

    A symbolic link stays a link and its target is replaced; an earlier file passes its permissions on.
    What is not a regular file (a device, a pipe) and what is open already (`/dev/stdout`, `/dev/fd/3`) is
    given as it is, and written in place.

    Raises:
        FileExistsError: the file exists and `overwrite` is false.
        OSError: the file cannot be written.
    """
    check_target(path, overwrite=overwrite)
    if _in_place(Path(path)):
        try:
            yield Path(path)
        except OSError as error:
            _name(error, path)
            raise
        return
    target = _real(Path(path))
    temporary = target.with_name(f".{target.name[:64]}.{secrets.token_hex(6)}.tmp")
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        mode = stat.S_IMODE((target if target.exists() else temporary).stat().st_mode)
        yield temporary
        with open(temporary, "rb+") as written, contextlib.suppress(OSError):
            os.fsync(written.fileno())  # not every file system can; errors of writing showed before
        check_target(path, overwrite=overwrite)
        with contextlib.suppress(OSError):
            os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        _name(error, path)
        raise


@contextlib.contextmanager
def atomic_output(path: str | os.PathLike[str], *, overwrite: bool = True) -> Iterator[BinaryIO]:
    """As `atomic_path`, with the file opened for writing bytes."""
    with atomic_path(path, overwrite=overwrite) as temporary, open(temporary, "wb") as file:
        yield file


def folder_for_scratch(path: str | os.PathLike[str]) -> str:
    """Folder for temporary files on the way to `path`: on its file system, where it is a file."""
    return tempfile.gettempdir() if _in_place(Path(path)) else os.fspath(_real(Path(path)).parent)


def _in_place(path: Path) -> bool:
    """True for a device, a pipe, or a name of an open file descriptor: nothing that could be replaced.

    The path is asked as it stands: what a descriptor's link says (`pipe:[4711]`) is no path.
    """
    return (path.exists() and not path.is_file()) or _is_descriptor(path)


def _is_descriptor(path: Path) -> bool:
    """True when `path`, or what it links to, stands in a folder of the process's open files."""
    for _ in range(40):
        if _DESCRIPTORS.fullmatch(os.path.realpath(path.parent)):
            return path.exists()
        try:
            path = path.parent / os.readlink(path)
        except (OSError, ValueError):  # no link
            return False
    return False


def _name(error: BaseException, path: str | os.PathLike[str]) -> None:
    """An error of writing is about the output; the system does not always say so."""
    if isinstance(error, OSError) and error.errno is not None and error.filename is None:
        error.filename = os.fspath(path)


def _real(path: Path) -> Path:
    """`path` with symbolic links followed, so that a link is kept and the file behind it replaced."""
    return Path(os.path.realpath(path))
