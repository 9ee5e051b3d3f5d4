"""Enumerations and masks of the syntax, under the names of the specification.

A value outside an enumeration is reserved or private; whether that is forbidden is said where the element
is coded (`enum=` closes the list, `open_enum=` only names the values).
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

__all__ = [
    "EDITION",
    "AggregateUnitType",
    "CompressedParameterTypes",
    "DataFormat",
    "NnrUnitType",
    "ParentNodeIdType",
    "PayloadType",
    "Profile",
    "PruningRepresentation",
    "QuantizationMethodFlags",
    "QuantizationStorageFormat",
    "TopologyCompressionFormat",
    "TopologyStorageFormat",
]

EDITION = 2
"""Newest edition of ISO/IEC 15938-17 that the syntax covers."""


class Profile(IntEnum):
    """(syntax 3) general_profile_idc."""

    EDITION_1 = 0
    EDITION_2 = 1


class NnrUnitType(IntEnum):
    """(syntax 2.3) nnr_unit_type; 7..31 are reserved, 32..63 private."""

    NNR_STR = 0
    NNR_MPS = 1
    NNR_LPS = 2
    NNR_TPL = 3
    NNR_QNT = 4
    NNR_NDU = 5
    NNR_AGG = 6


class QuantizationMethodFlags(IntFlag):
    """(syntax 4.1) mps_quantization_method_flags and lps_quantization_method_flags; bit 4 is reserved."""

    NNR_QSU = 1
    NNR_QCB = 2


class TopologyStorageFormat(IntEnum):
    """(syntax 7.1) topology_storage_format; 7..127 are reserved, 128..255 unspecified."""

    NNR_TPL_UNREC = 0
    NNR_TPL_NNEF = 1
    NNR_TPL_ONNX = 2
    NNR_TPL_PYT = 3
    NNR_TPL_TEF = 4
    NNR_TPL_PRUN = 5
    NNR_TPL_REFLIST = 6


class TopologyCompressionFormat(IntEnum):
    """(syntax 7.1) topology_compression_format; 2..127 are reserved, 128..255 unspecified."""

    NNR_PT_RAW = 0
    NNR_DFL = 1


class QuantizationStorageFormat(IntEnum):
    """(syntax 8) quantization_storage_format, believed values."""

    NNR_QNT_UNREC = 0
    NNR_QNT_NNEF = 1
    NNR_QNT_ONNX = 2


class PruningRepresentation(IntEnum):
    """(syntax 7.3) nnr_rep_type; 2 and 3 are reserved."""

    NNR_TPL_BMSK = 0
    NNR_TPL_DICT = 1


class PayloadType(IntEnum):
    """(syntax 9) nnr_compressed_data_unit_payload_type; 4..31 are reserved."""

    NNR_PT_INT = 0
    NNR_PT_FLOAT = 1
    NNR_PT_RAW_FLOAT = 2
    NNR_PT_BLOCK = 3


class CompressedParameterTypes(IntFlag):
    """(syntax 9) bits of compressed_parameter_types."""

    NNR_CPT_DC = 1
    NNR_CPT_LS = 2
    NNR_CPT_BN = 4
    NNR_CPT_BI = 8


class ParentNodeIdType(IntEnum):
    """(syntax 9.1) parent_node_id_type; 3 is reserved."""

    ICNN_NDU_ID = 0
    ICNN_NDU_PL_SHA256 = 1
    ICNN_NDU_PL_SHA512 = 2


class DataFormat(IntEnum):
    """(syntax 9.1) nnr_decompressed_data_format; 2..9 belong to edition 2, others are reserved."""

    TENSOR_INT32 = 0
    TENSOR_FLOAT32 = 1
    TENSOR_INT2 = 2
    TENSOR_INT3 = 3
    TENSOR_INT4 = 4
    TENSOR_INT8 = 5
    TENSOR_INT16 = 6
    TENSOR_INT64 = 7
    TENSOR_FLOAT16 = 8
    TENSOR_FLOAT64 = 9


class AggregateUnitType(IntEnum):
    """(syntax 10.1) nnr_aggregate_unit_type; others are reserved or unspecified."""

    NNR_AGG_GEN = 0
    NNR_AGG_SLF = 1
