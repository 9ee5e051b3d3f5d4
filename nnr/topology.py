"""The network itself in its bitstream: topology units (syntax 7, semantics 9).

With one, a `.nnr` file is a whole model: the weights are in the data units, and the topology says what they
are weights of, in the exchange format of a framework and without its tensors. What the data hold for each
storage format is in docs/formats.md.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import ConformanceError, UnsupportedError
from .limits import Limits
from .syntax.constants import NnrUnitType, TopologyCompressionFormat, TopologyStorageFormat
from .syntax.stream import NnrUnit

__all__ = ["Topology", "find_topology"]

_OPAQUE = frozenset(
    [
        TopologyStorageFormat.NNR_TPL_NNEF,
        TopologyStorageFormat.NNR_TPL_ONNX,
        TopologyStorageFormat.NNR_TPL_PYT,
        TopologyStorageFormat.NNR_TPL_TEF,
    ]
)
_TEXT = _OPAQUE - {TopologyStorageFormat.NNR_TPL_ONNX}
#: Storage formats that NNCodec goes over; at the others it stops.
_PASSED_BY_NNCODEC = frozenset([TopologyStorageFormat.NNR_TPL_PYT, TopologyStorageFormat.NNR_TPL_TEF])


@dataclass(frozen=True)
class Topology:
    """Topology data, as they stand in a unit.

    Attributes:
        storage_format: what they are.
        compression_format: how they are stored.
        payload: topology_data of the unit.
        limits: bound of what they may inflate to.
    """

    storage_format: TopologyStorageFormat
    compression_format: TopologyCompressionFormat
    payload: bytes = field(repr=False)
    limits: Limits = field(default_factory=Limits, repr=False)

    @classmethod
    def of(cls, storage_format: TopologyStorageFormat, data: bytes, *, deflate: bool = True) -> Topology:
        """A topology to be written.

        Args:
            data: in the format named; text is UTF-8.
            deflate: compress where that is smaller.

        Raises:
            ValueError: a storage format without opaque data.
        """
        storage_format = TopologyStorageFormat(storage_format)
        if storage_format not in _OPAQUE:
            raise ValueError(f"a topology cannot be stored as {storage_format.name}")
        compressed = zlib.compress(data, 9)
        if deflate and len(compressed) < len(data):
            return cls(storage_format, TopologyCompressionFormat.NNR_DFL, compressed)
        return cls(storage_format, TopologyCompressionFormat.NNR_PT_RAW, data)

    @property
    def data(self) -> bytes:
        """The topology, inflated where it is compressed; text without a zero byte behind it.

        Raises:
            LimitError: more than `Limits.max_topology_bytes`.
            ConformanceError: the compressed data are damaged.
            UnsupportedError: a compression format that is not known.
        """
        if self.compression_format == TopologyCompressionFormat.NNR_PT_RAW:
            data = self.payload
            self.limits.check("max_topology_bytes", len(data), "size of the topology in bytes")
        elif self.compression_format == TopologyCompressionFormat.NNR_DFL:
            data = self._inflated()
        else:
            found = int(self.compression_format)
            raise UnsupportedError(f"topology_compression_format {found} is not known", clause="syntax 7.1")
        return data.removesuffix(b"\0") if self.storage_format in _TEXT else data

    def _inflated(self) -> bytes:
        allowed = self.limits.max_topology_bytes
        inflater = zlib.decompressobj()
        try:
            data = inflater.decompress(self.payload, min(allowed, 1 << 62) + 1)
        except zlib.error as error:
            raise ConformanceError(f"the topology is no zlib stream: {error}", clause="syntax 7.1") from None
        self.limits.check("max_topology_bytes", len(data), "size of the topology in bytes, at least,")
        if not inflater.eof:
            raise ConformanceError("the zlib stream of the topology is cut short", clause="syntax 7.1")
        if inflater.unused_data.strip(b"\0"):
            raise ConformanceError("bytes follow the zlib stream of the topology", clause="syntax 7.1")
        return data

    def for_compat(self, compat: str | None) -> Topology:
        """The topology as software of the name `compat` can read it: NNCodec wants text that ends with zero.

        Raises:
            ValueError: it cannot.
        """
        if compat is None:
            return self
        if self.storage_format not in _PASSED_BY_NNCODEC or b"\0" in self.data:
            raise ValueError(
                f"topology: NNCodec stops at a topology stored as {self.storage_format.name}; "
                "compat=None allows it"
            )
        return Topology(self.storage_format, TopologyCompressionFormat.NNR_PT_RAW, self.data + b"\0")

    def unit(self) -> tuple[NnrUnitType, Mapping[str, int], Mapping[str, Any]]:
        """Type, header and payload of the topology unit, as `write_unit` takes them."""
        header = {
            "topology_storage_format": int(self.storage_format),
            "topology_compression_format": int(self.compression_format),
        }
        return NnrUnitType.NNR_TPL, header, {"topology_data": self.payload}


def find_topology(units: Iterable[NnrUnit], limits: Limits) -> Topology | None:
    """The first topology of a stream in a format of the standard; None where there is none.

    Other software writes units of one zero byte in the place of a topology (spec README D34): these are none.
    """
    for unit in units:
        if unit.unit_type != NnrUnitType.NNR_TPL or unit.payload is None:
            continue
        header = unit.header.unit_header
        content = unit.payload.get("topology_data")
        absent = content is None or bytes(content[:2]) in (b"", b"\0")
        if header.topology_storage_format in _OPAQUE and not absent:
            compression: Any = header.topology_compression_format
            if compression in tuple(TopologyCompressionFormat):
                compression = TopologyCompressionFormat(compression)
            storage = TopologyStorageFormat(header.topology_storage_format)
            return Topology(storage, compression, bytes(content), limits)
    return None
