"""nnr: the open codec for neural networks (ISO/IEC 15938-17, Neural Network Coding, editions 1 and 2).

tensors = nnr.load_file("model.nnr")
report = nnr.save_file(tensors, "model.nnr", qp=-38)
"""

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from .comparison import CompareReport, compare
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
    from .features import capabilities
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

#: Module of each public name, which is loaded when it is first used: importing nnr costs next to nothing.
_MODULES = {
    "CompareReport": "comparison",
    "compare": "comparison",
    "Decoder": "decoder.decode",
    "DecodeReport": "decoder.decode",
    "Tensors": "decoder.decode",
    "decode": "decoder.decode",
    "decode_levels": "decoder.decode",
    "EncoderConfig": "encoder.config",
    "EncodeReport": "encoder.report",
    "TensorReport": "encoder.report",
    "Encoder": "encoder.updates",
    "BitstreamError": "errors",
    "ConformanceError": "errors",
    "CoreError": "errors",
    "FormatError": "errors",
    "LimitError": "errors",
    "MissingExtraError": "errors",
    "NnrError": "errors",
    "SyntaxValueError": "errors",
    "TruncatedError": "errors",
    "UnsupportedError": "errors",
    "capabilities": "features",
    "encode": "files",
    "load_file": "files",
    "save_file": "files",
    "Limits": "limits",
    "describe": "syntax.describe",
    "Topology": "topology",
}
#: Public under another name than in its module.
_RENAMED = {"open": ("decoder.lazy", "open_file")}
_PACKAGES = ("core", "decoder", "encoder", "formats", "syntax")


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f".{name}", __name__)
    module, original = _RENAMED.get(name) or (_MODULES.get(name), name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{module}", __name__), original)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PACKAGES})
