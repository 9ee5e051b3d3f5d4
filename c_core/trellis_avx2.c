/* trellis_avx2.c - the loops of the trellises for machines with AVX2. */
#include "platform.h"

#ifdef NNR_AVX2
#define KERNEL NNR_NOINLINE __attribute__((target("avx2")))
#define KERNELS nnr_trellis_avx2
#include "trellis_kernels.h"
#else
typedef int nothing; /* a file must not be empty */
#endif
