/* nnr_core.h - the public face of the C core: entropy coding and quantization of Neural Network Coding.

   C99, no globals, no output; a C program can link it as it is. Sections in comments ("decoding 7") are
   those of the project's specification of ISO/IEC 15938-17.

   The structs have int64_t fields only, addresses included, so that a batch is one array of numbers.
   A handle belongs to one thread at a time. */
#ifndef NNR_CORE_H
#define NNR_CORE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* -- public API begin -- */
enum {
    NNR_OK = 0,
    NNR_ERR_ARGUMENT = -1,       /* a caller's mistake, nothing the stream did */
    NNR_ERR_MEMORY = -2,         /* allocation failed */
    NNR_ERR_TRUNCATED = -3,      /* bits beyond the end of the payload were used */
    NNR_ERR_TERMINATE = -4,      /* decoding 2.5: the terminate bin is 0 */
    NNR_ERR_STOP_BIT = -5,       /* decoding 2.6: the stop bit is 0 */
    NNR_ERR_ALIGNMENT = -6,      /* decoding 2.6: a bit that is not 0 between stop bit and byte end */
    NNR_ERR_TRAILING = -7,       /* decoding 2.6: bytes behind the end of the arithmetic code */
    NNR_ERR_LEVEL = -8,          /* decoding 7: an integer does not fit 32 bits */
    NNR_ERR_CODEBOOK_INDEX = -9, /* decoding 7: an index outside the codebook */
    NNR_ERR_OFFSET = -10,        /* decoding 2.1, 2.4: offset register not below the range */
    NNR_ERR_STATE_PATH = -11,    /* decoding 8: a level that its quantizer does not have (encoder) */
    NNR_ERR_QP = -12             /* encoding 2: qp_value does not fit its bits (encoder) */
};

/* (encoding 3) param_opt of a unit that is encoded */
enum {
    NNR_PARAM_OPT_OFF = 0,      /* parameter set 0 everywhere */
    NNR_PARAM_OPT_EXACT = 1,    /* search on the bins that are coded, price of the flags included */
    NNR_PARAM_OPT_REFERENCE = 2, /* the choice of NNCodec 2, for identical bytes */
    NNR_PARAM_OPT_FAST = 3       /* as EXACT, but candidates are dropped early, and large tensors are sampled */
};

/* One coded payload: the bytes behind the header of an NNR_NDU unit up to the unit's end. An encoder sets
   the first two fields; the bytes are its own and last until its next call. */
typedef struct {
    int64_t payload;      /* address of uint8_t[payload_size] */
    int64_t payload_size;
    int64_t first_tensor; /* its tensors, in payload order, in the array of tensors */
    int64_t tensor_count;
    int64_t profile;      /* general_profile_idc, 0 or 1 */
    int64_t dq_flag;
    int64_t parent_node_id_present_flag;
    int64_t temporal_context_modeling_flag;
    int64_t escape_context_count; /* 31; 32 is the legacy mode of README D1 and D2 */
    int64_t param_opt;            /* encoder: NNR_PARAM_OPT_... */
    /* out */
    int64_t status;        /* NNR_OK or NNR_ERR_... */
    int64_t bits_consumed; /* position P of decoding 2, at the end or at the failure */
    int64_t failed_tensor; /* number within the unit; -1 if none, tensor_count for the end of the unit */
} nnr_unit;

/* One tensor as a matrix. `qp` and the two flags behind it are results of a decoder. An encoder is given
   them, and the flags as 0: never, 1: always where the syntax has the tool, 2: if it saves bytes; it returns
   what it chose. */
typedef struct {
    int64_t rows, cols;
    int64_t cabac_unary_length; /* cabac_unary_length_minus1 + 1 */
    int64_t scan_order;
    int64_t codebook_size;      /* 0: no codebook */
    int64_t codebook_zero_offset;
    int64_t has_qp;             /* 0 for integer payloads */
    int64_t base_qp;            /* of the parameter set in force */
    int64_t qp_density;
    int64_t dequantize;         /* 1: float32 values take the place of the levels (decoding 10.2) */
    int64_t levels;             /* address of int32_t[rows*cols]; may be uninitialised */
    int64_t base;               /* address of int32_t[rows*cols] of temporal contexts, or 0 */
    int64_t history;            /* address of uint8_t[rows*cols] of history contexts, or 0: all zero */
    int64_t skip_list;          /* address of uint8_t[rows] that receives row_skip_list, or 0 */
    int64_t entry_list;         /* address of int64_t[block rows][3] that receives bit position, offset
                                   register and quantizer state at each block row start, or 0 */
    int64_t qp;                 /* base_qp + qp_value */
    int64_t hist_flag;          /* hist_dep_sig_prob_enabled_flag */
    int64_t row_skip_flag;      /* row_skip_enabled_flag */
    /* out */
    int64_t bits_begin;         /* bit position P where the tensor starts */
    int64_t bits_samples;       /* bit position P where its first sample starts */
} nnr_tensor;

typedef struct nnr_decoder nnr_decoder;

/* A decoder handle: tables, contexts and scratch memory. NULL if there is no memory. */
nnr_decoder *nnr_decoder_new(void);
void nnr_decoder_free(nnr_decoder *decoder);

/* Decode units, each with a status of its own. Levels are written for every tensor: where a unit fails,
   the tensors behind the failure are zeros. Returns NNR_OK or, for arguments that no unit can be blamed
   for, NNR_ERR_ARGUMENT. */
int nnr_decode_units(nnr_decoder *decoder, nnr_unit *units, int64_t unit_count, nnr_tensor *tensors,
                     int64_t tensor_count);

/* The same one sample after the other, by decode.c alone: slower, and what the fast paths are compared with. */
int nnr_decode_units_plainly(nnr_decoder *decoder, nnr_unit *units, int64_t unit_count, nnr_tensor *tensors,
                             int64_t tensor_count);

typedef struct nnr_encoder nnr_encoder;

nnr_encoder *nnr_encoder_new(void);
void nnr_encoder_free(nnr_encoder *encoder);

/* Encode units, each with a status of its own; the payload of a unit that fails is empty. Under dependent
   quantization levels are the doubled integers of decoding 8. */
int nnr_encode_units(nnr_encoder *encoder, nnr_unit *units, int64_t unit_count, nnr_tensor *tensors,
                     int64_t tensor_count);

/* The same bytes from levels binarized one decision after the other: slower, and what the fast paths are compared
   with. */
int nnr_encode_units_plainly(nnr_encoder *encoder, nnr_unit *units, int64_t unit_count, nnr_tensor *tensors,
                             int64_t tensor_count);

/* (encoding 3) What a tensor of a unit would cost with the context parameters that a fast search finds, in 2^-15 bit; of a
   large tensor a part is looked at. Returns NNR_OK, NNR_ERR_ARGUMENT or an error of its levels. */
int nnr_price_tensor(nnr_encoder *encoder, const nnr_unit *unit, const nnr_tensor *tensor, int64_t *price);

/* (encoding 5.2) Nearest levels of `count` weights. NNR_ERR_LEVEL if one leaves 32 bits or is not a number. */
int nnr_quantize_nearest(const float *weights, int32_t *levels, int64_t count, float step);

/* (encoding 5.4) Doubled integers of dependent quantization with the smallest squared error, for a tensor in
   matrix order whose samples will be coded in `scan_order`. Needs a byte a weight while it runs. Returns as
   above, or NNR_ERR_MEMORY. */
int nnr_quantize_trellis(const float *weights, int32_t *levels, int64_t rows, int64_t cols,
                         int64_t scan_order, float step);

/* (encoding 5.4) The same with a price on the rate: levels that minimise the sum of importance * (w/step - q)^2 +
   lambda_scale * 0.3235 * bits, as near as adaptive contexts allow. The tensor is described as for encoding, in a
   unit with dq_flag 1: step from `qp`, shape, scan, unary length, temporal base, history (used if hist_flag is
   1); `levels` is written. `importance` may be NULL. */
int nnr_quantize_trellis_rate(nnr_encoder *encoder, const nnr_unit *unit, const nnr_tensor *tensor,
                              const float *weights, const float *importance, double lambda_scale);

/* (encoding 5.3) Uniform levels with a price on the rate: importance * (w/step - q)^2 + lambda_scale * 0.1155 *
   bits. Arguments as above, in a unit with dq_flag 0; lambda_scale 0 gives the nearest levels. */
int nnr_quantize_nearest_rate(nnr_encoder *encoder, const nnr_unit *unit, const nnr_tensor *tensor,
                              const float *weights, const float *importance, double lambda_scale);

enum { NNR_CONTEXT_COUNT = 1191 }; /* contexts of a handle, numbered as in contexts.h */

/* The same engine step by step, for tests and traces. `data` must live as long as it is read. The step
   functions return NNR_ERR_ARGUMENT or the status: NNR_OK until the first error, that error from then on. */
int nnr_decoder_start(nnr_decoder *decoder, const uint8_t *data, int64_t size);
int nnr_decoder_set_context(nnr_decoder *decoder, int64_t ctx, int64_t parameter_set);
int nnr_decoder_read_bin(nnr_decoder *decoder, int64_t ctx, int64_t *bin);
int nnr_decoder_read_uae(nnr_decoder *decoder, int64_t bits, int64_t *number);
int nnr_decoder_read_iae(nnr_decoder *decoder, int64_t bits, int64_t *number);
int nnr_decoder_read_tensor(nnr_decoder *decoder, const nnr_unit *unit, nnr_tensor *tensor);
/* (decoding 9.3) A tensor up to its first sample; then block rows first .. first + count - 1, of two or more, of
   the tensor that stands open in `opened`, by any handle (`opened` itself too), from the entry point of the first: position P,
   offset register, state. `opened` must not change meanwhile; different rows may be read at the same time.
   nnr_decoder_entry tells where a handle stands, to be compared with the next entry point; after the last
   block row the handle that read it goes on with the next tensor or the end. */
int nnr_decoder_open_tensor(nnr_decoder *decoder, const nnr_unit *unit, nnr_tensor *tensor);
int nnr_decoder_read_block_rows(nnr_decoder *decoder, const nnr_decoder *opened, int64_t first, int64_t count,
                                const int64_t *entry);
int nnr_decoder_entry(const nnr_decoder *decoder, int64_t *entry);
int nnr_decoder_reset_range(nnr_decoder *decoder);
int nnr_decoder_finish(nnr_decoder *decoder);
/* state: range, offset, P */
void nnr_decoder_state(const nnr_decoder *decoder, int64_t *state);
/* estimators: s0, s1 */
int nnr_decoder_estimators(const nnr_decoder *decoder, int64_t ctx, int64_t *estimators);
/* 1 if the processor has the bit instructions that a build for BMI2 uses: those of BMI1, BMI2 and LZCNT. Any build may
   ask. */
int nnr_processor_has_bmi2(void);
/* -- public API end -- */

#ifdef __cplusplus
}
#endif

#endif
