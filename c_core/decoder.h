/* decoder.h - a decoder handle inside: what decode.c, where the process is, shares with interleave.c. */
#ifndef NNR_DECODER_H
#define NNR_DECODER_H

#include <stdint.h>

#include "cabac.h"
#include "contexts.h"
#include "interleave.h"
#include "layout.h"
#include "nnr_core.h"

struct nnr_decoder {
    /* the arithmetic decoder of the unit */
    arithmetic_decoder arithmetic;
    int status;
    int64_t failed_at; /* bit position, when status is not NNR_OK */
    /* the tensor in work */
    tensor_layout layout;
    unsigned state;     /* of dependent quantization, 0 without it */
    unsigned neighbour; /* class of the index before */
    context contexts[CTX_COUNT];
    uint8_t parameter[CTX_COUNT]; /* chosen parameter set of each context */
    uint8_t *skip;
    int64_t skip_capacity;
    const model_tables *tables;
};

enum { RUN_LEVELS = 4096 }; /* most positions of a run, between two looks at the bit position; fits the first-level cache */

/* All of a handle. The first lane is the decoder; the second one helps it with batches (interleave.h). */
typedef struct {
    nnr_decoder lane[2];
    model_tables tables;
    automaton automaton[2];
    int32_t place[2][2 * RUN_LEVELS + 1];
} decoder_block;

/* A tensor, run by run. */
typedef struct {
    int64_t row, last_row; /* up to which matrix row it has come, and goes */
    int64_t next, end;     /* positions that come next: in row-major order, or of the first row of a block row */
    int64_t height, below; /* of the block row; rows above the next segment, where rows may be skipped */
    int64_t *entries;      /* NULL, or receives position, offset and state at the start of each block row */
} scan_walk;

/* The first error counts; missing bits are the cause of whatever is found behind them. */
void nnr_decoder_fail(nnr_decoder *decoder, const arithmetic_decoder *d, int status);
void nnr_check_truncation(nnr_decoder *decoder);

/* (decoding 7) Magnitude from the escape code; the argument is the first value of the code. */
int64_t nnr_decode_escape(arithmetic_decoder *d, const model_tables *tables, context *escape, int escape_count,
                          int64_t magnitude, int64_t limit);

/* Largest magnitude of an index whose level fits 32 bits; `odd` is the lowest bit of the state, -1
   without dependent quantization. */
int64_t nnr_largest_magnitude(int odd, int negative);

/* The start of the tensor that stands open. */
void nnr_start_walk(const nnr_decoder *decoder, scan_walk *walk, const nnr_tensor *tensor);

/* The next run; rows that are skipped and starts of block rows are dealt with on the way. Returns 0 at the end, and if
   a block row cannot start. */
int nnr_next_run(nnr_decoder *decoder, scan_walk *walk, run *r);

/* Levels of a run are complete: turn them into values while they are in the cache. */
void nnr_finish_run(const nnr_decoder *decoder, const run *r);

/* What is left of a walk. */
void nnr_decode_walk(nnr_decoder *decoder, scan_walk *walk);

/* The parts of decoding a unit. `nnr_begin_unit` is false for a unit that cannot be decoded at all. */
int nnr_begin_unit(nnr_decoder *decoder, nnr_unit *unit, nnr_tensor *tensors, int64_t tensor_count);
void nnr_open_tensor(nnr_decoder *decoder, const nnr_unit *unit, nnr_tensor *tensor);
void nnr_end_unit(nnr_decoder *decoder, nnr_unit *unit, nnr_tensor *tensors, int64_t failed_tensor);

#endif
