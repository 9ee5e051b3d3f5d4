/* tokenise.c - (decoding 6 to 8, read backwards) from levels to bins.

   Most samples need no decision: significance, sign and the unary part are written always, the latter copied
   from a table, and the position advances by as many tokens as really exist. So are the zeros between two samples
   that are not zero; long runs of them become one token. */
#include <string.h>

#include "dq.h"
#include "nonzero.h"
#include "tokens.h"

void nnr_tokenise_start(tokeniser *t, const tensor_layout *layout, int doubled)
{
    const int n = layout->unary_length;
    unsigned negative, magnitude, size, state, aid, j;

    t->state = 0;
    t->neighbour = 0;
    t->doubled = doubled;
    t->wrong_state = 0;
    t->wrong_index = 0;
    if (t->string_unary_length == n)
        return;
    t->string_unary_length = n;
    t->string_limit = n < STRING_LENGTH ? (uint32_t)n : STRING_LENGTH - 1;
    for (state = 0; state < NNR_DQ_STATES; state++) {
        for (j = 0; j < 4; j++)
            t->behind_zeros[state][j] = (uint8_t)state_after_zeros(state, j);
        for (j = 0; j < 3; j++) {
            t->sig[AID_NONE][3 * state + j] = (token)(sig_context(state, j) << 1);
            for (aid = AID_SMALL_BASE; aid < AIDS; aid++)
                t->sig[aid][3 * state + j] = (token)(aided_sig_context(state, aid) << 1);
        }
        for (j = 0; j < STRING_LENGTH; j++)
            t->zeros[state][j] = (token)(sig_context(state_after_zeros(state, j), 0) << 1);
    }
    memset(t->strings, 0, sizeof t->strings);
    memset(t->base_strings, 0, sizeof t->base_strings);
    for (negative = 0; negative < 2; negative++)
        for (magnitude = 1; magnitude <= t->string_limit; magnitude++)
            for (j = 0; j < magnitude; j++)
                t->strings[negative][magnitude][j] =
                    (token)((CTX_GREATER + 2 * j + negative) << 1 | (j < magnitude - 1));
    for (size = 1; size < STRING_LENGTH; size++)
        for (magnitude = 1; magnitude <= t->string_limit; magnitude++)
            for (j = 0; j < magnitude; j++)
                t->base_strings[size][magnitude][j] =
                    (token)((CTX_GREATER + 2 * (unsigned)n + 2 * j + (size < j)) << 1 | (j < magnitude - 1));
}

/* Unary part and escape code of one magnitude, bin by bin (decoding 7). */
static token *put_magnitude(token *next, const tensor_layout *layout, int64_t magnitude, unsigned negative,
                            int64_t limit, int64_t base_level)
{
    const int64_t base_size = base_level < 0 ? -base_level : base_level;
    const int n = layout->unary_length;
    int64_t reached = 1;
    int j = 0, exponent = 0;
    unsigned more = limit > 1;

    while (more) {
        const int ctx = base_level != 0 ? CTX_GREATER + 2 * n + 2 * j + (base_size < j)
                                        : CTX_GREATER + 2 * j + (int)negative;
        more = magnitude > reached;
        next = put_bin(next, ctx, more);
        reached += more;
        j++;
        if (j == n || reached >= limit)
            break;
    }
    if (!more || reached >= limit)
        return next;
    do {
        more = magnitude >= reached + ((int64_t)1 << exponent);
        next = put_bin(next, CTX_ESCAPE + exponent, more);
        if (more) {
            reached += (int64_t)1 << exponent;
            exponent++;
        }
    } while (more && exponent < layout->escape_count && reached + ((int64_t)1 << exponent) <= limit);
    return put_bypass(next, (uint64_t)(magnitude - reached), exponent);
}

/* (decoding 8) The index of a level in the quantizer of the state. */
NNR_INLINE uint32_t index_size(uint32_t level_size, unsigned odd)
{
    return (uint32_t)(((uint64_t)level_size + odd) >> 1);
}

NNR_INLINE uint32_t absolute(int32_t level)
{
    return level < 0 ? 0 - (uint32_t)level : (uint32_t)level;
}

/* `count` zeros. */
NNR_INLINE token *put_zeros(const tokeniser *t, token *next, unsigned state, unsigned neighbour, unsigned count)
{
    memcpy(next, t->zeros[state], sizeof t->zeros[0]);
    next[0] = (token)(sig_context(state, neighbour) << 1);
    if (NNR_UNLIKELY(count > STRING_LENGTH)) {
        const unsigned behind = next_state(state, 0), more = count - 1;
        next[1] = (token)(ZEROS_TOKEN | behind << 8 | more >> 2);
        memcpy(next + 2, t->zeros[behind], sizeof t->zeros[0]);
        return next + 2 + (more & 3);
    }
    return next + count;
}

/* A sample that is not zero, from its sign on; bit 0 of *wrong is set if its quantizer does not have it. The flags are constants where this is called. */
NNR_INLINE token *put_nonzero(tokeniser *t, const tensor_layout *layout, token *next, int32_t level, unsigned sign,
                              unsigned *state, unsigned *wrong, int32_t base_level, int dq, int doubled,
                              int bounded)
{
    const unsigned negative = level < 0;
    const uint32_t base_size = absolute(base_level);
    uint32_t magnitude = absolute(level);

    *next = (token)(sign << 1 | negative);
    next += !bounded || !layout->one_sided;
    if (dq) {
        const uint32_t index = index_size(magnitude, *state & 1);
        *wrong |= magnitude ^ *state;
        magnitude = doubled ? magnitude : index;
        *state = next_state(*state, index & 1);
    }
    if (NNR_LIKELY(magnitude <= t->string_limit)) {
        const token *string = t->strings[negative][magnitude];
        if (base_level != 0)
            string = t->base_strings[base_size < STRING_LENGTH ? base_size : STRING_LENGTH - 1][magnitude];
        memcpy(next, string, sizeof t->strings[0][0]);
        next += magnitude;
        if (bounded) { /* which makes the last 0 superfluous */
            t->wrong_index |= (int64_t)magnitude > layout->limit[negative];
            next -= (int64_t)magnitude == layout->limit[negative];
        }
        return next;
    }
    if (bounded && (int64_t)magnitude > layout->limit[negative]) {
        t->wrong_index = 1;
        return next;
    }
    return put_magnitude(next, layout, magnitude, negative, bounded ? layout->limit[negative] : INT64_MAX, base_level);
}

/* Samples without temporal base and history, from one that is not zero to the next. The flags are constants where this
   is called. */
NNR_INLINE void tokenise_plain(tokeniser *t, const tensor_layout *layout, const run *r, int dq, int doubled,
                               int bounded)
{
    token *next = t->next;
    unsigned state = t->state;
    unsigned neighbour = t->neighbour;
    unsigned wrong = 0, zeros = 0; /* zeros that wait for their tokens */
    int64_t row, col;

    for (row = 0; row < r->height; row++) {
        for (col = 0; col < r->width; col += MASK_POSITIONS) {
            const int32_t *levels = layout->levels + r->first + row * r->stride + col;
            const int count = (int)smaller(MASK_POSITIONS, r->width - col);
            uint64_t mask = nonzero_mask(levels, count);
            int done = 0;
            while (mask != 0) {
                const int i = trailing_zeros(mask);
                mask &= mask - 1;
                zeros += (unsigned)(i - done);
                done = i + 1;
                next = put_zeros(t, next, state, neighbour, zeros);
                if (dq)
                    state = t->behind_zeros[state][zeros & 3];
                neighbour &= 0 - (unsigned)(zeros == 0);
                zeros = 0;
                next = put_bin(next, (int)sig_context(state, neighbour), 1);
                next = put_nonzero(t, layout, next, levels[i], CTX_SIGN + neighbour, &state, &wrong, 0, dq, doubled,
                                   bounded);
                neighbour = 2 - (unsigned)(levels[i] < 0);
            }
            zeros += (unsigned)(count - done);
        }
    }
    if (zeros > 0) {
        next = put_zeros(t, next, state, neighbour, zeros);
        state = dq ? t->behind_zeros[state][zeros & 3] : 0;
        neighbour = 0;
    }
    t->next = next;
    t->state = state;
    t->neighbour = neighbour;
    t->wrong_state |= (int)(wrong & 1);
}

/* Where the context of a significance comes from, for up to MASK_POSITIONS samples. */
static void find_aids(const int32_t *base, const uint8_t *history, int count, uint8_t *aids)
{
    int i;
    if (base)
        for (i = 0; i < count; i++)
            aids[i] = (uint8_t)((base[i] != 0) + (absolute(base[i]) > 1));
    else
        memset(aids, 0, (size_t)count);
    if (history)
        for (i = 0; i < count; i++)
            aids[i] = history[i] ? AID_HISTORY : aids[i];
}

/* Samples with a temporal base or history. */
NNR_INLINE void tokenise_aided(tokeniser *t, const tensor_layout *layout, const run *r, int dq, int bounded)
{
    token *next = t->next;
    unsigned state = t->state;
    unsigned neighbour = t->neighbour;
    unsigned wrong = 0;
    uint8_t aids[MASK_POSITIONS];
    int64_t row, col;

    for (row = 0; row < r->height; row++) {
        for (col = 0; col < r->width; col += MASK_POSITIONS) {
            const int64_t start = r->first + row * r->stride + col;
            const int32_t *levels = layout->levels + start, *base = layout->base ? layout->base + start : NULL;
            const int count = (int)smaller(MASK_POSITIONS, r->width - col);
            uint64_t mask = nonzero_mask(levels, count);
            int i = 0;
            find_aids(base, layout->history ? layout->history + start : NULL, count, aids);
            for (;;) {
                const int end = mask != 0 ? trailing_zeros(mask) : count;
                int32_t base_level;
                for (; i < end; i++) {
                    *next++ = t->sig[aids[i]][3 * state + neighbour];
                    neighbour = 0;
                    if (dq)
                        state = next_state(state, 0);
                }
                if (i == count)
                    break;
                mask &= mask - 1;
                base_level = base ? base[i] : 0;
                *next++ = t->sig[aids[i]][3 * state + neighbour] | 1;
                next = put_nonzero(t, layout, next, levels[i],
                                   base_level != 0 ? CTX_SIGN_BASE + (base_level > 0) : CTX_SIGN + neighbour, &state,
                                   &wrong, base_level, dq, 0, bounded);
                neighbour = 2 - (unsigned)(levels[i] < 0);
                i++;
            }
        }
    }
    t->next = next;
    t->state = state;
    t->neighbour = neighbour;
    t->wrong_state |= (int)(wrong & 1);
}

void nnr_tokenise_plainly(tokeniser *t, const tensor_layout *layout, const run *r)
{
    token *next = t->next;
    int64_t row, col;

    for (row = 0; row < r->height; row++) {
        const int64_t start = r->first + row * r->stride;
        for (col = 0; col < r->width; col++) {
            const int32_t level = layout->levels[start + col];
            const int64_t base_level = layout->base ? layout->base[start + col] : 0;
            const unsigned negative = level < 0;
            const unsigned odd = layout->dq ? t->state & 1 : 0;
            const int64_t size = absolute(level);
            const int64_t magnitude = layout->dq ? (int64_t)index_size((uint32_t)size, odd) : size;
            const int64_t limit = t->doubled ? INT64_MAX : layout->limit[negative];
            unsigned sig = sig_context(t->state, t->neighbour);
            int sign = CTX_SIGN + (int)t->neighbour;

            if (base_level != 0) {
                sig = aided_sig_context(t->state, base_level < -1 || base_level > 1 ? AID_LARGE_BASE : AID_SMALL_BASE);
                sign = CTX_SIGN_BASE + (base_level > 0);
            }
            if (layout->history && layout->history[start + col])
                sig = aided_sig_context(t->state, AID_HISTORY);

            if (layout->dq) {
                t->wrong_state |= level != 0 && ((unsigned)size & 1) != odd;
                t->state = next_state(t->state, (unsigned)magnitude & 1);
            }
            if (magnitude > layout->limit[negative])
                t->wrong_index = 1;
            if (t->wrong_index || nnr_codes_nothing(layout))
                continue;
            next = put_bin(next, (int)sig, level != 0);
            t->neighbour = neighbour_class(level);
            if (level == 0)
                continue;
            if (!layout->one_sided || t->doubled)
                next = put_bin(next, sign, negative);
            next = put_magnitude(next, layout, t->doubled ? size : magnitude, negative, limit, base_level);
        }
    }
    t->next = next;
}

void nnr_tokenise_run(tokeniser *t, const tensor_layout *layout, const run *r)
{
    const int aided = layout->base || layout->history;
    if ((layout->bounded || aided) && (t->doubled || nnr_codes_nothing(layout)))
        nnr_tokenise_plainly(t, layout, r);
    else if (aided && layout->dq)
        tokenise_aided(t, layout, r, 1, layout->bounded);
    else if (aided)
        tokenise_aided(t, layout, r, 0, layout->bounded);
    else if (layout->bounded)
        tokenise_plain(t, layout, r, layout->dq, 0, 1);
    else if (!layout->dq)
        tokenise_plain(t, layout, r, 0, 0, 0);
    else if (!t->doubled)
        tokenise_plain(t, layout, r, 1, 0, 0);
    else
        tokenise_plain(t, layout, r, 1, 1, 0);
}
