/* rate_nearest.c - (encoding 5.3) uniform quantization, distortion and rate.

   Candidates of a weight are its two neighbours on the grid and zero. The sign is that of the weight, so a level
   matters to the next one only by being zero or not: which of the two neighbours is better can be decided at once,
   and what is left is a trellis of two states.

   Contexts adapt: levels are decided BLOCK weights at a time, with a look at the AHEAD weights behind them; then
   their bins update the contexts, and prices are read anew. No memory grows with the tensor. */
#include "rate_nearest.h"

#include <stdlib.h>

#include "rate_model.h"
#include "trellis.h"

enum {
    BLOCK = REPLAY_LEVELS,
    AHEAD = 8,
    LISTED = 128 /* sizes below have their prices in a table */
};

/* Decisions of a weight: the state before, if the level is zero, and if it is not. */
enum { SOME_BEFORE_ZERO = 1, SOME_BEFORE_SOME = 2 };

struct rate_nearest {
    rate_model model;
    rate_piece piece;
    float magnitude_cost[2][LISTED + 1];        /* by sign and size; size 0 costs too much */
    float zero_cost[SITUATIONS], some_cost[SITUATIONS];
    unsigned last_sign; /* class of the sign of the weight before the block, were it not zero; 0 at a start */
    int last_some;      /* the level before the block is not zero */
    /* the block in work */
    float behind_zero[BLOCK + AHEAD][2];  /* cost of zero, and of the better neighbour, behind a zero */
    float behind_some[BLOCK + AHEAD][2];  /* the same behind another level */
    int32_t nearest[BLOCK + AHEAD];       /* the better neighbour */
    uint8_t situation[BLOCK + AHEAD][2];  /* by SOME_BEFORE */
    uint8_t decision[BLOCK + AHEAD];
};

rate_nearest *nnr_rate_nearest_new(void)
{
    return calloc(1, sizeof(rate_nearest));
}

void nnr_rate_nearest_free(rate_nearest *q)
{
    free(q);
}

static void tabulate_magnitudes(rate_nearest *q, int32_t largest)
{
    const int n = q->model.layout->unary_length;
    unsigned negative;
    for (negative = 0; negative < 2; negative++) {
        float *cost = q->magnitude_cost[negative];
        uint32_t ones = 0;
        int32_t size;
        cost[0] = 1e30f;
        for (size = 1; size <= largest + 1; size++) {
            if (size <= n) {
                const int ctx = CTX_GREATER + 2 * (size - 1) + (int)negative;
                cost[size] = q->model.unit * (float)(ones + bin_price(&q->model, ctx, 0));
                ones += bin_price(&q->model, ctx, 1);
            } else {
                cost[size] = q->model.unit * (float)(ones + nnr_rate_escape_price(&q->model, size - n - 1));
            }
        }
    }
}

static void tabulate_situations(rate_nearest *q)
{
    const unsigned count = situation_end(q->model.layout);
    unsigned situation;
    for (situation = 0; situation < count; situation++) {
        const situation_bins *bins = &q->model.bins[situation];
        q->zero_cost[situation] = q->model.unit * (float)bin_price(&q->model, bins->sig, 0);
        q->some_cost[situation] =
            q->model.unit * (float)(bin_price(&q->model, bins->sig, 1) +
                                                  bin_price(&q->model, bins->sign, situation & 1));
    }
}

/* Squared errors of the neighbours and of zero. */
typedef struct {
    int32_t below[BLOCK + AHEAD];
    float zero[BLOCK + AHEAD], lower[BLOCK + AHEAD], upper[BLOCK + AHEAD];
} block_errors;

NNR_NOINLINE void measure_errors(const double *size, const float *importance, int64_t count, block_errors *e)
{
    int64_t i;
    for (i = 0; i < count; i++) {
        const double x = size[i], factor = (double)importance[i];
        const int32_t below = (int32_t)x;
        e->below[i] = below;
        e->zero[i] = (float)(factor * (x * x));
        e->lower[i] = (float)(factor * squared_error(x, below));
        e->upper[i] = (float)(factor * squared_error(x, below + 1));
    }
}

NNR_NOINLINE void measure_block(rate_nearest *q, int64_t first, int64_t count)
{
    const rate_piece *piece = &q->piece;
    block_errors e;
    int32_t largest = 0;
    unsigned last_sign = q->last_sign;
    int64_t i;
    measure_errors(piece->size + first, piece->importance + first, count, &e);
    for (i = 0; i < count; i++)
        largest = e.below[i] > largest ? e.below[i] : largest;
    tabulate_magnitudes(q, largest < LISTED ? largest : LISTED - 1);
    tabulate_situations(q);
    for (i = 0; i < count; i++) {
        const unsigned negative = piece->negative[first + i], history = piece->history[first + i];
        const int32_t below = e.below[i], base = piece->base[first + i];
        const unsigned a = situation_of(0, negative, base, history);
        const unsigned b = situation_of(last_sign, negative, base, history);
        float lower, upper, some;
        if (NNR_LIKELY(below < LISTED && base == 0)) {
            lower = e.lower[i] + q->magnitude_cost[negative][below];
            upper = e.upper[i] + q->magnitude_cost[negative][below + 1];
        } else {
            const uint32_t price = nnr_rate_magnitude_price(&q->model, below + 1, negative, base);
            upper = e.upper[i] + q->model.unit * (float)price;
            lower = 1e30f;
            if (below > 0)
                lower = e.lower[i] +
                        q->model.unit * (float)nnr_rate_magnitude_price(&q->model, below, negative, base);
        }
        q->nearest[i] = below + (upper < lower);
        some = upper < lower ? upper : lower;
        q->behind_zero[i][0] = e.zero[i] + q->zero_cost[a];
        q->behind_zero[i][1] = some + q->some_cost[a];
        q->behind_some[i][0] = e.zero[i] + q->zero_cost[b];
        q->behind_some[i][1] = some + q->some_cost[b];
        q->situation[i][0] = (uint8_t)a;
        q->situation[i][1] = (uint8_t)b;
        last_sign = 2 - negative;
    }
}

/* Add, compare, select. Returns 1 if the path whose last level is not zero is the cheaper one. */
NNR_NOINLINE int extend_paths(rate_nearest *q, int64_t count)
{
    float zero = q->last_some ? 1e30f : 0.0f, some = q->last_some ? 0.0f : 1e30f; /* paths by their last level */
    int64_t i;
    for (i = 0; i < count; i++) {
        const float zero_zero = zero + q->behind_zero[i][0], some_zero = some + q->behind_some[i][0];
        const float zero_some = zero + q->behind_zero[i][1], some_some = some + q->behind_some[i][1];
        q->decision[i] = (uint8_t)((some_zero < zero_zero) * SOME_BEFORE_ZERO |
                                   (some_some < zero_some) * SOME_BEFORE_SOME);
        zero = some_zero < zero_zero ? some_zero : zero_zero;
        some = some_some < zero_some ? some_some : zero_some;
    }
    return some < zero;
}

/* The levels of the best path. */
NNR_NOINLINE void trace_back(const rate_nearest *q, int some, int64_t count, int64_t decided, int32_t *level)
{
    int64_t i;
    for (i = count - 1; i >= 0; i--) {
        if (i < decided)
            level[i] = q->nearest[i] & -some;
        some = q->decision[i] >> some & 1;
    }
}

/* Let the contexts see levels that are decided. */
NNR_NOINLINE void replay(rate_nearest *q, int64_t first, int64_t count)
{
    const rate_piece *piece = &q->piece;
    int64_t i;
    for (i = 0; i < count; i++) {
        const int32_t size = piece->level[first + i];
        const situation_bins *bins = &q->model.bins[q->situation[i][q->last_some]];
        note_level(&q->model, bins->sig, bins->sign, size, piece->negative[first + i], piece->base[first + i]);
        q->last_some = size != 0;
    }
    nnr_rate_adapt(&q->model);
    q->last_sign = 2u - piece->negative[first + count - 1];
}

static void run_piece(rate_nearest *q, int64_t count)
{
    int64_t first;
    for (first = 0; first < count; first += BLOCK) {
        const int64_t seen = smaller(BLOCK + AHEAD, count - first), decided = smaller(BLOCK, seen);
        int some;
        measure_block(q, first, seen);
        some = extend_paths(q, seen);
        trace_back(q, some, seen, decided, q->piece.level + first);
        replay(q, first, decided);
    }
}

/* (decoding 9.2) Start of the tensor or of a block row. */
static void start_contexts(rate_nearest *q)
{
    nnr_rate_model_reset(&q->model);
    q->last_some = 0;
    q->last_sign = 0;
}

int nnr_rate_nearest_run(rate_nearest *q, const price_model *prices, const tensor_layout *layout,
                         const uint8_t *parameter, const float *weights, const float *importance, double step,
                         double bit_price)
{
    const scan_pieces scan = scan_pieces_of(layout->rows, layout->cols, layout->side);
    int64_t number;

    nnr_rate_model_start(&q->model, prices, layout, parameter, bit_price);
    start_contexts(q);
    for (number = 0; number < scan.count; number++) {
        const run r = scan_piece(&scan, number);
        if (!nnr_trellis_sizes(weights, &r, step, q->piece.size))
            return NNR_ERR_LEVEL;
        nnr_rate_load_piece(&q->piece, layout, weights, importance, &r);
        if (scan.across > 0 && number % scan.across == 0)
            start_contexts(q);
        run_piece(q, r.height * r.width);
        nnr_trellis_store(weights, &r, q->piece.level, layout->levels);
    }
    return NNR_OK;
}
