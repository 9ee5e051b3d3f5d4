/* trellis_kernels.h - the loops over weights of the trellises, to be compiled for more than one instruction set.

   Included by a file that defines KERNELS, the name of the table that is made here, KERNEL, what stands before
   each function, and HAS_EXTEND and REACHED if it has an `extend` of its own. The same operations everywhere, so the
   same results. */
#include <math.h> /* fabsf only: exact, and one instruction */

#include "pair.h"
#include "trellis.h"
#include "trellis_loops.h"

/* x of weights in a row. Returns 0 if a level would not fit 32 bits, or if one is not a number. */
KERNEL int load_row(const float *weights, int64_t count, double step, double *size)
{
    double misfits = 0.0;
    int64_t i;
    for (i = 0; i < count; i++)
        size[i] = (double)fabsf(weights[i]) / step;
    for (i = 0; i < count; i++)
        misfits = size[i] <= (double)LEVEL_LIMIT ? misfits : 1.0;
    return misfits == 0.0;
}

#ifndef HAS_EXTEND
enum { MEASURED_POSITIONS = 256 };

/* What weights add to paths, by the parity of the state before and of the index. */
typedef struct {
    double even0[MEASURED_POSITIONS], even1[MEASURED_POSITIONS];
    double odd0[MEASURED_POSITIONS], odd1[MEASURED_POSITIONS];
} distances;

/* Distances and codes. Zero can be better than a candidate only where the lowest one is 1; there the code is 1 less
   1 if it is for even states, less 2 if it is for odd ones. */
KERNEL void measure(const double *size, int64_t count, distances *d, int32_t *code)
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
        code[i] = (int32_t)((double)lowest - (zero < class0 ? 1.0 : 0.0) - (zero < class3 ? 2.0 : 0.0));
    }
}

/* Add, compare, select: one weight. The result is a decision; the lower predecessor wins a tie. */
NNR_INLINE eight_masks extend_path(path_costs *c, const distances *d, int64_t i)
{
    const pair even0 = pair_of(d->even0[i], d->even0[i]), even1 = pair_of(d->even1[i], d->even1[i]);
    const pair odd0 = pair_of(d->odd0[i], d->odd0[i]), odd1 = pair_of(d->odd1[i], d->odd1[i]);
    const pair to01_0 = pair_add(c->even_a, even0), to01_1 = pair_add(c->even_b, even1);
    const pair to23_0 = pair_add(c->even_b, even0), to23_1 = pair_add(c->even_a, even1);
    const pair to45_0 = pair_add(c->odd_a, odd0), to45_1 = pair_add(c->odd_b, odd1);
    const pair to67_0 = pair_add(c->odd_b, odd0), to67_1 = pair_add(c->odd_a, odd1);
    const pair state01 = pair_min(to01_0, to01_1), state23 = pair_min(to23_0, to23_1);
    const pair state45 = pair_min(to45_0, to45_1), state67 = pair_min(to67_0, to67_1);
    c->even_a = pair_lows(state01, state23);
    c->even_b = pair_lows(state45, state67);
    c->odd_a = pair_highs(state67, state45);
    c->odd_b = pair_highs(state23, state01);
    /* the higher predecessor is the second one of states 0 1 and 6 7 */
    return eight_of(pair_less(to01_1, to01_0), pair_less(to23_0, to23_1), pair_less(to67_1, to67_0),
                    pair_less(to45_0, to45_1));
}

KERNEL void extend_paths(path_costs *costs, const distances *d, int64_t count, uint8_t *decisions)
{
    path_costs c = *costs;
    int64_t i;
    for (i = 0; i + 2 <= count; i += 2) {
        const eight_masks first = extend_path(&c, d, i), second = extend_path(&c, d, i + 1);
        const unsigned both = sixteen_bits(first, second);
        decisions[i] = (uint8_t)both;
        decisions[i + 1] = (uint8_t)(both >> 8);
    }
    if (i < count) {
        const eight_masks last = extend_path(&c, d, i);
        decisions[i] = (uint8_t)sixteen_bits(last, last);
    }
    *costs = c;
}

KERNEL int extend(path_costs *costs, const float *weights, int64_t count, double step, int32_t *code,
                  uint8_t *decisions)
{
    double size[MEASURED_POSITIONS];
    distances d;
    int64_t first;
    int fit = 1;
    for (first = 0; first < count; first += MEASURED_POSITIONS) {
        const int64_t length = smaller(MEASURED_POSITIONS, count - first);
        fit &= load_row(weights + first, length, step, size);
        measure(size, length, &d, code + first);
        extend_paths(costs, &d, length, decisions + first);
    }
    return fit;
}
#endif

KERNEL void find_levels(const float *weights, const uint8_t *trace, int64_t count, int32_t *levels)
{
    int64_t i;
    for (i = 0; i < count; i++) {
        const int32_t code = levels[i], back = trace[i], lowest = code > 1 ? code : 1, zeros = lowest - code;
        const int32_t odd = 0 - ((back & BACK_ODD) != 0), parity = 0 - ((back & BACK_PARITY) != 0);
        const int32_t n = candidate(lowest, (3 & odd) ^ (2 & parity));
        const int32_t is_zero = ((zeros & 1 & ~odd) | (zeros >> 1 & odd)) & ~parity;
        const int32_t size = n & (is_zero - 1), negative = 0 - (weights[i] < 0.0f);
        levels[i] = (size ^ negative) - negative;
    }
}

#ifndef REACHED
#define REACHED {{0, 1, 2, 3, 6, 7, 4, 5}, {0, 1, 2, 3, 6, 7, 4, 5}}
#endif
const trellis_kernels KERNELS = {load_row, extend, find_levels, REACHED};
