/* encode.c - (encoding 1 to 4) from the levels of tensors to the payload of a unit.

   The mirror of decode.c. Samples become tokens (tokenise.c), a few hundred at a time; tokens are priced
   (search.c) to choose context parameters and tools, and coded (cabac_encoder.h). Both are the same walk
   over the tensor, with another consumer at its end. */
#include <stdlib.h>
#include <string.h>

#include "cabac_encoder.h"
#include "dequantize.h"
#include "dq.h"
#include "layout.h"
#include "nnr_core.h"
#include "rate_nearest.h"
#include "rate_trellis.h"
#include "search.h"
#include "tokens.h"

/* Where a block row starts, to compute the decoder's offset register from once the code is complete. */
typedef struct {
    int64_t position; /* P */
    int64_t low;      /* the lowest ENTRY_BITS bits of the encoder's low */
    int64_t *entry;   /* receives position, offset, state */
} entry_mark;

enum {
    SAMPLED_POSITIONS = 1 << 12, /* that choose the first parameters of a trellis with rate */
    SAMPLE_PIECES = 16
};

enum {                          /* fast search for context parameters: */
    SEGMENT_POSITIONS = 1024,
    LEAST_SEARCHED = 1 << 15,   /* positions that are looked at, besides */
    SEARCHED_PART = 16,         /* this part of the tensor; */
    LEAST_BLOCK_ROWS = 3,       /* of a block scan */
    RECOVERY_POSITIONS = 200    /* that tell the state at the start of a segment */
};

enum { ENTRY_BITS = 17 }; /* nine that differ and a byte to spare; known exactly, since 25 bits are kept */

typedef enum { PRICE, CODE } consumer;

struct nnr_encoder {
    arithmetic_encoder arithmetic;
    int status;
    tokeniser tokeniser;
    int plainly; /* without the fast paths of binarization */
    int64_t waiting; /* positions whose tokens are waiting */
    consumer consumer;
    context contexts[CTX_COUNT];
    uint8_t parameter[CTX_COUNT];
    uint8_t trial_parameter[CTX_COUNT];
    /* memory that grows */
    uint8_t *zero_rows;
    int64_t zero_rows_capacity;
    uint8_t *bytes; /* payloads of the batch, each with lead bytes before it */
    int64_t bytes_used, bytes_capacity;
    rate_trellis *trellis; /* both made when they are needed */
    rate_nearest *nearest;
    entry_mark *marks;
    int64_t mark_count, mark_capacity;
    /* large members last */
    token tokens[TOKEN_ROOM];
    search search;
    model_tables tables;
};

static void fail(nnr_encoder *encoder, int status)
{
    if (encoder->status == NNR_OK)
        encoder->status = status;
}

/* ---- memory ---------------------------------------------------------------------------------------- */

/* Make room for `wanted` items of `size` bytes at *items. Returns 0 when there is no memory. */
static int reserve(void **items, int64_t *capacity, int64_t wanted, size_t size)
{
    void *grown;
    int64_t more;
    if (wanted <= *capacity)
        return 1;
    more = wanted + wanted / 2 + 64;
    if ((uint64_t)more > SIZE_MAX / 2 / size)
        return 0;
    grown = realloc(*items, (size_t)more * size);
    if (!grown)
        return 0;
    *items = grown;
    *capacity = more;
    return 1;
}

/* Room for `bits` more bits of code. The buffer may move. */
static int reserve_code(nnr_encoder *encoder, int64_t bits)
{
    void *bytes = encoder->bytes;
    const int64_t wanted = encoder->bytes_used + encoder->arithmetic.next + bits / 8 + 64;
    if (!reserve(&bytes, &encoder->bytes_capacity, wanted, 1)) {
        fail(encoder, NNR_ERR_MEMORY);
        return 0;
    }
    encoder->bytes = bytes;
    encoder->arithmetic.bytes = encoder->bytes + encoder->bytes_used;
    return 1;
}

/* ---- tokens to their consumer -------------------------------------------------------------------------- */

static void encode_tokens(nnr_encoder *encoder, const token *t, const token *end)
{
    arithmetic_encoder e;
    if (!reserve_code(encoder, 7 * (int64_t)(end - t)))
        return;
    e = encoder->arithmetic; /* a copy, so that it can live in registers */
    for (; end - t >= TOKENS_PER_FLUSH; t += TOKENS_PER_FLUSH) {
        encode_token(&e, &encoder->tables, encoder->contexts, t[0]);
        encode_token(&e, &encoder->tables, encoder->contexts, t[1]);
        encode_token(&e, &encoder->tables, encoder->contexts, t[2]);
        encode_token(&e, &encoder->tables, encoder->contexts, t[3]);
        encoder_flush(&e);
    }
    for (; t < end; t++)
        encode_token(&e, &encoder->tables, encoder->contexts, *t);
    encoder_flush(&e);
    encoder->arithmetic = e;
}

static void consume(nnr_encoder *encoder)
{
    if (encoder->consumer == PRICE)
        nnr_search_tokens(&encoder->search, encoder->tokens, encoder->tokeniser.next);
    else if (encoder->status == NNR_OK)
        encode_tokens(encoder, encoder->tokens, encoder->tokeniser.next);
    encoder->tokeniser.next = encoder->tokens;
    encoder->waiting = 0;
}

/* ---- (decoding 9) the walk over the samples ---------------------------------------------------------------- */

static void put_run(nnr_encoder *encoder, const tensor_layout *layout, const run *r)
{
    const int64_t count = r->height * r->width;
    if (encoder->waiting + count > RUN_POSITIONS)
        consume(encoder);
    encoder->waiting += count;
    if (encoder->plainly)
        nnr_tokenise_plainly(&encoder->tokeniser, layout, r);
    else
        nnr_tokenise_run(&encoder->tokeniser, layout, r);
}

/* (README D6) The segment of a skipped row: the state advances by the width of the matrix. */
static void put_skipped(nnr_encoder *encoder, const tensor_layout *layout)
{
    if (layout->dq)
        encoder->tokeniser.state = state_after_zeros(encoder->tokeniser.state, layout->cols);
}

static void put_stretch(nnr_encoder *encoder, const tensor_layout *layout, int64_t first, int64_t end)
{
    while (first < end) {
        const int64_t count = smaller(end - first, RUN_POSITIONS);
        const run r = {first, 1, count, count, count};
        put_run(encoder, layout, &r);
        first += count;
    }
}

static void put_row_major(nnr_encoder *encoder, const tensor_layout *layout)
{
    int64_t row = 0, first;
    while (row < layout->rows) {
        if (layout->skip && layout->skip[row]) {
            put_skipped(encoder, layout);
            row++;
            continue;
        }
        first = row * layout->cols;
        do
            row++;
        while (row < layout->rows && !(layout->skip && layout->skip[row]));
        put_stretch(encoder, layout, first, row * layout->cols);
    }
}

static void put_block_row(nnr_encoder *encoder, const tensor_layout *layout, int64_t top, int64_t height)
{
    int64_t left, row;
    for (left = 0; left < layout->cols; left += layout->side) {
        const int64_t width = smaller(layout->side, layout->cols - left);
        for (row = top; row < top + height; row++) {
            const run segment = {row * layout->cols + left, 1, width, layout->cols, width};
            if (layout->skip && layout->skip[row])
                put_skipped(encoder, layout);
            else
                put_run(encoder, layout, &segment);
        }
    }
}

/* (decoding 9.3) Remember the start of a block row. */
static void mark_entry(nnr_encoder *encoder, int64_t *entry)
{
    entry_mark *mark;
    void *marks = encoder->marks;
    if (!reserve(&marks, &encoder->mark_capacity, encoder->mark_count + 1, sizeof *mark)) {
        fail(encoder, NNR_ERR_MEMORY);
        return;
    }
    encoder->marks = marks;
    mark = &encoder->marks[encoder->mark_count++];
    mark->position = encoder_position(&encoder->arithmetic);
    mark->low = (int64_t)(encoder->arithmetic.low & (((uint64_t)1 << ENTRY_BITS) - 1));
    mark->entry = entry;
    entry[2] = encoder->tokeniser.state;
}

static void start_contexts(nnr_encoder *encoder, const tensor_layout *layout)
{
    int i;
    for (i = 0; i < context_end(layout); i++)
        encoder->contexts[i] = encoder->tables.initial[encoder->parameter[i]];
}

/* (decoding 9.2) What happens between two block rows, `top` being the first matrix row of the second. */
static void start_block_row(nnr_encoder *encoder, const tensor_layout *layout, int64_t top, int64_t *entries)
{
    consume(encoder);
    if (top > 0 && !encoder->tokeniser.doubled)
        encoder->tokeniser.neighbour = 0;
    if (encoder->consumer == PRICE) {
        if (top > 0)
            nnr_search_reset(&encoder->search);
        return;
    }
    if (entries)
        mark_entry(encoder, entries + 3 * (top / layout->side));
    if (top > 0)
        start_contexts(encoder, layout);
    if (layout->rows > layout->side || layout->legacy)
        encoder_reset_range(&encoder->arithmetic);
}

static void put_samples(nnr_encoder *encoder, const tensor_layout *layout, int doubled, int64_t *entries)
{
    int64_t top;
    nnr_tokenise_start(&encoder->tokeniser, layout, doubled);
    if (layout->rows == 0 || layout->cols == 0)
        return;
    if (layout->side == 0)
        put_row_major(encoder, layout);
    for (top = 0; layout->side > 0 && top < layout->rows; top += layout->side) {
        start_block_row(encoder, layout, top, entries);
        put_block_row(encoder, layout, top, smaller(layout->side, layout->rows - top));
    }
    consume(encoder);
    if (encoder->tokeniser.wrong_state)
        fail(encoder, NNR_ERR_STATE_PATH);
    if (encoder->tokeniser.wrong_index)
        fail(encoder, NNR_ERR_CODEBOOK_INDEX);
}

/* ---- choices ---------------------------------------------------------------------------------------------- */

/* Find the rows that are all zero; returns how many there are. */
static int64_t find_zero_rows(nnr_encoder *encoder, const tensor_layout *layout)
{
    void *rows = encoder->zero_rows;
    int64_t row, col, count = 0;
    if (!reserve(&rows, &encoder->zero_rows_capacity, layout->rows, 1)) {
        fail(encoder, NNR_ERR_MEMORY);
        return 0;
    }
    encoder->zero_rows = rows;
    for (row = 0; row < layout->rows; row++) {
        const int32_t *levels = layout->levels + row * layout->cols;
        for (col = 0; col < layout->cols && levels[col] == 0; col++)
            ;
        encoder->zero_rows[row] = col == layout->cols;
        count += col == layout->cols;
    }
    return count;
}

static void set_tools(tensor_layout *layout, const nnr_tensor *tensor, const uint8_t *skip, int hist_flag)
{
    layout->skip = skip;
    layout->hist_flag = hist_flag;
    layout->history = hist_flag ? pointer_of(tensor->history) : NULL;
}

/* (decoding 8) The state behind some levels, found from them: a level is odd where its state is, so a stretch of
   them rules out all but one of the states that it may have started in, nearly always. */
static unsigned state_behind(const int32_t *levels, int64_t count)
{
    unsigned state[NNR_DQ_STATES], start, possible = (1u << NNR_DQ_STATES) - 1, found = 0;
    int64_t i;
    for (start = 0; start < NNR_DQ_STATES; start++)
        state[start] = start;
    for (i = 0; i < count; i++) {
        const int32_t level = levels[i];
        const uint64_t size = level < 0 ? 0 - (uint64_t)level : (uint64_t)level;
        for (start = 0; start < NNR_DQ_STATES; start++) {
            const unsigned odd = state[start] & 1;
            possible &= ~((unsigned)(level != 0 && (size & 1) != odd) << start);
            state[start] = next_state(state[start], (unsigned)((size + odd) >> 1) & 1);
        }
    }
    for (start = 0; start < NNR_DQ_STATES; start++)
        if (possible >> start & 1)
            found = state[start];
    return found;
}

static unsigned state_before(const tensor_layout *layout, int64_t position)
{
    const int64_t count = smaller(position, RECOVERY_POSITIONS);
    return state_behind(layout->levels + position - count, count);
}

/* The same where a block row starts: behind the last blocks of the one above. */
static unsigned state_before_block_row(const tensor_layout *layout, int64_t top)
{
    const int64_t side = layout->side, wanted = 1 + RECOVERY_POSITIONS / (side * side);
    const int64_t across = (layout->cols + side - 1) / side;
    int32_t levels[2 * RECOVERY_POSITIONS];
    int64_t count = 0, left = side * (across > wanted ? across - wanted : 0), row, col;
    if (top == 0)
        return 0;
    for (; left < layout->cols; left += side) {
        for (row = top - side; row < top; row++) {
            for (col = left; col < smaller(left + side, layout->cols); col++) {
                if (count == 2 * RECOVERY_POSITIONS) { /* the later half of them is enough */
                    count = RECOVERY_POSITIONS;
                    memcpy(levels, levels + count, RECOVERY_POSITIONS * sizeof *levels);
                }
                levels[count++] = layout->levels[row * layout->cols + col];
            }
        }
    }
    return state_behind(levels, count);
}

/* Price segments of a large tensor in row-major order. The first one is its beginning. */
static void put_segments(nnr_encoder *encoder, const tensor_layout *layout, int64_t total, int64_t wanted)
{
    const int64_t count = wanted / SEGMENT_POSITIONS;
    int64_t number;
    nnr_tokenise_start(&encoder->tokeniser, layout, 0);
    for (number = 0; number < count; number++) {
        const int64_t first = total / count * number;
        if (number > 0) {
            encoder->tokeniser.neighbour = neighbour_class(layout->levels[first - 1]);
            encoder->tokeniser.state = layout->dq ? state_before(layout, first) : 0;
        }
        put_stretch(encoder, layout, first, first + SEGMENT_POSITIONS);
    }
    consume(encoder);
    nnr_search_scale(&encoder->search, total, count * SEGMENT_POSITIONS);
}

/* Price some block rows of a large tensor. */
static void put_some_block_rows(nnr_encoder *encoder, const tensor_layout *layout, int64_t total, int64_t wanted)
{
    const int64_t rows = block_rows(layout), needed = 1 + (wanted - 1) / (total / rows);
    const int64_t count = needed > LEAST_BLOCK_ROWS ? needed : LEAST_BLOCK_ROWS;
    int64_t number, priced = 0;
    if (2 * count > rows) {
        put_samples(encoder, layout, 0, NULL);
        return;
    }
    nnr_tokenise_start(&encoder->tokeniser, layout, 0);
    for (number = 0; number < count; number++) {
        const int64_t top = rows / count * number * layout->side;
        const int64_t height = smaller(layout->side, layout->rows - top);
        start_block_row(encoder, layout, top, NULL);
        encoder->tokeniser.state = layout->dq ? state_before_block_row(layout, top) : 0;
        put_block_row(encoder, layout, top, height);
        priced += height * layout->cols;
    }
    consume(encoder);
    nnr_search_scale(&encoder->search, total, priced);
}

/* Cost of the tensor as `layout` has it, unless `choice_only`; chosen parameters go to trial_parameter. */
static int64_t price_tensor(nnr_encoder *encoder, const tensor_layout *layout, int64_t param_opt, int may_sample,
                            int choice_only)
{
    const int64_t total = layout->rows * layout->cols, wanted = LEAST_SEARCHED + total / SEARCHED_PART;
    int64_t cost;
    encoder->consumer = PRICE;
    nnr_search_start(&encoder->search, layout, param_opt == NNR_PARAM_OPT_OFF ? 1 : NNR_PARAMETER_SETS,
                     param_opt == NNR_PARAM_OPT_FAST, choice_only);
    if (may_sample && param_opt == NNR_PARAM_OPT_FAST && !layout->skip && 2 * wanted < total)
        (layout->side > 0 ? put_some_block_rows : put_segments)(encoder, layout, total, wanted);
    else
        put_samples(encoder, layout, param_opt == NNR_PARAM_OPT_REFERENCE, NULL);
    cost = nnr_search_choose(&encoder->search, layout, param_opt != NNR_PARAM_OPT_REFERENCE,
                             encoder->trial_parameter);
    if (layout->skip)
        cost += nnr_search_price(&encoder->search, layout->skip, layout->rows);
    return cost;
}

/* Choose row skip, history and context parameters: of the combinations that are open, the cheapest. */
static void choose_tools(nnr_encoder *encoder, tensor_layout *layout, nnr_tensor *tensor, int64_t param_opt)
{
    const int flags = nnr_has_tool_flags(layout);
    const int64_t zero_rows = flags && tensor->row_skip_flag ? find_zero_rows(encoder, layout) : 0;
    const int can_skip = zero_rows > 0 && !(layout->dq && layout->side > 0 && layout->cols % 4 != 0);
    const int can_hist = flags && layout->parent && tensor->history;
    int skip_first = flags && (tensor->row_skip_flag == 1 || (tensor->row_skip_flag == 2 && can_skip));
    int skip_last = skip_first && tensor->row_skip_flag == 1;
    int hist_first = flags && layout->parent && (tensor->hist_flag == 1 || (tensor->hist_flag == 2 && can_hist));
    int hist_last = hist_first && tensor->hist_flag == 1;
    int skip, hist, best_skip = skip_first, best_hist = hist_first;
    const int is_single = skip_first == skip_last && hist_first == hist_last;
    int64_t least = INT64_MAX;

    memset(encoder->parameter, 0, sizeof encoder->parameter);
    if (param_opt != NNR_PARAM_OPT_OFF || !is_single) {
        for (skip = skip_first; skip >= skip_last; skip--) {
            for (hist = hist_first; hist >= hist_last; hist--) {
                int64_t cost;
                set_tools(layout, tensor, skip ? encoder->zero_rows : NULL, hist);
                cost = price_tensor(encoder, layout, param_opt, is_single, is_single);
                if (encoder->status != NNR_OK)
                    return;
                if (cost < least) {
                    least = cost;
                    best_skip = skip;
                    best_hist = hist;
                    memcpy(encoder->parameter, encoder->trial_parameter, sizeof encoder->parameter);
                }
            }
        }
    }
    set_tools(layout, tensor, best_skip ? encoder->zero_rows : NULL, best_hist);
    tensor->row_skip_flag = best_skip;
    tensor->hist_flag = best_hist;
}

/* ---- a tensor, a unit ---------------------------------------------------------------------------------------- */

static void put_row_skip_list(nnr_encoder *encoder, const tensor_layout *layout)
{
    int64_t row;
    for (row = 0; row < layout->rows; row++) {
        encoder->tokeniser.next = put_bin(encoder->tokeniser.next, CTX_SKIP, layout->skip[row]);
        if (row % RUN_POSITIONS == RUN_POSITIONS - 1)
            consume(encoder);
    }
}

static void put_parameters(nnr_encoder *encoder, const tensor_layout *layout)
{
    parameter_slot slots[CTX_COUNT];
    const int count = nnr_parameter_slots(layout, slots);
    token *next = encoder->tokeniser.next;
    int i;
    for (i = 0; i < count; i++) {
        const unsigned set = encoder->parameter[slots[i].ctx];
        if (slots[i].is_coded) {
            next = put_bin(next, CTX_SHIFT, set != 0);
            if (set != 0)
                next = put_bypass(next, set - 1, 3);
        }
    }
    encoder->tokeniser.next = next;
}

static void encode_tensor(nnr_encoder *encoder, const nnr_unit *unit, nnr_tensor *tensor)
{
    const int qp_bits = 6 + (int)tensor->qp_density;
    const int64_t qp_value = tensor->qp - tensor->base_qp;
    tensor_layout layout;

    nnr_layout_of(&layout, unit, tensor);
    tensor->bits_begin = encoder_position(&encoder->arithmetic);
    if (tensor->has_qp && (qp_value < -((int64_t)1 << (qp_bits - 1)) || qp_value >= (int64_t)1 << (qp_bits - 1))) {
        fail(encoder, NNR_ERR_QP);
        return;
    }
    choose_tools(encoder, &layout, tensor, unit->param_opt);
    if (encoder->status != NNR_OK)
        return;

    encoder->consumer = CODE;
    encoder->contexts[CTX_SHIFT] = encoder->contexts[CTX_SKIP] = encoder->tables.initial[0];
    encoder->tokeniser.next = encoder->tokens;
    if (tensor->has_qp)
        encoder->tokeniser.next =
            put_bypass(encoder->tokeniser.next, (uint64_t)qp_value & (((uint64_t)1 << qp_bits) - 1), qp_bits);
    if (nnr_has_tool_flags(&layout)) {
        if (layout.parent)
            encoder->tokeniser.next = put_bypass(encoder->tokeniser.next, (uint64_t)layout.hist_flag, 1);
        encoder->tokeniser.next = put_bypass(encoder->tokeniser.next, layout.skip != NULL, 1);
        if (layout.skip)
            put_row_skip_list(encoder, &layout);
    }
    put_parameters(encoder, &layout);
    consume(encoder);
    tensor->bits_samples = encoder_position(&encoder->arithmetic);
    if (tensor->skip_list && layout.rows > 0) {
        if (layout.skip)
            memcpy(pointer_of(tensor->skip_list), layout.skip, (size_t)layout.rows);
        else
            memset(pointer_of(tensor->skip_list), 0, (size_t)layout.rows);
    }
    start_contexts(encoder, &layout);
    put_samples(encoder, &layout, 0, pointer_of(tensor->entry_list));
}

/* (encoding 4) The decoder's offset register at P: the first P bits of the code less the encoder's low. Both
   are known to more bits than the nine by which they differ. */
static void resolve_entries(nnr_encoder *encoder)
{
    const arithmetic_encoder *e = &encoder->arithmetic;
    int64_t i;
    for (i = 0; i < encoder->mark_count; i++) {
        const entry_mark *mark = &encoder->marks[i];
        int64_t code = 0, bit;
        for (bit = mark->position + LEAD_BITS - ENTRY_BITS; bit < mark->position + LEAD_BITS; bit++)
            code = code << 1 | (e->bytes[bit >> 3] >> (7 - (bit & 7)) & 1);
        mark->entry[0] = mark->position;
        mark->entry[1] = (code - mark->low) & (((int64_t)1 << ENTRY_BITS) - 1);
    }
}

static void encode_unit(nnr_encoder *encoder, nnr_unit *unit, nnr_tensor *tensors)
{
    int64_t t = 0;
    arithmetic_encoder *e = &encoder->arithmetic;

    encoder->status = NNR_OK;
    encoder->mark_count = 0;
    encoder->tokeniser.next = encoder->tokens;
    encoder->waiting = 0;
    unit->payload = encoder->bytes_used + LEAD_BITS / 8; /* an offset, until the batch is complete */
    unit->payload_size = 0;
    unit->bits_consumed = 0;

    encoder_start(e, NULL);
    if (reserve_code(encoder, 0)) {
        for (t = 0; t < unit->tensor_count; t++) {
            if (!nnr_tensor_is_sound(unit, &tensors[t]))
                fail(encoder, NNR_ERR_ARGUMENT);
            else
                encode_tensor(encoder, unit, &tensors[t]);
            if (encoder->status != NNR_OK)
                break;
        }
    }
    if (encoder->status == NNR_OK && reserve_code(encoder, 64)) {
        const int64_t end = encoder_position(e);
        encoder_finish(e);
        resolve_entries(encoder);
        unit->bits_consumed = end;
        unit->payload_size = e->next - LEAD_BITS / 8;
        encoder->bytes_used += e->next;
    }
    unit->status = encoder->status;
    unit->failed_tensor = encoder->status == NNR_OK ? -1 : t;
}

static int encode_units(nnr_encoder *encoder, nnr_unit *units, int64_t unit_count, nnr_tensor *tensors,
                        int64_t tensor_count)
{
    int64_t u;
    if (!encoder || unit_count < 0 || tensor_count < 0 || (unit_count > 0 && !units) ||
        (tensor_count > 0 && !tensors))
        return NNR_ERR_ARGUMENT;
    encoder->bytes_used = 0;
    for (u = 0; u < unit_count; u++) {
        units[u].payload = units[u].payload_size = 0;
        if (nnr_unit_is_sound(&units[u], tensor_count) && units[u].param_opt >= NNR_PARAM_OPT_OFF &&
            units[u].param_opt <= NNR_PARAM_OPT_FAST) {
            encode_unit(encoder, &units[u], tensors + units[u].first_tensor);
        } else {
            units[u].status = NNR_ERR_ARGUMENT;
            units[u].bits_consumed = 0;
            units[u].failed_tensor = -1;
        }
    }
    for (u = 0; u < unit_count; u++)
        units[u].payload = units[u].status == NNR_OK ? (int64_t)(intptr_t)(encoder->bytes + units[u].payload) : 0;
    return NNR_OK;
}

int nnr_encode_units(nnr_encoder *encoder, nnr_unit *units, int64_t unit_count, nnr_tensor *tensors,
                     int64_t tensor_count)
{
    return encode_units(encoder, units, unit_count, tensors, tensor_count);
}

int nnr_encode_units_plainly(nnr_encoder *encoder, nnr_unit *units, int64_t unit_count, nnr_tensor *tensors,
                             int64_t tensor_count)
{
    int status;
    if (!encoder)
        return NNR_ERR_ARGUMENT;
    encoder->plainly = 1;
    status = encode_units(encoder, units, unit_count, tensors, tensor_count);
    encoder->plainly = 0;
    return status;
}

int nnr_price_tensor(nnr_encoder *encoder, const nnr_unit *unit, const nnr_tensor *tensor, int64_t *price)
{
    tensor_layout layout;
    if (!encoder || !unit || !tensor || !price || !nnr_unit_is_sound(unit, INT64_MAX) ||
        !nnr_tensor_is_sound(unit, tensor))
        return NNR_ERR_ARGUMENT;
    nnr_layout_of(&layout, unit, tensor);
    encoder->status = NNR_OK;
    encoder->tokeniser.next = encoder->tokens;
    encoder->waiting = 0;
    *price = price_tensor(encoder, &layout, NNR_PARAM_OPT_FAST, 1, 0);
    return encoder->status;
}

/* ---- quantization that minds the rate -------------------------------------------------------------------------- */

/* Parameters for contexts to start with: what suits the levels that mind the error alone. Of large tensors a
   few pieces are looked at, each as a tensor of one row. Those of `layout` are overwritten. */
static int sample_parameters(nnr_encoder *encoder, const tensor_layout *layout, const float *weights, float step)
{
    const int64_t total = layout->rows * layout->cols;
    const int64_t count = total <= SAMPLED_POSITIONS ? 1 : SAMPLE_PIECES;
    const int64_t length = total <= SAMPLED_POSITIONS ? total : SAMPLED_POSITIONS / SAMPLE_PIECES;
    int64_t number;

    encoder->status = NNR_OK;
    encoder->tokeniser.next = encoder->tokens;
    encoder->waiting = 0;
    encoder->consumer = PRICE;
    memset(encoder->trial_parameter, 0, sizeof encoder->trial_parameter);
    nnr_search_start(&encoder->search, layout, NNR_PARAMETER_SETS, 1, 0);
    for (number = 0; number < count; number++) {
        const int64_t first = total / count * number;
        tensor_layout piece = *layout;
        int status;
        piece.rows = 1;
        piece.cols = length;
        piece.side = 0;
        piece.levels += first;
        piece.base = layout->base ? layout->base + first : NULL;
        piece.history = layout->history ? layout->history + first : NULL;
        status = layout->dq ? nnr_quantize_trellis(weights + first, piece.levels, 1, length, 0, step)
                            : nnr_quantize_nearest(weights + first, piece.levels, length, step);
        if (status != NNR_OK)
            return status;
        put_samples(encoder, &piece, 0, NULL);
    }
    nnr_search_choose(&encoder->search, layout, 1, encoder->trial_parameter);
    return encoder->status;
}

/* Either quantizer needs a tensor that can be quantized, and a step. */
static int open_quantizer(nnr_encoder *encoder, const nnr_unit *unit, const nnr_tensor *tensor, double lambda_scale,
                          int dq, tensor_layout *layout)
{
    if (!encoder || !unit || !tensor || !nnr_unit_is_sound(unit, INT64_MAX) || (unit->dq_flag != 0) != dq ||
        !nnr_tensor_is_sound(unit, tensor) || !tensor->has_qp || !(lambda_scale >= 0.0 && lambda_scale <= 1e6))
        return NNR_ERR_ARGUMENT;
    nnr_layout_of(layout, unit, tensor);
    if (layout->bounded)
        return NNR_ERR_ARGUMENT;
    layout->step = nnr_step_size(tensor->qp, tensor->qp_density);
    set_tools(layout, tensor, NULL, layout->parent && nnr_has_tool_flags(layout) && tensor->hist_flag == 1);
    return NNR_OK;
}

int nnr_quantize_trellis_rate(nnr_encoder *encoder, const nnr_unit *unit, const nnr_tensor *tensor,
                              const float *weights, const float *importance, double lambda_scale)
{
    const double bit_price = lambda_scale * 0.32346868426128113; /* 4 * ln 2 / 6 * 0.7 */
    tensor_layout layout;
    int status = open_quantizer(encoder, unit, tensor, lambda_scale, 1, &layout);

    if (status != NNR_OK || layout.rows == 0 || layout.cols == 0)
        return status;
    if (lambda_scale == 0.0 && !importance)
        return nnr_quantize_trellis(weights, layout.levels, layout.rows, layout.cols, tensor->scan_order,
                                    layout.step);
    if (!encoder->trellis)
        encoder->trellis = nnr_rate_trellis_new();
    if (!encoder->trellis)
        return NNR_ERR_MEMORY;
    status = sample_parameters(encoder, &layout, weights, layout.step);
    if (status != NNR_OK)
        return status;
    return nnr_rate_trellis_run(encoder->trellis, &encoder->search.prices, &layout, encoder->trial_parameter,
                                weights, importance, (double)layout.step, bit_price);
}

int nnr_quantize_nearest_rate(nnr_encoder *encoder, const nnr_unit *unit, const nnr_tensor *tensor,
                              const float *weights, const float *importance, double lambda_scale)
{
    const double bit_price = lambda_scale * 0.11552453009332421; /* ln 2 / 6 */
    tensor_layout layout;
    int status = open_quantizer(encoder, unit, tensor, lambda_scale, 0, &layout);

    if (status != NNR_OK || layout.rows == 0 || layout.cols == 0)
        return status;
    if (lambda_scale == 0.0)
        return nnr_quantize_nearest(weights, layout.levels, layout.rows * layout.cols, layout.step);
    if (!encoder->nearest)
        encoder->nearest = nnr_rate_nearest_new();
    if (!encoder->nearest)
        return NNR_ERR_MEMORY;
    status = sample_parameters(encoder, &layout, weights, layout.step);
    if (status != NNR_OK)
        return status;
    return nnr_rate_nearest_run(encoder->nearest, &encoder->search.prices, &layout, encoder->trial_parameter,
                                weights, importance, (double)layout.step, bit_price);
}

nnr_encoder *nnr_encoder_new(void)
{
    nnr_encoder *encoder = calloc(1, sizeof *encoder);
    if (encoder) {
        nnr_model_build(&encoder->tables);
        nnr_price_model_build(&encoder->search.prices);
    }
    return encoder;
}

void nnr_encoder_free(nnr_encoder *encoder)
{
    if (encoder) {
        free(encoder->zero_rows);
        free(encoder->bytes);
        free(encoder->marks);
        nnr_rate_trellis_free(encoder->trellis);
        nnr_rate_nearest_free(encoder->nearest);
        free(encoder);
    }
}
