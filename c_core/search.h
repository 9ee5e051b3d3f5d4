/* search.h - (encoding 3) which of the nine parameter sets suits the bins of a context best.

   The bins of each context are collected; when a few hundred have come together, nine virtual contexts run
   over them and add up what each would have paid. */
#ifndef NNR_SEARCH_H
#define NNR_SEARCH_H

#include <stdint.h>

#include "layout.h"
#include "model.h"
#include "tokens.h"

enum {
    BIN_BUFFER = 512,
    BIT = 32768 /* unit of cost: 2^-15 bit */
};

/* The probability model once more, for virtual contexts: what follows a bin. `f` is s0 + 128, `t` is s1 + 2048,
   so 16*s0 + s1 = 16*f + t - 4096. */
typedef struct {
    uint32_t price[1024];    /* by (16*f + t) >> 3 */
    uint8_t fast[4][256];    /* next f, by rate and f */
    uint16_t slow[3][4096];  /* next t, by rate and t */
} search_tables;

typedef struct {
    uint16_t f, t;
} virtual_context;

typedef struct {
    int candidates; /* 9, or 1 to price set 0 only */
    int context_count;
    int64_t bypass_bits;
    uint16_t length[CTX_COUNT];
    virtual_context state[CTX_COUNT][NNR_PARAMETER_SETS];
    int64_t cost[CTX_COUNT][NNR_PARAMETER_SETS];
    uint8_t bins[CTX_COUNT][BIN_BUFFER];
    search_tables tables[2];
    const search_tables *after[2]; /* tables by bin; as pointers, so that loops keep one address for all three */
} search;

/* Fill the tables, once for a handle. */
void nnr_search_build(search *s);

void nnr_search_start(search *s, const tensor_layout *layout, int candidates);
void nnr_search_tokens(search *s, const token *tokens, const token *end);

/* Start of a block row: the virtual contexts go back to their initial states. */
void nnr_search_reset(search *s);

/* Choose. `parameter` receives a set for each context. `weigh_flags`: mind the price of the presence flags,
   which encoding 3 leaves out. Returns the cost of samples and parameters in 2^-15 bit. */
int64_t nnr_search_choose(search *s, const tensor_layout *layout, int weigh_flags, uint8_t *parameter);

/* Cost of a list of bins that one context of set 0 codes. */
int64_t nnr_search_price(const search *s, const uint8_t *bins, int64_t count);

#endif
