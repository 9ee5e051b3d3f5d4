/* model.h - (decoding 3) the probability model of one context, in the form the bin loops want.

   A context of the specification is two estimators s0, s1 and two rates. Here it is

   state  two 16-bit halves, one for each estimator: rate << 13 | biased estimator, the fast one
          scaled like the slow one: high half (s0 + 128) << 4, low half s1 + 2048. The sum of the two
          12-bit fields is therefore 16*s0 + s1 + 4096, "u" below; the sum of the halves has the sum of the
          rate codes above it.
   row    what the arithmetic decoder needs of `state`, ready before the range is known: the width of
          the less probable interval for each of the eight quarters of the range.

   The estimators move independently, so a table for each gives the two successors of a state (after a
   0-bin in the low word, after a 1-bin in the high word), and the value of the bin only has to choose a
   word: the loads are early, and nothing that is slow stands between one bin and the next. */
#ifndef NNR_MODEL_H
#define NNR_MODEL_H

#include <stdint.h>

#include "platform.h"
#include "tables.h"

typedef struct {
    uint64_t row;
    uint32_t state;
    uint32_t unused;
} context;

enum {
    FAST_STATES = 4 << 9,  /* index: high half >> 4 = rate code << 9 | (s0 + 128) */
    SLOW_STATES = 3 << 13, /* index: low half       = rate code << 13 | (s1 + 2048) */
    ROWS = 6 << 6,         /* index: sum of the halves >> 7 = sum of the rate codes << 6 | u >> 7 */
    FIRST_SHIFT = 4        /* rate code = shift - 4, for both estimators */
};

typedef struct {
    uint64_t row[ROWS];
    uint64_t fast[FAST_STATES];
    uint64_t slow[SLOW_STATES];
    context initial[NNR_PARAMETER_SETS];
} model_tables;

/* (decoding 3.3) An estimator after a bin; `scale` is 3 for the fast one, 7 for the slow one. */
int nnr_adapted(int estimator, int scale, int shift, int bin);

/* Fill the tables; about 30 microseconds, done once for each handle. */
void nnr_model_build(model_tables *tables);

/* s0 and s1 of a context, for tests and traces. */
void nnr_model_estimators(const context *ctx, int *s0, int *s1);

NNR_INLINE int clamped(int number, int low, int high)
{
    return number < low ? low : number > high ? high : number;
}

/* Both successors: the low word after a 0-bin, the high word after a 1-bin. */
NNR_INLINE uint64_t state_successors(const model_tables *tables, uint32_t state)
{
    return tables->fast[state >> 20] | tables->slow[state & 0xffff];
}

NNR_INLINE uint64_t row_of_state(const model_tables *tables, uint32_t state)
{
    return tables->row[(uint32_t)((state << 16) + state) >> 23];
}

#endif
