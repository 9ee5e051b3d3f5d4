/* dq.h - (decoding 8) states of dependent quantization. */
#ifndef NNR_DQ_H
#define NNR_DQ_H

#include <stdint.h>

#include "platform.h"

/* The transition table as one word: nibble 2*state + parity. tests/core compares it with tables.h. */
#define DQ_TRANSITION_WORD UINT64_C(0x6413750246315720)

NNR_INLINE unsigned next_state(unsigned state, unsigned parity)
{
    return (unsigned)(DQ_TRANSITION_WORD >> (8 * state + 4 * parity)) & 7;
}

/* (decoding 9.2) `steps` indices of value 0 in a row: the cycles have length 1, 2 or 4. */
NNR_INLINE unsigned state_after_zeros(unsigned state, int64_t steps)
{
    for (steps &= 3; steps > 0; steps--)
        state = next_state(state, 0);
    return state;
}

#endif
