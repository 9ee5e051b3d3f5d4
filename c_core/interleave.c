/* interleave.c - decode_run of decode.c (decoding 6 to 8) once more, for two payloads at once.

   How it is derived. decode_run asks for one bin after the other, and what it asks next depends on the last bin: it
   is an automaton written as code. Here it is a table. A node is a place where a bin is read:

       sig  by state and neighbour class      0: the level is 0, on to the next sig    1: sign
       sign by state and neighbour class      either: the first bin of the unary part
       more by state, sign and bin number     0: the level is known, on to the next sig    1: the next bin, or escape

   and a transition says which level was completed, if any, and which node and context come next. So each step reads
   one bin, whatever it means, and stores a level at the place where the next one belongs; the place moves on if the
   level counts. No branch depends on the data but that for escape codes. A step is a chain of operations that wait
   for each other, and two tensors of different payloads, step by step in turn, fill each other's waits.

   A codebook ends unary parts early: its automaton completes levels where the limit is reached, and a codebook of one
   sign has no sign nodes on the way.

   Temporal and history contexts: what a position has of both is its kind, and there are sig nodes for each kind, and
   sign and more nodes for each size of base. The table leads to the sig of a position without; for each position of
   a run a number is prepared which, added to that transition, leads to the sig node of its kind and to its context.
   It is added where a level is completed: by bin 0 at a sig or more node.

   Block scans: levels are decoded into a place of their own, in scan order, and then put where they belong.

   The rest is decode.c's: units, starts of tensors, runs, escape codes, ends. Runs end where they end there, and there
   the position is checked, so that even a broken payload gives the same result. What is left to decode.c: codebooks
   with temporal or history contexts, skipped rows in block scans, very long unary parts. */
#include "interleave.h"

#include <string.h>

#include "decoder.h"
#include "dq.h"

enum {
    LEAST_POSITIONS = 256,        /* of a unit that is worth a lane */
    LEAST_AIDED_POSITIONS = 1024, /* of a tensor that is worth the large automaton */
    SIG_CONTEXT_NEIGHBOUR = (SIG_STRIDE - 1) << CONTEXT_SHIFT
};

/* A payload in work, and a run of one of its tensors. */
typedef struct {
    nnr_decoder *decoder;
    automaton *automaton;
    int32_t *place; /* RUN_LEVELS levels, if they are not decoded in place; then what the kinds of positions add */
    nnr_unit *unit;
    int64_t t;   /* number of the tensor in the unit */
    int is_open; /* the walk through it goes on */
    int is_aided;
    scan_walk walk;
    run run;
    int32_t *out, *end;
    transition next;
} lane;

typedef struct {
    nnr_unit *units;
    nnr_tensor *tensors;
    int64_t unit_count, tensor_count, next_unit;
} batch;

/* ---- the automaton -------------------------------------------------------------------------------------- */

static transition to(unsigned node, unsigned ctx, unsigned flags, uint32_t level)
{
    return (transition)level << LEVEL_SHIFT | (transition)(2 * node) << NODE_SHIFT | ctx << CONTEXT_SHIFT | flags;
}

static transition to_sig(unsigned state, unsigned neighbour, unsigned flags, int32_t level)
{
    return to(SIG_STRIDE * state + neighbour, sig_context(state, neighbour), flags, (uint32_t)level);
}

static transition complete(const automaton *a, unsigned state, unsigned negative, int32_t magnitude)
{
    const int dq = a->kind.dq;
    const int32_t level = dq ? 2 * magnitude - (int32_t)(state & 1) : magnitude;
    return to_sig(dq ? next_state(state, (unsigned)magnitude & 1) : 0, 2 - negative, HAS_LEVEL,
                  negative ? -level : level);
}

static unsigned more_node(const automaton *a, unsigned state, unsigned negative, unsigned base_size, unsigned j)
{
    return a->more_node + ((base_size * NNR_DQ_STATES + state) * 2 + negative) * (unsigned)a->kind.unary_length + j;
}

/* The magnitude is known to be above j. */
static transition to_more(const automaton *a, unsigned state, unsigned negative, unsigned base_size, unsigned j)
{
    const unsigned n = (unsigned)a->kind.unary_length;
    const unsigned ctx = base_size > 0 ? CTX_GREATER + 2 * n + 2 * j + (base_size < j) : CTX_GREATER + 2 * j + negative;
    if ((int64_t)j + 1 == a->kind.limit[negative])
        return complete(a, state, negative, (int32_t)j + 1);
    if (j == n)
        return to(0, 0, HAS_ESCAPE, 2 * state + negative);
    return to(more_node(a, state, negative, base_size, j), ctx, 0, 0);
}

static void build_unary(automaton *a, unsigned state, unsigned base_size)
{
    unsigned negative, j;
    for (negative = 0; negative < 2; negative++) {
        for (j = 0; j < (unsigned)a->kind.unary_length; j++) {
            transition *node = &a->nodes[2 * more_node(a, state, negative, base_size, j)];
            node[0] = complete(a, state, negative, (int32_t)j + 1);
            node[1] = to_more(a, state, negative, base_size, j + 1);
        }
    }
}

static void build_sign(automaton *a, unsigned node, unsigned state, unsigned base_size)
{
    a->nodes[2 * node] = to_more(a, state, 0, base_size, 0);
    a->nodes[2 * node + 1] = to_more(a, state, 1, base_size, 0);
}

/* Sizes of a temporal base that make a difference: to the bins of the unary part, and to the context of the
   significance whether it is above 1. */
static int32_t base_sizes(int unary_length)
{
    return unary_length > 2 ? unary_length : 2;
}

/* The sig nodes of a kind of position. */
static void build_sig(automaton *a, unsigned kind, unsigned state, unsigned base_size, unsigned base_positive)
{
    unsigned neighbour;
    for (neighbour = 0; neighbour < 3; neighbour++) {
        const unsigned number = SIG_STRIDE * state + neighbour;
        transition *node = &a->nodes[2 * (kind * SIG_NODES + number)];
        node[0] = to_sig(a->kind.dq ? next_state(state, 0) : 0, 0, HAS_LEVEL, 0);
        if (a->kind.limit[0] == 0 || a->kind.limit[1] == 0)
            node[1] = to_more(a, state, a->kind.limit[0] == 0, 0, 0);
        else if (base_size > 0)
            node[1] = to(a->base_sign_node + (base_size - 1) * NNR_DQ_STATES + state, CTX_SIGN_BASE + base_positive,
                         AT_SIGN, 0);
        else
            node[1] = to(a->sign_node + number, CTX_SIGN + neighbour, AT_SIGN, 0);
    }
}

static void build(automaton *a, const automaton_kind *kind)
{
    const unsigned states = kind->dq ? NNR_DQ_STATES : 1;
    const unsigned sizes = kind->aided ? (unsigned)base_sizes(kind->unary_length) : 0, bases = 1 + 2 * sizes;
    unsigned state, neighbour, history, base, size;

    a->kind = *kind;
    a->sign_node = (kind->aided ? 2 * bases : 1) * SIG_NODES;
    a->base_sign_node = a->sign_node + SIG_NODES;
    a->more_node = a->base_sign_node + NNR_DQ_STATES * sizes;
    for (state = 0; state < states; state++) {
        for (neighbour = 0; neighbour < 3; neighbour++) {
            const unsigned number = SIG_STRIDE * state + neighbour;
            a->start[number] = to_sig(state, neighbour, 0, 0);
            build_sign(a, a->sign_node + number, state, 0);
        }
        for (size = 0; size <= sizes; size++) {
            build_unary(a, state, size);
            if (size > 0)
                build_sign(a, a->base_sign_node + (size - 1) * NNR_DQ_STATES + state, state, size);
        }
        for (history = 0; history < (kind->aided ? 2u : 1u); history++)
            for (base = 0; base < bases; base++)
                build_sig(a, history * bases + base, state, (base + 1) / 2, base > 0 && base % 2 == 0);
    }
    for (history = 0; kind->aided && history < 2; history++) {
        for (base = 0; base < bases; base++) {
            const unsigned aid = history ? AID_HISTORY : base > 2 ? AID_LARGE_BASE : AID_SMALL_BASE;
            const unsigned there = base % 2 == 0 ? sizes + base / 2 : sizes - (base + 1) / 2;
            const uint32_t added = (2 * SIG_NODES * (history * bases + base)) << NODE_SHIFT |
                                   aided_sig_context(0, aid) << CONTEXT_SHIFT;
            a->aid[history][there] = history + base == 0 ? 0 : added - SIG_CONTEXT_NEIGHBOUR;
        }
    }
}

/* The transition to the sig of a position without aid, turned to that of a position to which `aid` belongs. The bits of
   the neighbour class are set first, if there is aid: it has them set too, and what was subtracted from it takes them
   away. */
NNR_INLINE transition with_aid(transition next, uint32_t aid)
{
    return (next | (aid & SIG_CONTEXT_NEIGHBOUR)) + aid;
}

/* ---- steps ------------------------------------------------------------------------------------------------ */

/* The escape code of a magnitude, as in decode_run. Returns the transition behind it. */
NNR_NOINLINE transition decode_escaped_level(lane *l, arithmetic_decoder *d, transition at, int32_t *out)
{
    nnr_decoder *decoder = l->decoder;
    const tensor_layout *layout = &decoder->layout;
    const unsigned dq = layout->dq != 0, negative = (unsigned)(at >> LEVEL_SHIFT) & 1;
    const unsigned state = (unsigned)(at >> LEVEL_SHIFT) >> 1;
    const int64_t limit = layout->limit[negative];
    int64_t magnitude = nnr_decode_escape(d, decoder->tables, &decoder->contexts[CTX_ESCAPE], layout->escape_count,
                                          layout->unary_length + 1, limit);
    int64_t level;
    if (magnitude > nnr_largest_magnitude(dq ? (int)(state & 1) : -1, (int)negative)) {
        nnr_decoder_fail(decoder, d, NNR_ERR_LEVEL);
        magnitude = 1;
    }
    if (magnitude > limit) {
        nnr_decoder_fail(decoder, d, NNR_ERR_CODEBOOK_INDEX);
        magnitude = 1;
    }
    level = dq ? 2 * magnitude - (int64_t)(state & 1) : magnitude;
    *out = (int32_t)(negative ? -level : level);
    refill(d);
    return l->automaton->start[SIG_STRIDE * (dq ? next_state(state, (unsigned)magnitude & 1) : 0) + 2 - negative];
}

/* One bin; decode_bin_mask of cabac.h with a transition at its end. Everything is addressed from `block`; `number`, of
   the lane, and `aided` are constants where this is called. */
NNR_INLINE void step(decoder_block *block, int number, lane *l, arithmetic_decoder *d, transition *next, int32_t **out,
                     int aided)
{
    context *ctx = &block->lane[number].contexts[(*next >> CONTEXT_SHIFT) & 0xfff];
    const uint64_t goes_on = 0 - (*next & AT_SIGN);
    const uint32_t aid = aided ? (uint32_t)(*out)[RUN_LEVELS + 1] & (uint32_t)~goes_on : 0;
    const uint64_t bin = decode_bin_mask(d, &block->tables, ctx);
    const transition taken = block->automaton[number].nodes[((uint32_t)*next >> NODE_SHIFT) - bin];
    **out = (int32_t)(taken >> LEVEL_SHIFT);
    *next = aided ? with_aid(taken, aid & (uint32_t)~bin) : taken;
    if (NNR_UNLIKELY(taken & HAS_ESCAPE)) {
        arithmetic_decoder cold = *d; /* only the copy has its address taken */
        *next = decode_escaped_level(l, &cold, taken, (*out)++);
        if (aided)
            *next = with_aid(*next, aid);
        *d = cold;
    }
    *out = (int32_t *)(void *)((char *)*out + (taken & HAS_LEVEL));
}

/* BINS_PER_REFILL bins of either lane, `groups` times. */
NNR_INLINE void run_both(decoder_block *block, lane *lanes, int64_t groups, int first_aided, int second_aided)
{
    arithmetic_decoder a = block->lane[0].arithmetic, b = block->lane[1].arithmetic;
    transition a_next = lanes[0].next, b_next = lanes[1].next;
    int32_t *a_out = lanes[0].out, *b_out = lanes[1].out;
    for (; groups > 0; groups--) {
        int i;
        refill(&a);
        refill(&b);
        for (i = 0; i < BINS_PER_REFILL; i++) {
            step(block, 0, &lanes[0], &a, &a_next, &a_out, first_aided);
            step(block, 1, &lanes[1], &b, &b_next, &b_out, second_aided);
        }
    }
    block->lane[0].arithmetic = a;
    block->lane[1].arithmetic = b;
    lanes[0].next = a_next;
    lanes[1].next = b_next;
    lanes[0].out = a_out;
    lanes[1].out = b_out;
}

NNR_NOINLINE void run_plain_plain(decoder_block *block, lane *lanes, int64_t groups)
{
    run_both(block, lanes, groups, 0, 0);
}

NNR_NOINLINE void run_plain_aided(decoder_block *block, lane *lanes, int64_t groups)
{
    run_both(block, lanes, groups, 0, 1);
}

NNR_NOINLINE void run_aided_plain(decoder_block *block, lane *lanes, int64_t groups)
{
    run_both(block, lanes, groups, 1, 0);
}

NNR_NOINLINE void run_aided_aided(decoder_block *block, lane *lanes, int64_t groups)
{
    run_both(block, lanes, groups, 1, 1);
}

/* What is left of a run. */
NNR_INLINE void run_out(decoder_block *block, int number, lane *l, int aided)
{
    arithmetic_decoder d = block->lane[number].arithmetic;
    transition next = l->next;
    int32_t *out = l->out;
    while (l->end - out >= BINS_PER_REFILL) {
        int64_t groups = (l->end - out) / BINS_PER_REFILL;
        for (; groups > 0; groups--) {
            int i;
            refill(&d);
            for (i = 0; i < BINS_PER_REFILL; i++)
                step(block, number, l, &d, &next, &out, aided);
        }
    }
    while (out < l->end) {
        refill(&d);
        step(block, number, l, &d, &next, &out, aided);
    }
    block->lane[number].arithmetic = d;
    l->next = next;
    l->out = out;
}

NNR_NOINLINE void run_out_plain(decoder_block *block, lane *l)
{
    if (l->decoder == &block->lane[0])
        run_out(block, 0, l, 0);
    else
        run_out(block, 1, l, 0);
}

NNR_NOINLINE void run_out_aided(decoder_block *block, lane *l)
{
    if (l->decoder == &block->lane[0])
        run_out(block, 0, l, 1);
    else
        run_out(block, 1, l, 1);
}

/* ---- runs ---------------------------------------------------------------------------------------------------- */

/* What the kinds of the run's positions add, in scan order; none behind the last. */
static void prepare_aids(lane *l)
{
    const tensor_layout *layout = &l->decoder->layout;
    const automaton *a = l->automaton;
    const run *r = &l->run;
    const int32_t most = base_sizes(layout->unary_length);
    int32_t *aid = l->place + RUN_LEVELS;
    int64_t left, row, col;
    for (left = 0; left < r->width; left += r->side) {
        const int64_t width = smaller(r->side, r->width - left);
        for (row = 0; row < r->height; row++) {
            const int64_t start = r->first + left + row * r->stride;
            const int32_t *base = layout->base ? layout->base + start : NULL;
            const uint8_t *history = layout->history ? layout->history + start : NULL;
            for (col = 0; col < width; col++) {
                int32_t level = base ? base[col] : 0;
                level = level < -most ? -most : level > most ? most : level;
                *aid++ = (int32_t)a->aid[history ? history[col] != 0 : 0][level + most];
            }
        }
    }
    *aid = 0;
}

/* Levels of a block scan to where they belong. */
static void put_in_place(const lane *l)
{
    const run *r = &l->run;
    const int32_t *from = l->place;
    int64_t left, row;
    for (left = 0; left < r->width; left += r->side) {
        const int64_t width = smaller(r->side, r->width - left);
        for (row = 0; row < r->height; row++, from += width)
            memcpy(l->decoder->layout.levels + r->first + left + row * r->stride, from, (size_t)width * sizeof *from);
    }
}

/* The next run of the tensor, if there is one. */
static int start_run(lane *l)
{
    nnr_decoder *decoder = l->decoder;
    if (decoder->status != NNR_OK || !nnr_next_run(decoder, &l->walk, &l->run))
        return 0;
    l->out = l->is_aided || decoder->layout.side > 0 ? l->place : decoder->layout.levels + l->run.first;
    l->end = l->out + l->run.height * l->run.width;
    l->next = l->automaton->start[SIG_STRIDE * decoder->state + decoder->neighbour];
    if (l->is_aided) {
        prepare_aids(l);
        l->next = with_aid(l->next, (uint32_t)l->place[RUN_LEVELS]);
    }
    return 1;
}

static void end_run(lane *l)
{
    nnr_decoder *decoder = l->decoder;
    const unsigned node = (unsigned)((uint32_t)l->next >> NODE_SHIFT) / 2;
    decoder->state = node / SIG_STRIDE;
    decoder->neighbour = node % SIG_STRIDE;
    nnr_check_truncation(decoder);
    if (l->is_aided || decoder->layout.side > 0)
        put_in_place(l);
    nnr_finish_run(decoder, &l->run);
}

static void finish_run_alone(decoder_block *block, lane *l)
{
    if (l->is_aided)
        run_out_aided(block, l);
    else
        run_out_plain(block, l);
    end_run(l);
}

/* ---- tensors, units --------------------------------------------------------------------------------------- */

/* Seen from outside; what is inside may still be another kind. */
static int seems_fit(const nnr_unit *unit, const nnr_tensor *tensor)
{
    const int64_t positions = tensor->rows * tensor->cols;
    const int has_codebook = unit->profile == 1 && tensor->codebook_size > 0;
    if (unit->profile == 1 && unit->temporal_context_modeling_flag)
        return tensor->cabac_unary_length <= LONGEST_AIDED_UNARY && !has_codebook && positions >= LEAST_AIDED_POSITIONS;
    return tensor->cabac_unary_length <= LONGEST_UNARY && positions >= LEAST_POSITIONS &&
           !(has_codebook && tensor->codebook_size == 1);
}

static int is_fit(const tensor_layout *layout)
{
    const int aided = layout->base || layout->history;
    if (layout->rows == 0 || layout->cols == 0 || nnr_codes_nothing(layout) || (layout->side > 0 && layout->skip))
        return 0;
    if (aided)
        return !layout->bounded && layout->unary_length <= LONGEST_AIDED_UNARY &&
               layout->rows * layout->cols >= LEAST_AIDED_POSITIONS;
    return layout->unary_length <= LONGEST_UNARY;
}

/* With a bit a weight and more, branches on bins of dependent quantization are guessed wrong so often that the
   automaton is faster alone, too. */
static int is_dense(const nnr_unit *unit, const nnr_tensor *tensors)
{
    int64_t t, positions = 0;
    for (t = unit->first_tensor; t < unit->first_tensor + unit->tensor_count; t++)
        positions += tensors[t].rows * tensors[t].cols;
    return unit->dq_flag && 8 * unit->payload_size >= positions;
}

int nnr_worth_interleaving(const nnr_unit *units, int64_t unit_count, const nnr_tensor *tensors,
                           int64_t tensor_count)
{
    int64_t u, t, found = 0;
    for (u = 0; u < unit_count && found < 2; u++) {
        const nnr_unit *unit = &units[u];
        int is_worth_a_lane = 0, are_sound = nnr_unit_is_sound(unit, tensor_count);
        for (t = unit->first_tensor; are_sound && t < unit->first_tensor + unit->tensor_count; t++) {
            are_sound = nnr_tensor_is_sound(unit, &tensors[t]);
            is_worth_a_lane |= are_sound && seems_fit(unit, &tensors[t]);
        }
        if (are_sound && is_worth_a_lane)
            found += is_dense(unit, tensors) ? 2 : 1;
    }
    return found >= 2;
}

/* Open the tensor whose start is decoded, if it is of a kind for a lane. */
static int open_lane(lane *l)
{
    const tensor_layout *layout = &l->decoder->layout;
    const automaton_kind *built = &l->automaton->kind;
    automaton_kind kind;
    if (l->decoder->status != NNR_OK || !is_fit(layout))
        return 0;
    kind.unary_length = layout->unary_length;
    kind.dq = layout->dq != 0;
    kind.aided = layout->base || layout->history;
    kind.limit[0] = layout->limit[0];
    kind.limit[1] = layout->limit[1];
    if (kind.unary_length != built->unary_length || kind.dq != built->dq || kind.aided != built->aided ||
        kind.limit[0] != built->limit[0] || kind.limit[1] != built->limit[1])
        build(l->automaton, &kind);
    l->is_aided = kind.aided;
    l->is_open = 1;
    return 1;
}

/* Go on with the batch until there is a run for this lane; tensors of other kinds are decoded on the way. Returns 0
   at the end of the batch. */
static int find_run(batch *b, lane *l)
{
    nnr_decoder *decoder = l->decoder;
    for (;;) {
        nnr_tensor *tensor;
        if (l->is_open) {
            if (start_run(l))
                return 1;
            l->is_open = 0;
            l->t += decoder->status == NNR_OK;
        }
        if (!l->unit) {
            if (b->next_unit == b->unit_count)
                return 0;
            l->unit = &b->units[b->next_unit++];
            l->t = 0;
            if (!nnr_begin_unit(decoder, l->unit, b->tensors, b->tensor_count)) {
                l->unit = NULL;
                continue;
            }
        }
        if (decoder->status != NNR_OK || l->t == l->unit->tensor_count) {
            nnr_end_unit(decoder, l->unit, b->tensors, l->t);
            l->unit = NULL;
            continue;
        }
        tensor = &b->tensors[l->unit->first_tensor + l->t];
        nnr_open_tensor(decoder, l->unit, tensor);
        nnr_start_walk(decoder, &l->walk, tensor);
        if (!open_lane(l)) {
            nnr_decode_walk(decoder, &l->walk);
            l->t += decoder->status == NNR_OK;
        }
    }
}

void nnr_decode_interleaved(nnr_decoder *decoder, nnr_unit *units, int64_t unit_count, nnr_tensor *tensors,
                            int64_t tensor_count)
{
    decoder_block *block = (decoder_block *)decoder; /* its first member */
    batch b = {units, tensors, unit_count, tensor_count, 0};
    lane lanes[2];
    int has_run[2], k;

    memset(lanes, 0, sizeof lanes);
    for (k = 0; k < 2; k++) {
        lanes[k].decoder = &block->lane[k];
        lanes[k].automaton = &block->automaton[k];
        lanes[k].place = block->place[k];
    }
    for (k = 0; k < 2; k++)
        has_run[k] = find_run(&b, &lanes[k]);
    while (has_run[0] && has_run[1]) {
        const int64_t groups =
            smaller(lanes[0].end - lanes[0].out, lanes[1].end - lanes[1].out) / BINS_PER_REFILL;
        if (lanes[0].is_aided)
            (lanes[1].is_aided ? run_aided_aided : run_aided_plain)(block, lanes, groups);
        else
            (lanes[1].is_aided ? run_plain_aided : run_plain_plain)(block, lanes, groups);
        for (k = 0; k < 2; k++) {
            lane *l = &lanes[k];
            if (l->decoder->status == NNR_OK && l->end - l->out >= BINS_PER_REFILL)
                continue;
            if (l->decoder->status == NNR_OK)
                finish_run_alone(block, l);
            else
                end_run(l);
            has_run[k] = find_run(&b, l);
        }
    }
    for (k = 0; k < 2; k++) {
        while (has_run[k]) { /* alone */
            finish_run_alone(block, &lanes[k]);
            if (!is_dense(lanes[k].unit, tensors))
                nnr_decode_walk(lanes[k].decoder, &lanes[k].walk);
            has_run[k] = find_run(&b, &lanes[k]);
        }
    }
}
