/* rate_trellis.c - (encoding 5.4) dependent quantization by the Viterbi algorithm, distortion and rate.

   What a transition costs has two parts. One depends on the weight alone: squared error and the price of the
   magnitude. The other depends on the state before and on the context of significance and sign: of the neighbour
   classes only two are possible behind a weight, zero or the sign of that weight, the same for all paths. So a
   mask of eight lanes says which of two rows of prices a path takes, and no path carries contexts of its own.

   Contexts adapt: every BLOCK weights the best path so far is followed back through the block, its bins update one
   set of virtual contexts, and the price rows are made anew. */
#include "rate_trellis.h"

#include <stdlib.h>
#include <string.h>

#include "dq.h"
#include "quad.h"
#include "rate_model.h"
#include "scan.h"
#include "trellis.h"
#include "trellis_loops.h"

enum {
    BLOCK = REPLAY_LEVELS,
    KEPT_DECISIONS = 1 << 20,
    LOWEST = 128 /* weights whose lowest candidate is below have their prices in a table */
};

/* Prices of significance and sign from each state, in the order of the path costs below. */
typedef struct {
    float zero[8]; /* index 0 */
    float some[8]; /* any other, its sign included */
} price_row;

/* Order of lanes: even states, then odd states so that the predecessors by parity 0 of 4..7 are in order. */
static const uint8_t LANE_STATE[8] = {0, 2, 4, 6, 7, 5, 3, 1};

static const uint8_t BY_NUMBER[8] = {0, 1, 2, 3, 4, 5, 6, 7};

typedef struct {
    quad even, odd;
    quad_mask even_zero, odd_zero; /* the last index of the path is 0 */
} paths;

/* One weight of a block, to the inner loop. */
typedef struct {
    float zero, class0, class1, class2, class3;
    uint8_t behind_zero, behind_other; /* situation by what the path did before */
} weight_costs;

struct rate_trellis {
    rate_model model;
    price_row rows[SITUATIONS];
    float magnitude_cost[2][LOWEST][4]; /* by sign, lowest candidate and class */
    weight_costs costs[BLOCK];
    paths path;
    unsigned last_sign; /* class of the sign of the weight before, were it not zero; 0 at a start */
    unsigned last_zero; /* by state: the last index of the path is 0 */
    rate_piece piece;
    int32_t lowest[PIECE_POSITIONS]; /* lowest candidates */
    uint8_t trace[PIECE_POSITIONS];  /* of the way back */
    way_back ways[256];              /* by parities */
    way_back zeros[256];             /* BACK_ZERO by index zero */
    /* two bytes of decisions a weight: parity, and index zero, by which each state is reached */
    uint8_t (*decisions)[2];
    int64_t decision_capacity;
};

/* Of a step back, besides trellis_loops.h: the index is zero. */
enum { BACK_ZERO = 0x80 };

rate_trellis *nnr_rate_trellis_new(void)
{
    rate_trellis *t = calloc(1, sizeof(rate_trellis));
    unsigned decision, state;
    if (!t)
        return NULL;
    nnr_list_ways_back(BY_NUMBER, 1, t->ways);
    for (decision = 0; decision < 256; decision++)
        for (state = 0; state < 8; state++)
            t->zeros[decision] |= (way_back)(decision >> state & 1 ? BACK_ZERO : 0) << (8 * state);
    return t;
}

void nnr_rate_trellis_free(rate_trellis *t)
{
    if (t) {
        free(t->decisions);
        free(t);
    }
}

/* ---- prices ------------------------------------------------------------------------------------------ */

/* Costs of the four candidates of weights without a temporal base, up to the largest that a block has. */
NNR_NOINLINE void tabulate_magnitudes(rate_trellis *t, int32_t largest)
{
    const int n = t->model.layout->unary_length;
    unsigned negative;
    for (negative = 0; negative < 2; negative++) {
        float cost[(LOWEST + 4) / 2 + 1]; /* by index */
        uint32_t ones = 0;
        int32_t index, lowest, k;
        for (index = 1; index <= (largest + 4) >> 1; index++) {
            if (index <= n) {
                const int ctx = CTX_GREATER + 2 * (index - 1) + (int)negative;
                cost[index] = t->model.unit * (float)(ones + bin_price(&t->model, ctx, 0));
                ones += bin_price(&t->model, ctx, 1);
            } else {
                cost[index] = t->model.unit * (float)(ones + nnr_rate_escape_price(&t->model, index - n - 1));
            }
        }
        for (lowest = 1; lowest <= largest; lowest++)
            for (k = lowest; k < lowest + 4; k++)
                t->magnitude_cost[negative][lowest][k & 3] = cost[(k + 1) >> 1];
    }
}

NNR_NOINLINE void tabulate_rows(rate_trellis *t)
{
    const unsigned count = situation_end(t->model.layout);
    unsigned situation, lane;
    for (situation = 0; situation < count; situation++) {
        price_row *row = &t->rows[situation];
        const situation_bins *bins = &t->model.bins[situation];
        const uint32_t sign_price = bin_price(&t->model, bins->sign, situation & 1);
        for (lane = 0; lane < 8; lane++) {
            const int ctx = bins->sig + SIG_STRIDE * LANE_STATE[lane];
            row->zero[lane] = t->model.unit * (float)bin_price(&t->model, ctx, 0);
            row->some[lane] = t->model.unit * (float)(bin_price(&t->model, ctx, 1) + sign_price);
        }
    }
}

/* ---- a block --------------------------------------------------------------------------------------------- */

/* Squared errors of the four classes. */
typedef struct {
    float zero[BLOCK], by_class[4][BLOCK];
} block_errors;

NNR_NOINLINE void measure_errors(const double *size, const float *importance, int64_t count, int32_t *lowest_of,
                                 block_errors *e)
{
    int64_t i;
    for (i = 0; i < count; i++) {
        const double x = size[i], factor = (double)importance[i];
        const int32_t lowest = lowest_candidate(x);
        lowest_of[i] = lowest;
        e->zero[i] = (float)(factor * (x * x));
        e->by_class[0][i] = (float)(factor * squared_error(x, candidate(lowest, 0)));
        e->by_class[1][i] = (float)(factor * squared_error(x, candidate(lowest, 1)));
        e->by_class[2][i] = (float)(factor * squared_error(x, candidate(lowest, 2)));
        e->by_class[3][i] = (float)(factor * squared_error(x, candidate(lowest, 3)));
    }
}

NNR_NOINLINE void measure_block(rate_trellis *t, int64_t first, int64_t count)
{
    block_errors e;
    int32_t largest = 1, n;
    int64_t i;
    measure_errors(t->piece.size + first, t->piece.importance + first, count, t->lowest + first, &e);
    for (i = 0; i < count; i++)
        largest = t->lowest[first + i] > largest ? t->lowest[first + i] : largest;
    tabulate_magnitudes(t, largest < LOWEST ? largest : LOWEST - 1);
    tabulate_rows(t);
    for (i = 0; i < count; i++) {
        const int64_t p = first + i;
        const unsigned negative = t->piece.negative[p];
        const int32_t lowest = t->lowest[p], base = t->piece.base[p];
        weight_costs *w = &t->costs[i];
        float far[4];
        const float *cost = far;
        if (NNR_LIKELY(lowest < LOWEST && base == 0))
            cost = t->magnitude_cost[negative][lowest];
        else
            for (n = lowest; n < lowest + 4; n++)
                far[n & 3] = t->model.unit * (float)nnr_rate_magnitude_price(&t->model, (n + 1) >> 1, negative, base);
        w->zero = e.zero[i];
        w->class0 = e.by_class[0][i] + cost[0];
        w->class1 = e.by_class[1][i] + cost[1];
        w->class2 = e.by_class[2][i] + cost[2];
        w->class3 = e.by_class[3][i] + cost[3];
        w->behind_zero = (uint8_t)situation_of(0, negative, base, t->piece.history[p]);
        w->behind_other = (uint8_t)situation_of(t->last_sign, negative, base, t->piece.history[p]);
        t->last_sign = 2 - negative;
    }
}

/* Add, compare, select; see trellis.c for the order of states. */
NNR_NOINLINE void extend_paths(rate_trellis *t, int64_t count, uint8_t (*decisions)[2])
{
    paths path = t->path;
    int64_t i;
    for (i = 0; i < count; i++) {
        const weight_costs *w = &t->costs[i];
        const price_row *a = &t->rows[w->behind_zero], *b = &t->rows[w->behind_other];
        const quad even_some =
            quad_add(path.even, quad_select(path.even_zero, quad_load(a->some), quad_load(b->some)));
        const quad even_zero =
            quad_add(path.even, quad_select(path.even_zero, quad_load(a->zero), quad_load(b->zero)));
        const quad odd_some =
            quad_add(path.odd, quad_select(path.odd_zero, quad_load(a->some + 4), quad_load(b->some + 4)));
        const quad odd_zero =
            quad_add(path.odd, quad_select(path.odd_zero, quad_load(a->zero + 4), quad_load(b->zero + 4)));

        const quad even_none = quad_add(even_zero, quad_all(w->zero));
        const quad odd_none = quad_add(odd_zero, quad_all(w->zero));
        const quad even_class = quad_add(even_some, quad_all(w->class0));
        const quad odd_class = quad_add(odd_some, quad_all(w->class3));
        const quad_mask even_is_none = quad_less(even_none, even_class);
        const quad_mask odd_is_none = quad_less(odd_none, odd_class);
        const quad low0 = quad_min(even_none, even_class); /* to states 0..3 by parity 0 */
        const quad high0 = quad_min(odd_none, odd_class);  /* to states 4..7 by parity 0 */
        const quad low1 = quad_halves_swapped(quad_add(even_some, quad_all(w->class2)));
        const quad high1 = quad_halves_swapped(quad_add(odd_some, quad_all(w->class1)));

        const quad_mask low_parity = quad_less(low1, low0), high_parity = quad_less(high1, high0);
        const quad low = quad_min(low0, low1), high = quad_min(high0, high1);
        const quad_mask low_zero = mask_and_not(even_is_none, low_parity);
        const quad_mask high_zero = mask_and_not(odd_is_none, high_parity);
        decisions[i][0] = (uint8_t)(mask_bits(low_parity) | mask_bits(high_parity) << 4);
        decisions[i][1] = (uint8_t)(mask_bits(low_zero) | mask_bits(high_zero) << 4);
        path.even = quad_evens(low, high);
        path.odd = quad_odds(high, low);
        path.even_zero = mask_evens(low_zero, high_zero);
        path.odd_zero = mask_odds(high_zero, low_zero);
    }
    t->path = path;
}

/* The cheapest state, whose cost becomes 0. */
static unsigned settle(rate_trellis *t)
{
    float cost[8];
    unsigned lane, best = 0;
    quad_store(cost, t->path.even);
    quad_store(cost + 4, t->path.odd);
    for (lane = 1; lane < 8; lane++)
        if (cost[lane] < cost[best])
            best = lane;
    t->path.even = quad_add(t->path.even, quad_all(-cost[best]));
    t->path.odd = quad_add(t->path.odd, quad_all(-cost[best]));
    return LANE_STATE[best];
}

/* From the state behind some weights to the one before them, both times 8; levels without sign. */
NNR_NOINLINE unsigned trace_back(rate_trellis *t, unsigned state8, uint8_t (*decisions)[2], int64_t first,
                                 int64_t count)
{
    const int32_t *lowest = t->lowest + first;
    uint8_t *trace = t->trace + first;
    int32_t *level = t->piece.level + first;
    unsigned back = state8;
    int64_t i;
    for (i = count - 1; i >= 0; i--) {
        const way_back way = t->ways[decisions[i][0]] | t->zeros[decisions[i][1]];
        back = (unsigned)(way >> (back & 63)) & 0xff;
        trace[i] = (uint8_t)back;
    }
    for (i = 0; i < count; i++) {
        const int32_t odd = 0 - ((trace[i] & BACK_ODD) != 0), parity = 0 - ((trace[i] & BACK_PARITY) != 0);
        const int32_t zero = (trace[i] & BACK_ZERO) != 0;
        level[i] = candidate(lowest[i], (3 & odd) ^ (2 & parity)) & (zero - 1);
    }
    return back & BACK_STATE;
}

/* Let the contexts see the best path of a block. */
NNR_NOINLINE void replay(rate_trellis *t, int64_t first, int64_t count, unsigned zero_before)
{
    const rate_piece *piece = &t->piece;
    int64_t i;
    for (i = 0; i < count; i++) {
        const int64_t p = first + i;
        const int32_t index = (piece->level[p] + 1) >> 1;
        const situation_bins *bins =
            &t->model.bins[zero_before ? t->costs[i].behind_zero : t->costs[i].behind_other];
        const int state = t->trace[p] >> 3 & 7;
        note_level(&t->model, bins->sig + SIG_STRIDE * state, bins->sign, index, piece->negative[p], piece->base[p]);
        zero_before = index == 0;
    }
    nnr_rate_adapt(&t->model);
}

/* ---- pieces ------------------------------------------------------------------------------------------------ */

/* (decoding 9.2) Start of the tensor or of a block row: initial contexts, neighbour zero on every path. */
static void start_contexts(rate_trellis *t)
{
    nnr_rate_model_reset(&t->model);
    t->path.even_zero = t->path.odd_zero = mask_all();
    t->last_zero = 0xff;
    t->last_sign = 0;
}

static void run_piece(rate_trellis *t, int64_t count, uint8_t (*decisions)[2])
{
    int64_t first;
    for (first = 0; first < count; first += BLOCK) {
        const int64_t length = smaller(BLOCK, count - first);
        unsigned state8;
        measure_block(t, first, length);
        extend_paths(t, length, decisions + first);
        state8 = trace_back(t, 8 * settle(t), decisions + first, first, length);
        replay(t, first, length, t->last_zero >> (state8 >> 3) & 1);
        t->last_zero = decisions[first + length - 1][1];
    }
}

/* The memory of a large tensor is not kept for the next one. */
static void release_decisions(rate_trellis *t, int64_t kept)
{
    if (t->decision_capacity > kept) {
        free(t->decisions);
        t->decisions = NULL;
        t->decision_capacity = 0;
    }
}

static int reserve_decisions(rate_trellis *t, int64_t count)
{
    if (count > t->decision_capacity) {
        release_decisions(t, 0);
        t->decisions = (uint64_t)count <= SIZE_MAX / 2 ? malloc(2 * (size_t)count) : NULL;
        if (!t->decisions)
            return 0;
        t->decision_capacity = count;
    }
    return 1;
}

int nnr_rate_trellis_run(rate_trellis *t, const price_model *prices, const tensor_layout *layout,
                         const uint8_t *parameter, const float *weights, const float *importance, double step,
                         double bit_price)
{
    const scan_pieces scan = scan_pieces_of(layout->rows, layout->cols, layout->side);
    static const float START[8] = {0.0f, 1e30f, 1e30f, 1e30f, 1e30f, 1e30f, 1e30f, 1e30f};
    uint8_t (*end)[2];
    int64_t number;
    unsigned state;

    if (!reserve_decisions(t, layout->rows * layout->cols))
        return NNR_ERR_MEMORY;
    nnr_rate_model_start(&t->model, prices, layout, parameter, bit_price);
    t->path.even = quad_load(START);
    t->path.odd = quad_load(START + 4);
    start_contexts(t);
    end = t->decisions;
    for (number = 0; number < scan.count; number++) {
        const run r = scan_piece(&scan, number);
        const int64_t count = r.height * r.width;
        if (!nnr_trellis_sizes(weights, &r, step, t->piece.size)) {
            release_decisions(t, KEPT_DECISIONS);
            return NNR_ERR_LEVEL;
        }
        nnr_rate_load_piece(&t->piece, layout, weights, importance, &r);
        if (scan.across > 0 && number % scan.across == 0)
            start_contexts(t);
        run_piece(t, count, end);
        nnr_trellis_copy(layout->levels, &r, t->lowest, 1); /* they wait where the levels will be */
        end += count;
    }
    state = 8 * settle(t);
    for (number = scan.count - 1; number >= 0; number--) {
        const run r = scan_piece(&scan, number);
        const int64_t count = r.height * r.width;
        end -= count;
        nnr_trellis_copy(layout->levels, &r, t->lowest, 0);
        state = trace_back(t, state, end, 0, count);
        nnr_trellis_store(weights, &r, t->piece.level, layout->levels);
    }
    release_decisions(t, KEPT_DECISIONS);
    return NNR_OK;
}
