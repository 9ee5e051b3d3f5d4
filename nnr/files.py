"""Whole models to files and back: `save_file` and `load_file`, `encode` and `Decoder`'s mirror."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Any

from .decoder.decode import Decoder, Form, OutOfBand, Tensors, decode
from .decoder.payload import Backend
from .decoder.stream import Source
from .encoder.config import EncoderConfig
from .encoder.pipeline import EncodedStream, Progress, encode_stream
from .encoder.report import EncodeReport
from .encoder.updates import Encoder
from .limits import Limits

__all__ = ["encode", "load_file", "save_file"]


def _encoded(
    tensors: Mapping[str, Any],
    config: EncoderConfig | None,
    base: Source | Mapping[str, Any] | Decoder | None,
    threads: int | None,
    executor: Executor | None,
    progress: Progress | None,
    options: Mapping[str, Any],
    *,
    measure: bool,
    memory: int | None = None,
    spool: str | None = None,
) -> EncodedStream:
    if config is not None and not isinstance(config, EncoderConfig):
        raise TypeError(f"config must be an EncoderConfig, not {config!r}")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress must be callable, not {progress!r}")
    if executor is not None and not hasattr(executor, "submit"):
        raise TypeError(f"executor must have the method submit, {executor!r} has not")
    if base is not None:
        encoder = Encoder(config, base=base, threads=threads, executor=executor, **options)
        return encoder.stream_update(tensors, progress=progress)
    config = (config or EncoderConfig()).replace(**options)
    return encode_stream(
        tensors,
        config,
        threads=threads,
        executor=executor,
        memory=memory,
        spool=spool,
        progress=progress,
        measure=measure,
    )


def encode(
    tensors: Mapping[str, Any],
    config: EncoderConfig | None = None,
    *,
    base: Source | Mapping[str, Any] | Decoder | None = None,
    threads: int | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> bytes:
    """Encode a model.

    Args:
        tensors: arrays by name, of any layout; float64, float32, float16, the types of `ml_dtypes`,
            integers, bool. Or a `nnr.formats.LazyTensors`, whose tensors are read when their turn comes.
        config: options; `EncoderConfig()` by default.
        base: encode the difference to this instead: a bitstream, a dict of tensors or a `Decoder`.
        threads: worker threads; None for one per core. The bytes are the same for every number.
        executor: where to run the work on single tensors instead; `threads` is then the number of tensors it
            is given at a time, None for 256.
        progress: called with (done_weights, total_weights, name) after each tensor.
        options: fields of `EncoderConfig` to change.

    Returns:
        the bitstream.

    Raises:
        ValueError, TypeError: a tensor or an option cannot be coded; the message names it.
    """
    return _encoded(tensors, config, base, threads, executor, progress, options, measure=False).tobytes()


def save_file(
    tensors: Mapping[str, Any],
    path: str | os.PathLike[str],
    config: EncoderConfig | None = None,
    *,
    base: Source | Mapping[str, Any] | Decoder | None = None,
    threads: int | None = None,
    executor: Executor | None = None,
    memory: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> EncodeReport:
    """Encode a model into a file, which appears complete or not at all.

    Tensors of a `nnr.formats.LazyTensors` (`nnr.formats.open_source`) are read one by one, and coded units
    wait in a temporary file beside `path`: memory does not grow with the model.

    Args: as for `encode`, and
        memory: bytes that tensors which are read one by one may take at a time, about 9 for each element; a
            larger tensor has them alone. None for 512 MiB, or 256 MiB for each thread where that is more.

    Returns:
        what was done to each tensor, and totals.

    Raises:
        ValueError, TypeError: as for `encode`.
        OSError: the file cannot be written; an earlier file of that name stays.
    """
    from .formats.atomic import atomic_output, check_target, folder_for_scratch

    check_target(path)
    spool = folder_for_scratch(path)
    stream = _encoded(
        tensors, config, base, threads, executor, progress, options, measure=True, memory=memory, spool=spool
    )
    with contextlib.closing(stream), atomic_output(path) as file:
        file.writelines(stream.units)
    return stream.report


def load_file(
    path: str | os.PathLike[str],
    *,
    form: Form = "plain",
    out_of_band: OutOfBand | None = None,
    threads: int | None = None,
    limits: Limits | None = None,
    backend: Backend = "c",
) -> Tensors:
    """Decode a file. Arguments, result and errors as for `nnr.decode`."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a path, not {type(path).__name__}")
    return decode(path, form=form, out_of_band=out_of_band, threads=threads, limits=limits, backend=backend)
