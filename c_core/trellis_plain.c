/* trellis_plain.c - the loops of the trellises for the machine's base set. */
#include "platform.h"

#define KERNEL NNR_NOINLINE
#define KERNELS nnr_trellis_plain
#include "trellis_kernels.h"
