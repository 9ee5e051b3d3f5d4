/* search.c - (encoding 3) context-parameter search on the bins that are coded. */
#include "search.h"

#include <string.h>

#include "estimated_bits.h"

void nnr_search_start(search *s, const model_tables *tables, const tensor_layout *layout, int candidates)
{
    s->candidates = candidates;
    s->context_count = context_end(layout);
    s->bypass_bits = 0;
    memset(s->length, 0, (size_t)s->context_count * sizeof s->length[0]);
    memset(s->cost, 0, (size_t)s->context_count * sizeof s->cost[0]);
    nnr_search_reset(s, tables);
}

/* Add the cost of a bin and move on to the next state. */
NNR_INLINE void pay(const model_tables *tables, uint32_t *state, uint32_t *cost, unsigned bin)
{
    const uint64_t successors = state_successors(tables, *state);
    *cost += (uint32_t)ESTIMATED_BITS[state_sum(*state) >> 3][bin];
    *state = (uint32_t)(successors >> (32 * bin));
}

/* Three candidates at a time: their states and costs fit the registers. */
NNR_INLINE void pay_three(const model_tables *tables, const uint8_t *bins, int count, uint32_t *states,
                          int64_t *costs)
{
    uint32_t a = states[0], b = states[1], c = states[2];
    uint32_t cost_a = 0, cost_b = 0, cost_c = 0; /* BIN_BUFFER times the largest price fits */
    int i;
    for (i = 0; i < count; i++) {
        const unsigned bin = bins[i];
        pay(tables, &a, &cost_a, bin);
        pay(tables, &b, &cost_b, bin);
        pay(tables, &c, &cost_c, bin);
    }
    states[0] = a;
    states[1] = b;
    states[2] = c;
    costs[0] += cost_a;
    costs[1] += cost_b;
    costs[2] += cost_c;
}

NNR_NOINLINE void run_candidates(search *s, const model_tables *tables, int ctx)
{
    const uint8_t *bins = s->bins[ctx];
    const int count = s->length[ctx];
    uint32_t *states = s->state[ctx];
    int64_t *costs = s->cost[ctx];
    s->length[ctx] = 0;
    if (s->candidates == 1) {
        uint32_t cost = 0;
        int i;
        for (i = 0; i < count; i++)
            pay(tables, &states[0], &cost, bins[i]);
        costs[0] += cost;
    } else {
        pay_three(tables, bins, count, states, costs);
        pay_three(tables, bins, count, states + 3, costs + 3);
        pay_three(tables, bins, count, states + 6, costs + 6);
    }
}

void nnr_search_tokens(search *s, const model_tables *tables, const token *tokens, const token *end)
{
    for (; tokens < end; tokens++) {
        const unsigned t = *tokens;
        if (NNR_UNLIKELY(t & BYPASS_TOKEN)) {
            s->bypass_bits += t >> 8 & 0x7f;
        } else {
            const unsigned ctx = t >> 1;
            const unsigned length = s->length[ctx];
            s->bins[ctx][length] = (uint8_t)(t & 1);
            s->length[ctx] = (uint16_t)(length + 1);
            if (NNR_UNLIKELY(length + 1 == BIN_BUFFER))
                run_candidates(s, tables, (int)ctx);
        }
    }
}

static void run_all(search *s, const model_tables *tables)
{
    int ctx;
    for (ctx = 0; ctx < s->context_count; ctx++)
        if (s->length[ctx] > 0)
            run_candidates(s, tables, ctx);
}

void nnr_search_reset(search *s, const model_tables *tables)
{
    int ctx, k;
    run_all(s, tables);
    for (ctx = 0; ctx < s->context_count; ctx++)
        for (k = 0; k < NNR_PARAMETER_SETS; k++)
            s->state[ctx][k] = tables->initial[k].state;
}

int64_t nnr_search_choose(search *s, const model_tables *tables, const tensor_layout *layout,
                          int exact_flags, uint8_t *parameter)
{
    parameter_slot slots[CTX_COUNT];
    const int count = nnr_parameter_slots(layout, slots);
    uint32_t flag_state = tables->initial[0].state;
    uint32_t flag_cost = 0; /* at most 1111 flags of less than 8 bits */
    int64_t total = s->bypass_bits * BIT;
    int i, k;

    run_all(s, tables);
    for (i = 0; i < count; i++) {
        const int ctx = slots[i].ctx;
        const int64_t *costs = s->cost[ctx];
        int best = 0;
        int64_t least = costs[0];
        if (slots[i].is_coded) {
            if (exact_flags) {
                const int32_t *flag = ESTIMATED_BITS[state_sum(flag_state) >> 3];
                least -= flag[1] - flag[0];
            }
            for (k = 1; k < s->candidates; k++) {
                if (costs[k] + 3 * BIT < least) {
                    least = costs[k] + 3 * BIT;
                    best = k;
                }
            }
            pay(tables, &flag_state, &flag_cost, best != 0);
        }
        parameter[ctx] = (uint8_t)best;
        total += costs[best] + (best ? 3 * BIT : 0);
    }
    return total + flag_cost;
}

int64_t nnr_price_list(const model_tables *tables, const uint8_t *bins, int64_t count)
{
    uint32_t state = tables->initial[0].state;
    int64_t total = 0, i;
    for (i = 0; i < count; i++) {
        uint32_t cost = 0;
        pay(tables, &state, &cost, bins[i]);
        total += cost;
    }
    return total;
}
