/* dequantize.c - (decoding 10.1, 10.2) step size and uniform reconstruction. */
#include "dequantize.h"

#include <math.h>
#include <string.h>

/* 2^exponent, exponent within the normal range of binary64. */
static double power_of_two(int64_t exponent)
{
    uint64_t bits = (uint64_t)(exponent + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

float nnr_step_size(int64_t qp, int64_t qp_density)
{
    const int64_t unit = (int64_t)1 << qp_density;
    const int64_t fraction = qp & (unit - 1);
    const int64_t exponent = (qp - fraction) / unit - qp_density; /* the division is exact */
    if (exponent >= 128)
        return HUGE_VALF;
    if (exponent < -160)
        return 0.0f;
    {
        const double step = (double)(unit + fraction) * power_of_two(exponent); /* exact */
        if (step >= 340282356779733661637539395458142568448.0) /* largest binary32 plus half a unit */
            return HUGE_VALF;
        return (float)step;
    }
}

void nnr_dequantize_in_place(int32_t *levels, int64_t count, float step)
{
    int64_t i;
    for (i = 0; i < count; i++) {
        const float number = (float)levels[i];
        const float value = step * number;
        memcpy(&levels[i], &value, sizeof value);
    }
}
