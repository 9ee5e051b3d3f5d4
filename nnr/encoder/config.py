"""The options of the encoder, each with its default and what it means.

A plain, frozen dataclass: the keywords of `nnr.encode` and `nnr.save_file` and the flags of the command
line are its fields, so that an option is declared once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..decoder.quantization import qp_range
from ..topology import Topology

__all__ = ["EncoderConfig"]


def _option(
    default: Any, help: str, *, unit: str = "", metavar: str = "", choices: tuple[Any, ...] = ()
) -> Any:
    return field(
        default=default, metadata={"help": help, "unit": unit, "metavar": metavar, "choices": choices}
    )


_EFFORTS: dict[str, dict[str, Any]] = {
    "fast": {"lambda_scale": 0.0, "blocks": False, "vector_bits": 0},
    "default": {"lambda_scale": 0.0, "blocks": False, "vector_bits": 0},
    "best": {"lambda_scale": 1.0, "blocks": True, "vector_bits": 12},
}
_NONWEIGHT_QP = -75
_TARGETS = ("bits_per_weight", "target_size", "max_error", "psnr")


@dataclass(frozen=True)
class EncoderConfig:
    """Options of the encoder.

    Raises:
        ValueError: an option is outside its range; the message names it.
        TypeError: an option has the wrong type, or does not exist.
    """

    qp: int = _option(
        -38,
        "quantization parameter of tensors with two or more dimensions: larger is coarser and smaller; "
        "the step size doubles every 2^qp_density",
        metavar="N",
    )
    nonweight_qp: int = _option(
        _NONWEIGHT_QP, "quantization parameter of tensors with fewer than two dimensions", metavar="N"
    )
    vector_bits: int | None = _option(
        None,
        "coarser steps, up to that of qp, for tensors with fewer than two dimensions, as their values allow: "
        "at most 2^-N of their mean magnitude, and 2^(5-N) of the smallest where all have one sign; "
        "0: nonweight_qp alone; by default 12 with effort best, unless nonweight_qp is given",
        metavar="N",
    )
    qp_per_tensor: Mapping[str, int] | None = _option(
        None,
        "quantization parameters by tensor name; * and ? match any characters, the first match counts",
        metavar="NAME=N",
    )
    allocate: bool = _option(
        False,
        "give each weight tensor a qp of its own, around the given one, so that a bit buys the "
        "same reduction of "
        "(importance-weighted) error everywhere; the total size stays",
    )
    qp_density: int = _option(
        2, "quantization parameters per octave are 2^N", metavar="N", choices=tuple(range(8))
    )
    bits_per_weight: float | None = _option(
        None, "target instead of qp: size of the stream over the number of weights", metavar="X", unit="bits"
    )
    target_size: int | None = _option(
        None, "target instead of qp: size of the stream, never exceeded", metavar="SIZE", unit="bytes"
    )
    max_error: float | None = _option(
        None, "target instead of qp: largest error of any quantized weight, in its own unit", metavar="E"
    )
    psnr: float | None = _option(
        None,
        "target instead of qp: peak signal-to-noise ratio of every quantized tensor, the peak being its "
        "largest magnitude",
        metavar="X",
        unit="dB",
    )
    dq: bool = _option(True, "dependent quantization (trellis) instead of nearest values")
    codebook: int = _option(
        0, "at most N values for each weight tensor, instead of dq; 0: no codebook", metavar="N"
    )
    bitdepth: int = _option(
        0,
        "integers of N bits for each weight tensor, with the step size of least error, instead of dq; 0: any",
        metavar="N",
        unit="bits",
    )
    effort: str = _option(
        "default",
        "preset: fast searches context parameters less thoroughly; best weighs the rate (lambda_scale 1), "
        "joins layers (blocks) and fits the steps of vectors to their values (vector_bits 12), for half "
        "again the time and 2 to 30 % fewer bytes at equal error, the more the lower the rate",
        metavar="HOW",
        choices=("fast", "default", "best"),
    )
    lambda_scale: float | None = _option(
        None,
        "weight of the rate in quantization decisions; 0 minimises the error alone, about 1 "
        "the error at a given "
        "size; by default as effort says",
        metavar="X",
    )
    importance: Mapping[str, Any] | None = _option(
        None,
        "weight of the squared error of each element, by tensor name, as arrays of the tensors' "
        "shapes: inverse "
        "variances, a Fisher or Hessian diagonal, second moments of activations",
    )
    param_opt: bool = _option(True, "search the parameters of each context: smaller, slower")
    cabac_unary_length: int = _option(11, "magnitude flags before the escape code, 1..256", metavar="N")
    scan_order: int = _option(
        0,
        "order of coding: 0 by rows, 1 to 4 in blocks of side 8, 16, 32, 64 with entry points",
        metavar="N",
        choices=tuple(range(5)),
    )
    row_skip: bool = _option(True, "signal rows of zeros where that is smaller (profile 1)")
    profile: int = _option(1, "edition of the standard less one", metavar="N", choices=(0, 1))
    compat: str | None = _option(
        "nncodec2",
        "keep to what other software can read: nncodec2 (NNCodec 2.x), nncodec1 (NNCodec 1.x, "
        "profile 0), or none for all of the standard",
        metavar="NAME",
        choices=("nncodec2", "nncodec1", None),
    )
    nonfinite: str = _option(
        "error",
        "tensors with NaN, infinities or a range that no step size serves: refuse them (error) or store "
        "them as they are (raw)",
        metavar="HOW",
        choices=("error", "raw"),
    )
    raw: tuple[str, ...] = _option(
        (), "tensors to store as they are, by name; * and ? match any characters", metavar="NAME"
    )
    blocks: bool | Mapping[str, Mapping[str, Any]] | None = _option(
        None,
        "carry the weight of a layer with its bias and batch norm in one unit: fewer bytes for headers; by "
        "default as effort says",
    )
    parent_id: str = _option(
        "id",
        "how units of an update name their parents: by node id, or by digest of the parent's payload",
        metavar="HOW",
        choices=("id", "sha256", "sha512"),
    )
    metadata: bool = _option(
        True,
        "add a unit with the original dtypes and shapes and a checksum of every unit; other decoders skip it",
    )
    topology: Topology | None = field(
        default=None,
        metadata={"help": "the network that the tensors are weights of, in a unit of its own", "flag": False},
    )
    pipeline: tuple[Any, ...] | None = _option(None, "encoder tools to use instead of those that dq chooses")

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            if str(f.type) == "int" and not isinstance(getattr(self, f.name), bool | int):
                with contextlib.suppress(TypeError):  # integers of numpy
                    object.__setattr__(self, f.name, operator.index(getattr(self, f.name)))
            self._check_type(f.name, getattr(self, f.name), str(f.type))
        for name in ("qp_density", "scan_order", "profile", "compat", "nonfinite", "parent_id", "effort"):
            allowed = next(f for f in dataclasses.fields(self) if f.name == name).metadata["choices"]
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} must be one of {', '.join(map(str, allowed))}, not {getattr(self, name)!r}"
                )
        if self.codebook and not 2 <= self.codebook <= 1 << 16:
            raise ValueError(f"codebook must be 0 or in 2..65536, not {self.codebook}")
        if not 0 <= self.bitdepth <= 16:
            raise ValueError(f"bitdepth must be in 0..16, not {self.bitdepth}")
        if self.codebook and self.bitdepth:
            raise ValueError("codebook and bitdepth exclude each other")
        if self.vector_bits is not None:
            self._check_type("vector_bits", self.vector_bits, "int")
        if self.vector_bits is not None and not 0 <= self.vector_bits <= 24:
            raise ValueError(f"vector_bits must be in 0..24, not {self.vector_bits}")
        if not 1 <= self.cabac_unary_length <= 256:
            raise ValueError(f"cabac_unary_length must be in 1..256, not {self.cabac_unary_length}")
        weight = 0 if self.lambda_scale is None else self.lambda_scale
        if isinstance(weight, bool) or not isinstance(weight, int | float):
            raise TypeError(f"lambda_scale must be a number, not {weight!r}")
        if not 0 <= weight <= 1000:
            raise ValueError(f"lambda_scale must be in 0..1000, not {self.lambda_scale}")
        if self.compat == "nncodec1" and self.profile != 0:
            raise ValueError("compat 'nncodec1' needs profile 0: the first software knows no other")
        for name in ("raw", "pipeline"):
            value = getattr(self, name)
            if value is None and name == "pipeline":
                continue
            if isinstance(value, str) or not isinstance(value, Sequence):
                raise TypeError(f"{name} must be a sequence, not {value!r}")
            object.__setattr__(self, name, tuple(value))
        if not all(isinstance(name, str) for name in self.raw):
            raise TypeError(f"raw must hold names, not {self.raw!r}")
        for name in ("qp_per_tensor", "importance"):
            value = getattr(self, name)
            if value is not None and not (
                isinstance(value, Mapping) and all(isinstance(k, str) for k in value)
            ):
                raise TypeError(f"{name} must be a mapping of names, not {value!r}")
        low, high = qp_range(self.qp_density)
        named = {f"qp_per_tensor[{name!r}]": qp for name, qp in (self.qp_per_tensor or {}).items()}
        for name, qp in {"qp": self.qp, "nonweight_qp": self.nonweight_qp, **named}.items():
            if isinstance(qp, bool) or not isinstance(qp, int):
                raise TypeError(f"{name} must be an integer, not {qp!r}")
            if not low - 4096 <= qp <= high + 4095:
                raise ValueError(f"{name} must be in {low - 4096}..{high + 4095}, not {qp}")

        if self.topology is not None and not isinstance(self.topology, Topology):
            raise TypeError(f"topology must be an nnr.Topology, not {self.topology!r}")
        if self.topology is not None:
            object.__setattr__(self, "topology", self.topology.for_compat(self.compat))
        given = [name for name in _TARGETS if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{given[0]} and {given[1]} exclude each other: there can be one target")
        for name in given:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(
                value, int if name == "target_size" else int | float
            ):
                raise TypeError(f"{name} must be a number, not {value!r}")
            if not 0 < value < math.inf:
                raise ValueError(f"{name} must be positive and finite, not {value!r}")

    @property
    def target(self) -> str | None:
        """Name of the option that is a target, or None."""
        return next((name for name in _TARGETS if getattr(self, name) is not None), None)

    @staticmethod
    def _check_type(name: str, value: Any, declared: str) -> None:
        if declared == "int" and (isinstance(value, bool) or not isinstance(value, int)):
            raise TypeError(f"{name} must be an integer, not {value!r}")
        if declared == "bool" and not isinstance(value, bool | np.bool_):
            raise TypeError(f"{name} must be True or False, not {value!r}")

    def resolved(self) -> EncoderConfig:
        """A copy in which the options that `effort` chooses have their values."""
        chosen = {name: value for name, value in _EFFORTS[self.effort].items() if getattr(self, name) is None}
        if "vector_bits" in chosen and self.nonweight_qp != _NONWEIGHT_QP:
            chosen["vector_bits"] = 0
        return dataclasses.replace(self, **chosen)

    def replace(self, **options: Any) -> EncoderConfig:
        """A copy with some options changed.

        Raises:
            TypeError: an option that does not exist.
            ValueError: a value out of range, or both a qp and a target that takes its place.
        """
        known = {f.name for f in dataclasses.fields(self)}
        for name in options:
            if name not in known:
                raise TypeError(f"unknown option {name!r}; the options are {', '.join(sorted(known))}")
        for target in _TARGETS:
            if "qp" in options and options.get(target) is not None:
                raise ValueError(f"qp and {target} exclude each other")
        return dataclasses.replace(self, **options)
