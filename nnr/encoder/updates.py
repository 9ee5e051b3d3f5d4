"""A base model and its updates: the mirror of `nnr.Decoder`.

Closed loop: an update is the difference to what the decoder has, not to what the encoder was given before,
so that errors of quantization do not add up. The encoder keeps a decoder for that.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Collection, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

import numpy as np

from ..decoder.decode import Decoder, decoder_on
from ..decoder.plan import Role
from ..decoder.stream import Source
from ..metadata import TensorRecord
from .assemble import Link
from .carry import Carrier, carrier_qp, load_cargo
from .config import EncoderConfig
from .pipeline import (
    Assembly,
    EncodedStream,
    Job,
    Part,
    Progress,
    common_base_qp,
    encode_stream,
    run_jobs,
    select_tools,
)
from .report import EncodeReport

__all__ = ["Encoder"]

_FLOAT32, _INT32 = 17, 3  # numbers of nnr.dtypes


def _digest(value: Any) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(value).tobytes(), digest_size=16).digest()


class Encoder:
    """Encodes a base model and then its updates, in order.

    Args:
        config: options; `EncoderConfig()` by default.
        base: continue from here instead of encoding a base: a bitstream, a dict of tensors or a `Decoder`.
        options: fields of `EncoderConfig` to change.

    Raises:
        ValueError, TypeError: an option; profile 0, which has no updates.

    Attributes:
        report: on the latest stream, or None.
    """

    def __init__(
        self,
        config: EncoderConfig | None = None,
        *,
        base: Source | Mapping[str, Any] | Decoder | None = None,
        threads: int | None = None,
        executor: Executor | None = None,
        **options: Any,
    ) -> None:
        self._config = (config or EncoderConfig()).replace(**options).resolved()
        if self._config.profile != 1:
            raise ValueError("profile must be 1: the first edition has no updates")
        if self._config.target is not None:
            raise ValueError(f"{self._config.target}: a target is for one complete model, a chain needs a qp")
        if self._config.topology is not None:
            raise ValueError("topology: it is for one complete model, which no chain of updates follows")
        self._threads = threads
        self._executor = executor
        self._decoder = decoder_on(base)
        self._digests: dict[str, bytes] = {}  # of what was encoded last
        self.report: EncodeReport | None = None

    @property
    def model(self) -> dict[str, np.ndarray]:
        """What a decoder of the streams so far has."""
        return self._decoder.model

    def encode(self, tensors: Mapping[str, Any], *, progress: Progress | None = None) -> bytes:
        """Encode a complete model, from which updates can follow.

        Raises:
            ValueError, TypeError: as for `nnr.encode`.
        """
        stream = encode_stream(
            tensors,
            self._config,
            threads=self._threads,
            executor=self._executor,
            progress=progress,
            measure=True,
            node_ids=True,
        )
        return self._sent(stream, {name: _digest(value) for name, value in tensors.items()})

    def encode_update(self, tensors: Mapping[str, Any], *, progress: Progress | None = None) -> bytes:
        """Encode the difference of a model to what the decoder has.

        A tensor whose difference is zero after quantization gets no unit. Temporal and history contexts are
        used for each tensor where that is smaller.

        Args:
            tensors: the new model: the tensors of the base, of the same shapes and dtypes.

        Raises:
            ValueError: a tensor is missing, new, or of another shape or kind than in the base.
        """
        digests = {name: _digest(value) for name, value in tensors.items()}
        unchanged = {name for name, digest in digests.items() if self._digests.get(name) == digest}
        stream = self.stream_update(tensors, unchanged=unchanged, progress=progress)
        return self._sent(stream, digests)

    def stream_update(
        self,
        tensors: Mapping[str, Any],
        *,
        unchanged: Collection[str] = (),
        progress: Progress | None = None,
    ) -> EncodedStream:
        """As `encode_update`, but the encoder stays where it is, and the units are given apart.

        Args:
            unchanged: names of tensors that get no unit.
        """
        started = time.perf_counter()
        transforms, quantizer = select_tools(self._config)
        for transform in transforms:
            tensors = transform.apply(tensors)
        cargo = load_cargo(tensors, self._config.replace(blocks=False), self._decoder.limbs)
        model = self._decoder.coded_model
        self._check_same(cargo.carriers, model)
        numbers = self._parameter_ids(model)
        jobs = [
            self._job(numbers[carrier.name], carrier, model[carrier.name])
            for carrier in cargo.carriers
            if carrier.source not in unchanged
        ]
        base_qp = common_base_qp(jobs, self._config)
        position_of = {carrier.name: k for k, carrier in enumerate(cargo.carriers)}
        assembly = Assembly(self._config, base_qp, parents=True)
        for k, coded in run_jobs(
            jobs,
            quantizer,
            self._config,
            base_qp,
            threads=self._threads,
            executor=self._executor,
            progress=progress,
        ):
            assembly.add(position_of[jobs[k].parts[0].carrier.name], coded)
        # the dtypes of the model are those of the base; what travels here are differences
        records = [
            TensorRecord(_INT32 if carrier.how == "integer" else _FLOAT32)
            for k, carrier in enumerate(cargo.carriers)
            if assembly.has_unit(k)
        ]
        return assembly.stream(replace(cargo, records=records, order=[]), started)

    def _sent(self, stream: EncodedStream, digests: dict[str, bytes]) -> bytes:
        data = stream.tobytes()
        self._decoder.decode(data)
        self._digests = digests
        self.report = stream.report
        return data

    @staticmethod
    def _check_same(carriers: list[Carrier], model: Mapping[str, np.ndarray]) -> None:
        for carrier in carriers:
            known = model.get(carrier.name)
            if known is None:
                raise ValueError(f"tensor {carrier.source!r} is not in the base")
            kind = "i" if carrier.how == "integer" else "f"
            if known.shape != carrier.shape or known.dtype.kind != kind:
                raise ValueError(
                    f"tensor {carrier.source!r} has the shape {list(carrier.shape)} and is coded "
                    f"as {carrier.how}, in the "
                    f"base it has the shape {list(known.shape)} and the type {known.dtype}"
                )
        missing = set(model) - {carrier.name for carrier in carriers}
        if missing:
            raise ValueError(f"tensor {min(missing)!r} of the base is missing in the update")

    def _parameter_ids(self, names: Collection[str]) -> dict[str, int]:
        """(decoding 11.2) parameter_id of each coded tensor: that of its parent, or a new one."""
        known = self._decoder.parameter_ids
        used = set(known.values())
        free = (k for k in itertools.count() if k not in used)
        return {name: known[name] if name in known else next(free) for name in names}

    def _job(self, parameter_id: int, carrier: Carrier, reference: np.ndarray) -> Job:
        """One difference, with what its contexts can look at.

        NNCodec looks only at differential units (spec README D15), so under `compat` the first update of a
        parameter has no temporal contexts; and it refuses two devices in one chain, so the chain of another
        device goes on in its name.
        """
        node = self._decoder.node(carrier.name)
        depth = 1 if node is None or node.depth is None else node.depth + 1
        context = self._decoder.contexts.get(carrier.name)
        temporal = context is not None and context.base is not None and carrier.how != "raw"
        if self._config.compat is not None and (node is None or not node.layout.differential):
            temporal = False
        parent_device = 0 if node is None or node.device_id is None else node.device_id
        digest = None
        if self._config.parent_id != "id":
            if node is None:
                raise ValueError(f"parent_id: the base has no unit of {carrier.source!r} to take a digest of")
            digest = bytes.fromhex(node.sha256 if self._config.parent_id == "sha256" else node.sha512)
        link = Link(
            parameter_id,
            depth,
            differential=True,
            parent_digest=digest,
            temporal=temporal,
            history=2,
            contexts={} if context is None else {carrier.name: context},
            device=0 if self._config.compat is None else parent_device,
            parent_device=parent_device,
        )
        part = Part(carrier, Role.WEIGHT, carrier_qp(carrier, self._config))
        return Job((part,), link, reference, measure=True)
