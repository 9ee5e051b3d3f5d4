"""What a decoder is willing to spend on a stream.

64 MB of zeros is a legal stream of 48 bytes, so a bound on the output is the decoder's job. Every limit is
checked before memory is taken; a stream beyond one is a `LimitError` that names it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from .errors import LimitError

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """Limits of a decoder; pass one as ``limits=`` wherever a bitstream is read.

    Attributes:
        max_tensor_elements: elements of one tensor.
        max_output_bytes: bytes of all decoded tensors together; None means the larger of
            256 MiB and `max_output_ratio` times the stream.
        max_output_ratio: output bytes per stream byte beyond the first 256 MiB, used while
            `max_output_bytes` is None.
        max_units: units in a stream, those inside aggregate units counted.
        max_codebook_size: entries of a codebook.
        max_name_bytes: bytes of one zero-terminated string.
        max_dimensions: dimensions of a tensor.
        max_recursion: depth of aggregate units in aggregate units.
        max_list_entries: entries of all codebooks of a stream together, and of one list in a header: ids,
        entry points, dimensions of a pruned element.
        max_topology_bytes: bytes of a topology once inflated.
        max_multiplications: of numbers, to multiply out the factors of decomposed weights; None means the
            larger of 2^32 and 2^14 for each byte of the stream.
    """

    max_tensor_elements: int = 1 << 31
    max_output_bytes: int | None = None
    max_output_ratio: int = 512
    max_units: int = 1 << 18
    max_codebook_size: int = 1 << 20
    max_name_bytes: int = 1 << 16
    max_dimensions: int = 64
    max_recursion: int = 8
    max_list_entries: int = 1 << 20
    max_topology_bytes: int = 1 << 26
    max_multiplications: int | None = None

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if value is None and f.default is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{f.name} must be an integer, not {value!r}")
            if value < 0:
                raise ValueError(f"{f.name} must not be negative, but it is {value}")

    def output_bytes(self, stream_bytes: int) -> int:
        """Bytes of output allowed for a stream of `stream_bytes` bytes."""
        if self.max_output_bytes is not None:
            return self.max_output_bytes
        return max(256 << 20, self.max_output_ratio * stream_bytes)

    def multiplications(self, stream_bytes: int) -> int:
        """Multiplications allowed for a stream of `stream_bytes` bytes."""
        if self.max_multiplications is not None:
            return self.max_multiplications
        return max(1 << 32, stream_bytes << 14)

    @classmethod
    def unlimited(cls) -> Limits:
        """No limit but those of the machine: for streams from a trusted source."""
        most = 1 << 62
        return cls(most, most, most, most, most, most, most, 1000, most, most, most)

    def check(self, name: str, value: int, what: str, *, allowed: int | None = None) -> None:
        """Raise `LimitError` when `value` is beyond the limit called `name` (or beyond `allowed`)."""
        bound = getattr(self, name) if allowed is None else allowed
        if value > bound:
            raise LimitError(
                f"{what} is {value}, above the limit of {bound}; "
                f"to accept it, pass limits=nnr.Limits({name}={value})"
            )
