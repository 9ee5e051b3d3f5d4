"""Models of Keras 3, to bitstreams and back; needs Keras, with any backend, and h5py (extra `nnr[keras]`).

A bitstream carries the configuration of the model as its topology, so that the file is the whole model.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from .decoder.decode import decode
from .encoder.report import EncodeReport
from .errors import FormatError
from .files import save_file
from .formats import load_tensors, save_tensors, topology_for, topology_of
from .formats.extras import require
from .limits import Limits

__all__ = ["load_model", "load_weights", "save_model"]


def save_model(model: Any, path: str | os.PathLike[str], **options: Any) -> EncodeReport:
    """Encode a model, configuration and weights, into a file.

    Args:
        model: a `keras.Model`.
        options: as for `nnr.save_file`.

    Raises:
        FormatError: the model has assets (vocabularies), which a topology cannot carry.
        MissingExtraError: h5py is not installed.
        ValueError, OSError: as for `nnr.save_file`.
    """
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "model.keras")
        model.save(made)
        return save_file(load_tensors(made), path, topology=topology_of(made), **options)


def load_model(
    path: str | os.PathLike[str], *, threads: int | None = None, limits: Limits | None = None, **options: Any
) -> Any:
    """Decode a whole model.

    Args:
        options: of `keras.saving.load_model`: `custom_objects`, `compile`, `safe_mode`.

    Raises:
        FormatError: the bitstream has no configuration of a Keras model.
        BitstreamError: it cannot be decoded.
        MissingExtraError: Keras or h5py is not installed.
        OSError: the file cannot be read.
    """
    keras = require("keras", "keras", "a Keras model")
    with tempfile.TemporaryDirectory() as folder:
        return keras.saving.load_model(_decoded(path, folder, threads, limits), **options)


def load_weights(
    model: Any, path: str | os.PathLike[str], *, threads: int | None = None, limits: Limits | None = None
) -> None:
    """Decode the weights of a model into one of the same configuration. Errors as of `load_model`."""
    with tempfile.TemporaryDirectory() as folder:
        model.load_weights(_decoded(path, folder, threads, limits))


def _decoded(path: str | os.PathLike[str], folder: str, threads: int | None, limits: Limits | None) -> Path:
    """The bitstream `path` as a Keras file in `folder`."""
    tensors = decode(path, threads=threads, limits=limits)
    topology = tensors.report.topology
    if topology_for(topology, "keras") is None:
        raise FormatError(f"{os.fspath(path)}: the bitstream has no configuration of a Keras model")
    made = Path(folder, "model.keras")
    save_tensors(tensors, made, topology=topology)
    return made
