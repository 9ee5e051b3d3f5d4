/* rate_model.h - (decoding 3 to 7) what the bins of a level cost at a place of the tensor: contexts that adapt to
   levels chosen so far, and prices read from them. For the quantizers that mind the rate.

   The contexts of significance and sign depend on a "situation": neighbour class and sign of the weight, whether
   the position has a history, or the temporal base instead of the neighbour. Within a tensor only the neighbour
   class is a matter of choice. */
#ifndef NNR_RATE_MODEL_H
#define NNR_RATE_MODEL_H

#include <stdint.h>
#include <string.h>

#include "layout.h"
#include "prices.h"
#include "scan.h"
#include "tokens.h"

enum {
    /* Neighbour class (3) and sign, and the same at history positions; with a temporal base magnitude class or
       history (3), sign of the base and sign. */
    SITUATION_HISTORY = 6,
    SITUATION_BASE = 12,
    SITUATIONS = 24,
    REPLAY_LEVELS = 64 /* most levels between two calls of nnr_rate_adapt */
};

/* (decoding 6) Contexts of a situation: significance is sig + SIG_STRIDE * state. */
typedef struct {
    int sig, sign;
} situation_bins;

typedef struct {
    situation_bins bins[SITUATIONS];
    const price_model *prices;
    const tensor_layout *layout;
    const uint8_t *parameter; /* a set for each context */
    float unit;               /* cost of 2^-15 bit */
    rated_context contexts[CTX_COUNT];
    /* bins of levels that are decided, on their way to the contexts */
    token *next;
    token tokens[REPLAY_LEVELS * (2 + STRING_LENGTH) + STRING_LENGTH];
    tokeniser strings;
} rate_model;

/* Weights of a piece of the scan, one after the other, and levels to be. */
typedef struct {
    double size[PIECE_POSITIONS]; /* |w| / step */
    uint8_t negative[PIECE_POSITIONS];
    float importance[PIECE_POSITIONS];
    int32_t base[PIECE_POSITIONS];
    uint8_t history[PIECE_POSITIONS];
    int32_t level[PIECE_POSITIONS]; /* without sign */
} rate_piece;

/* The model of a tensor, `bit_price` the cost of a bit. */
void nnr_rate_model_start(rate_model *m, const price_model *prices, const tensor_layout *layout,
                          const uint8_t *parameter, double bit_price);

/* (decoding 3.1) Contexts as at the start of the tensor or of a block row. */
void nnr_rate_model_reset(rate_model *m);

/* Price of the escape code of `rest`, which counts from 0. */
uint32_t nnr_rate_escape_price(const rate_model *m, int64_t rest);

/* (decoding 7) Price of the bins behind the sign, one by one. */
uint32_t nnr_rate_magnitude_price(const rate_model *m, int64_t index, unsigned negative, int64_t base);

/* Let the contexts see the bins that wait. */
void nnr_rate_adapt(rate_model *m);

/* Let the contexts see the bins of a large magnitude, or one with a temporal base. */
void nnr_rate_adapt_to_magnitude(rate_model *m, int64_t index, unsigned negative, int64_t base);

/* Everything of a piece but sizes and levels. */
void nnr_rate_load_piece(rate_piece *piece, const tensor_layout *layout, const float *weights,
                         const float *importance, const run *r);

NNR_INLINE uint32_t bin_price(const rate_model *m, int ctx, unsigned bin)
{
    return price_of(m->prices, &m->contexts[ctx].now, bin);
}

/* Situations of a tensor are numbers below this. */
NNR_INLINE unsigned situation_end(const tensor_layout *layout)
{
    return layout->base ? SITUATIONS : layout->history ? SITUATION_BASE : SITUATION_HISTORY;
}

NNR_INLINE unsigned situation_of(unsigned neighbour, unsigned negative, int32_t base, unsigned history)
{
    if (base != 0) {
        const unsigned kind = history ? 2u : (unsigned)(base < -1 || base > 1);
        return SITUATION_BASE + 4 * kind + 2 * (unsigned)(base > 0) + negative;
    }
    return (history ? (unsigned)SITUATION_HISTORY : 0u) + 2 * neighbour + negative;
}

/* Note a level that is decided; no branch for small ones. */
NNR_INLINE void note_level(rate_model *m, int sig, int sign, int64_t index, unsigned negative, int64_t base)
{
    const unsigned significant = index != 0;
    token *next = put_bin(m->next, sig, significant);
    *next = (token)((unsigned)sign << 1 | negative);
    next += significant;
    if (NNR_LIKELY(index <= (int64_t)m->strings.string_limit && base == 0)) {
        memcpy(next, m->strings.strings[negative][index], sizeof m->strings.strings[0][0]);
        m->next = next + index;
    } else {
        m->next = next;
        nnr_rate_adapt(m);
        if (index != 0)
            nnr_rate_adapt_to_magnitude(m, index, negative, base);
    }
}

#endif
