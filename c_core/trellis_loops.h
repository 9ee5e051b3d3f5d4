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
    /* Paths go on through a row of weights. Writes codes, which levels follow from, and decisions: a bit for each of
       the states 0 1 2 3 6 7 4 5, from the lowest bit on, is the parity by which the state is reached, inverted for
       states 2 to 5. Returns 0 if a level would not fit 32 bits, or if a weight is not a number. */
    int (*extend)(path_costs *costs, const float *weights, int64_t count, double step, int32_t *code,
                  uint8_t *decisions);
    /* Levels take the place of their codes. */
    void (*find_levels)(const float *weights, const uint8_t *trace, int64_t count, int32_t *levels);
} trellis_kernels;

extern const trellis_kernels nnr_trellis_plain;
#ifdef NNR_AVX2
extern const trellis_kernels nnr_trellis_avx2;
#endif

/* The words of 256 decisions whose bit s is the parity by which state s is reached. */
void nnr_list_ways_back(way_back *ways);

#endif
