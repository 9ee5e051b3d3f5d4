/* search.h - (encoding 3) which of the nine parameter sets suits the bins of a context best.

   The bins of each context are collected; when a few hundred have come together, nine virtual contexts run
   over them and add up what each would have paid.

   A quick search drops candidates on the way: those that have paid much more than the best one, and of two with the
   same rates, once they have come to the same state, the one that has paid more. If the cost of the tensor is of no
   interest, it tries only some candidates for contexts with few bins: those that suit bins of such a frequency. */
#ifndef NNR_SEARCH_H
#define NNR_SEARCH_H

#include <stdint.h>

#include "layout.h"
#include "prices.h"
#include "tokens.h"

enum { BIN_BUFFER = 512 };

typedef struct {
    int candidates; /* 9, or 1 to price set 0 only */
    int quick, choice_only;
    int context_count;
    int64_t bypass_bits;
    uint16_t length[CTX_COUNT];
    virtual_context state[CTX_COUNT][NNR_PARAMETER_SETS];
    int64_t cost[CTX_COUNT][NNR_PARAMETER_SETS];
    uint16_t live[CTX_COUNT];      /* candidates that are not dropped, one bit each */
    uint8_t has_run[CTX_COUNT];  /* more than what waits in bins */
    uint8_t stand_in[CTX_COUNT]; /* set 0, or a candidate whose further costs are taken for those of set 0 */
    uint8_t bins[CTX_COUNT][BIN_BUFFER];
    price_model prices;
} search;

/* `choice_only`: the cost that nnr_search_choose returns is not needed. */
void nnr_search_start(search *s, const tensor_layout *layout, int candidates, int quick, int choice_only);
void nnr_search_tokens(search *s, const token *tokens, const token *end);

/* Start of a block row: the virtual contexts go back to their initial states. */
void nnr_search_reset(search *s);

/* What was priced is a part of the tensor: multiply costs by whole / part. */
void nnr_search_scale(search *s, int64_t whole, int64_t part);

/* Choose. `parameter` receives a set for each context. `weigh_flags`: mind the price of the presence flags,
   which encoding 3 leaves out. Returns the cost of samples and parameters in 2^-15 bit. */
int64_t nnr_search_choose(search *s, const tensor_layout *layout, int weigh_flags, uint8_t *parameter);

/* Cost of a list of bins that one context of set 0 codes. */
int64_t nnr_search_price(const search *s, const uint8_t *bins, int64_t count);

#endif
