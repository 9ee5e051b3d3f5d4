/* layout.h - what a tensor looks like to the sample loops, and the order of its context parameters:
   what decoder and encoder must agree on. */
#ifndef NNR_LAYOUT_H
#define NNR_LAYOUT_H

#include <stdint.h>

#include "contexts.h"
#include "nnr_core.h"

typedef struct {
    int64_t rows, cols;
    int64_t side; /* of the square blocks, 0 for row-major order */
    int profile;
    int unary_length;
    int escape_count;
    int legacy; /* README D1, D2 */
    int dq;
    int tca;                /* temporal_context_modeling_flag */
    int parent;             /* parent_node_id_present_flag */
    int bounded;            /* by a codebook */
    int64_t limit[2];       /* largest magnitude of a positive and of a negative index */
    int one_sided;          /* a codebook with indices of one sign: the sign is not coded */
    int hist_flag;          /* hist_dep_sig_prob_enabled_flag */
    const int32_t *base;    /* NULL: no temporal contexts */
    const uint8_t *history; /* NULL: no history contexts */
    const uint8_t *skip;    /* NULL: no row is skipped */
    int32_t *levels;
    int dequantize;
    float step;
} tensor_layout;

/* A run of samples: `height` times `width` positions, in rows `stride` apart; of each row `side` positions, then
   those below them, and so on. */
typedef struct {
    int64_t first, height, width, stride, side;
} run;

/* One entry of shift_parameter_ids. */
typedef struct {
    uint16_t ctx;
    uint8_t is_coded;
} parameter_slot;

/* Values a correct caller can give; both return 0 for anything else. */
int nnr_unit_is_sound(const nnr_unit *unit, int64_t tensor_count);
int nnr_tensor_is_sound(const nnr_unit *unit, const nnr_tensor *tensor);

/* Flags of decoding 5 (hist_flag, history, skip, step) are left at 0. */
void nnr_layout_of(tensor_layout *layout, const nnr_unit *unit, const nnr_tensor *tensor);

/* A codebook of one entry: no sample is coded. */
int nnr_codes_nothing(const tensor_layout *layout);

/* (decoding 5) True if the tensor starts with the flags of history and row skip. */
int nnr_has_tool_flags(const tensor_layout *layout);

/* (decoding 5) The context parameters in coding order; `slots` has room for CTX_COUNT. Returns how many. */
int nnr_parameter_slots(const tensor_layout *layout, parameter_slot *slots);

NNR_INLINE void *pointer_of(int64_t address)
{
    return (void *)(uintptr_t)address;
}

NNR_INLINE int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* (decoding 9.1) Side of the square blocks, 0 for row-major order. */
NNR_INLINE int64_t block_side(int64_t scan_order, int64_t rows, int64_t cols)
{
    return scan_order > 0 && rows > 1 && cols > 1 ? (int64_t)4 << scan_order : 0;
}

/* Rows of blocks of a tensor that is scanned in blocks. */
NNR_INLINE int64_t block_rows(const tensor_layout *layout)
{
    return (layout->rows + layout->side - 1) / layout->side;
}

/* One past the last context that a tensor can use. */
NNR_INLINE int context_end(const tensor_layout *layout)
{
    return CTX_GREATER + 4 * layout->unary_length;
}

#endif
