/* model.c - (decoding 3) tables of the probability model; model.h says what they are for. */
#include "model.h"

int nnr_adapted(int estimator, int scale, int shift, int bin)
{
    int sign = bin ? 1 : -1;
    int bias = 1 << (scale + 4); /* keeps the shifted number positive: a floor without signed shifts */
    int index = (sign * estimator + bias) >> scale;
    if (index > 31)
        index = 31; /* only estimators that no context ever reaches */
    return estimator + sign * (ADAPTATION_CURVE[index] >> shift);
}

/* (decoding 3.2) The width for quarter k of the range goes to bits 62-8k .. 55-8k, so that
   row << 8k brings it to the place where the decoder keeps the range. The last bit of quarter 7
   falls off; it is 0 for all states. Bit 63 is 1 when the more probable bin is 0. */
static uint64_t row_of_sum(int sum)
{
    int column = clamped(sum < 0 ? (127 - sum) >> 7 : sum >> 7, 0, NNR_RANGE_COLUMNS - 1);
    uint64_t row = sum < 0 ? (uint64_t)1 << 63 : 0;
    int k;
    for (k = 0; k < 7; k++)
        row |= (uint64_t)RANGE_LPS[k][column] << (55 - 8 * k);
    return row | (uint64_t)(RANGE_LPS[7][column] >> 1);
}

static uint32_t fast_half(int rate, int s0)
{
    return (uint32_t)rate << 13 | (uint32_t)clamped(s0 + 128, 0, 255) << 4;
}

static uint32_t slow_half(int rate, int s1)
{
    return (uint32_t)rate << 13 | (uint32_t)clamped(s1 + 2048, 0, 4095);
}

void nnr_model_build(model_tables *tables)
{
    int rate, s, k;
    for (k = 0; k < ROWS; k++)
        tables->row[k] = row_of_sum(128 * (k & 63) - 4096);
    for (k = 0; k < FAST_STATES; k++)
        tables->fast[k] = 0;
    for (k = 0; k < SLOW_STATES; k++)
        tables->slow[k] = 0;
    for (rate = 0; rate < 4; rate++)
        for (s = -128; s < 128; s++)
            tables->fast[rate << 9 | (s + 128)] =
                (uint64_t)fast_half(rate, nnr_adapted(s, 3, rate + FIRST_SHIFT, 1)) << 48 |
                (uint64_t)fast_half(rate, nnr_adapted(s, 3, rate + FIRST_SHIFT, 0)) << 16;
    for (rate = 0; rate < 3; rate++)
        for (s = -2048; s < 2048; s++)
            tables->slow[rate << 13 | (s + 2048)] =
                (uint64_t)slow_half(rate, nnr_adapted(s, 7, rate + FIRST_SHIFT, 1)) << 32 |
                slow_half(rate, nnr_adapted(s, 7, rate + FIRST_SHIFT, 0));
    for (k = 0; k < NNR_PARAMETER_SETS; k++) {
        const parameter_values *set = &PARAMETER_SET[k];
        context *ctx = &tables->initial[k];
        ctx->state = fast_half(set->shift0 - FIRST_SHIFT, set->s0_init) << 16 |
                     slow_half(set->shift1 - FIRST_SHIFT, set->s1_init);
        ctx->row = row_of_state(tables, ctx->state);
        ctx->unused = 0;
    }
}

void nnr_model_estimators(const context *ctx, int *s0, int *s1)
{
    *s0 = (int)((ctx->state >> 20) & 0xff) - 128;
    *s1 = (int)(ctx->state & 0xfff) - 2048;
}
