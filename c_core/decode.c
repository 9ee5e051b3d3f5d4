/* decode.c - (decoding 2 to 10.2) from the bytes of a unit to the levels of its tensors.

   Read it from the end: a unit is tensors and an end check; a tensor is its quantization parameter,
   flags, context parameters (decoding 5) and samples; samples are runs of positions in scan order
   (decoding 9); a run is one index after the other (decoding 6 to 8). The arithmetic is in cabac.h, the
   probability model in model.h.

   Large batches go through interleave.c, which decodes the plainest tensors two at a time, faster and with the
   same results.

   Errors do not stop the arithmetic: it runs on, with zeros for bits that do not exist, and each run
   ends with a look at `status` and at the bit position. */
#include <stdlib.h>
#include <string.h>

#include "decoder.h"
#include "dequantize.h"
#include "dq.h"
#include "interleave.h"

typedef char context_count_agrees[(int)CTX_COUNT == (int)NNR_CONTEXT_COUNT ? 1 : -1];

void nnr_decoder_fail(nnr_decoder *decoder, const arithmetic_decoder *d, int status)
{
    if (decoder->status == NNR_OK) {
        decoder->status = is_truncated(d) ? NNR_ERR_TRUNCATED : status;
        decoder->failed_at = bit_position(d);
    }
}

void nnr_check_truncation(nnr_decoder *decoder)
{
    if (is_truncated(&decoder->arithmetic))
        nnr_decoder_fail(decoder, &decoder->arithmetic, NNR_ERR_TRUNCATED);
}

/* The offset is not below the range. It is made to be, for steps that a caller takes all the same. */
static void fail_offset(nnr_decoder *decoder)
{
    nnr_decoder_fail(decoder, &decoder->arithmetic, NNR_ERR_OFFSET);
    decoder->arithmetic.value = 0;
}

/* ---- (decoding 7) binarization --------------------------------------------------------------------- */

int64_t nnr_decode_escape(arithmetic_decoder *d, const model_tables *tables, context *escape, int escape_count,
                          int64_t magnitude, int64_t limit)
{
    int exponent = 0;
    int bin;
    do {
        refill(d);
        bin = decode_bin_mask(d, tables, &escape[exponent]) != 0;
        if (bin) {
            magnitude += (int64_t)1 << exponent;
            exponent++;
        }
    } while (bin && exponent < escape_count && magnitude + ((int64_t)1 << exponent) <= limit);
    return magnitude + (int64_t)decode_uae(d, exponent);
}

int64_t nnr_largest_magnitude(int odd, int negative)
{
    int64_t level = (int64_t)INT32_MAX + negative;
    return odd < 0 ? level : (level + odd) / 2;
}

/* One run of positions. `aux`: temporal base or history may be in use; `bounded`: the bounds of a codebook. The flags
   are constants where this is called, so that each kind of tensor has a loop of its own. */
NNR_INLINE void decode_run(nnr_decoder *decoder, const tensor_layout *layout, const run *r, int dq, int aux,
                           int bounded)
{
    arithmetic_decoder d = decoder->arithmetic; /* a copy, so that it can live in registers */
    const model_tables *tables = decoder->tables;
    context *contexts = decoder->contexts;
    const int unary_length = layout->unary_length;
    unsigned state = decoder->state;
    unsigned neighbour = decoder->neighbour;
    int64_t left, row, col;

    for (left = 0; left < r->width; left += r->side) {
        const int64_t width = smaller(r->side, r->width - left);
        for (row = 0; row < r->height; row++) {
            const int64_t start = r->first + left + row * r->stride;
            int32_t *levels = layout->levels + start;
            const int32_t *base = aux && layout->base ? layout->base + start : NULL;
            const uint8_t *history = aux && layout->history ? layout->history + start : NULL;

            for (col = 0; col < width; col++) {
                int64_t base_level = base ? base[col] : 0;
                int64_t base_size = base_level < 0 ? -base_level : base_level;
                int64_t magnitude = 1, limit, level;
                unsigned sig = sig_context(state, neighbour);
                unsigned sign = CTX_SIGN + neighbour;
                context *greater;
                uint64_t negative, more;
                int j = 0;

                if (aux && base_level != 0) {
                    sig = aided_sig_context(state, base_size > 1 ? AID_LARGE_BASE : AID_SMALL_BASE);
                    sign = CTX_SIGN_BASE + (base_level > 0);
                }
                if (aux && history && history[col])
                    sig = aided_sig_context(state, AID_HISTORY);

                refill(&d);
                if (!decode_likely_bin(&d, tables, &contexts[sig])) {
                    levels[col] = 0;
                    neighbour = 0;
                    if (dq)
                        state = next_state(state, 0);
                    continue;
                }
                if (bounded && layout->one_sided)
                    negative = layout->limit[0] > 0 ? 0 : ~(uint64_t)0;
                else
                    negative = decode_bin_mask(&d, tables, &contexts[sign]);
                limit = bounded ? layout->limit[negative & 1] : INT64_MAX;

                greater = &contexts[CTX_GREATER + (negative & 1)];
                if (aux && base_level != 0)
                    greater = &contexts[CTX_GREATER + 2 * unary_length];
                more = !bounded || limit > 1;
                if (more) {
                    more = decode_bin_mask(&d, tables, greater) & 1; /* a base is never below 0 */
                    magnitude += (int64_t)more;
                    j = 1;
                }
                while (more && j < unary_length && (!bounded || magnitude < limit)) {
                    unsigned class_by_base = aux && base_level != 0 && base_size < j;
                    if (j % 4 == 3)
                        refill(&d);
                    more = decode_likely_bin(&d, tables, &greater[2 * j + (int)class_by_base]);
                    magnitude += (int64_t)more;
                    j++;
                }
                if (NNR_UNLIKELY(more && j == unary_length && (!bounded || magnitude < limit))) {
                    arithmetic_decoder cold = d; /* only the copy has its address taken */
                    magnitude = nnr_decode_escape(&cold, tables, &contexts[CTX_ESCAPE], layout->escape_count,
                                                  magnitude, limit);
                    d = cold;
                    if (magnitude > nnr_largest_magnitude(dq ? (int)(state & 1) : -1, (int)(negative & 1))) {
                        nnr_decoder_fail(decoder, &cold, NNR_ERR_LEVEL);
                        magnitude = 1;
                    }
                    if (bounded && magnitude > limit) {
                        nnr_decoder_fail(decoder, &cold, NNR_ERR_CODEBOOK_INDEX);
                        magnitude = 1;
                    }
                }

                level = magnitude;
                if (dq) {
                    level = 2 * magnitude - (int64_t)(state & 1);
                    state = next_state(state, (unsigned)magnitude & 1);
                }
                neighbour = 2 - (unsigned)(negative & 1);
                levels[col] = (int32_t)((level ^ (int64_t)negative) - (int64_t)negative);
            }
        }
    }
    decoder->arithmetic = d;
    decoder->state = state;
    decoder->neighbour = neighbour;
}

NNR_NOINLINE void decode_run_uniform(nnr_decoder *decoder, const tensor_layout *layout, const run *r)
{
    decode_run(decoder, layout, r, 0, 0, 0);
}

NNR_NOINLINE void decode_run_dependent(nnr_decoder *decoder, const tensor_layout *layout, const run *r)
{
    decode_run(decoder, layout, r, 1, 0, 0);
}

NNR_NOINLINE void decode_run_aided_uniform(nnr_decoder *decoder, const tensor_layout *layout, const run *r)
{
    decode_run(decoder, layout, r, 0, 1, 0);
}

NNR_NOINLINE void decode_run_aided_dependent(nnr_decoder *decoder, const tensor_layout *layout, const run *r)
{
    decode_run(decoder, layout, r, 1, 1, 0);
}

NNR_NOINLINE void decode_run_bounded(nnr_decoder *decoder, const tensor_layout *layout, const run *r)
{
    decode_run(decoder, layout, r, 0, 0, 1);
}

NNR_NOINLINE void decode_run_any(nnr_decoder *decoder, const tensor_layout *layout, const run *r)
{
    decode_run(decoder, layout, r, layout->dq, 1, 1);
}

/* ---- (decoding 9) samples ---------------------------------------------------------------------------- */

static void decode_positions(nnr_decoder *decoder, const tensor_layout *layout, const run *r)
{
    if (nnr_codes_nothing(layout)) {
        int64_t row;
        for (row = 0; row < r->height; row++)
            memset(layout->levels + r->first + row * r->stride, 0, (size_t)r->width * sizeof(int32_t));
    } else if (layout->bounded && (layout->dq || layout->base || layout->history)) {
        decode_run_any(decoder, layout, r);
    } else if (layout->bounded) {
        decode_run_bounded(decoder, layout, r);
    } else if (layout->base || layout->history) {
        if (layout->dq)
            decode_run_aided_dependent(decoder, layout, r);
        else
            decode_run_aided_uniform(decoder, layout, r);
    } else if (layout->dq) {
        decode_run_dependent(decoder, layout, r);
    } else {
        decode_run_uniform(decoder, layout, r);
    }
    nnr_check_truncation(decoder);
}

/* A segment of a skipped row. The state advances by the width of the matrix even if the segment is
   narrower (README D6); contexts and neighbour stay as they are. */
static void skip_segment(nnr_decoder *decoder, const tensor_layout *layout, int64_t first, int64_t width)
{
    memset(layout->levels + first, 0, (size_t)width * sizeof(int32_t));
    if (layout->dq)
        decoder->state = state_after_zeros(decoder->state, layout->cols);
}

/* Levels of contiguous positions are complete: turn them into values while they are in the cache. */
static void finish_levels(const nnr_decoder *decoder, const tensor_layout *layout, int64_t first,
                          int64_t count)
{
    if (layout->dequantize && decoder->status == NNR_OK)
        nnr_dequantize_in_place(layout->levels + first, count, layout->step);
}

/* The next run in row-major order. */
static int next_stretch(nnr_decoder *decoder, scan_walk *walk, run *r)
{
    const tensor_layout *layout = &decoder->layout;
    while (walk->next == walk->end) {
        if (walk->row == walk->last_row)
            return 0;
        walk->next = walk->row * layout->cols;
        if (layout->skip && layout->skip[walk->row]) {
            skip_segment(decoder, layout, walk->next, layout->cols);
            finish_levels(decoder, layout, walk->next, layout->cols);
            walk->next = walk->end;
            walk->row++;
            continue;
        }
        do /* rows that are coded, up to the next that is not */
            walk->row++;
        while (walk->row < layout->rows && !(layout->skip && layout->skip[walk->row]));
        walk->end = walk->row * layout->cols;
    }
    r->first = walk->next;
    r->height = 1;
    r->width = r->stride = r->side = smaller(walk->end - walk->next, RUN_LEVELS);
    walk->next += r->width;
    return 1;
}

/* (decoding 3.1) */
static void reset_contexts(nnr_decoder *decoder, const tensor_layout *layout)
{
    int i;
    for (i = 0; i < context_end(layout); i++)
        decoder->contexts[i] = decoder->tables->initial[decoder->parameter[i]];
}

/* (decoding 9.3) */
static void put_entry(const nnr_decoder *decoder, int64_t *entry)
{
    entry[0] = bit_position(&decoder->arithmetic);
    entry[1] = (int64_t)(decoder->arithmetic.value >> OFFSET_SHIFT);
    entry[2] = decoder->state;
}

/* (decoding 9.2) Returns 0 if the offset does not allow it. */
static int start_block_row(nnr_decoder *decoder, scan_walk *walk)
{
    const tensor_layout *layout = &decoder->layout;
    walk->height = smaller(layout->side, layout->rows - walk->row);
    walk->next = walk->row * layout->cols;
    walk->end = walk->next + layout->cols;
    walk->below = 0;
    if (walk->entries)
        put_entry(decoder, walk->entries + 3 * (walk->row / layout->side));
    walk->row += walk->height;
    reset_contexts(decoder, layout);
    decoder->neighbour = 0;
    if ((layout->rows > layout->side || layout->legacy) && !reset_range(&decoder->arithmetic)) {
        fail_offset(decoder);
        return 0;
    }
    return 1;
}

/* The next run of a block scan: some blocks, or a row of a block where rows are skipped. */
static int next_blocks(nnr_decoder *decoder, scan_walk *walk, run *r)
{
    const tensor_layout *layout = &decoder->layout;
    const int64_t side = layout->side;
    for (;;) {
        if (walk->next == walk->end && (walk->row >= walk->last_row || !start_block_row(decoder, walk)))
            return 0;
        r->first = walk->next;
        r->stride = layout->cols;
        r->side = side;
        if (!layout->skip) {
            r->height = walk->height;
            r->width = smaller(walk->end - walk->next, RUN_LEVELS / (side * side) * side);
            walk->next += r->width;
            return 1;
        }
        r->first += walk->below * layout->cols;
        r->height = 1;
        r->width = smaller(walk->end - walk->next, side);
        walk->below++;
        if (walk->below == walk->height) {
            walk->below = 0;
            walk->next += r->width;
        }
        if (!layout->skip[r->first / layout->cols])
            return 1;
        skip_segment(decoder, layout, r->first, r->width);
        finish_levels(decoder, layout, r->first, r->width);
    }
}

void nnr_start_walk(const nnr_decoder *decoder, scan_walk *walk, const nnr_tensor *tensor)
{
    memset(walk, 0, sizeof *walk);
    walk->last_row = decoder->layout.cols > 0 ? decoder->layout.rows : 0;
    walk->entries = pointer_of(tensor->entry_list);
}

int nnr_next_run(nnr_decoder *decoder, scan_walk *walk, run *r)
{
    return decoder->layout.side > 0 ? next_blocks(decoder, walk, r) : next_stretch(decoder, walk, r);
}

void nnr_finish_run(const nnr_decoder *decoder, const run *r)
{
    int64_t row;
    for (row = 0; row < r->height; row++)
        finish_levels(decoder, &decoder->layout, r->first + row * r->stride, r->width);
}

void nnr_decode_walk(nnr_decoder *decoder, scan_walk *walk)
{
    run r;
    while (decoder->status == NNR_OK && nnr_next_run(decoder, walk, &r)) {
        decode_positions(decoder, &decoder->layout, &r);
        nnr_finish_run(decoder, &r);
    }
}

/* ---- (decoding 5) start of a tensor --------------------------------------------------------------- */

static int decode_bin(nnr_decoder *decoder, int ctx)
{
    refill(&decoder->arithmetic);
    return decode_bin_mask(&decoder->arithmetic, decoder->tables, &decoder->contexts[ctx]) != 0;
}

static int64_t decode_iae(arithmetic_decoder *d, int n)
{
    const int64_t number = (int64_t)decode_uae(d, n);
    return n > 0 && number >> (n - 1) ? number - ((int64_t)1 << n) : number;
}

/* shift_parameter_ids: the parameter set of each context, and the context made from it. */
static void decode_context_parameters(nnr_decoder *decoder, const tensor_layout *layout)
{
    parameter_slot slots[CTX_COUNT];
    const int count = nnr_parameter_slots(layout, slots);
    int i;
    for (i = 0; i < count; i++) {
        const int ctx = slots[i].ctx;
        unsigned set = 0;
        if (slots[i].is_coded && decode_bin(decoder, CTX_SHIFT))
            set = 1 + (unsigned)decode_uae(&decoder->arithmetic, 3);
        decoder->parameter[ctx] = (uint8_t)set;
        decoder->contexts[ctx] = decoder->tables->initial[set];
    }
}

static void decode_skip_list(nnr_decoder *decoder, const tensor_layout *layout)
{
    int64_t row;
    if (decoder->skip_capacity < layout->rows) {
        free(decoder->skip);
        decoder->skip_capacity = 0;
        decoder->skip = malloc((size_t)layout->rows);
        if (!decoder->skip) {
            nnr_decoder_fail(decoder, &decoder->arithmetic, NNR_ERR_MEMORY);
            return;
        }
        decoder->skip_capacity = layout->rows;
    }
    for (row = 0; row < layout->rows; row++)
        decoder->skip[row] = (uint8_t)decode_bin(decoder, CTX_SKIP);
}

/* ---- tensors and units --------------------------------------------------------------------------------- */

/* A tensor of a payload up to its first sample: qp_value, then the start of quant_tensor. */
void nnr_open_tensor(nnr_decoder *decoder, const nnr_unit *unit, nnr_tensor *tensor)
{
    arithmetic_decoder *d = &decoder->arithmetic;
    tensor_layout *layout = &decoder->layout;

    nnr_layout_of(layout, unit, tensor);
    tensor->bits_begin = bit_position(d);
    tensor->qp = tensor->base_qp;
    if (tensor->has_qp)
        tensor->qp += decode_iae(d, 6 + (int)tensor->qp_density);
    layout->step = nnr_step_size(tensor->qp, tensor->qp_density);

    decoder->contexts[CTX_SHIFT] = decoder->contexts[CTX_SKIP] = decoder->tables->initial[0];
    decoder->parameter[CTX_SHIFT] = decoder->parameter[CTX_SKIP] = 0;
    tensor->hist_flag = tensor->row_skip_flag = 0;
    if (nnr_has_tool_flags(layout)) {
        if (layout->parent)
            tensor->hist_flag = (int64_t)decode_uae(d, 1);
        tensor->row_skip_flag = (int64_t)decode_uae(d, 1);
        if (tensor->row_skip_flag) {
            decode_skip_list(decoder, layout);
            if (decoder->status != NNR_OK)
                return;
            layout->skip = decoder->skip;
            if (tensor->skip_list)
                memcpy(pointer_of(tensor->skip_list), layout->skip, (size_t)layout->rows);
        }
    }
    layout->hist_flag = tensor->hist_flag != 0;
    if (layout->hist_flag)
        layout->history = pointer_of(tensor->history);
    decode_context_parameters(decoder, layout);
    tensor->bits_samples = bit_position(d);
    decoder->state = 0;
    decoder->neighbour = 0;
    nnr_check_truncation(decoder);
}

static void decode_tensor(nnr_decoder *decoder, const nnr_unit *unit, nnr_tensor *tensor)
{
    scan_walk walk;
    nnr_open_tensor(decoder, unit, tensor);
    nnr_start_walk(decoder, &walk, tensor);
    nnr_decode_walk(decoder, &walk);
}

/* (decoding 2.5, 2.6) The unit must end here, to the bit. */
static int check_end(const arithmetic_decoder *d)
{
    const int64_t end = bit_position(d);
    int last;
    if (!decode_terminate(d))
        return NNR_ERR_TERMINATE;
    last = d->data[(end - 1) >> 3] << ((end - 1) & 7) & 0xff; /* the stop bit and what follows it */
    if (!(last & 0x80))
        return NNR_ERR_STOP_BIT;
    if (last != 0x80)
        return NNR_ERR_ALIGNMENT;
    return (end + 7) >> 3 == d->size ? NNR_OK : NNR_ERR_TRAILING;
}

/* (decoding 2.1) */
static void start_payload(nnr_decoder *decoder, const uint8_t *data, int64_t size)
{
    decoder->status = NNR_OK;
    decoder->failed_at = 0;
    decoder->layout.rows = decoder->layout.side = 0; /* no tensor stands open */
    if (!decoder_start(&decoder->arithmetic, data, size))
        fail_offset(decoder);
    nnr_check_truncation(decoder);
}

static void finish_payload(nnr_decoder *decoder)
{
    int status;
    nnr_check_truncation(decoder); /* the last bit is looked at, so there must be one */
    if (decoder->status != NNR_OK)
        return;
    status = check_end(&decoder->arithmetic);
    if (status != NNR_OK)
        nnr_decoder_fail(decoder, &decoder->arithmetic, status);
}

static void clear_levels(const nnr_tensor *tensor)
{
    if (tensor->rows * tensor->cols > 0)
        memset(pointer_of(tensor->levels), 0, (size_t)(tensor->rows * tensor->cols) * sizeof(int32_t));
}

int nnr_begin_unit(nnr_decoder *decoder, nnr_unit *unit, nnr_tensor *tensors, int64_t tensor_count)
{
    int64_t t;
    unit->status = NNR_ERR_ARGUMENT; /* then nothing is written: sizes cannot be trusted */
    unit->bits_consumed = 0;
    unit->failed_tensor = -1;
    if (!nnr_unit_is_sound(unit, tensor_count))
        return 0;
    for (t = 0; t < unit->tensor_count; t++) {
        if (!nnr_tensor_is_sound(unit, &tensors[unit->first_tensor + t])) {
            unit->failed_tensor = t;
            return 0;
        }
    }
    start_payload(decoder, pointer_of(unit->payload), unit->payload_size);
    return 1;
}

void nnr_end_unit(nnr_decoder *decoder, nnr_unit *unit, nnr_tensor *tensors, int64_t failed_tensor)
{
    int64_t t;
    finish_payload(decoder);
    unit->status = decoder->status;
    unit->bits_consumed = decoder->status == NNR_OK ? bit_position(&decoder->arithmetic) : decoder->failed_at;
    unit->failed_tensor = decoder->status == NNR_OK ? -1 : failed_tensor;
    for (t = failed_tensor; t < unit->tensor_count; t++)
        clear_levels(&tensors[unit->first_tensor + t]);
    start_payload(decoder, NULL, 0); /* keeps no address of the caller's that it would look at */
}

static void decode_unit(nnr_decoder *decoder, nnr_unit *unit, nnr_tensor *tensors, int64_t tensor_count)
{
    int64_t t;
    if (!nnr_begin_unit(decoder, unit, tensors, tensor_count))
        return;
    for (t = 0; t < unit->tensor_count && decoder->status == NNR_OK; t++) {
        decode_tensor(decoder, unit, &tensors[unit->first_tensor + t]);
        if (decoder->status != NNR_OK)
            break;
    }
    nnr_end_unit(decoder, unit, tensors, t);
}

static int are_arguments(const nnr_decoder *decoder, const nnr_unit *units, int64_t unit_count,
                         const nnr_tensor *tensors, int64_t tensor_count)
{
    return decoder && unit_count >= 0 && tensor_count >= 0 && (unit_count == 0 || units) &&
           (tensor_count == 0 || tensors);
}

int nnr_decode_units_plainly(nnr_decoder *decoder, nnr_unit *units, int64_t unit_count, nnr_tensor *tensors,
                             int64_t tensor_count)
{
    int64_t u;
    if (!are_arguments(decoder, units, unit_count, tensors, tensor_count))
        return NNR_ERR_ARGUMENT;
    for (u = 0; u < unit_count; u++)
        decode_unit(decoder, &units[u], tensors, tensor_count);
    return NNR_OK;
}

int nnr_decode_units(nnr_decoder *decoder, nnr_unit *units, int64_t unit_count, nnr_tensor *tensors,
                     int64_t tensor_count)
{
    if (!are_arguments(decoder, units, unit_count, tensors, tensor_count))
        return NNR_ERR_ARGUMENT;
    if (!nnr_worth_interleaving(units, unit_count, tensors, tensor_count))
        return nnr_decode_units_plainly(decoder, units, unit_count, tensors, tensor_count);
    nnr_decode_interleaved(decoder, units, unit_count, tensors, tensor_count);
    return NNR_OK;
}

/* ---- handle, and the engine step by step --------------------------------------------------------------- */

nnr_decoder *nnr_decoder_new(void)
{
    decoder_block *block = calloc(1, sizeof *block);
    int lane, i;
    if (!block)
        return NULL;
    nnr_model_build(&block->tables);
    for (lane = 0; lane < 2; lane++) {
        block->lane[lane].tables = &block->tables;
        for (i = 0; i < CTX_COUNT; i++)
            block->lane[lane].contexts[i] = block->tables.initial[0];
        start_payload(&block->lane[lane], NULL, 0);
    }
    return &block->lane[0];
}

void nnr_decoder_free(nnr_decoder *decoder)
{
    decoder_block *block = (decoder_block *)decoder; /* its first member */
    if (block) {
        free(block->lane[0].skip);
        free(block->lane[1].skip);
        free(block);
    }
}

static int step_status(nnr_decoder *decoder)
{
    nnr_check_truncation(decoder);
    return decoder->status;
}

static int is_context(int64_t ctx)
{
    return ctx >= 0 && ctx < CTX_COUNT;
}

int nnr_decoder_start(nnr_decoder *decoder, const uint8_t *data, int64_t size)
{
    if (!decoder || size < 0 || (size > 0 && !data))
        return NNR_ERR_ARGUMENT;
    start_payload(decoder, data, size);
    return decoder->status;
}

int nnr_decoder_set_context(nnr_decoder *decoder, int64_t ctx, int64_t set)
{
    if (!decoder || !is_context(ctx) || set < 0 || set >= NNR_PARAMETER_SETS)
        return NNR_ERR_ARGUMENT;
    decoder->parameter[ctx] = (uint8_t)set;
    decoder->contexts[ctx] = decoder->tables->initial[set];
    return NNR_OK;
}

int nnr_decoder_read_bin(nnr_decoder *decoder, int64_t ctx, int64_t *bin)
{
    if (!decoder || !is_context(ctx) || !bin)
        return NNR_ERR_ARGUMENT;
    *bin = decode_bin(decoder, (int)ctx);
    return step_status(decoder);
}

int nnr_decoder_read_uae(nnr_decoder *decoder, int64_t bits, int64_t *number)
{
    if (!decoder || bits < 0 || bits > 32 || !number)
        return NNR_ERR_ARGUMENT;
    *number = (int64_t)decode_uae(&decoder->arithmetic, (int)bits);
    return step_status(decoder);
}

int nnr_decoder_read_iae(nnr_decoder *decoder, int64_t bits, int64_t *number)
{
    if (!decoder || bits < 0 || bits > 32 || !number)
        return NNR_ERR_ARGUMENT;
    *number = decode_iae(&decoder->arithmetic, (int)bits);
    return step_status(decoder);
}

int nnr_decoder_read_tensor(nnr_decoder *decoder, const nnr_unit *unit, nnr_tensor *tensor)
{
    if (!decoder || !unit || !tensor || !nnr_unit_is_sound(unit, INT64_MAX) || !nnr_tensor_is_sound(unit, tensor))
        return NNR_ERR_ARGUMENT;
    decode_tensor(decoder, unit, tensor);
    if (decoder->status != NNR_OK)
        clear_levels(tensor);
    return decoder->status;
}

int nnr_decoder_open_tensor(nnr_decoder *decoder, const nnr_unit *unit, nnr_tensor *tensor)
{
    if (!decoder || !unit || !tensor || !nnr_unit_is_sound(unit, INT64_MAX) || !nnr_tensor_is_sound(unit, tensor))
        return NNR_ERR_ARGUMENT;
    nnr_open_tensor(decoder, unit, tensor);
    return decoder->status;
}

int nnr_decoder_read_block_rows(nnr_decoder *decoder, const nnr_decoder *opened, int64_t first, int64_t count,
                                const int64_t *entry)
{
    const tensor_layout *layout;
    scan_walk walk;
    if (!decoder || !opened || !entry || opened->status != NNR_OK)
        return NNR_ERR_ARGUMENT;
    layout = &opened->layout;
    if (layout->side == 0 || layout->rows <= layout->side || first < 0 || count < 0 || first > block_rows(layout) ||
        count > block_rows(layout) - first || entry[0] < OFFSET_BITS ||
        entry[0] > 8 * opened->arithmetic.size || entry[1] < 0 || entry[1] > 255 || entry[2] < 0 ||
        entry[2] >= NNR_DQ_STATES)
        return NNR_ERR_ARGUMENT;
    if (decoder != opened) {
        memcpy(decoder->parameter, opened->parameter, sizeof decoder->parameter);
        decoder->layout = opened->layout;
    }
    decoder->status = NNR_OK;
    decoder->failed_at = 0;
    decoder->state = layout->dq ? (unsigned)entry[2] : 0;
    decoder_seek(&decoder->arithmetic, opened->arithmetic.data, opened->arithmetic.size, entry[0],
                 (uint64_t)entry[1]);
    memset(&walk, 0, sizeof walk);
    walk.row = first * layout->side;
    walk.last_row = smaller((first + count) * layout->side, layout->rows);
    nnr_decode_walk(decoder, &walk);
    if (decoder != opened)
        decoder->layout.rows = decoder->layout.side = 0; /* it stands open there alone */
    return decoder->status;
}

int nnr_decoder_entry(const nnr_decoder *decoder, int64_t *entry)
{
    if (!decoder || !entry)
        return NNR_ERR_ARGUMENT;
    put_entry(decoder, entry);
    return NNR_OK;
}

int nnr_decoder_reset_range(nnr_decoder *decoder)
{
    if (!decoder)
        return NNR_ERR_ARGUMENT;
    if (!reset_range(&decoder->arithmetic))
        fail_offset(decoder);
    return step_status(decoder);
}

int nnr_decoder_finish(nnr_decoder *decoder)
{
    if (!decoder)
        return NNR_ERR_ARGUMENT;
    finish_payload(decoder);
    return decoder->status;
}

void nnr_decoder_state(const nnr_decoder *decoder, int64_t *state)
{
    state[0] = (int64_t)(decoder->arithmetic.range >> OFFSET_SHIFT);
    state[1] = (int64_t)(decoder->arithmetic.value >> OFFSET_SHIFT);
    state[2] = bit_position(&decoder->arithmetic);
}

int nnr_decoder_estimators(const nnr_decoder *decoder, int64_t ctx, int64_t *estimators)
{
    int s0, s1;
    if (!decoder || !is_context(ctx) || !estimators)
        return NNR_ERR_ARGUMENT;
    nnr_model_estimators(&decoder->contexts[ctx], &s0, &s1);
    estimators[0] = s0;
    estimators[1] = s1;
    return NNR_OK;
}
