/* scan.h - (decoding 9.1) the scan order as the geometry of blocks. */
#ifndef NNR_SCAN_H
#define NNR_SCAN_H

#include <stdint.h>

#include "platform.h"

/* Side of the square blocks, or 0 for row-major order. */
NNR_INLINE int64_t block_side(int64_t scan_order, int64_t rows, int64_t cols)
{
    if (scan_order == 0 || rows <= 1 || cols <= 1)
        return 0;
    return (int64_t)4 << scan_order;
}

NNR_INLINE int64_t block_row_count(int64_t side, int64_t rows)
{
    return side == 0 ? 1 : (rows + side - 1) / side;
}

NNR_INLINE int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

#endif
