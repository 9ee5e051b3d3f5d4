"""Models of Keras 3, `.keras` (extra `nnr[keras]`, which is h5py and no framework).

Such a file is a zip archive of `config.json`, `metadata.json` and `model.weights.h5`, whose datasets are the
tensors. A new file needs the configuration of a model: that of another file, or a topology.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from ..errors import FormatError
from . import hdf5
from .atomic import atomic_output
from .checks import opened_zip
from .tensors import Tensors

__all__ = ["load", "read", "save", "topology", "write"]

_WEIGHTS = "model.weights.h5"
_TEXTS = ("metadata.json", "config.json")


def load(path: str | os.PathLike[str]) -> Tensors:
    """Tensors of the file `path`, by the paths of their datasets.

    Raises:
        FormatError: not a Keras file, or damaged.
        MissingExtraError: h5py is not installed, or `ml_dtypes` and a tensor needs it.
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        return read(file)


def read(file: IO[bytes]) -> Tensors:
    """As `load`, from an open seekable file."""
    with opened_zip(file, "a Keras file") as archive:
        weights = io.BytesIO(_member(archive, _WEIGHTS))
        size = file.seek(0, os.SEEK_END)
    with hdf5.opened(weights) as opened:
        return hdf5.tensors_of(opened, size)


def save(
    tensors: Mapping[str, np.ndarray],
    path: str | os.PathLike[str],
    *,
    overwrite: bool = True,
    like: str | os.PathLike[str] | None = None,
    topology: bytes | None = None,
) -> None:
    """Write a model to `path`, complete or not at all.

    Args:
        like: a file; a copy of it is written, with these tensors in it.
        topology: the rest of a model, as `topology` gives it.

    Raises:
        FormatError: neither `like` nor `topology`, or a tensor that has no place in the model.
        MissingExtraError: h5py is not installed.
        OSError: the file cannot be written.
    """
    if like is not None:
        others, weights = _filled(like, tensors)
    elif topology is not None:
        others, weights = _built(topology, tensors)
    else:
        raise FormatError(
            "weights alone make no .keras file: put them into a copy of the model (--into MODEL.keras), "
            "or write them as .h5"
        )
    with (
        atomic_output(path, overwrite=overwrite) as output,
        zipfile.ZipFile(output, "w", zipfile.ZIP_STORED) as archive,
    ):
        for name, data in {**others, _WEIGHTS: weights}.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)


def write(tensors: Mapping[str, np.ndarray], file: IO[bytes]) -> None:
    """As `save` without a model, which cannot be."""
    raise FormatError("weights alone make no .keras file")


def topology(path: str | os.PathLike[str]) -> bytes:
    """What is not a tensor, as JSON: the configuration of the model, and the attributes of its weights.

    Raises:
        FormatError: as for `load`.
    """
    with open(path, "rb") as file, opened_zip(file, "a Keras file") as archive:
        texts = {name: _member(archive, name).decode("utf-8") for name in _TEXTS}
        strange = set(archive.namelist()) - {*_TEXTS, _WEIGHTS}
        if strange:
            raise FormatError(f"the model has the asset {min(strange)!r}, which a topology cannot carry")
        weights = io.BytesIO(_member(archive, _WEIGHTS))
    with hdf5.opened(weights) as opened:
        content = {"files": texts, "hdf5": hdf5.skeleton(opened)}
    return json.dumps(content, sort_keys=True).encode("utf-8")


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        member = archive.getinfo(name)
    except KeyError:
        raise FormatError(f"not a Keras file: it has no {name}") from None
    with archive.open(member) as file:
        data = file.read(member.file_size + 1)
    if len(data) != member.file_size:
        raise FormatError(f"{name} is not as long as the archive says")
    return data


def _filled(
    like: str | os.PathLike[str], tensors: Mapping[str, np.ndarray]
) -> tuple[dict[str, bytes], bytes]:
    with open(like, "rb") as file, opened_zip(file, "a Keras file") as archive:
        others = {name: _member(archive, name) for name in archive.namelist() if name != _WEIGHTS}
        weights = io.BytesIO(_member(archive, _WEIGHTS))
    with hdf5.opened(weights, "r+") as opened:
        hdf5.fill(opened, tensors, os.fspath(like))
    return others, weights.getvalue()


def _built(topology: bytes, tensors: Mapping[str, np.ndarray]) -> tuple[dict[str, bytes], bytes]:
    groups = hdf5.parse_skeleton(topology)
    texts: Any = json.loads(topology).get("files")
    if not isinstance(texts, dict) or not all(isinstance(texts.get(name), str) for name in _TEXTS):
        raise FormatError("the topology has no configuration of a Keras model: write the weights as .h5")
    weights = io.BytesIO()
    hdf5.build(tensors, weights, groups)
    return {name: texts[name].encode("utf-8") for name in _TEXTS}, weights.getvalue()
