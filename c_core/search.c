/* search.c - (encoding 3) context-parameter search on the bins that are coded. */
#include "search.h"

#include <string.h>

#include "estimated_bits.h"

/* A virtual context as loops keep it: in registers. */
typedef struct {
    uint64_t f, t;
    uint32_t cost; /* BIN_BUFFER times the largest price fits */
} payer;

static virtual_context initial_state(int set)
{
    virtual_context v;
    v.f = (uint16_t)(PARAMETER_SET[set].s0_init + 128);
    v.t = (uint16_t)(PARAMETER_SET[set].s1_init + 2048);
    return v;
}

void nnr_search_build(search *s)
{
    int rate, bin, k;
    for (bin = 0; bin < 2; bin++) {
        search_tables *tables = &s->tables[bin];
        s->after[bin] = tables;
        for (k = 0; k < 1024; k++)
            tables->price[k] = (uint32_t)ESTIMATED_BITS[k][bin];
        for (rate = 0; rate < 4; rate++)
            for (k = 0; k < 256; k++)
                tables->fast[rate][k] =
                    (uint8_t)clamped(nnr_adapted(k - 128, 3, rate + FIRST_SHIFT, bin) + 128, 0, 255);
        for (rate = 0; rate < 3; rate++)
            for (k = 0; k < 4096; k++)
                tables->slow[rate][k] =
                    (uint16_t)clamped(nnr_adapted(k - 2048, 7, rate + FIRST_SHIFT, bin) + 2048, 0, 4095);
    }
}

/* Add the price of a bin and adapt. */
NNR_INLINE void pay(payer *p, const search_tables *after, int shift0, int shift1)
{
    p->cost += after->price[2 * p->f + (p->t >> 3)];
    p->f = after->fast[shift0 - FIRST_SHIFT][p->f];
    p->t = after->slow[shift1 - FIRST_SHIFT][p->t];
}

static payer load_payer(const virtual_context *state)
{
    payer p = {state->f, state->t, 0};
    return p;
}

static int64_t store_payer(const payer *p, virtual_context *state)
{
    state->f = (uint16_t)p->f;
    state->t = (uint16_t)p->t;
    return p->cost;
}

/* Three candidates at a time, so that everything stays in registers; the sets are constants where this is
   called. */
NNR_INLINE void pay_three(const search *s, const uint8_t *bins, int count, int i, int j, int k,
                          virtual_context *state, int64_t *cost)
{
    payer a = load_payer(&state[i]), b = load_payer(&state[j]), c = load_payer(&state[k]);
    const uint8_t *end = bins + count;
    for (; bins < end; bins++) {
        const search_tables *after = s->after[*bins];
        pay(&a, after, PARAMETER_SET[i].shift0, PARAMETER_SET[i].shift1);
        pay(&b, after, PARAMETER_SET[j].shift0, PARAMETER_SET[j].shift1);
        pay(&c, after, PARAMETER_SET[k].shift0, PARAMETER_SET[k].shift1);
    }
    cost[i] += store_payer(&a, &state[i]);
    cost[j] += store_payer(&b, &state[j]);
    cost[k] += store_payer(&c, &state[k]);
}

/* Price of bins for a context of parameter set 0. */
static int64_t price_bins(const search *s, const uint8_t *bins, int64_t count, virtual_context *state)
{
    int64_t cost = 0, i;
    for (i = 0; i < count; i++) {
        payer p = load_payer(state);
        pay(&p, s->after[bins[i]], PARAMETER_SET[0].shift0, PARAMETER_SET[0].shift1);
        cost += store_payer(&p, state);
    }
    return cost;
}

NNR_NOINLINE void run_candidates(search *s, int ctx)
{
    const uint8_t *bins = s->bins[ctx];
    const int count = s->length[ctx];
    virtual_context *state = s->state[ctx];
    int64_t *cost = s->cost[ctx];
    s->length[ctx] = 0;
    if (s->candidates == 1) {
        cost[0] += price_bins(s, bins, count, &state[0]);
    } else {
        pay_three(s, bins, count, 0, 1, 2, state, cost);
        pay_three(s, bins, count, 3, 4, 5, state, cost);
        pay_three(s, bins, count, 6, 7, 8, state, cost);
    }
}

void nnr_search_start(search *s, const tensor_layout *layout, int candidates)
{
    s->candidates = candidates;
    s->context_count = context_end(layout);
    s->bypass_bits = 0;
    memset(s->length, 0, (size_t)s->context_count * sizeof s->length[0]);
    memset(s->cost, 0, (size_t)s->context_count * sizeof s->cost[0]);
    nnr_search_reset(s);
}

void nnr_search_tokens(search *s, const token *tokens, const token *end)
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
                run_candidates(s, (int)ctx);
        }
    }
}

static void run_all(search *s)
{
    int ctx;
    for (ctx = 0; ctx < s->context_count; ctx++)
        if (s->length[ctx] > 0)
            run_candidates(s, ctx);
}

void nnr_search_reset(search *s)
{
    int ctx, k;
    run_all(s);
    for (ctx = 0; ctx < s->context_count; ctx++)
        for (k = 0; k < NNR_PARAMETER_SETS; k++)
            s->state[ctx][k] = initial_state(k);
}

int64_t nnr_search_price(const search *s, const uint8_t *bins, int64_t count)
{
    virtual_context state = initial_state(0);
    return price_bins(s, bins, count, &state);
}

int64_t nnr_search_choose(search *s, const tensor_layout *layout, int exact_flags, uint8_t *parameter)
{
    parameter_slot slots[CTX_COUNT];
    const int count = nnr_parameter_slots(layout, slots);
    virtual_context flag = initial_state(0); /* the context of the presence flags */
    int64_t total = s->bypass_bits * BIT;
    int i, k;

    run_all(s);
    for (i = 0; i < count; i++) {
        const int ctx = slots[i].ctx;
        const int64_t *costs = s->cost[ctx];
        uint8_t best = 0;
        if (slots[i].is_coded) {
            const int now = 2 * flag.f + (flag.t >> 3);
            int64_t least = costs[0];
            if (exact_flags)
                least += (int64_t)s->after[0]->price[now] - (int64_t)s->after[1]->price[now];
            for (k = 1; k < s->candidates; k++) {
                if (costs[k] + 3 * BIT < least) {
                    least = costs[k] + 3 * BIT;
                    best = (uint8_t)k;
                }
            }
            total += price_bins(s, &(uint8_t){best != 0}, 1, &flag) + (best ? 3 * BIT : 0);
        }
        parameter[ctx] = best;
        total += costs[best];
    }
    return total;
}
