/* quantize.c - (encoding 5.2) nearest-value quantization. */
#include "nnr_core.h"

int nnr_quantize_nearest(const float *weights, int32_t *levels, int64_t count, float step)
{
    const float inverse = 1.0f / step;
    int bad = 0;
    int64_t i;
    if (count < 0 || (count > 0 && (!weights || !levels)) || !(step > 0.0f))
        return NNR_ERR_ARGUMENT;
    for (i = 0; i < count; i++) {
        const float scaled = weights[i] * inverse;
        const double away = (double)scaled + (scaled < 0.0f ? -0.5 : 0.5); /* exact */
        const int fits = away > -2147483649.0 && away < 2147483648.0;      /* false for NaN */
        levels[i] = (int32_t)(fits ? away : 0.0);
        bad |= !fits;
    }
    return bad ? NNR_ERR_LEVEL : NNR_OK;
}
