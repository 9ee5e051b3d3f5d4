/* interleave.h - two payloads at once, for batches. Results are those of decode.c, bit for bit. */
#ifndef NNR_INTERLEAVE_H
#define NNR_INTERLEAVE_H

#include <stdint.h>

#include "nnr_core.h"

enum {
    LONGEST_UNARY = 32, /* nodes of longer unary parts would not stay in the cache */
    /* Numbers of nodes. Those of tensors without dependent quantization follow those with. */
    UNIFORM = 24,
    SIG_NODES = 27,                 /* 3*state + neighbour class; UNIFORM + neighbour class */
    SIGN_NODE = SIG_NODES,          /* the same again */
    MORE_NODE = SIGN_NODE + SIG_NODES,
    NODES = MORE_NODE + 18 * LONGEST_UNARY
};

/* What a transition leads to:
   bits 63..32 the level that is complete
   bits 31..16 the next node: index of its transition by bin 0
   bits 15..4  its context
   bit 3       an escape code comes before the next node; bits 63..32 are 2*state + sign
   bit 2       there is a level: the place moves on by four bytes */
typedef uint64_t transition;
enum { HAS_LEVEL = 4, HAS_ESCAPE = 8, CONTEXT_SHIFT = 4, NODE_SHIFT = 16, LEVEL_SHIFT = 32 };

typedef struct {
    int unary_length;
    transition start[SIG_NODES]; /* to the sig nodes */
    transition nodes[2 * NODES]; /* by node and bin */
} automaton;

/* True if two units seem to have large tensors of the kind that interleave.c decodes, or one with many bits. */
int nnr_worth_interleaving(const nnr_unit *units, int64_t unit_count, const nnr_tensor *tensors,
                           int64_t tensor_count);

/* What nnr_decode_units does. */
void nnr_decode_interleaved(nnr_decoder *decoder, nnr_unit *units, int64_t unit_count, nnr_tensor *tensors,
                            int64_t tensor_count);

#endif
