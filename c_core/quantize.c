/* quantize.c - (encoding 5.2) nearest-value quantization. */
#include <string.h>

#include "nnr_core.h"

int nnr_quantize_nearest(const float *weights, int32_t *levels, int64_t count, float step)
{
    const float inverse = 1.0f / step;
    int32_t bad = 0;
    int64_t i;
    if (count < 0 || (count > 0 && (!weights || !levels)) || !(step > 0.0f))
        return NNR_ERR_ARGUMENT;
    /* No branch, no double, a mask instead of a choice: compilers make vector instructions of it on any machine. */
    for (i = 0; i < count; i++) {
        const float scaled = weights[i] * inverse;
        const int32_t fits = -((scaled >= -2147483648.0f) & (scaled < 2147483648.0f)); /* 0 for NaN */
        int32_t bits, whole;
        float kept, rest;
        memcpy(&bits, &scaled, sizeof bits);
        bits &= fits;
        memcpy(&kept, &bits, sizeof kept);
        whole = (int32_t)kept;
        rest = kept - (float)whole; /* exact; 0 from 2^23 on */
        levels[i] = whole + (rest >= 0.5f) - (rest <= -0.5f);
        bad |= ~fits;
    }
    return bad ? NNR_ERR_LEVEL : NNR_OK;
}
