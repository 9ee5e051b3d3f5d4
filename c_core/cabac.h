/* cabac.h - (decoding 2) the arithmetic decoder: one bin at a time, no table of the range on the way.

   `range` and `offset` of the specification have nine bits; here they stand at the top of 64-bit words
   (bits 63..55), and the bits of `value` below are look-ahead. Invariants between bins: bit 63 of
   `range` is 1 (256 <= range), value < range, the low 55 bits of `range` are 0.

   The reader never looks at a byte outside data[0..size). Behind the end it sees zeros; whether bits
   that do not exist were used is a question of the position, asked by the caller now and then:
   look-ahead is innocent. */
#ifndef NNR_CABAC_H
#define NNR_CABAC_H

#include <stddef.h>
#include <stdint.h>

#include "model.h"
#include "platform.h"

typedef struct {
    uint64_t range;
    uint64_t value;
    int64_t valid; /* bits of `value` that count, the nine of the offset included */
    int64_t next;  /* byte that is loaded next */
    int64_t size;
    const uint8_t *data;
} arithmetic_decoder;

enum { OFFSET_BITS = 9, OFFSET_SHIFT = 64 - OFFSET_BITS };

NNR_NOINLINE uint64_t load_tail(const uint8_t *data, int64_t next, int64_t size)
{
    uint64_t word = 0;
    int shift = 56;
    for (; next < size && shift >= 0; shift -= 8)
        word |= (uint64_t)data[next++] << shift;
    return word;
}

/* At least 56 bits are valid afterwards: enough for six context-coded bins (7 bits each at most). */
NNR_INLINE void refill(arithmetic_decoder *d)
{
    uint64_t word;
    if (NNR_LIKELY(d->next + 8 <= d->size))
        word = load_be64(d->data + d->next);
    else
        word = load_tail(d->data, d->next, d->size);
    d->value |= word >> d->valid; /* the bits that are there already come again unchanged */
    d->next += (63 - d->valid) >> 3;
    d->valid |= 56;
}
enum { BINS_PER_REFILL = 6 };

/* (decoding 2.1) False if the offset cannot belong to a valid stream. */
NNR_INLINE int decoder_start(arithmetic_decoder *d, const uint8_t *data, int64_t size)
{
    d->range = (uint64_t)510 << OFFSET_SHIFT;
    d->value = 0;
    d->valid = 0;
    d->next = 0;
    d->size = size;
    d->data = data;
    refill(d);
    return d->value < d->range;
}

/* (decoding 9.3) Go on at a bit position, with a known offset and a range of 256. */
NNR_INLINE void decoder_seek(arithmetic_decoder *d, const uint8_t *data, int64_t size, int64_t position,
                             uint64_t offset)
{
    const int rest = (int)(-position & 7); /* bits of a byte that is read in part already */
    d->range = (uint64_t)256 << OFFSET_SHIFT;
    d->value = offset << OFFSET_SHIFT;
    d->next = (position + 7) >> 3;
    d->size = size;
    d->data = data;
    d->valid = OFFSET_BITS + rest;
    if (rest > 0)
        d->value |= ((uint64_t)data[d->next - 1] & ((1u << rest) - 1)) << (OFFSET_SHIFT - rest);
    refill(d);
}

/* P of the specification: bits read so far, those in the offset register included. */
NNR_INLINE int64_t bit_position(const arithmetic_decoder *d)
{
    return 8 * d->next - d->valid + OFFSET_BITS;
}

NNR_INLINE int is_truncated(const arithmetic_decoder *d)
{
    return bit_position(d) > 8 * d->size;
}

NNR_INLINE void consume(arithmetic_decoder *d, int bits)
{
    d->value <<= bits;
    d->valid -= bits;
}

/* (decoding 2.2) The more probable bin, with `value` below `mps_range`, leaves that as the range; the other one `lps`,
   and less of `value`. Returns all ones for the more probable bin.

   Compilers make jumps of a choice between two words, and these would be guessed wrong; with masks it takes twice the
   instructions. */
NNR_INLINE uint64_t choose_interval(uint64_t *value, uint64_t mps_range, uint64_t lps, uint64_t *narrow)
{
    uint64_t is_mps;
#ifdef NNR_CONDITIONAL_MOVES
    uint64_t rest = *value, range = mps_range;
    __asm__("sub %[mps], %[rest]\n\t" /* carry: below */
            "sbb %[is_mps], %[is_mps]\n\t"
            "cmovnc %[lps], %[range]\n\t"
            "cmovc %[value], %[rest]"
            : [rest] "+&r"(rest), [range] "+&r"(range), [is_mps] "=&r"(is_mps)
            : [mps] "r"(mps_range), [lps] "r"(lps), [value] "r"(*value)
            : "cc");
    *value = rest;
    *narrow = range;
#else
    is_mps = (uint64_t)0 - (uint64_t)(*value < mps_range);
    *value = *value - mps_range + (mps_range & is_mps);
    *narrow = lps ^ ((lps ^ mps_range) & is_mps);
#endif
    return is_mps;
}

/* (decoding 2.2) A context-coded bin as a mask: all ones for 1. No branch depends on the data.
   The caller refills. */
NNR_INLINE uint64_t decode_bin_mask(arithmetic_decoder *d, const model_tables *tables, context *ctx)
{
    uint64_t row = ctx->row;
    uint64_t successors = state_successors(tables, ctx->state);
    uint64_t lps = (row << ((d->range >> 57) & 0x38)) & ((uint64_t)0xff << OFFSET_SHIFT);
    uint64_t narrow, is_mps = choose_interval(&d->value, d->range - lps, lps, &narrow);
    uint64_t bin = ((uint64_t)0 - (row >> 63)) ^ is_mps;
    int shift = leading_zeros(narrow);
    uint32_t state = (uint32_t)(successors >> (bin & 32));
    d->range = narrow << shift;
    consume(d, shift);
    ctx->state = state;
    ctx->row = row_of_state(tables, state);
    return bin;
}

/* The same with a branch on the more probable bin: shorter for contexts that are hardly ever wrong. */
NNR_INLINE uint64_t decode_likely_bin(arithmetic_decoder *d, const model_tables *tables, context *ctx)
{
    uint64_t row = ctx->row;
    uint64_t successors = state_successors(tables, ctx->state);
    uint64_t lps = (row << ((d->range >> 57) & 0x38)) & ((uint64_t)0xff << OFFSET_SHIFT);
    uint64_t mps_range = d->range - lps;
    uint64_t bin = row >> 63; /* the less probable one */
    int shift;
    if (NNR_LIKELY(d->value < mps_range)) {
        bin ^= 1;
        shift = (int)(mps_range >> 63) ^ 1;
        d->range = mps_range << shift;
    } else {
        d->value -= mps_range;
        shift = leading_zeros(lps);
        d->range = lps << shift;
    }
    consume(d, shift);
    ctx->state = (uint32_t)(successors >> (32 * bin));
    ctx->row = row_of_state(tables, ctx->state);
    return bin;
}

/* (decoding 2.3) */
NNR_INLINE uint32_t decode_bypass_bin(arithmetic_decoder *d)
{
    uint64_t half = d->range >> 1;
    uint32_t bin = d->value >= half;
    d->value -= half & ((uint64_t)0 - bin);
    consume(d, 1);
    return bin;
}

/* (decoding 2.3) uae(n), n <= 23: n bypass bins are the quotient of a long division. */
NNR_INLINE uint32_t decode_bypass_bins(arithmetic_decoder *d, int n)
{
    uint32_t range = (uint32_t)(d->range >> OFFSET_SHIFT);
    uint32_t quotient = (uint32_t)(d->value >> (OFFSET_SHIFT - n)) / range;
    d->value -= (uint64_t)(quotient * range) << (OFFSET_SHIFT - n);
    consume(d, n);
    return quotient;
}
enum { MAX_BYPASS_BINS = 23 };

/* uae(n), n <= 32, with refill. */
NNR_INLINE uint64_t decode_uae(arithmetic_decoder *d, int n)
{
    uint64_t number = 0;
    while (n > 0) {
        int part = n < MAX_BYPASS_BINS ? n : MAX_BYPASS_BINS;
        refill(d);
        number = number << part | decode_bypass_bins(d, part);
        n -= part;
    }
    return number;
}

/* (decoding 2.4) False if the offset cannot belong to a valid stream. */
NNR_INLINE int reset_range(arithmetic_decoder *d)
{
    d->range = (uint64_t)256 << OFFSET_SHIFT;
    return d->value < d->range;
}

/* (decoding 2.5) */
NNR_INLINE int decode_terminate(const arithmetic_decoder *d)
{
    return d->value >= d->range - ((uint64_t)2 << OFFSET_SHIFT);
}

#endif
