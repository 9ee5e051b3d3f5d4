/* prices.c - tables of the probability model for virtual contexts. */
#include "prices.h"

#include "estimated_bits.h"

void nnr_price_model_build(price_model *model)
{
    int rate, bin, k;
    for (bin = 0; bin < 2; bin++) {
        price_tables *tables = &model->tables[bin];
        model->after[bin] = tables;
        for (k = 0; k < 1024; k++)
            tables->price[k] = (uint32_t)ESTIMATED_BITS[k][bin];
        for (rate = 0; rate < 4; rate++)
            for (k = 0; k < 256; k++)
                tables->fast[rate][k] =
                    (uint8_t)clamped(nnr_adapted(k - 128, 3, rate + FIRST_SHIFT, bin) + 128, 0, 255);
        for (rate = 0; rate < 3; rate++)
            for (k = 0; k < 4096; k++)
                tables->slow[rate][k] =
                    (uint16_t)clamped(nnr_adapted(k - 2048, 7, rate + FIRST_SHIFT, bin) + 2048, 0, 4095);
    }
}
