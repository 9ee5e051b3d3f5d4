/* trellis.c - (encoding 5.4) dependent quantization by the Viterbi algorithm, distortion alone.

   Costs are in units of the squared step. What a transition adds depends only on the parities of state and index
   (trellis.h): four numbers a weight. One byte a weight keeps the eight decisions; the way back reads states from them,
   and levels follow.

   No step depends on how a machine orders its sums: results are the same everywhere. */
#include <stdlib.h>
#include <string.h>

#include "nnr_core.h"
#include "scan.h"
#include "trellis.h"
#include "trellis_loops.h"

enum { TRACED_TOGETHER = 64 };

static const trellis_kernels *kernels(void)
{
#ifdef NNR_AVX2
    if (__builtin_cpu_supports("avx2"))
        return &nnr_trellis_avx2;
#endif
    return &nnr_trellis_plain;
}

int nnr_trellis_sizes(const float *weights, const run *r, double step, double *size)
{
    int64_t row;
    const trellis_kernels *loops = kernels();
    int fit = 1;
    for (row = 0; row < r->height; row++)
        fit &= loops->load_row(weights + r->first + row * r->stride, r->width, step, size + row * r->width);
    return fit;
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

void nnr_list_ways_back(const uint8_t *reached, int by_parity, way_back *ways)
{
    unsigned decision, bit;
    ways[0] = 0;
    for (bit = 0; bit < 8; bit++) {
        const unsigned state = reached[bit];
        const way_back by_0 = 8 * predecessor(state, 0), by_1 = 8 * predecessor(state, 1) + BACK_PARITY;
        const way_back if_clear = by_parity || by_0 < (by_1 & BACK_STATE) ? by_0 : by_1;
        for (decision = 0; decision < 1u << bit; decision++) {
            ways[decision] |= if_clear << (8 * state);
            ways[decision | 1u << bit] = ways[decision] ^ (by_0 ^ by_1) << (8 * state);
        }
    }
}

/* From the state behind a row to the one before it, both times 8; levels take the place of codes. `ways` of decisions
   at even and at odd places. The way back and the levels of what it has passed already do not wait for each other. */
static unsigned trace_back(const trellis_kernels *loops, unsigned state8, const way_back (*ways)[256],
                           const uint8_t *decisions, const float *weights, int64_t count, int32_t *levels)
{
    uint8_t trace[TRACED_TOGETHER];
    unsigned back = state8;
    while (count > 0) {
        const int64_t first = (count - 1) / TRACED_TOGETHER * TRACED_TOGETHER, length = count - first;
        int64_t i;
        for (i = length; i > 0; i--) {
            const uint8_t decision = decisions[first + i - 1];
            back = (unsigned)(ways[(i - 1) & 1][decision] >> (back & 63)) & 0xff; /* the parity at bit 6 does not count */
            trace[i - 1] = (uint8_t)back;
        }
        loops->find_levels(weights + first, trace, length, levels + first);
        count = first;
    }
    return back & BACK_STATE;
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

void nnr_trellis_copy(int32_t *levels, const run *r, int32_t *codes, int to_levels)
{
    int64_t row;
    for (row = 0; row < r->height; row++) {
        int32_t *there = levels + r->first + row * r->stride, *here = codes + row * r->width;
        memcpy(to_levels ? there : here, to_levels ? here : there, (size_t)r->width * sizeof *codes);
    }
}

int nnr_quantize_trellis(const float *weights, int32_t *levels, int64_t rows, int64_t cols,
                         int64_t scan_order, float step)
{
    const int64_t most = (int64_t)1 << 40;
    const double unreached = 1e300;
    const trellis_kernels *loops = kernels();
    path_costs costs;
    scan_pieces scan;
    way_back ways[2][256];
    uint8_t *decisions, *end;
    int64_t number, row;
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
    if (!decisions)
        status = NNR_ERR_MEMORY;

    costs.even_a = pair_of(0.0, unreached);
    costs.even_b = costs.odd_a = costs.odd_b = pair_of(unreached, unreached);
    end = decisions;
    for (number = 0; number < scan.count && status == NNR_OK; number++) {
        const run r = scan_piece(&scan, number);
        for (row = 0; row < r.height; row++, end += r.width) {
            const int64_t start = r.first + row * r.stride; /* codes wait where the levels will be */
            if (!loops->extend(&costs, weights + start, r.width, (double)step, levels + start, end))
                status = NNR_ERR_LEVEL;
        }
    }
    nnr_list_ways_back(loops->reached[0], 0, ways[0]);
    nnr_list_ways_back(loops->reached[1], 0, ways[1]);
    state = 8 * cheapest_state(&costs);
    for (number = scan.count - 1; number >= 0 && status == NNR_OK; number--) {
        const run r = scan_piece(&scan, number);
        for (row = r.height - 1; row >= 0; row--) {
            const int64_t start = r.first + row * r.stride;
            end -= r.width;
            state = trace_back(loops, state, (const way_back(*)[256])ways, end, weights + start, r.width, levels + start);
        }
    }
    free(decisions);
    return status;
}
