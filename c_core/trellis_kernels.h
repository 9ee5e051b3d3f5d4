/* trellis_kernels.h - the loops over weights of the trellises, to be compiled for more than one instruction set.

   Included by a file that defines KERNELS, the name of the table that is made here, and KERNEL, what stands before
   each function. The same operations everywhere, so the same results. */
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

/* Add, compare, select. Bit s of a decision is the parity by which state s is reached; the lower
   predecessor wins a tie. */
KERNEL void extend_paths(path_costs *costs, const distances *d, int64_t count, uint8_t *decisions)
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

KERNEL void find_levels(const int32_t *code, const uint8_t *trace, int64_t count, int32_t *levels)
{
    int64_t i;
    for (i = 0; i < count; i++) {
        const int32_t back = trace[i], lowest = code[i] > 1 ? code[i] : 1, zeros = lowest - code[i];
        const int32_t odd = 0 - ((back & BACK_ODD) != 0), parity = 0 - ((back & BACK_PARITY) != 0);
        const int32_t n = candidate(lowest, (3 & odd) ^ (2 & parity));
        const int32_t is_zero = ((zeros & 1 & ~odd) | (zeros >> 1 & odd)) & ~parity;
        levels[i] = n & (is_zero - 1);
    }
}

const trellis_kernels KERNELS = {load_row, measure, extend_paths, find_levels};
