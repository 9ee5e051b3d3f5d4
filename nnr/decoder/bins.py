"""Every bin of a stream, as the readable reference sees it: what `nnr trace --bins` prints."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from ..limits import Limits
from ..syntax.constants import PayloadType
from ..syntax.stream import NnrUnit
from . import entropy
from .decode import Decoder
from .payload import DIALECT, reference_parameters
from .stream import Source, read_stream, stream_bytes

__all__ = ["trace_bins"]


def trace_bins(
    data: Source,
    on_bin: Callable[[NnrUnit, entropy.BinEvent], None],
    *,
    base: Decoder | None = None,
    out_of_band: Mapping[str, Mapping[str, Any]] | None = None,
    limits: Limits | None = None,
    escape_context_count: int = DIALECT,
) -> None:
    """Decode with the reference and report every bin.

    Args:
        on_bin: called with the unit and the bin: its element, context, registers and estimators.
        base: a decoder that stands where the stream continues, for updates.
        escape_context_count: 32 for streams of the first software (spec README D1).

    Raises:
        BitstreamError: where decoding fails; the bins before it have been reported.
    """
    decoder = Decoder(limits=limits) if base is None else base
    stream = read_stream(
        stream_bytes(data), limits or Limits(), decoder.parameter_source(out_of_band), check=False
    )
    for plan in stream.plans:
        if plan.payload_type == PayloadType.NNR_PT_RAW_FLOAT:
            continue
        unit, tensors = reference_parameters(plan, decoder.contexts, escape_context_count)
        entropy.decode_unit(plan.payload, unit, tensors, functools.partial(on_bin, plan.unit))
