"""Streams put together by hand through the syntax layer, for tests that must not lean on the encoder.

Payloads are raw floats, whose bytes anyone can work out; the headers are what is under test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from nnr.syntax.constants import NnrUnitType
from nnr.syntax.stream import StreamContext, write_unit


class Builder:
    """Writes one stream, unit by unit, into `units`."""

    def __init__(self, *, profile: int = 1, parents: bool = False, predictive: bool = False) -> None:
        self.profile = profile
        self.parents = parents
        self.context = StreamContext()
        self.units: list[bytes] = []
        self.add(NnrUnitType.NNR_STR, {"general_profile_idc": profile}, None)
        mps: dict[str, Any] = {
            "topology_carriage_flag": 0,
            "mps_sparsification_flag": 0,
            "mps_pruning_flag": 0,
            "mps_unification_flag": 0,
            "mps_decomposition_performance_map_flag": 0,
            "mps_quantization_method_flags": 1,
            "mps_topology_indexed_reference_flag": 0,
            "mps_qp_density": 2,
            "mps_quantization_parameter": 0,
        }
        if profile == 1:
            mps |= {
                "base_model_id_present_flag": 0,
                "validation_set_performance_present_flag": 0,
                "metric_type_performance_map_valid_flag": 0,
                "mps_parent_signalling_enabled_flag": int(parents),
            }
            if parents:
                mps["nnr_pre_flag"] = int(predictive)
        self.add(NnrUnitType.NNR_MPS, {}, mps)

    def add(self, unit_type: int, header: dict[str, Any], payload: Any, **options: Any) -> Builder:
        self.units.append(write_unit(unit_type, header, payload, self.context, **options))
        return self

    def raw(
        self,
        names: str | Sequence[str],
        values: Any,
        *,
        depth: int | None = None,
        parent: str | bytes | None = None,
        part: int | None = None,
        payload: bytes | None = None,
        **header: Any,
    ) -> Builder:
        """A unit of raw floats.

        Args:
            depth: put_node_depth; None for no node id.
            parent: "id" for a parent named by its node id, or the payload of the parent, named by SHA-256.
            part: partial_data_counter.
            payload: coded bytes, where they are not those of `values`.
        """
        values = np.asarray(values, "<f4")
        several = not isinstance(names, str)
        fields: dict[str, Any] = {
            "nnr_compressed_data_unit_payload_type": 2,
            "nnr_multiple_topology_elements_present_flag": int(several),
            "nnr_decompressed_data_format_present_flag": 0,
            "input_parameters_present_flag": 1,
            "tensor_dimensions_flag": 1,
            "cabac_unary_length_flag": 1,
            "compressed_parameter_types": 0,
            "tensor_dimensions": list(values.shape),
            "cabac_unary_length_minus1": 10,
            ("topology_elem_id_list" if several else "topology_elem_id"): list(names) if several else names,
        }
        if self.profile == 1:
            fields["node_id_present_flag"] = int(depth is not None)
            if depth is not None:
                fields |= {"device_id": 0, "parameter_id": 0, "put_node_depth": depth}
            if self.parents:
                fields["parent_node_id_present_flag"] = int(parent is not None)
                if parent is not None:
                    fields["temporal_context_modeling_flag"] = 0
                    if parent == "id":
                        fields |= {"parent_node_id_type": 0, "parent_device_id": 0}
                    else:
                        assert isinstance(parent, bytes)
                        digest = int.from_bytes(hashlib.sha256(parent).digest(), "big")
                        fields |= {"parent_node_id_type": 1, "parent_node_payload_sha256": digest}
        if values.ndim > 1:
            if self.profile == 1:
                fields["first_tensor_dimension_shift"] = 0
            fields["scan_order"] = 0
        fields |= header
        data = values.tobytes() if payload is None else payload
        options = {} if part is None else {"partial_data_counter": part}
        return self.add(NnrUnitType.NNR_NDU, fields, data, **options)

    def __bytes__(self) -> bytes:
        return b"".join(self.units)
