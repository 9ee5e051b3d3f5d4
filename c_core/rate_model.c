/* rate_model.c - (decoding 6, 7) prices and bins of magnitudes. */
#include "rate_model.h"

static int greater_context(const rate_model *m, int j, unsigned negative, int64_t base)
{
    if (base == 0)
        return CTX_GREATER + 2 * j + (int)negative;
    return CTX_GREATER + 2 * m->layout->unary_length + 2 * j + ((base < 0 ? -base : base) < j);
}

NNR_INLINE void update(rate_model *m, int ctx, unsigned bin)
{
    adapt(m->prices, &m->contexts[ctx], bin);
}

static situation_bins bins_of(unsigned situation)
{
    situation_bins bins;
    if (situation >= SITUATION_BASE) {
        const int kind = (int)(situation - SITUATION_BASE) / 4;
        bins.sig = (int)aided_sig_context(0, AID_SMALL_BASE + (unsigned)kind);
        bins.sign = CTX_SIGN_BASE + (int)(situation >> 1 & 1);
    } else {
        const int neighbour = (int)(situation % SITUATION_HISTORY) / 2;
        bins.sig = situation >= SITUATION_HISTORY ? (int)aided_sig_context(0, AID_HISTORY) : CTX_SIG + neighbour;
        bins.sign = CTX_SIGN + neighbour;
    }
    return bins;
}

void nnr_rate_model_start(rate_model *m, const price_model *prices, const tensor_layout *layout,
                          const uint8_t *parameter, double bit_price)
{
    unsigned situation;
    m->prices = prices;
    m->layout = layout;
    m->parameter = parameter;
    m->unit = (float)(bit_price / BIT);
    m->next = m->tokens;
    for (situation = 0; situation < SITUATIONS; situation++)
        m->bins[situation] = bins_of(situation);
    nnr_tokenise_start(&m->strings, layout, 0);
    nnr_rate_model_reset(m);
}

void nnr_rate_model_reset(rate_model *m)
{
    int ctx;
    for (ctx = 0; ctx < context_end(m->layout); ctx++)
        m->contexts[ctx] = rated_context_of(m->parameter[ctx]);
}

uint32_t nnr_rate_escape_price(const rate_model *m, int64_t rest)
{
    uint32_t price = 0;
    int exponent = 0;
    while (rest >= (int64_t)1 << exponent && exponent < m->layout->escape_count) {
        rest -= (int64_t)1 << exponent;
        price += bin_price(m, CTX_ESCAPE + exponent++, 1);
    }
    if (exponent < m->layout->escape_count)
        price += bin_price(m, CTX_ESCAPE + exponent, 0);
    return price + (uint32_t)exponent * BIT;
}

uint32_t nnr_rate_magnitude_price(const rate_model *m, int64_t index, unsigned negative, int64_t base)
{
    const int n = m->layout->unary_length;
    uint32_t price = 0;
    int j;
    for (j = 0; j < n && j < index - 1; j++)
        price += bin_price(m, greater_context(m, j, negative, base), 1);
    if (j < n)
        return price + bin_price(m, greater_context(m, j, negative, base), 0);
    return price + nnr_rate_escape_price(m, index - n - 1);
}

void nnr_rate_adapt(rate_model *m)
{
    const token *t;
    for (t = m->tokens; t < m->next; t++)
        update(m, *t >> 1, *t & 1u);
    m->next = m->tokens;
}

void nnr_rate_adapt_to_magnitude(rate_model *m, int64_t index, unsigned negative, int64_t base)
{
    const int n = m->layout->unary_length;
    int64_t rest = index - n - 1;
    int j, exponent = 0;
    for (j = 0; j < n && j < index - 1; j++)
        update(m, greater_context(m, j, negative, base), 1);
    if (j < n) {
        update(m, greater_context(m, j, negative, base), 0);
        return;
    }
    while (rest >= (int64_t)1 << exponent && exponent < m->layout->escape_count) {
        rest -= (int64_t)1 << exponent;
        update(m, CTX_ESCAPE + exponent++, 1);
    }
    if (exponent < m->layout->escape_count)
        update(m, CTX_ESCAPE + exponent, 0);
}

void nnr_rate_load_piece(rate_piece *piece, const tensor_layout *layout, const float *weights,
                         const float *importance, const run *r)
{
    int64_t row, col, i = 0;
    for (row = 0; row < r->height; row++) {
        const int64_t start = r->first + row * r->stride;
        for (col = 0; col < r->width; col++, i++) {
            piece->negative[i] = weights[start + col] < 0.0f;
            piece->importance[i] = importance ? importance[start + col] : 1.0f;
            piece->base[i] = layout->base ? layout->base[start + col] : 0;
            piece->history[i] = layout->history ? layout->history[start + col] != 0 : 0;
        }
    }
}
