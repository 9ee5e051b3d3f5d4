/* dequantize.h - (decoding 10.1, 10.2) step size and uniform reconstruction. */
#ifndef NNR_DEQUANTIZE_H
#define NNR_DEQUANTIZE_H

#include <stdint.h>

/* stepSize rounded to binary32: m * 2^((QP >> d) - d) with m = 2^d + (QP & (2^d - 1)); infinity or 0
   where the range of binary32 ends. */
float nnr_step_size(int64_t qp, int64_t qp_density);

/* float32(step) * float32(level) for `count` levels, in place of the levels. */
void nnr_dequantize_in_place(int32_t *levels, int64_t count, float step);

#endif
