"""nnr: the open codec for neural networks (ISO/IEC 15938-17, Neural Network Coding, editions 1 and 2).

tensors = nnr.load_file("model.nnr")
report = nnr.save_file(tensors, "model.nnr", qp=-38)
"""

from ._version import __version__
from .capabilities import capabilities
from .compare import CompareReport, compare
from .decoder.decode import Decoder, DecodeReport, Tensors, decode, decode_levels
from .decoder.lazy import open_file as open
from .encoder.config import EncoderConfig
from .encoder.report import EncodeReport, TensorReport
from .encoder.updates import Encoder
from .errors import (
    BitstreamError,
    ConformanceError,
    CoreError,
    FormatError,
    LimitError,
    MissingExtraError,
    NnrError,
    SyntaxValueError,
    TruncatedError,
    UnsupportedError,
)
from .files import encode, load_file, save_file
from .limits import Limits
from .syntax.describe import describe
from .topology import Topology

__all__ = [
    "BitstreamError",
    "CompareReport",
    "ConformanceError",
    "CoreError",
    "DecodeReport",
    "Decoder",
    "EncodeReport",
    "Encoder",
    "EncoderConfig",
    "FormatError",
    "LimitError",
    "Limits",
    "MissingExtraError",
    "NnrError",
    "SyntaxValueError",
    "TensorReport",
    "Tensors",
    "Topology",
    "TruncatedError",
    "UnsupportedError",
    "__version__",
    "capabilities",
    "compare",
    "decode",
    "decode_levels",
    "describe",
    "encode",
    "load_file",
    "open",
    "save_file",
]
