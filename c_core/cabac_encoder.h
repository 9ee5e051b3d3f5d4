/* cabac_encoder.h - (encoding 1) the arithmetic encoder, in the same layout as the decoder of cabac.h.

   `range` has its nine bits at the top of the word. `low` is a plain number: its lowest nine bits are the
   window that the range belongs to, above them stand `pending` bits that are not written yet. Sixteen of
   them at least are kept back, so a carry almost never reaches a byte that is written; if it does, it
   ripples backwards. A code starts with two bytes of zeros, pending, which are no part of the payload. */
#ifndef NNR_CABAC_ENCODER_H
#define NNR_CABAC_ENCODER_H

#include <stddef.h>
#include <stdint.h>

#include "contexts.h"
#include "dq.h"
#include "model.h"
#include "platform.h"
#include "tokens.h"

typedef struct {
    uint64_t range;
    uint64_t low;
    int pending;
    uint8_t *bytes; /* of this code, lead bytes included */
    int64_t next;   /* byte that is written next */
} arithmetic_encoder;

enum {
    RANGE_SHIFT = 55,
    LEAD_BITS = 16,
    MOST_PENDING = 26,    /* that leave room for */
    TOKENS_PER_FLUSH = 4, /* of seven bits at most: 9 + 26 + 4*7 bits and a carry fit the word */
    FLUSH_BYTES = 8       /* what a flush may write beyond the bytes that count */
};

NNR_INLINE void encoder_start(arithmetic_encoder *e, uint8_t *bytes)
{
    e->range = (uint64_t)510 << RANGE_SHIFT;
    e->low = 0;
    e->pending = LEAD_BITS;
    e->bytes = bytes;
    e->next = 0;
}

NNR_NOINLINE void propagate_carry(uint8_t *last)
{
    while (++*last == 0) /* stops at a lead byte at the latest: the code is below 1 */
        last--;
}

/* Write whole bytes; 16 to 23 bits stay pending. */
NNR_INLINE void encoder_flush(arithmetic_encoder *e)
{
    const int count = (e->pending - LEAD_BITS) >> 3;
    if (NNR_UNLIKELY(e->low >> (9 + e->pending)))
        propagate_carry(e->bytes + e->next - 1);
    store_be64(e->bytes + e->next, e->low << (55 - e->pending));
    e->next += count;
    e->pending -= 8 * count;
    e->low &= ((uint64_t)1 << (9 + e->pending)) - 1;
}

/* (encoding 1) context bin */
NNR_INLINE void encode_bin(arithmetic_encoder *e, const model_tables *tables, context *ctx, unsigned bin)
{
    const uint64_t row = ctx->row;
    const uint64_t successors = state_successors(tables, ctx->state);
    const uint64_t lps = (row << ((e->range >> 57) & 0x38)) & ((uint64_t)0xff << RANGE_SHIFT);
    const uint64_t mps_range = e->range - lps;
    const uint64_t is_mps = (uint64_t)0 - ((row >> 63) ^ bin);
    const uint64_t narrow = lps ^ ((lps ^ mps_range) & is_mps);
    const int shift = leading_zeros(narrow);
    const uint32_t state = (uint32_t)(successors >> (32 * bin));
    e->low = (e->low + ((mps_range >> RANGE_SHIFT) & ~is_mps)) << shift;
    e->range = narrow << shift;
    e->pending += shift;
    ctx->state = state;
    ctx->row = row_of_state(tables, state);
}

/* (encoding 1) n <= 7 bypass bins */
NNR_INLINE void encode_bypass_bins(arithmetic_encoder *e, unsigned bins, int n)
{
    e->low = (e->low << n) + bins * (e->range >> RANGE_SHIFT);
    e->pending += n;
}

/* A 0-bin of a context where 0 is likely: shorter there, and of the same effect everywhere. */
NNR_INLINE void encode_zero(arithmetic_encoder *e, const model_tables *tables, context *ctx)
{
    const uint64_t row = ctx->row;
    const uint64_t lps = (row << ((e->range >> 57) & 0x38)) & ((uint64_t)0xff << RANGE_SHIFT);
    const uint64_t mps_range = e->range - lps;
    const uint32_t state = (uint32_t)state_successors(tables, ctx->state);
    int shift;
    if (NNR_LIKELY(row >> 63)) {
        shift = (int)(mps_range >> 63) ^ 1;
        e->range = mps_range << shift;
    } else {
        shift = leading_zeros(lps);
        e->low += mps_range >> RANGE_SHIFT;
        e->range = lps << shift;
    }
    e->low <<= shift;
    e->pending += shift;
    ctx->state = state;
    ctx->row = row_of_state(tables, state);
}

/* Zeros of a run, four times `fours`: contexts in the order in which states follow each other. */
NNR_NOINLINE void encode_zeros(arithmetic_encoder *coder, const model_tables *tables, context *contexts,
                               unsigned state, unsigned fours)
{
    arithmetic_encoder e = *coder;
    encoder_flush(&e);
    if (next_state(state, 0) == state) {
        context *there = &contexts[sig_context(state, 0)];
        context ctx = *there; /* one for the whole run, so it can live in registers */
        for (; fours > 0; fours--) {
            encode_zero(&e, tables, &ctx);
            encode_zero(&e, tables, &ctx);
            encode_zero(&e, tables, &ctx);
            encode_zero(&e, tables, &ctx);
            if (e.pending > MOST_PENDING)
                encoder_flush(&e);
        }
        *there = ctx;
    } else {
        context *a = &contexts[sig_context(state, 0)], *b = &contexts[sig_context(state_after_zeros(state, 1), 0)];
        context *c = &contexts[sig_context(state_after_zeros(state, 2), 0)];
        context *d = &contexts[sig_context(state_after_zeros(state, 3), 0)];
        for (; fours > 0; fours--) {
            encode_zero(&e, tables, a);
            encode_zero(&e, tables, b);
            encode_zero(&e, tables, c);
            encode_zero(&e, tables, d);
            if (e.pending > MOST_PENDING)
                encoder_flush(&e);
        }
    }
    encoder_flush(&e);
    *coder = e;
}

NNR_INLINE void encode_token(arithmetic_encoder *e, const model_tables *tables, context *contexts, token t)
{
    if (NNR_UNLIKELY(t & BYPASS_TOKEN)) {
        if (is_zeros_token(t)) {
            arithmetic_encoder cold = *e; /* only the copy has its address taken */
            encode_zeros(&cold, tables, contexts, t >> 8 & 7u, t & 0xffu);
            *e = cold;
        } else {
            encode_bypass_bins(e, t & 0xffu, t >> 8 & 7);
        }
    } else
        encode_bin(e, tables, &contexts[t >> 1], t & 1u);
}

/* Bits of decoding's P at this moment: what a decoder has read, its offset register included. */
NNR_INLINE int64_t encoder_position(const arithmetic_encoder *e)
{
    return 8 * e->next + e->pending - LEAD_BITS + 9;
}

NNR_INLINE void encoder_reset_range(arithmetic_encoder *e)
{
    e->range = (uint64_t)256 << RANGE_SHIFT;
}

/* (encoding 1) Terminate bin, stop bit and zeros up to the byte's end. */
NNR_INLINE void encoder_finish(arithmetic_encoder *e)
{
    encoder_flush(e);
    e->range -= (uint64_t)2 << RANGE_SHIFT;
    e->low = (e->low + (e->range >> RANGE_SHIFT)) << 7;
    e->pending += 7;
    if (e->low >> (9 + e->pending))
        propagate_carry(e->bytes + e->next - 1);
    e->low = (e->low & ~(uint64_t)0xff) | 0x80; /* one bit of `low` is written still, then the stop bit */
    store_be64(e->bytes + e->next, e->low << (55 - e->pending));
    e->next += (e->pending + 2 + 7) >> 3;
}

#endif
