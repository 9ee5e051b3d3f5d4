/* rate_nearest.h - (encoding 5.3) uniform quantization that minds the rate. */
#ifndef NNR_RATE_NEAREST_H
#define NNR_RATE_NEAREST_H

#include <stdint.h>

#include "layout.h"
#include "prices.h"

typedef struct rate_nearest rate_nearest;

rate_nearest *nnr_rate_nearest_new(void);
void nnr_rate_nearest_free(rate_nearest *q);

/* Find levels that minimise the sum of importance * (w/step - q)^2 + bit_price * bits, as near as adaptive
   contexts allow; arguments as of nnr_rate_trellis_run. Returns NNR_OK or NNR_ERR_LEVEL. */
int nnr_rate_nearest_run(rate_nearest *q, const price_model *prices, const tensor_layout *layout,
                         const uint8_t *parameter, const float *weights, const float *importance, double step,
                         double bit_price);

#endif
