/* tokens.h - bins waiting to be coded, 16 bits each: what the binarization writes, what the context-parameter
   search counts and what the arithmetic encoder reads.

   A context-coded bin is ctx << 1 | bin. Up to seven bypass bins are one token: flag, count, bins. So is a long run
   of zeros behind a zero: flags, state, number of positions by four; behind four zeros the state is what it was. */
#ifndef NNR_TOKENS_H
#define NNR_TOKENS_H

#include <stdint.h>

#include "layout.h"
#include "platform.h"
#include "tables.h"

typedef uint16_t token;

enum {
    BYPASS_TOKEN = 0x8000,
    MAX_TOKEN_BYPASS = 7, /* bypass bins of one token */
    ZEROS_TOKEN = 0xc000, /* | state << 8 | fours */
    RUN_POSITIONS = 512,  /* most positions of one call of nnr_tokenise_run */
    /* sig, sign, unary part, escape prefix, suffix in groups of seven; and what a copy may write beyond */
    TOKENS_PER_POSITION = 2 + MAX_UNARY_LENGTH + MAX_ESCAPE + 6,
    TOKEN_ROOM = RUN_POSITIONS * TOKENS_PER_POSITION + 64,
    STRING_LENGTH = 16 /* tokens of a prepared unary string */
};

/* Where binarization stands between two runs of a tensor, and unary parts that are copied as a whole. */
typedef struct {
    token *next;
    unsigned state;     /* of dependent quantization */
    unsigned neighbour; /* class of the index before */
    int doubled;        /* measure as NNCodec 2 does: doubled integers, no codebook bound (encoding 3) */
    int wrong_state;    /* a level that its quantizer does not have (decoding 8) */
    int wrong_index;    /* an index outside the codebook */
    int string_unary_length;
    uint32_t string_limit;                                /* largest magnitude that has a string */
    token strings[2][STRING_LENGTH][STRING_LENGTH]; /* by sign and magnitude */
    token sig[AIDS][3 * NNR_DQ_STATES]; /* by state and neighbour class */
    token zeros[NNR_DQ_STATES][STRING_LENGTH]; /* zeros behind a zero, by state */
    uint8_t behind_zeros[NNR_DQ_STATES][4];    /* state after 0 to 3 zeros */
    token base_strings[STRING_LENGTH][STRING_LENGTH][STRING_LENGTH]; /* by size of the temporal base and magnitude */
} tokeniser;

/* Start of a tensor. */
void nnr_tokenise_start(tokeniser *t, const tensor_layout *layout, int doubled);

/* Append the tokens of at most RUN_POSITIONS samples. */
void nnr_tokenise_run(tokeniser *t, const tensor_layout *layout, const run *r);

/* The same one decision after the other and without runs of zeros: slower, and what the other is compared with. */
void nnr_tokenise_plainly(tokeniser *t, const tensor_layout *layout, const run *r);

NNR_INLINE int is_zeros_token(token t)
{
    return t >= ZEROS_TOKEN;
}

/* Append n <= 32 bypass bins. */
NNR_INLINE token *put_bypass(token *next, uint64_t number, int n)
{
    while (n > 0) {
        const int part = n < MAX_TOKEN_BYPASS ? n : MAX_TOKEN_BYPASS;
        n -= part;
        *next++ = (token)(BYPASS_TOKEN | part << 8 | (int)(number >> n & ((1u << part) - 1)));
    }
    return next;
}

NNR_INLINE token *put_bin(token *next, int ctx, unsigned bin)
{
    *next = (token)((unsigned)ctx << 1 | bin);
    return next + 1;
}

#endif
