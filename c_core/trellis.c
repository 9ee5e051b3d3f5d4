/* trellis.c - (encoding 5.4) dependent quantization by the Viterbi algorithm, distortion alone.

   Costs are in units of the squared step. What a transition adds depends only on the parities of state and index
   (trellis.h): four numbers a weight, made for a piece of the scan at once. One byte a weight keeps the eight
   decisions; the way back reads states from them, and then levels follow for a whole piece at once.

   No step depends on how a machine orders its sums: results are the same everywhere. */
#include <stdlib.h>
#include <string.h>

#include "nnr_core.h"
#include "scan.h"
#include "trellis.h"
#include "trellis_loops.h"

typedef struct {
    double size[PIECE_POSITIONS]; /* x */
    distances distance;
    int32_t code[PIECE_POSITIONS];  /* what levels follow from: the lowest candidate, see measure */
    uint8_t trace[PIECE_POSITIONS]; /* of the way back */
    int32_t level[PIECE_POSITIONS];
} piece;

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

void nnr_list_ways_back(way_back *ways)
{
    unsigned decision, state;
    for (decision = 0; decision < 256; decision++) {
        ways[decision] = 0;
        for (state = 0; state < 8; state++) {
            const unsigned parity = decision >> state & 1;
            ways[decision] |= (way_back)(8 * predecessor(state, parity) + parity * BACK_PARITY) << (8 * state);
        }
    }
}

/* From the state behind a piece to the one before it, both times 8. */
NNR_NOINLINE unsigned trace_back(unsigned state8, const way_back *ways, const uint8_t *decisions, int64_t count,
                                 uint8_t *trace)
{
    unsigned back = state8;
    int64_t i;
    for (i = count - 1; i >= 0; i--) {
        back = (unsigned)(ways[decisions[i]] >> (back & 63)) & 0xff; /* the parity at bit 6 does not count */
        trace[i] = (uint8_t)back;
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
    way_back ways[256];
    uint8_t *decisions, *end;
    piece *p;
    int64_t number, first;
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
            for (first = 0; first < count; first += MEASURED_POSITIONS) {
                const int64_t length = smaller(MEASURED_POSITIONS, count - first);
                loops->measure(p->size + first, length, &p->distance, p->code + first);
                loops->extend_paths(&costs, &p->distance, length, end + first);
            }
            nnr_trellis_copy(levels, &r, p->code, 1); /* codes wait where the levels will be */
            end += count;
        }
    }
    nnr_list_ways_back(ways);
    state = 8 * cheapest_state(&costs);
    for (number = scan.count - 1; number >= 0 && status == NNR_OK; number--) {
        const run r = scan_piece(&scan, number);
        const int64_t count = r.height * r.width;
        end -= count;
        nnr_trellis_copy(levels, &r, p->code, 0);
        state = trace_back(state, ways, end, count, p->trace);
        loops->find_levels(p->code, p->trace, count, p->level);
        nnr_trellis_store(weights, &r, p->level, levels);
    }
    free(decisions);
    free(p);
    return status;
}
