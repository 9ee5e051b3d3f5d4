"""Where tests find material that is too large, or not free, to stand in the repository.

The folder is named by the environment variable NNR_SHARED; without it, the folder `shared` beside the
checkout is taken. A test that needs it is skipped, with the reason, where it is absent.
"""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def shared_root() -> Path | None:
    """The shared folder, or None where there is none."""
    named = os.environ.get("NNR_SHARED")
    folder = Path(named) if named else ROOT.parent / "shared"
    return folder if folder.is_dir() else None


def shared_path(*parts: str) -> Path:
    """Path of a file or folder of the shared material; skips the test that asks when it is absent."""
    folder = shared_root()
    if folder is None:
        pytest.skip(
            "no shared material: set NNR_SHARED, or place the folder `shared` beside the checkout",
            allow_module_level=True,
        )
    path = folder.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"the shared material has no {'/'.join(parts)}", allow_module_level=True)
    return path


@functools.cache
def reads_everything() -> bool:
    """Whether file permissions mean nothing to this user (root), or to this system."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "closed"
        path.touch(mode=0)
        return os.access(path, os.R_OK)
