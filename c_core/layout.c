/* layout.c - (decoding 5, 9.1) shape, bounds and context parameters of a tensor. */
#include "layout.h"

#include <stddef.h>

#include "tables.h"

int nnr_unit_is_sound(const nnr_unit *unit, int64_t tensor_count)
{
    return unit->payload_size >= 0 && unit->payload_size <= (int64_t)1 << 48 &&
           (unit->payload_size == 0 || unit->payload) && unit->first_tensor >= 0 &&
           unit->tensor_count >= 0 && unit->first_tensor <= tensor_count &&
           unit->tensor_count <= tensor_count - unit->first_tensor &&
           (unit->profile == 0 || unit->profile == 1) &&
           (unit->escape_context_count == 31 || unit->escape_context_count == MAX_ESCAPE);
}

int nnr_tensor_is_sound(const nnr_unit *unit, const nnr_tensor *tensor)
{
    const int64_t most = (int64_t)1 << 40;
    int64_t count;
    if (tensor->rows < 0 || tensor->cols < 0 || tensor->rows > most || tensor->cols > most ||
        (tensor->cols > 0 && tensor->rows > most / tensor->cols))
        return 0;
    count = tensor->rows * tensor->cols;
    return (count == 0 || tensor->levels) && tensor->cabac_unary_length >= 1 &&
           tensor->cabac_unary_length <= MAX_UNARY_LENGTH && tensor->scan_order >= 0 &&
           tensor->scan_order <= 4 && tensor->codebook_size >= 0 &&
           tensor->codebook_size <= (int64_t)1 << 31 && tensor->codebook_zero_offset >= 0 &&
           (tensor->codebook_size == 0 || tensor->codebook_zero_offset < tensor->codebook_size) &&
           tensor->qp_density >= 0 && tensor->qp_density <= 7 && tensor->base_qp >= -65536 &&
           tensor->base_qp <= 65536 &&
           (count == 0 || tensor->base || unit->profile == 0 || !unit->temporal_context_modeling_flag);
}

void nnr_layout_of(tensor_layout *layout, const nnr_unit *unit, const nnr_tensor *tensor)
{
    layout->rows = tensor->rows;
    layout->cols = tensor->cols;
    layout->side = block_side(tensor->scan_order, tensor->rows, tensor->cols);
    layout->profile = (int)unit->profile;
    layout->unary_length = (int)tensor->cabac_unary_length;
    layout->escape_count = (int)unit->escape_context_count;
    layout->legacy = unit->escape_context_count == MAX_ESCAPE;
    layout->dq = unit->dq_flag && tensor->has_qp;
    layout->tca = unit->profile == 1 && unit->temporal_context_modeling_flag;
    layout->parent = unit->parent_node_id_present_flag != 0;
    layout->bounded = unit->profile == 1 && tensor->codebook_size > 0;
    layout->limit[0] = layout->bounded ? tensor->codebook_size - 1 - tensor->codebook_zero_offset : INT64_MAX;
    layout->limit[1] = layout->bounded ? tensor->codebook_zero_offset : INT64_MAX;
    layout->one_sided = layout->limit[0] == 0 || layout->limit[1] == 0;
    layout->hist_flag = 0;
    layout->base = layout->tca ? pointer_of(tensor->base) : NULL;
    layout->history = NULL;
    layout->skip = NULL;
    layout->levels = pointer_of(tensor->levels);
    layout->dequantize = tensor->dequantize != 0;
    layout->step = 0.0f;
}

int nnr_codes_nothing(const tensor_layout *layout)
{
    return layout->bounded && layout->limit[0] == 0 && layout->limit[1] == 0;
}

int nnr_has_tool_flags(const tensor_layout *layout)
{
    return layout->profile == 1 && layout->cols > 1 && layout->rows > 1 && !nnr_codes_nothing(layout);
}

static parameter_slot *put(parameter_slot *slot, int ctx, int is_coded)
{
    slot->ctx = (uint16_t)ctx;
    slot->is_coded = (uint8_t)(is_coded != 0);
    return slot + 1;
}

int nnr_parameter_slots(const tensor_layout *layout, parameter_slot *slots)
{
    const int coded = !nnr_codes_nothing(layout), bounded = layout->bounded;
    const unsigned states = layout->dq ? NNR_DQ_STATES : 1;
    const int64_t most = layout->limit[0] > layout->limit[1] ? layout->limit[0] : layout->limit[1];
    const int n = layout->unary_length;
    parameter_slot *slot = slots;
    unsigned state;
    int k;

    for (state = 0; state < states; state++)
        for (k = 0; k < 3; k++)
            slot = put(slot, (int)sig_context(state, (unsigned)k), coded);
    for (state = 0; layout->tca && state < states; state++) {
        slot = put(slot, (int)aided_sig_context(state, AID_SMALL_BASE), coded);
        slot = put(slot, (int)aided_sig_context(state, AID_LARGE_BASE), coded);
    }
    for (state = 0; layout->hist_flag && state < states; state++)
        slot = put(slot, (int)aided_sig_context(state, AID_HISTORY), coded);
    for (k = 0; k < (layout->tca ? 5 : 3); k++)
        slot = put(slot, CTX_SIGN + k, coded && !layout->one_sided);
    for (k = 0; k < 2 * n; k++)
        slot = put(slot, CTX_GREATER + k, !bounded || k < 2 * most);
    for (k = 0; layout->tca && k < 2 * n; k++)
        slot = put(slot, CTX_GREATER + 2 * n + k, !bounded || k < 2 * (most - 1));
    for (k = 0; k < layout->escape_count; k++)
        slot = put(slot, CTX_ESCAPE + k, !bounded || n - 2 + ((int64_t)2 << k) < most);
    return (int)(slot - slots);
}
