/* contexts.h - (decoding 4) one numbering of the contexts of a tensor, for decoder, encoder, trellis. */
#ifndef NNR_CONTEXTS_H
#define NNR_CONTEXTS_H

#include <stdint.h>

#include "platform.h"

enum {
    MAX_UNARY_LENGTH = 256,
    MAX_ESCAPE = 32, /* 31 in the specification, 32 in its legacy mode (README D1) */

    SIG_STRIDE = 4,                        /* from state to state; not all are in use */
    CTX_SIG = 0,                           /* SIG_STRIDE*state + neighbour class */
    CTX_SIG_AIDED = CTX_SIG + 32,          /* 32*(aid - 1) + SIG_STRIDE*state + 2 */
    CTX_SIGN = CTX_SIG_AIDED + 3 * 32,     /* neighbour class */
    CTX_SIGN_BASE = CTX_SIGN + 3,          /* temporal base: 1 if it is positive */
    CTX_ESCAPE = CTX_SIGN_BASE + 2,        /* "GTX2": bin of the exponent */
    CTX_SHIFT = CTX_ESCAPE + MAX_ESCAPE,   /* shift_idx_minus_1_present_flag */
    CTX_SKIP = CTX_SHIFT + 1,              /* row_skip_list */
    CTX_GREATER = CTX_SKIP + 1,            /* "GTX": 2*j + sign, j < unary length */
    /* with a temporal base: CTX_GREATER + 2*unary length + 2*j + class */
    CTX_COUNT = CTX_GREATER + 4 * MAX_UNARY_LENGTH
};

/* What may choose the context of a significance in the neighbour's place. */
enum { AID_NONE, AID_SMALL_BASE, AID_LARGE_BASE, AID_HISTORY, AIDS };

NNR_INLINE unsigned sig_context(unsigned state, unsigned neighbour)
{
    return CTX_SIG + SIG_STRIDE * state + neighbour;
}

/* The lowest two bits are 2 for all of them; `with_aid` of interleave.c rests on it. */
NNR_INLINE unsigned aided_sig_context(unsigned state, unsigned aid)
{
    return CTX_SIG_AIDED + 32 * (aid - 1) + SIG_STRIDE * state + 2;
}

/* Neighbour class: 0 for zero, 1 for negative, 2 for positive. */
NNR_INLINE unsigned neighbour_class(int64_t index)
{
    return (unsigned)(index != 0) + (unsigned)(index > 0);
}

#endif
