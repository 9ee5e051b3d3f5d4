/* interleave.h - two payloads at once, for batches. Results are those of decode.c, bit for bit. */
#ifndef NNR_INTERLEAVE_H
#define NNR_INTERLEAVE_H

#include <stdint.h>

#include "contexts.h"
#include "nnr_core.h"
#include "tables.h"

enum {
    /* Nodes of longer unary parts would not stay in the cache. */
    LONGEST_UNARY = 32,
    LONGEST_AIDED_UNARY = 16, /* of tensors with temporal or history contexts, which have nodes for each size of base */
    /* Kinds of positions: with or without history; temporal base none, or by size and sign. */
    POSITION_KINDS = 2 * (1 + 2 * LONGEST_AIDED_UNARY),
    SIG_NODES = SIG_STRIDE * NNR_DQ_STATES, /* of a kind, by state and neighbour class */
    MOST_NODES = POSITION_KINDS * SIG_NODES + SIG_NODES + NNR_DQ_STATES * LONGEST_AIDED_UNARY +
                 (1 + LONGEST_AIDED_UNARY) * 2 * NNR_DQ_STATES * LONGEST_AIDED_UNARY
};

/* What a transition leads to:
   bits 63..32 the level that is complete
   bits 31..16 the next node: index of its transition by bin 0
   bits 15..4  its context
   bit 3       an escape code comes before the next node; bits 63..32 are 2*state + sign
   bit 2       there is a level: the place moves on by four bytes
   bit 0       the next node is a sign */
typedef uint64_t transition;
enum { AT_SIGN = 1, HAS_LEVEL = 4, HAS_ESCAPE = 8, CONTEXT_SHIFT = 4, NODE_SHIFT = 16, LEVEL_SHIFT = 32 };

/* What an automaton is made for. */
typedef struct {
    int unary_length, dq, aided;
    int64_t limit[2];
} automaton_kind;

typedef struct {
    automaton_kind kind;
    unsigned sign_node, base_sign_node, more_node;    /* first of these nodes */
    transition start[SIG_NODES];                      /* to the sig nodes of a position without aid */
    uint32_t aid[2][2 * LONGEST_AIDED_UNARY + 1];     /* what is added to such a transition for a position with aid, */
    transition nodes[2 * MOST_NODES];                 /*   by history and base; transitions by node and bin */
} automaton;

/* True if two units seem to have large tensors of the kind that interleave.c decodes, or one with many bits. */
int nnr_worth_interleaving(const nnr_unit *units, int64_t unit_count, const nnr_tensor *tensors,
                           int64_t tensor_count);

/* What nnr_decode_units does. */
void nnr_decode_interleaved(nnr_decoder *decoder, nnr_unit *units, int64_t unit_count, nnr_tensor *tensors,
                            int64_t tensor_count);

#endif
