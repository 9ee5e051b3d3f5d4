/* trellis.c - (encoding 5.4) dependent quantization by the Viterbi algorithm, distortion alone.

   Costs are in units of the squared step. What a transition adds depends only on the parities of state and index
   (trellis.h): four numbers a weight, made for a piece of the scan at once. One byte a weight keeps the eight
   decisions; the way back reads states from them, and then indices and levels follow for a whole piece at once.

   No step depends on how a machine orders its sums: results are the same everywhere. */
#include <math.h> /* fabsf only: exact, and one instruction */
#include <stdlib.h>

#include "nnr_core.h"
#include "pair.h"
#include "scan.h"
#include "trellis.h"

/* What a piece of weights adds to paths, by the parity of the state before and of the index. */
typedef struct {
    double even0[PIECE_POSITIONS], even1[PIECE_POSITIONS];
    double odd0[PIECE_POSITIONS], odd1[PIECE_POSITIONS];
} distances;

typedef struct {
    double size[PIECE_POSITIONS]; /* x */
    distances distance;
    uint8_t step[PIECE_POSITIONS]; /* of the way back: parity of the index | parity of the state before << 1 */
    int32_t level[PIECE_POSITIONS];
} piece;

/* x of weights in a row. Returns 0 if a level would not fit 32 bits, or if one is not a number. */
NNR_NOINLINE int load_row(const float *weights, int64_t count, double step, double *size)
{
    int64_t i, fit = 0;
    for (i = 0; i < count; i++) {
        const double x = (double)fabsf(weights[i]) / step;
        size[i] = x;
        fit += x <= (double)LEVEL_LIMIT;
    }
    return fit == count;
}

int nnr_trellis_sizes(const float *weights, const run *r, double step, double *size)
{
    int64_t row;
    int fit = 1;
    for (row = 0; row < r->height; row++)
        fit &= load_row(weights + r->first + row * r->stride, r->width, step, size + row * r->width);
    return fit;
}

NNR_NOINLINE void measure(const double *size, int64_t count, distances *d)
{
    int64_t i;
    for (i = 0; i < count; i++) {
        const double x = size[i], zero = x * x;
        const int32_t lowest = lowest_candidate(x);
        const double class0 = squared_error(x, candidate(lowest, 0));
        const double class3 = squared_error(x, candidate(lowest, 3));
        d->even0[i] = zero < class0 ? zero : class0;
        d->even1[i] = squared_error(x, candidate(lowest, 2));
        d->odd0[i] = zero < class3 ? zero : class3;
        d->odd1[i] = squared_error(x, candidate(lowest, 1));
    }
}

/* The costs of the eight states: even states 0 2 | 4 6, odd states 7 5 | 3 1, in the order of parity 0. */
typedef struct {
    pair even_a, even_b, odd_a, odd_b;
} path_costs;

/* Add, compare, select. Bit s of a decision is the parity by which state s is reached; the lower
   predecessor wins a tie. */
NNR_NOINLINE void extend_paths(path_costs *costs, const distances *d, int64_t count, uint8_t *decisions)
{
    pair even_a = costs->even_a, even_b = costs->even_b, odd_a = costs->odd_a, odd_b = costs->odd_b;
    int64_t i;
    for (i = 0; i < count; i++) {
        const pair even0 = pair_of(d->even0[i], d->even0[i]), even1 = pair_of(d->even1[i], d->even1[i]);
        const pair odd0 = pair_of(d->odd0[i], d->odd0[i]), odd1 = pair_of(d->odd1[i], d->odd1[i]);
        const pair to01_0 = pair_add(even_a, even0), to01_1 = pair_add(even_b, even1);
        const pair to23_0 = pair_add(even_b, even0), to23_1 = pair_add(even_a, even1);
        const pair to45_0 = pair_add(odd_a, odd0), to45_1 = pair_add(odd_b, odd1);
        const pair to67_0 = pair_add(odd_b, odd0), to67_1 = pair_add(odd_a, odd1);
        const pair state01 = pair_min(to01_0, to01_1), state23 = pair_min(to23_0, to23_1);
        const pair state45 = pair_min(to45_0, to45_1), state67 = pair_min(to67_0, to67_1);
        /* predecessors by parity: 0 2 before 4 6, so parity 1 must be cheaper; 4 6 behind 0 2, and so on */
        const unsigned parity1 = pair_less(to01_1, to01_0) | pair_less(to67_1, to67_0) << 6;
        const unsigned parity0 = pair_less(to23_0, to23_1) << 2 | pair_less(to45_0, to45_1) << 4;
        decisions[i] = (uint8_t)(parity1 | (parity0 ^ 0x3c));
        even_a = pair_lows(state01, state23);
        even_b = pair_lows(state45, state67);
        odd_a = pair_highs(state67, state45);
        odd_b = pair_highs(state23, state01);
    }
    costs->even_a = even_a;
    costs->even_b = even_b;
    costs->odd_a = odd_a;
    costs->odd_b = odd_b;
}

static unsigned cheapest_state(const path_costs *costs)
{
    double ordered[8], cost[8];
    unsigned state, best = 0;
    pair_store(ordered, costs->even_a);
    pair_store(ordered + 2, costs->even_b);
    pair_store(ordered + 4, costs->odd_a);
    pair_store(ordered + 6, costs->odd_b);
    for (state = 0; state < 8; state++)
        cost[state] = ordered[state & 1 ? 7 - (state >> 1) : state >> 1];
    for (state = 1; state < 8; state++)
        if (cost[state] < cost[best])
            best = state;
    return best;
}

/* From the state behind a piece to the one before it. */
NNR_NOINLINE unsigned trace_back(unsigned state, const uint8_t *decisions, int64_t count, uint8_t *steps)
{
    int64_t i;
    for (i = count - 1; i >= 0; i--) {
        const unsigned parity = (unsigned)decisions[i] >> state & 1;
        steps[i] = (uint8_t)((state >> 2) << 1 | parity);
        state = predecessor(state, parity);
    }
    return state;
}

NNR_NOINLINE void find_levels(const double *size, const uint8_t *steps, int64_t count, int32_t *levels)
{
    int64_t i;
    for (i = 0; i < count; i++) {
        const double x = size[i];
        const int32_t parity = steps[i] & 1, odd = steps[i] >> 1;
        const int32_t n = candidate(lowest_candidate(x), residue_class(parity, odd));
        const int32_t is_zero = (parity ^ 1) & (x * x < squared_error(x, n));
        levels[i] = n & (is_zero - 1);
    }
}

void nnr_trellis_store(const float *weights, const run *r, const int32_t *sizes, int32_t *levels)
{
    int64_t row, col, i = 0;
    for (row = 0; row < r->height; row++) {
        const int64_t start = r->first + row * r->stride;
        for (col = 0; col < r->width; col++, i++)
            levels[start + col] = weights[start + col] < 0.0f ? -sizes[i] : sizes[i];
    }
}

int nnr_quantize_trellis(const float *weights, int32_t *levels, int64_t rows, int64_t cols,
                         int64_t scan_order, float step)
{
    const int64_t most = (int64_t)1 << 40;
    const double unreached = 1e300;
    path_costs costs;
    scan_pieces scan;
    uint8_t *decisions, *end;
    piece *p;
    int64_t number;
    unsigned state;
    int status = NNR_OK;

    if (rows < 0 || cols < 0 || rows > most || cols > most || (cols > 0 && rows > most / cols) ||
        scan_order < 0 || scan_order > 4 || !(step > 0.0f))
        return NNR_ERR_ARGUMENT;
    if (rows == 0 || cols == 0)
        return NNR_OK;
    if (!weights || !levels)
        return NNR_ERR_ARGUMENT;
    scan = scan_pieces_of(rows, cols, block_side(scan_order, rows, cols));
    decisions = malloc((size_t)(rows * cols));
    p = malloc(sizeof *p);
    if (!decisions || !p)
        status = NNR_ERR_MEMORY;

    costs.even_a = pair_of(0.0, unreached);
    costs.even_b = costs.odd_a = costs.odd_b = pair_of(unreached, unreached);
    end = decisions;
    for (number = 0; number < scan.count && status == NNR_OK; number++) {
        const run r = scan_piece(&scan, number);
        const int64_t count = r.height * r.width;
        if (!nnr_trellis_sizes(weights, &r, (double)step, p->size))
            status = NNR_ERR_LEVEL;
        else {
            measure(p->size, count, &p->distance);
            extend_paths(&costs, &p->distance, count, end);
            end += count;
        }
    }
    state = cheapest_state(&costs);
    for (number = scan.count - 1; number >= 0 && status == NNR_OK; number--) {
        const run r = scan_piece(&scan, number);
        const int64_t count = r.height * r.width;
        end -= count;
        nnr_trellis_sizes(weights, &r, (double)step, p->size);
        state = trace_back(state, end, count, p->step);
        find_levels(p->size, p->step, count, p->level);
        nnr_trellis_store(weights, &r, p->level, levels);
    }
    free(decisions);
    free(p);
    return status;
}
