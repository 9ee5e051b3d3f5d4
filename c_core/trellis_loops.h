/* trellis_loops.h - what the loops of trellis_kernels.h work on, and which of them this machine can run. */
#ifndef NNR_TRELLIS_LOOPS_H
#define NNR_TRELLIS_LOOPS_H

#include <stdint.h>

#include "pair.h"
#include "scan.h"

/* One step back as a word: byte s has what there is to know if a path reaches state s. */
typedef uint64_t way_back;
enum { BACK_STATE = 0x38, BACK_ODD = 0x08, BACK_PARITY = 0x40 }; /* state before, times 8; its parity; that of the index */

/* The costs of the eight states: even states 0 2 | 4 6, odd states 7 5 | 3 1, in the order of parity 0. */
typedef struct {
    pair even_a, even_b, odd_a, odd_b;
} path_costs;

typedef struct {
    int (*load_row)(const float *weights, int64_t count, double step, double *size);
    /* Paths go on through a row of weights. Writes codes, which levels follow from, and decisions: a bit for each state
       that is reached, set if it is reached from the higher one of its two predecessors. Returns 0 if a level would not
       fit 32 bits, or if a weight is not a number. */
    int (*extend)(path_costs *costs, const float *weights, int64_t count, double step, int32_t *code,
                  uint8_t *decisions);
    /* Levels take the place of their codes. */
    void (*find_levels)(const float *weights, const uint8_t *trace, int64_t count, int32_t *levels);
    /* States of the bits of a decision, from the lowest bit on, at even and at odd places of a row. */
    uint8_t reached[2][8];
} trellis_kernels;

extern const trellis_kernels nnr_trellis_plain;
#ifdef NNR_AVX2
extern const trellis_kernels nnr_trellis_avx2;
#endif

/* The words of 256 decisions. Bit k belongs to state reached[k]: set if `by_parity` says so, the parity by which it is
   reached, else as `extend` has it. */
void nnr_list_ways_back(const uint8_t *reached, int by_parity, way_back *ways);

#endif
