/* scan.h - (decoding 9.1) a tensor's positions in scan order, cut into rectangles. */
#ifndef NNR_SCAN_H
#define NNR_SCAN_H

#include <stdint.h>

#include "layout.h"

enum { PIECE_POSITIONS = 4096 }; /* most positions of a piece: a block of side 64 */

/* All positions in scan order: pieces 0 .. count - 1, each a block, or a stretch in row-major order. */
typedef struct {
    int64_t rows, cols, side;
    int64_t across; /* blocks in a block row; 0 for row-major order */
    int64_t count;
} scan_pieces;

NNR_INLINE scan_pieces scan_pieces_of(int64_t rows, int64_t cols, int64_t side)
{
    scan_pieces s;
    s.rows = rows;
    s.cols = cols;
    s.side = side;
    if (s.side > 0) {
        s.across = (cols + s.side - 1) / s.side;
        s.count = s.across * ((rows + s.side - 1) / s.side);
    } else {
        s.across = 0;
        s.count = (rows * cols + PIECE_POSITIONS - 1) / PIECE_POSITIONS;
    }
    return s;
}

NNR_INLINE run scan_piece(const scan_pieces *s, int64_t number)
{
    run r;
    if (s->across > 0) {
        const int64_t top = number / s->across * s->side, left = number % s->across * s->side;
        r.first = top * s->cols + left;
        r.height = smaller(s->side, s->rows - top);
        r.width = smaller(s->side, s->cols - left);
        r.stride = s->cols;
    } else {
        r.first = number * PIECE_POSITIONS;
        r.height = 1;
        r.width = smaller(PIECE_POSITIONS, s->rows * s->cols - r.first);
        r.stride = r.width;
    }
    r.side = r.width;
    return r;
}

#endif
