/* trellis.h - (encoding 5.4) candidates and paths of dependent quantization, for both trellises.

   With x = |w|/step the candidates of a weight are the multiples n = m .. m+3, m = max(1, floor(x) - 1), one of each
   residue class modulo 4, and zero. Multiple n has index (n+1) >> 1. Even states use class 0 (or zero) for parity 0
   and class 2 for parity 1, odd states class 3 (or zero) and class 1.

   Each state has one predecessor for either parity:
       state        0 1 2 3 4 5 6 7
       parity 0     0 2 4 6 7 5 3 1
       parity 1     4 6 0 2 3 1 7 5
   States 0..3 come from even states, 4..7 from odd ones. */
#ifndef NNR_TRELLIS_H
#define NNR_TRELLIS_H

#include <stdint.h>

#include "platform.h"
#include "scan.h"

/* Predecessor of state s by parity p: nibble 8*p + s. */
#define PREDECESSOR_WORD UINT64_C(0x5713206413576420)

enum { LEVEL_LIMIT = INT32_MAX - 4 };

NNR_INLINE unsigned predecessor(unsigned state, unsigned parity)
{
    return (unsigned)(PREDECESSOR_WORD >> (32 * parity + 4 * state)) & 7;
}

NNR_INLINE int32_t lowest_candidate(double x)
{
    const int32_t below = (int32_t)x - 1;
    return below > 1 ? below : 1;
}

/* The candidate of a residue class. */
NNR_INLINE int32_t candidate(int32_t lowest, int32_t residue)
{
    return lowest + ((residue - lowest) & 3);
}

/* The residue class of a transition; `odd` is that of the state before. */
NNR_INLINE int32_t residue_class(int32_t parity, int32_t odd)
{
    return (3 * odd) ^ (2 * parity);
}

NNR_INLINE double squared_error(double x, int32_t n)
{
    const double error = x - (double)n;
    return error * error;
}

/* x of the weights of a run, one after the other. Returns 0 if a level would not fit 32 bits, or if a weight is
   not a number. */
int nnr_trellis_sizes(const float *weights, const run *r, double step, double *size);

/* Levels of a run from their sizes: the signs are those of the weights. */
void nnr_trellis_store(const float *weights, const run *r, const int32_t *sizes, int32_t *levels);

/* Copy numbers of a run to their place in the tensor, or back. */
void nnr_trellis_copy(int32_t *levels, const run *r, int32_t *numbers, int to_levels);

#endif
