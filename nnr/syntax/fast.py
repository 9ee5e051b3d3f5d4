"""Syntax tables as straight-line code; made by compile_tables.py, not to be edited."""

# fmt: off
# ruff: noqa
# mypy: ignore-errors
from ..errors import BitstreamError
from .data_unit import DataFormat, ParentNodeIdType, PayloadType, _BLOCK, _DC, _FLOAT, _INT, _TYPES_OF_COUNT, _check_dimensions, _codebook, _codebook_centre_offset, _codebook_size, _element_ids, _supply, entry_point_count, entry_point_list, integer_codebook, nnr_compressed_data_unit_header, tensor_dimensions_list, topology_elements_ids_list, topology_tensor_dimension_mapping
from .stream import NnrUnitType, UNIT_HEADERS, _require_order, nnr_unit_header, nnr_unit_size
from .topology import topology_elements_ids_list


def fast_nnr_unit_size(s, v, ctx):
    _d = v.__dict__
    _pos = s.pos
    _word = s._word
    _end = s._word_end
    _next = _pos + 1
    if _next <= _end:
        _d['nnr_unit_size_flag'] = _word >> _end - _next & 1
        _pos = _next
    else:
        s.pos = _pos
        s.u(1, 'nnr_unit_size_flag')
        _pos = s.pos
        _word = s._word
        _end = s._word_end
    _bits = 15 + 16 * v.nnr_unit_size_flag
    _next = _pos + _bits
    if _next <= _end:
        _d['nnr_unit_size'] = _word >> _end - _next & (1 << _bits) - 1
        _pos = _next
    else:
        s.pos = _pos
        s.u(15 + 16 * v.nnr_unit_size_flag, 'nnr_unit_size')
        _pos = s.pos
        _word = s._word
        _end = s._word_end
    s.pos = _pos


def fast_nnr_unit_header(s, v, ctx):
    _d = v.__dict__
    _pos = s.pos
    _word = s._word
    _end = s._word_end
    _next = _pos + 6
    if _next <= _end:
        _d['nnr_unit_type'] = _word >> _end - _next & 63
        _pos = _next
    else:
        s.pos = _pos
        s.u(6, 'nnr_unit_type', open_enum=NnrUnitType)
        _pos = s.pos
        _word = s._word
        _end = s._word_end
    s.pos = _pos
    _require_order(s, v.nnr_unit_type, ctx)
    _pos = s.pos
    _word = s._word
    _end = s._word_end
    _next = _pos + 1
    if _next <= _end:
        _d['independently_decodable_flag'] = _word >> _end - _next & 1
        _pos = _next
    else:
        s.pos = _pos
        s.u(1, 'independently_decodable_flag')
        _pos = s.pos
        _word = s._word
        _end = s._word_end
    _next = _pos + 1
    if _next <= _end:
        _d['partial_data_counter_present_flag'] = _word >> _end - _next & 1
        _pos = _next
    else:
        s.pos = _pos
        s.u(1, 'partial_data_counter_present_flag')
        _pos = s.pos
        _word = s._word
        _end = s._word_end
    if v.partial_data_counter_present_flag == 1:
        _next = _pos + 8
        if _next <= _end:
            _d['partial_data_counter'] = _word >> _end - _next & 255
            _pos = _next
        else:
            s.pos = _pos
            s.u(8, 'partial_data_counter', status='S')
            _pos = s.pos
            _word = s._word
            _end = s._word_end
    else:
        _d['partial_data_counter'] = 0
    if v.nnr_unit_type in UNIT_HEADERS:
        s.pos = _pos
        s.table('unit_header', UNIT_HEADERS[v.nnr_unit_type], ctx)
        _pos = s.pos
        _word = s._word
        _end = s._word_end
    s.pos = _pos


def fast_nnr_compressed_data_unit_header(s, v, ctx):
    _d = v.__dict__
    _pos = s.pos
    _word = s._word
    _end = s._word_end
    _next = _pos + 5
    if _next <= _end and (_value := (_word >> _end - _next & 31)) in PayloadType._value2member_map_:
        _d['nnr_compressed_data_unit_payload_type'] = _value
        _pos = _next
    else:
        s.pos = _pos
        s.u(5, 'nnr_compressed_data_unit_payload_type', enum=PayloadType)
        _pos = s.pos
        _word = s._word
        _end = s._word_end
    payload_type = v.nnr_compressed_data_unit_payload_type
    _next = _pos + 1
    if _next <= _end and ((_value := (_word >> _end - _next & 1)) >= (1 if payload_type == _BLOCK else 0) and _value <= 1):
        _d['nnr_multiple_topology_elements_present_flag'] = _value
        _pos = _next
    else:
        s.pos = _pos
        s.u(1, 'nnr_multiple_topology_elements_present_flag', min=(1 if payload_type == _BLOCK else 0), max=1)
        _pos = s.pos
        _word = s._word
        _end = s._word_end
    _next = _pos + 1
    if _next <= _end:
        _d['nnr_decompressed_data_format_present_flag'] = _word >> _end - _next & 1
        _pos = _next
    else:
        s.pos = _pos
        s.u(1, 'nnr_decompressed_data_format_present_flag')
        _pos = s.pos
        _word = s._word
        _end = s._word_end
    _next = _pos + 1
    if _next <= _end:
        _d['input_parameters_present_flag'] = _word >> _end - _next & 1
        _pos = _next
    else:
        s.pos = _pos
        s.u(1, 'input_parameters_present_flag')
        _pos = s.pos
        _word = s._word
        _end = s._word_end
    if v.nnr_multiple_topology_elements_present_flag == 1:
        s.pos = _pos
        try:
            fast_topology_elements_ids_list(s, v, ctx, ctx.mps_topology_indexed_reference_flag)
        except BitstreamError as _error:
            s._place(_error, topology_elements_ids_list)
            raise
        _pos = s.pos
        _word = s._word
        _end = s._word_end
    elif ctx.mps_topology_indexed_reference_flag == 0:
        s.pos = _pos
        s.st('topology_elem_id')
        _pos = s.pos
        _word = s._word
        _end = s._word_end
    else:
        _left = _end - _pos
        _value = _word & (1 << _left) - 1
        _zeros = _left - _value.bit_length()
        _next = _pos + 2 * _zeros + 1 + 7
        if _next <= _end and _zeros < 16:
            _d['topology_elem_id_index'] = (_value >> _end - _next) - 128
            _pos = _next
        else:
            s.pos = _pos
            s.ue(7, 'topology_elem_id_index', status='N')
            _pos = s.pos
            _word = s._word
            _end = s._word_end
    s.pos = _pos
    _d['element_ids'] = _element_ids(s, v, ctx)
    if ctx.profile == 1:
        _next = _pos + 1
        if _next <= _end:
            _d['node_id_present_flag'] = _word >> _end - _next & 1
            _pos = _next
        else:
            s.pos = _pos
            s.u(1, 'node_id_present_flag')
            _pos = s.pos
            _word = s._word
            _end = s._word_end
        if v.node_id_present_flag:
            _left = _end - _pos
            _value = _word & (1 << _left) - 1
            _zeros = _left - _value.bit_length()
            _next = _pos + 2 * _zeros + 1 + 1
            if _next <= _end and _zeros < 16:
                _d['device_id'] = (_value >> _end - _next) - 2
                _pos = _next
            else:
                s.pos = _pos
                s.ue(1, 'device_id')
                _pos = s.pos
                _word = s._word
                _end = s._word_end
            _left = _end - _pos
            _value = _word & (1 << _left) - 1
            _zeros = _left - _value.bit_length()
            _next = _pos + 2 * _zeros + 1 + 5
            if _next <= _end and _zeros < 16:
                _d['parameter_id'] = (_value >> _end - _next) - 32
                _pos = _next
            else:
                s.pos = _pos
                s.ue(5, 'parameter_id')
                _pos = s.pos
                _word = s._word
                _end = s._word_end
            _left = _end - _pos
            _value = _word & (1 << _left) - 1
            _zeros = _left - _value.bit_length()
            _next = _pos + 2 * _zeros + 1 + 4
            if _next <= _end and _zeros < 16:
                _d['put_node_depth'] = (_value >> _end - _next) - 16
                _pos = _next
            else:
                s.pos = _pos
                s.ue(4, 'put_node_depth')
                _pos = s.pos
                _word = s._word
                _end = s._word_end
        if ctx.mps_parent_signalling_enabled_flag:
            _next = _pos + 1
            if _next <= _end:
                _d['parent_node_id_present_flag'] = _word >> _end - _next & 1
                _pos = _next
            else:
                s.pos = _pos
                s.u(1, 'parent_node_id_present_flag')
                _pos = s.pos
                _word = s._word
                _end = s._word_end
            if v.parent_node_id_present_flag:
                _next = _pos + 2
                if _next <= _end and (_value := (_word >> _end - _next & 3)) in ParentNodeIdType._value2member_map_:
                    _d['parent_node_id_type'] = _value
                    _pos = _next
                else:
                    s.pos = _pos
                    s.u(2, 'parent_node_id_type', enum=ParentNodeIdType)
                    _pos = s.pos
                    _word = s._word
                    _end = s._word_end
                _next = _pos + 1
                if _next <= _end:
                    _d['temporal_context_modeling_flag'] = _word >> _end - _next & 1
                    _pos = _next
                else:
                    s.pos = _pos
                    s.u(1, 'temporal_context_modeling_flag')
                    _pos = s.pos
                    _word = s._word
                    _end = s._word_end
                if v.parent_node_id_type == ParentNodeIdType.ICNN_NDU_ID:
                    _left = _end - _pos
                    _value = _word & (1 << _left) - 1
                    _zeros = _left - _value.bit_length()
                    _next = _pos + 2 * _zeros + 1 + 1
                    if _next <= _end and _zeros < 16:
                        _d['parent_device_id'] = (_value >> _end - _next) - 2
                        _pos = _next
                    else:
                        s.pos = _pos
                        s.ue(1, 'parent_device_id')
                        _pos = s.pos
                        _word = s._word
                        _end = s._word_end
                    if v.node_id_present_flag == 0:
                        _left = _end - _pos
                        _value = _word & (1 << _left) - 1
                        _zeros = _left - _value.bit_length()
                        _next = _pos + 2 * _zeros + 1 + 5
                        if _next <= _end and _zeros < 16:
                            _d['parameter_id'] = (_value >> _end - _next) - 32
                            _pos = _next
                        else:
                            s.pos = _pos
                            s.ue(5, 'parameter_id', status='N')
                            _pos = s.pos
                            _word = s._word
                            _end = s._word_end
                        _left = _end - _pos
                        _value = _word & (1 << _left) - 1
                        _zeros = _left - _value.bit_length()
                        _next = _pos + 2 * _zeros + 1 + 4
                        if _next <= _end and _zeros < 16:
                            _d['put_node_depth'] = (_value >> _end - _next) - 16
                            _pos = _next
                        else:
                            s.pos = _pos
                            s.ue(4, 'put_node_depth', status='N')
                            _pos = s.pos
                            _word = s._word
                            _end = s._word_end
                if v.parent_node_id_type == ParentNodeIdType.ICNN_NDU_PL_SHA256:
                    _next = _pos + 256
                    if _next <= _end:
                        _d['parent_node_payload_sha256'] = _word >> _end - _next & 115792089237316195423570985008687907853269984665640564039457584007913129639935
                        _pos = _next
                    else:
                        s.pos = _pos
                        s.u(256, 'parent_node_payload_sha256', status='N')
                        _pos = s.pos
                        _word = s._word
                        _end = s._word_end
                if v.parent_node_id_type == ParentNodeIdType.ICNN_NDU_PL_SHA512:
                    _next = _pos + 512
                    if _next <= _end:
                        _d['parent_node_payload_sha512'] = _word >> _end - _next & 13407807929942597099574024998205846127479365820592393377723561443721764030073546976801874298166903427690031858186486050853753882811946569946433649006084095
                        _pos = _next
                    else:
                        s.pos = _pos
                        s.u(512, 'parent_node_payload_sha512', status='N')
                        _pos = s.pos
                        _word = s._word
                        _end = s._word_end
    if ctx.profile == 0 or ctx.mps_parent_signalling_enabled_flag == 0:
        _d['parent_node_id_present_flag'] = 0
    if v.parent_node_id_present_flag == 0:
        _d['temporal_context_modeling_flag'] = 0
    if payload_type in (_FLOAT, _BLOCK):
        _next = _pos + 1
        if _next <= _end:
            _d['codebook_present_flag'] = _word >> _end - _next & 1
            _pos = _next
        else:
            s.pos = _pos
            s.u(1, 'codebook_present_flag')
            _pos = s.pos
            _word = s._word
            _end = s._word_end
        if v.codebook_present_flag:
            s.pos = _pos
            s.table('integer_codebook', integer_codebook, ctx)
            _pos = s.pos
            _word = s._word
            _end = s._word_end
    else:
        _d['codebook_present_flag'] = 0
    if payload_type in (_INT, _FLOAT, _BLOCK):
        _next = _pos + 1
        if _next <= _end and (_value := (_word >> _end - _next & 1)) <= (0 if v.codebook_present_flag else 1):
            _d['dq_flag'] = _value
            _pos = _next
        else:
            s.pos = _pos
            s.u(1, 'dq_flag', max=(0 if v.codebook_present_flag else 1))
            _pos = s.pos
            _word = s._word
            _end = s._word_end
    else:
        _d['dq_flag'] = 0
    if v.nnr_decompressed_data_format_present_flag:
        _next = _pos + 7
        if _next <= _end and ((_value := (_word >> _end - _next & 127)) in DataFormat._value2member_map_ and _value <= (9 if ctx.profile else 1)):
            _d['nnr_decompressed_data_format'] = _value
            _pos = _next
        else:
            s.pos = _pos
            s.u(7, 'nnr_decompressed_data_format', enum=DataFormat, max=(9 if ctx.profile else 1), status='N')
            _pos = s.pos
            _word = s._word
            _end = s._word_end
    if v.input_parameters_present_flag:
        _next = _pos + 1
        if _next <= _end:
            _d['tensor_dimensions_flag'] = _word >> _end - _next & 1
            _pos = _next
        else:
            s.pos = _pos
            s.u(1, 'tensor_dimensions_flag')
            _pos = s.pos
            _word = s._word
            _end = s._word_end
        _next = _pos + 1
        if _next <= _end:
            _d['cabac_unary_length_flag'] = _word >> _end - _next & 1
            _pos = _next
        else:
            s.pos = _pos
            s.u(1, 'cabac_unary_length_flag')
            _pos = s.pos
            _word = s._word
            _end = s._word_end
        if payload_type == _BLOCK:
            _next = _pos + 4
            if _next <= _end and (_value := (_word >> _end - _next & 15)) in _TYPES_OF_COUNT.get(len(v.element_ids), ()):
                _d['compressed_parameter_types'] = _value
                _pos = _next
            else:
                s.pos = _pos
                s.u(4, 'compressed_parameter_types', allowed=_TYPES_OF_COUNT.get(len(v.element_ids), ()))
                _pos = s.pos
                _word = s._word
                _end = s._word_end
        else:
            _next = _pos + 4
            if _next <= _end:
                _d['compressed_parameter_types'] = _word >> _end - _next & 15
                _pos = _next
            else:
                s.pos = _pos
                s.u(4, 'compressed_parameter_types')
                _pos = s.pos
                _word = s._word
                _end = s._word_end
        if v.compressed_parameter_types & _DC:
            _left = _end - _pos
            _value = _word & (1 << _left) - 1
            _zeros = _left - _value.bit_length()
            _next = _pos + 2 * _zeros + 1 + 3
            if _next <= _end and _zeros < 16 and ((_value := ((_value >> _end - _next) - 8)) >= 1):
                _d['decomposition_rank'] = _value
                _pos = _next
            else:
                s.pos = _pos
                s.ue(3, 'decomposition_rank', min=1)
                _pos = s.pos
                _word = s._word
                _end = s._word_end
            _left = _end - _pos
            _value = _word & (1 << _left) - 1
            _zeros = _left - _value.bit_length()
            _next = _pos + 2 * _zeros + 1 + 3
            if _next <= _end and _zeros < 16 and ((_value := ((_value >> _end - _next) - 8)) >= 1):
                _d['g_number_of_rows'] = _value
                _pos = _next
            else:
                s.pos = _pos
                s.ue(3, 'g_number_of_rows', min=1)
                _pos = s.pos
                _word = s._word
                _end = s._word_end
        if v.tensor_dimensions_flag:
            s.pos = _pos
            try:
                fast_tensor_dimensions_list(s, v, ctx)
            except BitstreamError as _error:
                s._place(_error, tensor_dimensions_list)
                raise
            _pos = s.pos
            _word = s._word
            _end = s._word_end
        if payload_type != _BLOCK and v.nnr_multiple_topology_elements_present_flag:
            s.pos = _pos
            s.table('topology_tensor_dimension_mapping', topology_tensor_dimension_mapping, ctx, v)
            _pos = s.pos
            _word = s._word
            _end = s._word_end
        if v.cabac_unary_length_flag:
            _next = _pos + 8
            if _next <= _end:
                _d['cabac_unary_length_minus1'] = _word >> _end - _next & 255
                _pos = _next
            else:
                s.pos = _pos
                s.u(8, 'cabac_unary_length_minus1')
                _pos = s.pos
                _word = s._word
                _end = s._word_end
    else:
        _d['tensor_dimensions_flag'] = 0
        _d['cabac_unary_length_flag'] = 0
    if v.tensor_dimensions_flag == 0 or v.cabac_unary_length_flag == 0:
        s.pos = _pos
        _supply(s, v, ctx.supplied(v))
        _pos = s.pos
        _word = s._word
        _end = s._word_end
    s.pos = _pos
    _check_dimensions(s, v, ctx)
    _pos = s.pos
    _word = s._word
    _end = s._word_end
    if payload_type == _BLOCK and v.compressed_parameter_types & _DC and v.codebook_present_flag:
        s.pos = _pos
        s.table('integer_codebook_second', integer_codebook, ctx)
        _pos = s.pos
        _word = s._word
        _end = s._word_end
    if v.count_tensor_dimensions > 1:
        if ctx.profile == 1:
            _left = _end - _pos
            _value = _word & (1 << _left) - 1
            _zeros = _left - _value.bit_length()
            _next = _pos + 2 * _zeros + 1 + 1
            if _next <= _end and _zeros < 16:
                _d['first_tensor_dimension_shift'] = (_value >> _end - _next) - 2
                _pos = _next
            else:
                s.pos = _pos
                s.ue(1, 'first_tensor_dimension_shift')
                _pos = s.pos
                _word = s._word
                _end = s._word_end
        _next = _pos + 4
        if _next <= _end and (_value := (_word >> _end - _next & 15)) <= 4:
            _d['scan_order'] = _value
            _pos = _next
        else:
            s.pos = _pos
            s.u(4, 'scan_order', max=4)
            _pos = s.pos
            _word = s._word
            _end = s._word_end
        if v.scan_order > 0:
            s.pos = _pos
            try:
                fast_entry_point_list(s, v, ctx, v)
            except BitstreamError as _error:
                s._place(_error, entry_point_list)
                raise
            _pos = s.pos
            _word = s._word
            _end = s._word_end
    else:
        _d['scan_order'] = 0
    _next = (_pos | 7) + 1
    if _next <= _end and _word >> _end - _next & (1 << _next - _pos) - 1 == 1 << _next - _pos - 1:
        _pos = _next
    else:
        s.pos = _pos
        s.byte_alignment()
        _pos = s.pos
        _word = s._word
        _end = s._word_end
    s.pos = _pos


def fast_tensor_dimensions_list(s, v, ctx):
    _d = v.__dict__
    _pos = s.pos
    _word = s._word
    _end = s._word_end
    _left = _end - _pos
    _value = _word & (1 << _left) - 1
    _zeros = _left - _value.bit_length()
    _next = _pos + 2 * _zeros + 1 + 1
    if _next <= _end and _zeros < 16 and ((_value := ((_value >> _end - _next) - 2)) >= 1):
        _d['count_tensor_dimensions'] = _value
        _pos = _next
    else:
        s.pos = _pos
        s.ue(1, 'count_tensor_dimensions', min=1, counts='tensor_dimensions')
        _pos = s.pos
        _word = s._word
        _end = s._word_end
    if v.count_tensor_dimensions > s.limits.max_dimensions:
        s.pos = _pos
        s.limit('max_dimensions', v.count_tensor_dimensions, 'count_tensor_dimensions')
    s.pos = _pos
    for j in s.loop(v.count_tensor_dimensions, 'tensor_dimensions'):
        _left = _end - _pos
        _value = _word & (1 << _left) - 1
        _zeros = _left - _value.bit_length()
        _next = _pos + 2 * _zeros + 1 + 7
        if _next <= _end and _zeros < 16:
            _d['tensor_dimensions'].append((_value >> _end - _next) - 128)
            _pos = _next
        else:
            s.pos = _pos
            s.ue(7, 'tensor_dimensions', j)
            _pos = s.pos
            _word = s._word
            _end = s._word_end
    s.pos = _pos


def fast_topology_elements_ids_list(s, v, ctx, topology_indexed_flag):
    _d = v.__dict__
    _pos = s.pos
    _word = s._word
    _end = s._word_end
    _left = _end - _pos
    _value = _word & (1 << _left) - 1
    _zeros = _left - _value.bit_length()
    _next = _pos + 2 * _zeros + 1 + 7
    if _next <= _end and _zeros < 16:
        _d['count_topology_elements_minus2'] = (_value >> _end - _next) - 128
        _pos = _next
    else:
        s.pos = _pos
        s.ue(7, 'count_topology_elements_minus2', counts=('topology_elem_id_list', 'topology_elem_id_index_list'), plus=-2)
        _pos = s.pos
        _word = s._word
        _end = s._word_end
    if topology_indexed_flag == 0:
        _next = (_pos | 7) + 1
        if _next <= _end and _word >> _end - _next & (1 << _next - _pos) - 1 == 1 << _next - _pos - 1:
            _pos = _next
        else:
            s.pos = _pos
            s.byte_alignment()
            _pos = s.pos
            _word = s._word
            _end = s._word_end
        s.pos = _pos
        for j in s.loop(v.count_topology_elements_minus2 + 2, 'topology_elem_id_list', listed=True):
            s.pos = _pos
            s.st('topology_elem_id_list', j)
            _pos = s.pos
            _word = s._word
            _end = s._word_end
    else:
        s.pos = _pos
        for j in s.loop(v.count_topology_elements_minus2 + 2, 'topology_elem_id_index_list', listed=True):
            _left = _end - _pos
            _value = _word & (1 << _left) - 1
            _zeros = _left - _value.bit_length()
            _next = _pos + 2 * _zeros + 1 + 7
            if _next <= _end and _zeros < 16:
                _d['topology_elem_id_index_list'].append((_value >> _end - _next) - 128)
                _pos = _next
            else:
                s.pos = _pos
                s.ue(7, 'topology_elem_id_index_list', j, status='N')
                _pos = s.pos
                _word = s._word
                _end = s._word_end
        _next = (_pos | 7) + 1
        if _next <= _end and _word >> _end - _next & (1 << _next - _pos) - 1 == 1 << _next - _pos - 1:
            _pos = _next
        else:
            s.pos = _pos
            s.byte_alignment()
            _pos = s.pos
            _word = s._word
            _end = s._word_end
    s.pos = _pos


def fast_integer_codebook(s, v, ctx):
    _d = v.__dict__
    _pos = s.pos
    _word = s._word
    _end = s._word_end
    _next = _pos + 4
    if _next <= _end:
        _d['codebook_egk'] = _word >> _end - _next & 15
        _pos = _next
    else:
        s.pos = _pos
        s.u(4, 'codebook_egk')
        _pos = s.pos
        _word = s._word
        _end = s._word_end
    _left = _end - _pos
    _value = _word & (1 << _left) - 1
    _zeros = _left - _value.bit_length()
    _next = _pos + 2 * _zeros + 1 + 2
    if _next <= _end and _zeros < 16 and ((_value := ((_value >> _end - _next) - 4)) >= 1):
        _d['codebook_size'] = _value
        _pos = _next
    else:
        s.pos = _pos
        s.ue(2, 'codebook_size', min=1, derived=_codebook_size)
        _pos = s.pos
        _word = s._word
        _end = s._word_end
    if v.codebook_size > s.limits.max_codebook_size:
        s.pos = _pos
        s.limit('max_codebook_size', v.codebook_size, 'codebook_size')
    half = v.codebook_size >> 1
    _left = _end - _pos
    _value = _word & (1 << _left) - 1
    _zeros = _left - _value.bit_length()
    _next = _pos + 2 * _zeros + 1 + 2
    if _next <= _end and _zeros < 16 and ((_value := ((_value >> _end - _next) - 4)) >= 0 and (_value := (_value + 1 >> 1 if _value & 1 else -(_value >> 1))) >= -half and (_value <= v.codebook_size - 1 - half)):
        _d['codebook_centre_offset'] = _value
        _pos = _next
    else:
        s.pos = _pos
        s.ie(2, 'codebook_centre_offset', min=-half, max=v.codebook_size - 1 - half, derived=_codebook_centre_offset)
        _pos = s.pos
        _word = s._word
        _end = s._word_end
    _d['cb_zero_offset'] = half + v.codebook_centre_offset
    _left = _end - _pos
    _value = _word & (1 << _left) - 1
    _zeros = _left - _value.bit_length()
    _next = _pos + 2 * _zeros + 1 + 7
    if _next <= _end and _zeros < 16 and ((_value := ((_value >> _end - _next) - 128)) >= 0):
        _d['codebook_zero_value'] = _value + 1 >> 1 if _value & 1 else -(_value >> 1)
        _pos = _next
    else:
        s.pos = _pos
        s.ie(7, 'codebook_zero_value')
        _pos = s.pos
        _word = s._word
        _end = s._word_end
    s.pos = _pos
    for j in s.loop(v.cb_zero_offset, 'codebook_delta_left'):
        _bits = v.codebook_egk
        _left = _end - _pos
        _value = _word & (1 << _left) - 1
        _zeros = _left - _value.bit_length()
        _next = _pos + 2 * _zeros + 1 + _bits
        if _next <= _end and _zeros < 16:
            _d['codebook_delta_left'].append((_value >> _end - _next) - (1 << _bits))
            _pos = _next
        else:
            s.pos = _pos
            s.ue(v.codebook_egk, 'codebook_delta_left', j)
            _pos = s.pos
            _word = s._word
            _end = s._word_end
    s.pos = _pos
    for j in s.loop(v.codebook_size - 1 - v.cb_zero_offset, 'codebook_delta_right'):
        _bits = v.codebook_egk
        _left = _end - _pos
        _value = _word & (1 << _left) - 1
        _zeros = _left - _value.bit_length()
        _next = _pos + 2 * _zeros + 1 + _bits
        if _next <= _end and _zeros < 16:
            _d['codebook_delta_right'].append((_value >> _end - _next) - (1 << _bits))
            _pos = _next
        else:
            s.pos = _pos
            s.ue(v.codebook_egk, 'codebook_delta_right', j)
            _pos = s.pos
            _word = s._word
            _end = s._word_end
    _d['codebook'] = _codebook(v)
    s.pos = _pos


def fast_entry_point_list(s, v, ctx, header):
    _d = v.__dict__
    _pos = s.pos
    _word = s._word
    _end = s._word_end
    dq = header.dq_flag == 1
    bit_offset: list[int] = []
    arrays = ('cabac_offset_list', 'dq_state_list') if dq else ('cabac_offset_list',)
    count = entry_point_count(header)
    s.pos = _pos
    s.loop(max(count - 1, 0), 'bit_offset_delta2')
    _pos = s.pos
    _word = s._word
    _end = s._word_end
    s.pos = _pos
    for j in s.loop(count, *arrays, listed=True):
        _next = _pos + 8
        if _next <= _end:
            _d['cabac_offset_list'].append(_word >> _end - _next & 255)
            _pos = _next
        else:
            s.pos = _pos
            s.u(8, 'cabac_offset_list', j)
            _pos = s.pos
            _word = s._word
            _end = s._word_end
        if dq:
            _next = _pos + 3
            if _next <= _end:
                _d['dq_state_list'].append(_word >> _end - _next & 7)
                _pos = _next
            else:
                s.pos = _pos
                s.u(3, 'dq_state_list', j)
                _pos = s.pos
                _word = s._word
                _end = s._word_end
        if j == 0:
            _left = _end - _pos
            _value = _word & (1 << _left) - 1
            _zeros = _left - _value.bit_length()
            _next = _pos + 2 * _zeros + 1 + 11
            if _next <= _end and _zeros < 16:
                _d['bit_offset_delta1'] = (_value >> _end - _next) - 2048
                _pos = _next
            else:
                s.pos = _pos
                s.ue(11, 'bit_offset_delta1')
                _pos = s.pos
                _word = s._word
                _end = s._word_end
            bit_offset.append(v.bit_offset_delta1)
        else:
            _left = _end - _pos
            _value = _word & (1 << _left) - 1
            _zeros = _left - _value.bit_length()
            _next = _pos + 2 * _zeros + 1 + 7
            if _next <= _end and _zeros < 16 and ((_value := ((_value >> _end - _next) - 128)) >= 0 and (_value := (_value + 1 >> 1 if _value & 1 else -(_value >> 1))) >= -bit_offset[-1]):
                _d['bit_offset_delta2'].append(_value)
                _pos = _next
            else:
                s.pos = _pos
                s.ie(7, 'bit_offset_delta2', j - 1, min=-bit_offset[-1])
                _pos = s.pos
                _word = s._word
                _end = s._word_end
            bit_offset.append(bit_offset[-1] + v.bit_offset_delta2[-1])
    _d['bit_offset'] = bit_offset
    s.pos = _pos


FAST_TABLES = {
    nnr_unit_size: fast_nnr_unit_size,
    nnr_unit_header: fast_nnr_unit_header,
    nnr_compressed_data_unit_header: fast_nnr_compressed_data_unit_header,
    tensor_dimensions_list: fast_tensor_dimensions_list,
    topology_elements_ids_list: fast_topology_elements_ids_list,
    integer_codebook: fast_integer_codebook,
    entry_point_list: fast_entry_point_list,
}
for _table, _fast in FAST_TABLES.items():
    _fast.clause, _fast.status = _table.clause, _table.status
