"""Topology and quantization units (syntax 7 and 8).

In: bits after the unit header. Out: the storage format and opaque data, the reference list that indexed ids
refer to, or the pruning container.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .constants import (
    PruningRepresentation,
    QuantizationStorageFormat,
    TopologyCompressionFormat,
    TopologyStorageFormat,
)
from .serdes import Syntax, Values, syntax_table

if TYPE_CHECKING:
    from .stream import StreamContext

__all__ = [
    "bit_mask",
    "nnr_pruning_topology_container",
    "nnr_quantization_unit_header",
    "nnr_quantization_unit_payload",
    "nnr_topology_unit_header",
    "nnr_topology_unit_payload",
    "topology_elements_ids_list",
]


@syntax_table("syntax 7")
def nnr_topology_unit_header(s: Syntax, v: Values, ctx: StreamContext) -> None:
    """(syntax 7) What the payload holds."""
    s.u(8, "topology_storage_format", open_enum=TopologyStorageFormat)
    s.u(8, "topology_compression_format", open_enum=TopologyCompressionFormat)


@syntax_table("syntax 7.1", status="N")
def nnr_topology_unit_payload(s: Syntax, v: Values, ctx: StreamContext, header: Values) -> None:
    """(syntax 7.1) Topology data up to the end of the unit, or a list of ids, or a pruning container."""
    storage = header.unit_header.topology_storage_format
    if storage == TopologyStorageFormat.NNR_TPL_PRUN:
        s.table("nnr_pruning_topology_container", nnr_pruning_topology_container, ctx)
    elif storage == TopologyStorageFormat.NNR_TPL_REFLIST:
        s.include(topology_elements_ids_list, ctx, 0)
    else:
        s.bs("topology_data")


@syntax_table("syntax 7.2")
def topology_elements_ids_list(s: Syntax, v: Values, ctx: StreamContext, topology_indexed_flag: int) -> None:
    """(syntax 7.2) Ids of two or more elements, as strings or as indices into the reference list."""
    s.ue(
        7,
        "count_topology_elements_minus2",
        counts=("topology_elem_id_list", "topology_elem_id_index_list"),
        plus=-2,
    )
    if topology_indexed_flag == 0:
        s.byte_alignment()
        for j in s.loop(v.count_topology_elements_minus2 + 2, "topology_elem_id_list", listed=True):
            s.st("topology_elem_id_list", j)
    else:
        for j in s.loop(v.count_topology_elements_minus2 + 2, "topology_elem_id_index_list", listed=True):
            s.ue(7, "topology_elem_id_index_list", j, status="N")
        s.byte_alignment()


@syntax_table("syntax 7.3", status="S")
def nnr_pruning_topology_container(s: Syntax, v: Values, ctx: StreamContext) -> None:
    """(syntax 7.3) Which parts of the topology were pruned."""
    s.u(2, "nnr_rep_type", enum=PruningRepresentation)
    s.u(1, "prune_flag")
    s.u(1, "order_flag")
    s.u(1, "sparse_flag")
    s.u(3, "nnr_reserved_zero_3bits", fixed=0)
    if v.prune_flag == 1:
        if v.nnr_rep_type == PruningRepresentation.NNR_TPL_BMSK:
            s.table("prune_bit_mask", bit_mask, ctx)
        if v.nnr_rep_type == PruningRepresentation.NNR_TPL_DICT:
            s.ue(7, "count_ids", counts="dim")
            indexed = ctx.mps_topology_indexed_reference_flag
            for j in s.loop(
                v.count_ids, "element_id_index" if indexed else "element_id", "count_dims", "dim", listed=True
            ):
                if indexed == 0:
                    if not s.aligned:
                        s.byte_alignment()
                    s.st("element_id", j)
                else:
                    s.ue(7, "element_id_index", j)
                s.ue(1, "count_dims", j, counts="dim")
                for k in s.loop(v.count_dims[j], "dim", at=(j,), listed=True):
                    s.ue(7, "dim", j, k)
                s.byte_alignment()
    if v.sparse_flag == 1:
        s.table("sparse_bit_mask", bit_mask, ctx)


@syntax_table("syntax 7.3", status="S")
def bit_mask(s: Syntax, v: Values, ctx: StreamContext) -> None:
    """(syntax 7.3) One bit per weight or channel, 1 for "kept"; the values stand as one string."""
    s.u(32, "count_bits", counts="bit_mask_value")
    s.bits(v.count_bits, "bit_mask_value")
    s.byte_alignment()


@syntax_table("syntax 8", status="N")
def nnr_quantization_unit_header(s: Syntax, v: Values, ctx: StreamContext) -> None:
    """(syntax 8) What the payload holds."""
    s.u(8, "quantization_storage_format", open_enum=QuantizationStorageFormat)
    s.u(8, "quantization_compression_format", open_enum=TopologyCompressionFormat)


@syntax_table("syntax 8", status="S")
def nnr_quantization_unit_payload(s: Syntax, v: Values, ctx: StreamContext, header: Values) -> None:
    """(syntax 8) Opaque data up to the end of the unit."""
    s.bs("quantization_data")
