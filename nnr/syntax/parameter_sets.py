"""Start unit, model and layer parameter set, performance maps (syntax 3 to 6).

In: bits after the unit header. Out: `Values` of the payload. The maps have no influence on decoding; they are
read in one of eight layouts (syntax 6.5), chosen by ``ctx.map_layout``, which `stream.py` tries in turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .constants import Profile, QuantizationMethodFlags
from .serdes import Syntax, Values, syntax_table

if TYPE_CHECKING:
    from .stream import StreamContext

__all__ = [
    "MAP_LAYOUTS",
    "decomposition_performance_map",
    "has_maps",
    "nnr_layer_parameter_set_unit_header",
    "nnr_layer_parameter_set_unit_payload",
    "nnr_model_parameter_set_unit_header",
    "nnr_model_parameter_set_unit_payload",
    "nnr_start_unit_header",
    "nnr_start_unit_payload",
    "pruning_performance_map",
    "sparsification_performance_map",
    "unification_performance_map",
]

_QUANTIZED = QuantizationMethodFlags.NNR_QSU | QuantizationMethodFlags.NNR_QCB

MAP_LAYOUTS = 8
"""(syntax 6.5) Combinations of three switches: 1 NumUpm, 2 outer loops full, 4 dimension loops full."""
_NUM_UPM, _OUTER_FULL, _DIMENSIONS_FULL = 1, 2, 4


@syntax_table("syntax 3")
def nnr_start_unit_header(s: Syntax, v: Values, ctx: StreamContext) -> None:
    """(syntax 3) The profile of the network that begins here."""
    s.u(8, "general_profile_idc", enum=Profile)


@syntax_table("syntax 3")
def nnr_start_unit_payload(s: Syntax, v: Values, ctx: StreamContext, header: Values) -> None:
    """(syntax 3) Empty."""


@syntax_table("syntax 4")
def nnr_model_parameter_set_unit_header(s: Syntax, v: Values, ctx: StreamContext) -> None:
    """(syntax 4) Empty."""


@syntax_table("syntax 4.1")
def nnr_model_parameter_set_unit_payload(s: Syntax, v: Values, ctx: StreamContext, header: Values) -> None:
    """(syntax 4.1) Global data of the network: quantization, parent signalling, maps."""
    s.u(1, "topology_carriage_flag")
    s.u(1, "mps_sparsification_flag")
    s.u(1, "mps_pruning_flag")
    s.u(1, "mps_unification_flag")
    s.u(1, "mps_decomposition_performance_map_flag")
    s.u(3, "mps_quantization_method_flags", max=3)
    s.u(1, "mps_topology_indexed_reference_flag")
    if ctx.profile == 0:
        s.u(7, "nnr_reserved_zero_7bits", fixed=0)
        s.infer("mps_parent_signalling_enabled_flag", 0)
        s.infer("nnr_pre_flag", 0)
    else:
        s.u(1, "base_model_id_present_flag")
        s.u(1, "validation_set_performance_present_flag")
        s.u(1, "metric_type_performance_map_valid_flag")
        s.u(1, "mps_parent_signalling_enabled_flag")
        if v.mps_parent_signalling_enabled_flag:
            s.u(1, "nnr_pre_flag")
        else:
            s.u(1, "nnr_reserved_zero_1bit", fixed=0)
            s.infer("nnr_pre_flag", 0)
        s.u(2, "nnr_reserved_zero_2bits", fixed=0)
        if v.base_model_id_present_flag:
            s.st("base_model_id")
        if v.validation_set_performance_present_flag or v.metric_type_performance_map_valid_flag:
            s.st("performance_metric_type")
    if v.mps_quantization_method_flags & _QUANTIZED:
        s.u(3, "mps_qp_density")
        s.i(13, "mps_quantization_parameter")
    if v.mps_sparsification_flag:
        s.table("sparsification_performance_map", sparsification_performance_map, ctx)
    if v.mps_pruning_flag:
        s.table("pruning_performance_map", pruning_performance_map, ctx)
    if v.mps_unification_flag:
        s.table("unification_performance_map", unification_performance_map, ctx)
    if v.mps_decomposition_performance_map_flag:
        s.table("decomposition_performance_map", decomposition_performance_map, ctx)
    if ctx.profile == 1 and v.validation_set_performance_present_flag:
        s.flt(32, "validation_set_performance")
    s.byte_alignment()


@syntax_table("syntax 5")
def nnr_layer_parameter_set_unit_header(s: Syntax, v: Values, ctx: StreamContext) -> None:
    """(syntax 5) Whether the units referring to the set can be reconstructed on their own."""
    s.u(1, "lps_self_contained_flag")
    s.u(7, "nnr_reserved_zero_7bits", fixed=0)


@syntax_table("syntax 5")
def nnr_layer_parameter_set_unit_payload(s: Syntax, v: Values, ctx: StreamContext, header: Values) -> None:
    """(syntax 5) Quantization of the data units that follow, and maps."""
    s.u(1, "nnr_reserved_zero_1bit", 0, fixed=0)
    s.u(1, "lps_sparsification_flag")
    s.u(1, "lps_pruning_flag")
    s.u(1, "lps_unification_flag")
    s.u(3, "lps_quantization_method_flags", max=3)
    s.u(1, "nnr_reserved_zero_1bit", 1, fixed=0)
    if v.lps_quantization_method_flags & _QUANTIZED:
        s.u(3, "lps_qp_density")
        s.i(13, "lps_quantization_parameter")
    if v.lps_sparsification_flag:
        s.table("sparsification_performance_map", sparsification_performance_map, ctx, status="N")
    if v.lps_pruning_flag:
        s.table("pruning_performance_map", pruning_performance_map, ctx, status="N")
    if v.lps_unification_flag:
        s.table("unification_performance_map", unification_performance_map, ctx, status="N")
    s.byte_alignment()


def has_maps(payload: Values) -> bool:
    """Whether a parameter set carries performance maps, as far as its flags were read."""
    return any(value == 1 and name in _MAP_FLAGS for name, value in payload.items())


_MAP_FLAGS = frozenset(
    [
        "mps_sparsification_flag",
        "mps_pruning_flag",
        "mps_unification_flag",
        "mps_decomposition_performance_map_flag",
        "lps_sparsification_flag",
        "lps_pruning_flag",
        "lps_unification_flag",
    ]
)


def _entries(count: int, ctx: StreamContext) -> int:
    """(syntax 6.5) Iterations of an outer loop over `count`."""
    return count if ctx.map_layout & _OUTER_FULL else max(count - 1, 0)


def _dimensions(count: int, ctx: StreamContext) -> int:
    """(syntax 6.5) Iterations of a dimension loop over `count`."""
    return count if ctx.map_layout & _DIMENSIONS_FULL else max(count - 1, 0)


def _outer_plus(ctx: StreamContext) -> int:
    return 0 if ctx.map_layout & _OUTER_FULL else 1


def _dimensions_plus(ctx: StreamContext) -> int:
    return 0 if ctx.map_layout & _DIMENSIONS_FULL else 1


def _num_upm(v: Values, i: int, ctx: StreamContext) -> int:
    """(syntax 6.3) NumUpm: the class count by intent, the bitmask in NNCodec."""
    value: Any = v.upm_class_bitmask[i] if ctx.map_layout & _NUM_UPM else v.upm_count_classes[i]
    return int(value)


@syntax_table("syntax 6.1")
def sparsification_performance_map(s: Syntax, v: Values, ctx: StreamContext) -> None:
    """(syntax 6.1) Accuracy after zeroing weights below thresholds."""
    s.u(8, "spm_count_thresholds", counts="sparsification_threshold", plus=_outer_plus(ctx))
    for i in s.loop(
        _entries(v.spm_count_thresholds, ctx),
        "sparsification_threshold",
        "non_zero_ratio",
        "spm_nn_accuracy",
        "spm_count_classes",
        "spm_class_bitmask",
        "spm_nn_class_accuracy",
    ):
        s.flt(32, "sparsification_threshold", i)
        s.flt(32, "non_zero_ratio", i)
        s.flt(32, "spm_nn_accuracy", i)
        s.u(8, "spm_count_classes", i, counts="spm_nn_class_accuracy")
        s.ue(7, "spm_class_bitmask", i)
        for j in s.loop(v.spm_count_classes[i], "spm_nn_class_accuracy", at=(i,)):
            s.flt(32, "spm_nn_class_accuracy", i, j)


@syntax_table("syntax 6.2")
def pruning_performance_map(s: Syntax, v: Values, ctx: StreamContext) -> None:
    """(syntax 6.2) Accuracy after pruning by ratios."""
    s.u(8, "ppm_count_pruning_ratios", counts="pruning_ratio", plus=_outer_plus(ctx))
    for i in s.loop(
        _entries(v.ppm_count_pruning_ratios, ctx),
        "pruning_ratio",
        "ppm_nn_accuracy",
        "ppm_count_classes",
        "ppm_class_bitmask",
        "ppm_nn_class_accuracy",
    ):
        s.flt(32, "pruning_ratio", i)
        s.flt(32, "ppm_nn_accuracy", i)
        s.u(8, "ppm_count_classes", i, counts="ppm_nn_class_accuracy")
        s.ue(7, "ppm_class_bitmask", i)
        for j in s.loop(v.ppm_count_classes[i], "ppm_nn_class_accuracy", at=(i,)):
            s.flt(32, "ppm_nn_class_accuracy", i, j)


@syntax_table("syntax 6.3")
def unification_performance_map(s: Syntax, v: Values, ctx: StreamContext) -> None:
    """(syntax 6.3) Accuracy after unification of blocks."""
    s.u(8, "upm_count_thresholds", counts="unification_threshold", plus=_outer_plus(ctx))
    for i in s.loop(
        _entries(v.upm_count_thresholds, ctx),
        "count_reshaped_tensor_dimension",
        "reshaped_tensor_dimensions",
        "count_super_block_dimension",
        "super_block_dimensions",
        "count_block_dimension",
        "block_dimensions",
        "unification_threshold",
        "upm_nn_accuracy",
        "upm_count_classes",
        "upm_class_bitmask",
        "upm_nn_class_accuracy",
    ):
        s.ue(
            1,
            "count_reshaped_tensor_dimension",
            i,
            counts="reshaped_tensor_dimensions",
            plus=_dimensions_plus(ctx),
        )
        count = _dimensions(v.count_reshaped_tensor_dimension[i], ctx)
        for j in s.loop(count, "reshaped_tensor_dimensions", at=(i,)):
            s.ue(7, "reshaped_tensor_dimensions", i, j)
        s.byte_alignment()
        s.u(8, "count_super_block_dimension", i, counts="super_block_dimensions", plus=_dimensions_plus(ctx))
        count = _dimensions(v.count_super_block_dimension[i], ctx)
        for j in s.loop(count, "super_block_dimensions", at=(i,)):
            s.u(8, "super_block_dimensions", i, j)
        s.u(8, "count_block_dimension", i, counts="block_dimensions", plus=_dimensions_plus(ctx))
        count = _dimensions(v.count_block_dimension[i], ctx)
        for j in s.loop(count, "block_dimensions", at=(i,)):
            s.u(8, "block_dimensions", i, j)
        s.flt(32, "unification_threshold", i)
        s.flt(32, "upm_nn_accuracy", i)
        s.u(8, "upm_count_classes", i, counts="upm_nn_class_accuracy")
        s.ue(7, "upm_class_bitmask", i)
        for j in s.loop(_num_upm(v, i, ctx), "upm_nn_class_accuracy", at=(i,)):
            s.flt(32, "upm_nn_class_accuracy", i, j)


@syntax_table("syntax 6.4")
def decomposition_performance_map(s: Syntax, v: Values, ctx: StreamContext) -> None:
    """(syntax 6.4) Accuracy after low-rank decomposition."""
    s.u(8, "dpm_count_thresholds", counts="mse_threshold", plus=_outer_plus(ctx))
    for i in s.loop(
        _entries(v.dpm_count_thresholds, ctx),
        "mse_threshold",
        "dpm_nn_accuracy",
        "nn_reduction_ratio",
        "dpm_count_classes",
        "dpm_nn_class_accuracy",
    ):
        s.flt(32, "mse_threshold", i)
        s.flt(32, "dpm_nn_accuracy", i)
        s.flt(32, "nn_reduction_ratio", i)
        s.u(16, "dpm_count_classes", i, counts="dpm_nn_class_accuracy")
        for j in s.loop(v.dpm_count_classes[i], "dpm_nn_class_accuracy", at=(i,)):
            s.flt(32, "dpm_nn_class_accuracy", i, j)
