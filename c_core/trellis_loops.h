/* trellis_loops.h - what the loops of trellis_kernels.h work on, and which of them this machine can run. */
#ifndef NNR_TRELLIS_LOOPS_H
#define NNR_TRELLIS_LOOPS_H

#include <stdint.h>

#include "pair.h"
#include "scan.h"

enum { MEASURED_POSITIONS = 512 }; /* their distances stay in the first-level cache */

/* What weights add to paths, by the parity of the state before and of the index. */
typedef struct {
    double even0[MEASURED_POSITIONS], even1[MEASURED_POSITIONS];
    double odd0[MEASURED_POSITIONS], odd1[MEASURED_POSITIONS];
} distances;

/* One step back as a word: byte s has what there is to know if a path reaches state s. */
typedef uint64_t way_back;
enum { BACK_STATE = 0x38, BACK_ODD = 0x08, BACK_PARITY = 0x40 }; /* state before, times 8; its parity; that of the index */

/* The costs of the eight states: even states 0 2 | 4 6, odd states 7 5 | 3 1, in the order of parity 0. */
typedef struct {
    pair even_a, even_b, odd_a, odd_b;
} path_costs;

typedef struct {
    int (*load_row)(const float *weights, int64_t count, double step, double *size);
    void (*measure)(const double *size, int64_t count, distances *d, int32_t *code);
    void (*extend_paths)(path_costs *costs, const distances *d, int64_t count, uint8_t *decisions);
    void (*find_levels)(const int32_t *code, const uint8_t *trace, int64_t count, int32_t *levels);
} trellis_kernels;

extern const trellis_kernels nnr_trellis_plain;
#ifdef NNR_AVX2
extern const trellis_kernels nnr_trellis_avx2;
#endif

/* The words of the 256 decisions. */
void nnr_list_ways_back(way_back *ways);

#endif
