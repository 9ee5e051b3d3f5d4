/* pair.h - two doubles side by side. SSE2 and NEON where they are part of the machine's base set, plain C
   elsewhere; additions, comparisons and moves only, so all three give the same bits. */
#ifndef NNR_PAIR_H
#define NNR_PAIR_H

#include "platform.h"

#if defined(NNR_PORTABLE)
#define NNR_PAIR_PLAIN
#elif defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>
typedef __m128d pair;

NNR_INLINE pair pair_of(double low, double high) { return _mm_set_pd(high, low); }
NNR_INLINE pair pair_add(pair a, pair b) { return _mm_add_pd(a, b); }
NNR_INLINE pair pair_min(pair a, pair b) { return _mm_min_pd(a, b); }
NNR_INLINE pair pair_lows(pair a, pair b) { return _mm_unpacklo_pd(a, b); }
NNR_INLINE pair pair_highs(pair a, pair b) { return _mm_unpackhi_pd(a, b); }
NNR_INLINE unsigned pair_less(pair a, pair b) { return (unsigned)_mm_movemask_pd(_mm_cmplt_pd(a, b)); }
NNR_INLINE void pair_store(double *to, pair a) { _mm_storeu_pd(to, a); }

#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
typedef float64x2_t pair;

NNR_INLINE pair pair_of(double low, double high) { return vsetq_lane_f64(high, vdupq_n_f64(low), 1); }
NNR_INLINE pair pair_add(pair a, pair b) { return vaddq_f64(a, b); }
NNR_INLINE pair pair_min(pair a, pair b) { return vminq_f64(a, b); }
NNR_INLINE pair pair_lows(pair a, pair b) { return vzip1q_f64(a, b); }
NNR_INLINE pair pair_highs(pair a, pair b) { return vzip2q_f64(a, b); }
NNR_INLINE unsigned pair_less(pair a, pair b)
{
    const uint64x2_t mask = vcltq_f64(a, b);
    return (unsigned)(vgetq_lane_u64(mask, 0) & 1) | (unsigned)(vgetq_lane_u64(mask, 1) & 2);
}
NNR_INLINE void pair_store(double *to, pair a) { vst1q_f64(to, a); }

#else
#define NNR_PAIR_PLAIN
#endif

#ifdef NNR_PAIR_PLAIN
typedef struct {
    double low, high;
} pair;

NNR_INLINE pair pair_of(double low, double high)
{
    pair p;
    p.low = low;
    p.high = high;
    return p;
}
NNR_INLINE pair pair_add(pair a, pair b) { return pair_of(a.low + b.low, a.high + b.high); }
NNR_INLINE pair pair_min(pair a, pair b)
{
    return pair_of(a.low < b.low ? a.low : b.low, a.high < b.high ? a.high : b.high);
}
NNR_INLINE pair pair_lows(pair a, pair b) { return pair_of(a.low, b.low); }
NNR_INLINE pair pair_highs(pair a, pair b) { return pair_of(a.high, b.high); }
NNR_INLINE unsigned pair_less(pair a, pair b)
{
    return (unsigned)(a.low < b.low) | (unsigned)(a.high < b.high) << 1;
}
NNR_INLINE void pair_store(double *to, pair a)
{
    to[0] = a.low;
    to[1] = a.high;
}
#endif

#endif
