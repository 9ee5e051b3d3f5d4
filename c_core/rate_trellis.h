/* rate_trellis.h - (encoding 5.4) dependent quantization that minds the rate. */
#ifndef NNR_RATE_TRELLIS_H
#define NNR_RATE_TRELLIS_H

#include <stdint.h>

#include "layout.h"
#include "prices.h"

typedef struct rate_trellis rate_trellis;

rate_trellis *nnr_rate_trellis_new(void);
void nnr_rate_trellis_free(rate_trellis *t);

/* Find levels that minimise the sum of importance * (w/step - q)^2 + bit_price * bits, as near as adaptive
   contexts allow. The layout has the tensor, its tools and where levels go; `parameter` a set for each context;
   `importance` is NULL for 1 everywhere. Returns NNR_OK, NNR_ERR_LEVEL or NNR_ERR_MEMORY. */
int nnr_rate_trellis_run(rate_trellis *t, const price_model *prices, const tensor_layout *layout,
                         const uint8_t *parameter, const float *weights, const float *importance, double step,
                         double bit_price);

#endif
