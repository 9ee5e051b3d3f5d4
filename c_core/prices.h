/* prices.h - (decoding 3, encoding 3) the probability model once more, for virtual contexts: contexts that code
   nothing and tell what a bin would cost.

   `f` is s0 + 128, `t` is s1 + 2048, so 16*s0 + s1 = 16*f + t - 4096. Costs are in units of 2^-15 bit. */
#ifndef NNR_PRICES_H
#define NNR_PRICES_H

#include <stdint.h>

#include "model.h"
#include "platform.h"
#include "tables.h"

enum { BIT = 32768 }; /* cost of a bypass bin */

/* What follows a bin. */
typedef struct {
    uint32_t price[1024];   /* by (16*f + t) >> 3 */
    uint8_t fast[4][256];   /* next f, by rate and f */
    uint16_t slow[3][4096]; /* next t, by rate and t */
} price_tables;

typedef struct {
    price_tables tables[2];
    const price_tables *after[2]; /* the same by bin; as pointers, so that loops keep one address for all three */
} price_model;

typedef struct {
    uint16_t f, t;
} virtual_context;

/* One that knows its rates. */
typedef struct {
    virtual_context now;
    uint16_t fast_rate, slow_rate;
} rated_context;

/* Fill the tables, once for a handle; the model must not move afterwards. */
void nnr_price_model_build(price_model *model);

NNR_INLINE virtual_context virtual_context_of(int set)
{
    virtual_context v;
    v.f = (uint16_t)(PARAMETER_SET[set].s0_init + 128);
    v.t = (uint16_t)(PARAMETER_SET[set].s1_init + 2048);
    return v;
}

NNR_INLINE uint32_t price_of(const price_model *model, const virtual_context *v, unsigned bin)
{
    return model->after[bin]->price[2 * v->f + (v->t >> 3)];
}

NNR_INLINE rated_context rated_context_of(int set)
{
    rated_context c;
    c.now = virtual_context_of(set);
    c.fast_rate = (uint16_t)(PARAMETER_SET[set].shift0 - FIRST_SHIFT);
    c.slow_rate = (uint16_t)(PARAMETER_SET[set].shift1 - FIRST_SHIFT);
    return c;
}

/* (decoding 3.3) */
NNR_INLINE void adapt(const price_model *model, rated_context *c, unsigned bin)
{
    const price_tables *after = model->after[bin];
    c->now.f = after->fast[c->fast_rate][c->now.f];
    c->now.t = after->slow[c->slow_rate][c->now.t];
}

#endif
