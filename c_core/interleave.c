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

   The rest is decode.c's: units, starts of tensors, skipped rows, escape codes, ends. Runs end where they end there,
   and there the position is checked, so that even a broken payload gives the same result. Tensors with temporal or
   history contexts, codebooks or block scans are left to decode.c. */
#include "interleave.h"

#include <string.h>

#include "decoder.h"
#include "dq.h"

enum { LEAST_POSITIONS = 256 }; /* of a unit that is worth a lane */

/* A payload in work, and a run of one of its tensors. */
typedef struct {
    nnr_decoder *decoder;
    nnr_unit *unit;
    int64_t t;   /* number of the tensor in the unit */
    int is_open; /* the walk through it goes on */
    row_major_walk walk;
    run run;
    int32_t *out, *end;
    transition next;
} lane;

typedef struct {
    nnr_unit *units;
    nnr_tensor *tensors;
    int64_t unit_count, tensor_count, next_unit;
    automaton *automaton;
} batch;

/* ---- the automaton -------------------------------------------------------------------------------------- */

static unsigned sig_node(unsigned dq, unsigned state, unsigned neighbour)
{
    return dq ? 3 * state + neighbour : UNIFORM + neighbour;
}

static unsigned more_node(unsigned unary_length, unsigned dq, unsigned state, unsigned negative, unsigned j)
{
    return MORE_NODE + ((dq ? 2 * state : 16u) + negative) * unary_length + j;
}

static transition to(unsigned node, unsigned ctx, unsigned flags, uint32_t level)
{
    return (transition)level << LEVEL_SHIFT | (transition)(2 * node) << NODE_SHIFT | ctx << CONTEXT_SHIFT | flags;
}

static transition to_sig(unsigned dq, unsigned state, unsigned neighbour, unsigned flags, int32_t level)
{
    return to(sig_node(dq, state, neighbour), CTX_SIG + 3 * state + neighbour, flags, (uint32_t)level);
}

static void build(automaton *a, int unary_length)
{
    const unsigned n = (unsigned)unary_length;
    unsigned dq, state, neighbour, negative, j;
    a->unary_length = unary_length;
    for (dq = 0; dq < 2; dq++) {
        for (state = 0; state < (dq ? (unsigned)NNR_DQ_STATES : 1u); state++) {
            for (neighbour = 0; neighbour < 3; neighbour++) {
                const unsigned node = sig_node(dq, state, neighbour);
                a->start[node] = to_sig(dq, state, neighbour, 0, 0);
                a->nodes[2 * node] = to_sig(dq, dq ? next_state(state, 0) : 0, 0, HAS_LEVEL, 0);
                a->nodes[2 * node + 1] = to(SIGN_NODE + node, CTX_SIGN + neighbour, 0, 0);
                for (negative = 0; negative < 2; negative++)
                    a->nodes[2 * (SIGN_NODE + node) + negative] =
                        to(more_node(n, dq, state, negative, 0), CTX_GREATER + negative, 0, 0);
            }
            for (negative = 0; negative < 2; negative++) {
                for (j = 0; j < n; j++) {
                    const int32_t magnitude = (int32_t)j + 1;
                    const int32_t level = dq ? 2 * magnitude - (int32_t)(state & 1) : magnitude;
                    const unsigned after = dq ? next_state(state, (unsigned)magnitude & 1) : 0;
                    transition *node = &a->nodes[2 * more_node(n, dq, state, negative, j)];
                    node[0] = to_sig(dq, after, 2 - negative, HAS_LEVEL, negative ? -level : level);
                    node[1] = j + 1 < n ? to(more_node(n, dq, state, negative, j + 1),
                                             CTX_GREATER + 2 * (j + 1) + negative, 0, 0)
                                        : to(0, 0, HAS_ESCAPE, 2 * state + negative);
                }
            }
        }
    }
}

/* ---- steps ------------------------------------------------------------------------------------------------ */

/* The escape code of a magnitude, as in decode_run. Returns the transition behind it. */
NNR_NOINLINE transition decode_escaped_level(lane *l, const automaton *a, arithmetic_decoder *d, transition at,
                                             int32_t *out)
{
    nnr_decoder *decoder = l->decoder;
    const tensor_layout *layout = &decoder->layout;
    const unsigned dq = layout->dq != 0, negative = (unsigned)(at >> LEVEL_SHIFT) & 1;
    const unsigned state = (unsigned)(at >> LEVEL_SHIFT) >> 1;
    int64_t magnitude = nnr_decode_escape(d, decoder->tables, &decoder->contexts[CTX_ESCAPE], layout->escape_count,
                                          layout->unary_length + 1, INT64_MAX);
    int64_t level;
    if (magnitude > nnr_largest_magnitude(dq ? (int)(state & 1) : -1, (int)negative)) {
        nnr_decoder_fail(decoder, d, NNR_ERR_LEVEL);
        magnitude = 1;
    }
    level = dq ? 2 * magnitude - (int64_t)(state & 1) : magnitude;
    *out = (int32_t)(negative ? -level : level);
    refill(d);
    return a->start[sig_node(dq, dq ? next_state(state, (unsigned)magnitude & 1) : 0, 2 - negative)];
}

/* One bin; decode_bin_mask of cabac.h with a transition at its end. Everything is addressed from `block`. */
NNR_INLINE void step(decoder_block *block, lane *l, context *contexts, arithmetic_decoder *d, transition *next,
                     int32_t **out)
{
    context *ctx = &contexts[(*next >> CONTEXT_SHIFT) & 0xfff];
    const uint64_t bin = decode_bin_mask(d, &block->tables, ctx);
    const transition taken = block->automaton.nodes[((uint32_t)*next >> NODE_SHIFT) - bin];
    **out = (int32_t)(taken >> LEVEL_SHIFT);
    *next = taken;
    if (NNR_UNLIKELY(taken & HAS_ESCAPE)) {
        arithmetic_decoder cold = *d; /* only the copy has its address taken */
        *next = decode_escaped_level(l, &block->automaton, &cold, taken, (*out)++);
        *d = cold;
    }
    *out = (int32_t *)(void *)((char *)*out + (taken & HAS_LEVEL));
}

/* BINS_PER_REFILL bins of either lane, `groups` times. */
NNR_NOINLINE void run_both(decoder_block *block, lane *a, lane *b, int64_t groups)
{
    arithmetic_decoder a_d = block->lane[0].arithmetic, b_d = block->lane[1].arithmetic;
    transition a_next = a->next, b_next = b->next;
    int32_t *a_out = a->out, *b_out = b->out;
    for (; groups > 0; groups--) {
        int i;
        refill(&a_d);
        refill(&b_d);
        for (i = 0; i < BINS_PER_REFILL; i++) {
            step(block, a, block->lane[0].contexts, &a_d, &a_next, &a_out);
            step(block, b, block->lane[1].contexts, &b_d, &b_next, &b_out);
        }
    }
    block->lane[0].arithmetic = a_d;
    block->lane[1].arithmetic = b_d;
    a->next = a_next;
    b->next = b_next;
    a->out = a_out;
    b->out = b_out;
}

/* What is left of a run. */
NNR_NOINLINE void run_out(decoder_block *block, lane *l)
{
    arithmetic_decoder d = l->decoder->arithmetic;
    transition next = l->next;
    int32_t *out = l->out;
    context *contexts = l->decoder->contexts;
    while (l->end - out >= BINS_PER_REFILL) {
        int64_t groups = (l->end - out) / BINS_PER_REFILL;
        for (; groups > 0; groups--) {
            int i;
            refill(&d);
            for (i = 0; i < BINS_PER_REFILL; i++)
                step(block, l, contexts, &d, &next, &out);
        }
    }
    while (out < l->end) {
        refill(&d);
        step(block, l, contexts, &d, &next, &out);
    }
    l->decoder->arithmetic = d;
    l->next = next;
    l->out = out;
}

/* ---- runs, tensors, units --------------------------------------------------------------------------------- */

/* Seen from outside; what is inside may still be another kind. */
static int seems_plain(const nnr_unit *unit, const nnr_tensor *tensor)
{
    return tensor->cabac_unary_length <= LONGEST_UNARY && !(unit->profile == 1 && tensor->codebook_size > 0) &&
           !(unit->profile == 1 && unit->temporal_context_modeling_flag) &&
           block_side(tensor->scan_order, tensor->rows, tensor->cols) == 0;
}

static int is_plain(const tensor_layout *layout)
{
    return layout->rows > 0 && layout->cols > 0 && !layout->base && !layout->history && !layout->bounded &&
           layout->side == 0 && layout->unary_length <= LONGEST_UNARY;
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
        int is_plain_and_large = 0, are_sound = nnr_unit_is_sound(unit, tensor_count);
        for (t = unit->first_tensor; are_sound && t < unit->first_tensor + unit->tensor_count; t++) {
            are_sound = nnr_tensor_is_sound(unit, &tensors[t]);
            is_plain_and_large |= are_sound && seems_plain(unit, &tensors[t]) &&
                                  tensors[t].rows * tensors[t].cols >= LEAST_POSITIONS;
        }
        if (are_sound && is_plain_and_large)
            found += is_dense(unit, tensors) ? 2 : 1;
    }
    return found >= 2;
}

/* The next run of the tensor, if there is one. */
static int start_run(lane *l, const automaton *a)
{
    nnr_decoder *decoder = l->decoder;
    if (decoder->status != NNR_OK || !nnr_next_run(decoder, &l->walk, &l->run))
        return 0;
    l->out = decoder->layout.levels + l->run.first;
    l->end = l->out + l->run.width;
    l->next = a->start[sig_node(decoder->layout.dq != 0, decoder->state, decoder->neighbour)];
    return 1;
}

static void end_run(lane *l)
{
    nnr_decoder *decoder = l->decoder;
    const unsigned node = (unsigned)((uint32_t)l->next >> NODE_SHIFT) / 2;
    decoder->state = node < UNIFORM ? node / 3 : 0;
    decoder->neighbour = node % 3;
    nnr_check_truncation(decoder);
    nnr_finish_run(decoder, &l->run);
}

/* The automaton has one unary length; it changes only when the other lane does without. */
static int has_unary_length(automaton *a, int unary_length, const lane *other)
{
    if (a->unary_length != unary_length && !other->is_open)
        build(a, unary_length);
    return a->unary_length == unary_length;
}

/* Go on with the batch until there is a run for this lane; tensors of other kinds are decoded on the way. Returns 0
   at the end of the batch. */
static int find_run(batch *b, lane *l, const lane *other)
{
    nnr_decoder *decoder = l->decoder;
    for (;;) {
        nnr_tensor *tensor;
        if (l->is_open) {
            if (start_run(l, b->automaton))
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
        if (decoder->status == NNR_OK && is_plain(&decoder->layout) &&
            has_unary_length(b->automaton, decoder->layout.unary_length, other)) {
            l->is_open = 1;
            l->walk.row = l->walk.next = l->walk.end = 0;
        } else {
            nnr_decode_opened(decoder, tensor);
            l->t += decoder->status == NNR_OK;
        }
    }
}

void nnr_decode_interleaved(nnr_decoder *decoder, nnr_unit *units, int64_t unit_count, nnr_tensor *tensors,
                            int64_t tensor_count)
{
    decoder_block *block = (decoder_block *)decoder; /* its first member */
    batch b = {units, tensors, unit_count, tensor_count, 0, &block->automaton};
    lane lanes[2];
    int has_run[2], k;

    memset(lanes, 0, sizeof lanes);
    for (k = 0; k < 2; k++)
        lanes[k].decoder = &block->lane[k];
    for (k = 0; k < 2; k++)
        has_run[k] = find_run(&b, &lanes[k], &lanes[1 - k]);
    while (has_run[0] && has_run[1]) {
        const int64_t groups =
            smaller(lanes[0].end - lanes[0].out, lanes[1].end - lanes[1].out) / BINS_PER_REFILL;
        run_both(block, &lanes[0], &lanes[1], groups);
        for (k = 0; k < 2; k++) {
            lane *l = &lanes[k];
            if (l->decoder->status == NNR_OK && l->end - l->out >= BINS_PER_REFILL)
                continue;
            if (l->decoder->status == NNR_OK)
                run_out(block, l);
            end_run(l);
            has_run[k] = find_run(&b, l, &lanes[1 - k]);
        }
    }
    for (k = 0; k < 2; k++) {
        while (has_run[k]) { /* alone */
            run_out(block, &lanes[k]);
            end_run(&lanes[k]);
            if (!is_dense(lanes[k].unit, tensors))
                nnr_decode_walk(lanes[k].decoder, &lanes[k].walk);
            has_run[k] = find_run(&b, &lanes[k], &lanes[1 - k]);
        }
    }
}
