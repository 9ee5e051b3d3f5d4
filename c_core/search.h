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

typedef struct {
    int candidates; /* 9, or 1 to price set 0 only */
    int context_count;
    int64_t bypass_bits;
    uint16_t length[CTX_COUNT];
    uint32_t state[CTX_COUNT][NNR_PARAMETER_SETS];
    int64_t cost[CTX_COUNT][NNR_PARAMETER_SETS];
    uint8_t bins[CTX_COUNT][BIN_BUFFER];
} search;

void nnr_search_start(search *s, const model_tables *tables, const tensor_layout *layout, int candidates);
void nnr_search_tokens(search *s, const model_tables *tables, const token *tokens, const token *end);

/* Start of a block row: the virtual contexts go back to their initial states. */
void nnr_search_reset(search *s, const model_tables *tables);

/* Choose. `parameter` receives a set for each context. `exact_flags`: weigh the price of the presence flag
   too, which encoding 3 leaves out. Returns the cost of samples and parameters in 2^-15 bit. */
int64_t nnr_search_choose(search *s, const model_tables *tables, const tensor_layout *layout,
                          int exact_flags, uint8_t *parameter);

/* Cost of a list of bins that one context of set 0 codes. */
int64_t nnr_price_list(const model_tables *tables, const uint8_t *bins, int64_t count);

#endif
