/* search.c - (encoding 3) context-parameter search on the bins that are coded. */
#include "search.h"

#include <string.h>

#include "dq.h"

enum {
    ALL_LIVE = (1 << NNR_PARAMETER_SETS) - 1,
    MARGIN = 32 * BIT, /* what a candidate may have paid more than the best one */
    FEW_BINS = 256, /* of a context */
    MERGED_FAST = 2,
    MERGED_SLOW = 48 /* estimators this near stay near */
};

/* A virtual context as loops keep it: in registers. */
typedef struct {
    uint64_t f, t;
    uint32_t cost; /* BIN_BUFFER times the largest price fits */
} payer;

/* Add the price of a bin and adapt. */
NNR_INLINE void pay(payer *p, const price_tables *after, int64_t fast_rate, int64_t slow_rate)
{
    p->cost += after->price[2 * p->f + (p->t >> 3)];
    p->f = after->fast[fast_rate][p->f];
    p->t = after->slow[slow_rate][p->t];
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
        const price_tables *after = s->prices.after[*bins];
        pay(&a, after, PARAMETER_SET[i].shift0 - FIRST_SHIFT, PARAMETER_SET[i].shift1 - FIRST_SHIFT);
        pay(&b, after, PARAMETER_SET[j].shift0 - FIRST_SHIFT, PARAMETER_SET[j].shift1 - FIRST_SHIFT);
        pay(&c, after, PARAMETER_SET[k].shift0 - FIRST_SHIFT, PARAMETER_SET[k].shift1 - FIRST_SHIFT);
    }
    cost[i] += store_payer(&a, &state[i]);
    cost[j] += store_payer(&b, &state[j]);
    cost[k] += store_payer(&c, &state[k]);
}

/* Price of bins for one context. */
static int64_t price_bins(const price_model *prices, const uint8_t *bins, int64_t count, rated_context *c)
{
    int64_t cost = 0, i;
    for (i = 0; i < count; i++) {
        cost += price_of(prices, &c->now, bins[i]);
        adapt(prices, c, bins[i]);
    }
    return cost;
}

/* Candidates that are not known when this is compiled, up to three; what comes of those beyond `count` is not
   stored. */
NNR_NOINLINE void pay_some(const search *s, const uint8_t *bins, int length, const int *which, int count,
                           virtual_context *state, int64_t *cost)
{
    const uint8_t *end = bins + length;
    int64_t fast[3], slow[3];
    payer p[3];
    int i;
    for (i = 0; i < 3; i++) {
        const int k = which[i < count ? i : 0];
        p[i] = load_payer(&state[k]);
        fast[i] = PARAMETER_SET[k].shift0 - FIRST_SHIFT;
        slow[i] = PARAMETER_SET[k].shift1 - FIRST_SHIFT;
    }
    for (; bins < end; bins++) {
        const price_tables *after = s->prices.after[*bins];
        pay(&p[0], after, fast[0], slow[0]);
        pay(&p[1], after, fast[1], slow[1]);
        pay(&p[2], after, fast[2], slow[2]);
    }
    for (i = 0; i < count; i++)
        cost[which[i]] += store_payer(&p[i], &state[which[i]]);
}

/* Of two candidates with the same rates that will go the same way, the first is no dearer. */
static int is_merged(const virtual_context *a, const virtual_context *b)
{
    const int f = (int)a->f - (int)b->f, t = (int)a->t - (int)b->t;
    return f >= -MERGED_FAST && f <= MERGED_FAST && t >= -MERGED_SLOW && t <= MERGED_SLOW;
}

static int same_rates(int i, int j)
{
    return PARAMETER_SET[i].shift0 == PARAMETER_SET[j].shift0 && PARAMETER_SET[i].shift1 == PARAMETER_SET[j].shift1;
}

/* Drop candidates that will hardly win any more. */
static void drop_losers(search *s, int ctx)
{
    const int64_t *cost = s->cost[ctx];
    const virtual_context *state = s->state[ctx];
    int i, j, best = -1;
    for (i = 0; i < NNR_PARAMETER_SETS; i++)
        if (s->live[ctx] >> i & 1 && (best < 0 || cost[i] < cost[best]))
            best = i;
    for (i = 0; i < NNR_PARAMETER_SETS; i++) {
        int heir = -1;
        if (!(s->live[ctx] >> i & 1) || i == best)
            continue;
        if (cost[i] - cost[best] > MARGIN)
            heir = best;
        for (j = 0; j < NNR_PARAMETER_SETS && heir < 0; j++)
            if (j != i && s->live[ctx] >> j & 1 && same_rates(i, j) && cost[j] <= cost[i] &&
                is_merged(&state[i], &state[j]))
                heir = j;
        if (heir >= 0) {
            s->live[ctx] = (uint16_t)(s->live[ctx] & ~(1u << i));
            if (s->stand_in[ctx] == i)
                s->stand_in[ctx] = (uint8_t)heir;
        }
    }
}

static void run_live_candidates(search *s, int ctx, const uint8_t *bins, int count)
{
    const int stand_in = s->stand_in[ctx];
    const int64_t paid = s->cost[ctx][stand_in];
    int which[NNR_PARAMETER_SETS], live = 0, k;
    for (k = 0; k < NNR_PARAMETER_SETS; k++)
        if (s->live[ctx] >> k & 1)
            which[live++] = k;
    for (k = 0; k < live; k += 3)
        pay_some(s, bins, count, which + k, live - k < 3 ? live - k : 3, s->state[ctx], s->cost[ctx]);
    if (stand_in != 0)
        s->cost[ctx][0] += s->cost[ctx][stand_in] - paid;
    if (live > 1)
        drop_losers(s, ctx);
}

/* Candidates that may be worth their parameter for a few bins of constant probability, set 0 first; 0 if none is. The
   bounds are where the mean costs of random bins cross. */
static int likely_candidates(const uint8_t *bins, int count, int *which)
{
    int ones = 0, i, percent;
    for (i = 0; i < count; i++)
        ones += bins[i];
    percent = 100 * ones / (count > 0 ? count : 1);
    which[0] = 0;
    if (count < 16 ? percent >= 6 && percent <= 94 : percent >= 28 && percent <= 65)
        return 0;
    if (percent < 28) {
        which[1] = 1;
        which[2] = 6;
        return 3;
    }
    which[1] = percent < 94 ? 4 : 2;
    which[2] = percent < 88 ? 8 : 5;
    return 3;
}

static void run_bins(search *s, int ctx, const uint8_t *bins, int count)
{
    virtual_context *state = s->state[ctx];
    int64_t *cost = s->cost[ctx];
    s->has_run[ctx] = 1;
    if (s->quick && s->live[ctx] != ALL_LIVE) {
        run_live_candidates(s, ctx, bins, count);
    } else if (s->candidates == 1) {
        rated_context set0 = rated_context_of(0);
        set0.now = state[0];
        cost[0] += price_bins(&s->prices, bins, count, &set0);
        state[0] = set0.now;
    } else {
        pay_three(s, bins, count, 0, 1, 2, state, cost);
        pay_three(s, bins, count, 3, 4, 5, state, cost);
        pay_three(s, bins, count, 6, 7, 8, state, cost);
        if (s->quick)
            drop_losers(s, ctx);
    }
}

/* Before the few bins of a context are run: leave the candidates that are likely; of none, costs stay 0. */
static void keep_likely(search *s, int ctx)
{
    int which[3];
    int count = likely_candidates(s->bins[ctx], s->length[ctx], which);
    s->live[ctx] = 0;
    if (count == 0)
        s->length[ctx] = 0;
    while (count > 0)
        s->live[ctx] = (uint16_t)(s->live[ctx] | 1u << which[--count]);
}

/* Bins that wait. */
NNR_NOINLINE void run_candidates(search *s, int ctx)
{
    run_bins(s, ctx, s->bins[ctx], s->length[ctx]);
    s->length[ctx] = 0;
}

void nnr_search_start(search *s, const tensor_layout *layout, int candidates, int quick, int choice_only)
{
    int ctx;
    s->quick = quick;
    s->choice_only = choice_only;
    s->candidates = candidates;
    s->context_count = context_end(layout);
    s->bypass_bits = 0;
    memset(s->length, 0, (size_t)s->context_count * sizeof s->length[0]);
    memset(s->cost, 0, (size_t)s->context_count * sizeof s->cost[0]);
    memset(s->has_run, 0, (size_t)s->context_count * sizeof s->has_run[0]);
    for (ctx = 0; ctx < s->context_count; ctx++) {
        s->live[ctx] = ALL_LIVE;
        s->stand_in[ctx] = 0;
    }
    nnr_search_reset(s);
}

static void put_zero_bins(search *s, unsigned ctx, unsigned count)
{
    while (count > 0) {
        const unsigned length = s->length[ctx], room = BIN_BUFFER - length, part = count < room ? count : room;
        memset(s->bins[ctx] + length, 0, part);
        s->length[ctx] = (uint16_t)(length + part);
        if (part == room)
            run_candidates(s, (int)ctx);
        count -= part;
    }
}

static void put_zeros(search *s, unsigned state, unsigned fours)
{
    unsigned i;
    if (next_state(state, 0) == state) {
        put_zero_bins(s, sig_context(state, 0), 4 * fours);
        return;
    }
    for (i = 0; i < 4; i++)
        put_zero_bins(s, sig_context(state_after_zeros(state, i), 0), fours);
}

void nnr_search_tokens(search *s, const token *tokens, const token *end)
{
    for (; tokens < end; tokens++) {
        const unsigned t = *tokens;
        if (NNR_UNLIKELY(t & BYPASS_TOKEN)) {
            if (is_zeros_token(*tokens))
                put_zeros(s, t >> 8 & 7, t & 0xff);
            else
                s->bypass_bits += t >> 8 & 7;
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

static int64_t scaled(int64_t cost, int64_t whole, int64_t part)
{
    return cost / part * whole + cost % part * whole / part;
}

void nnr_search_scale(search *s, int64_t whole, int64_t part)
{
    int ctx, k;
    run_all(s);
    for (ctx = 0; ctx < s->context_count; ctx++)
        for (k = 0; k < NNR_PARAMETER_SETS; k++)
            s->cost[ctx][k] = scaled(s->cost[ctx][k], whole, part);
    s->bypass_bits = scaled(s->bypass_bits, whole, part);
}

void nnr_search_reset(search *s)
{
    int ctx, k;
    run_all(s);
    for (ctx = 0; ctx < s->context_count; ctx++)
        for (k = 0; k < NNR_PARAMETER_SETS; k++)
            s->state[ctx][k] = virtual_context_of(k);
}

int64_t nnr_search_price(const search *s, const uint8_t *bins, int64_t count)
{
    rated_context set0 = rated_context_of(0);
    return price_bins(&s->prices, bins, count, &set0);
}

/* What a context parameter would save if its presence flag were free, and the set that saves it. */
typedef struct {
    int64_t gain;
    uint8_t set;
} offer;

static offer best_offer(const search *s, int ctx)
{
    const int64_t *costs = s->cost[ctx];
    offer o = {0, 0};
    int k;
    for (k = 1; k < s->candidates; k++) {
        const int64_t gain = costs[0] - costs[k] - 3 * BIT; /* shift_idx_minus_1 has three bits */
        if (s->live[ctx] >> k & 1 && gain > o.gain) {
            o.gain = gain;
            o.set = (uint8_t)k;
        }
    }
    return o;
}

/* What is saved, flags paid for, if offers above a threshold are taken. */
static int64_t balance(const search *s, const parameter_slot *slots, int count, const offer *offers,
                       int64_t threshold)
{
    rated_context flag = rated_context_of(0);
    int64_t saved = 0;
    int i;
    for (i = 0; i < count; i++) {
        if (slots[i].is_coded) {
            const uint8_t taken = offers[i].gain > threshold;
            saved += (taken ? offers[i].gain : 0) - price_bins(&s->prices, &taken, 1, &flag);
        }
    }
    return saved;
}

int64_t nnr_search_choose(search *s, const tensor_layout *layout, int weigh_flags, uint8_t *parameter)
{
    /* The price of a flag depends on the flags before it. The best of a few fixed prices comes close. */
    static const int64_t PRICES[] = {0, BIT / 2, BIT, 2 * BIT, 3 * BIT, 4 * BIT, 6 * BIT, 9 * BIT};
    parameter_slot slots[CTX_COUNT];
    offer offers[CTX_COUNT];
    const int count = nnr_parameter_slots(layout, slots);
    const int price_count = weigh_flags ? (int)(sizeof PRICES / sizeof PRICES[0]) : 1;
    int64_t threshold = 0, most = INT64_MIN, total = s->bypass_bits * BIT;
    int i;

    for (i = 0; s->quick && s->choice_only && i < count; i++)
        if (!s->has_run[slots[i].ctx] && s->length[slots[i].ctx] < FEW_BINS)
            keep_likely(s, slots[i].ctx);
    run_all(s);
    for (i = 0; i < count; i++) {
        offers[i] = best_offer(s, slots[i].ctx);
        total += s->cost[slots[i].ctx][0];
    }
    for (i = 0; i < price_count; i++) {
        const int64_t saved = balance(s, slots, count, offers, PRICES[i]);
        if (saved > most) {
            most = saved;
            threshold = PRICES[i];
        }
    }
    for (i = 0; i < count; i++)
        parameter[slots[i].ctx] = slots[i].is_coded && offers[i].gain > threshold ? offers[i].set : 0;
    return total - most;
}
