/* pair.h - two doubles side by side, and the outcomes of comparing them. SSE2 and NEON where they are part of the machine's base set, plain C
   elsewhere; additions, comparisons and moves only, so all three give the same bits. */
#ifndef NNR_PAIR_H
#define NNR_PAIR_H

#include "platform.h"

#if defined(NNR_SSE2)
#include <emmintrin.h>
typedef __m128d pair;

NNR_INLINE pair pair_of(double low, double high) { return _mm_set_pd(high, low); }
NNR_INLINE pair pair_add(pair a, pair b) { return _mm_add_pd(a, b); }
NNR_INLINE pair pair_min(pair a, pair b) { return _mm_min_pd(a, b); }
NNR_INLINE pair pair_lows(pair a, pair b) { return _mm_unpacklo_pd(a, b); }
NNR_INLINE pair pair_highs(pair a, pair b) { return _mm_unpackhi_pd(a, b); }
typedef __m128i pair_mask;   /* all ones or all zeros in a lane */
typedef __m128i eight_masks; /* of 16 bits */

NNR_INLINE pair_mask pair_less(pair a, pair b) { return _mm_castpd_si128(_mm_cmplt_pd(a, b)); }
NNR_INLINE eight_masks eight_of(pair_mask a, pair_mask b, pair_mask c, pair_mask d)
{
    const __m128 ab = _mm_shuffle_ps(_mm_castsi128_ps(a), _mm_castsi128_ps(b), _MM_SHUFFLE(2, 0, 2, 0));
    const __m128 cd = _mm_shuffle_ps(_mm_castsi128_ps(c), _mm_castsi128_ps(d), _MM_SHUFFLE(2, 0, 2, 0));
    return _mm_packs_epi32(_mm_castps_si128(ab), _mm_castps_si128(cd));
}
NNR_INLINE unsigned sixteen_bits(eight_masks a, eight_masks b)
{
    return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(a, b));
}
NNR_INLINE void pair_store(double *to, pair a) { _mm_storeu_pd(to, a); }

#elif defined(NNR_NEON)
#include <arm_neon.h>
typedef float64x2_t pair;

NNR_INLINE pair pair_of(double low, double high) { return vsetq_lane_f64(high, vdupq_n_f64(low), 1); }
NNR_INLINE pair pair_add(pair a, pair b) { return vaddq_f64(a, b); }
NNR_INLINE pair pair_min(pair a, pair b) { return vminq_f64(a, b); }
NNR_INLINE pair pair_lows(pair a, pair b) { return vzip1q_f64(a, b); }
NNR_INLINE pair pair_highs(pair a, pair b) { return vzip2q_f64(a, b); }
typedef uint64x2_t pair_mask;
typedef uint16x8_t eight_masks;

NNR_INLINE pair_mask pair_less(pair a, pair b) { return vcltq_f64(a, b); }
NNR_INLINE eight_masks eight_of(pair_mask a, pair_mask b, pair_mask c, pair_mask d)
{
    const uint32x4_t ab = vcombine_u32(vmovn_u64(a), vmovn_u64(b)), cd = vcombine_u32(vmovn_u64(c), vmovn_u64(d));
    return vcombine_u16(vmovn_u32(ab), vmovn_u32(cd));
}
NNR_INLINE unsigned sixteen_bits(eight_masks a, eight_masks b)
{
    static const uint8_t BITS[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x8_t bits = vld1_u8(BITS);
    return (unsigned)vaddv_u8(vand_u8(vmovn_u16(a), bits)) | (unsigned)vaddv_u8(vand_u8(vmovn_u16(b), bits)) << 8;
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
typedef unsigned pair_mask; /* a bit a lane */
typedef unsigned eight_masks;

NNR_INLINE pair_mask pair_less(pair a, pair b)
{
    return (unsigned)(a.low < b.low) | (unsigned)(a.high < b.high) << 1;
}
NNR_INLINE eight_masks eight_of(pair_mask a, pair_mask b, pair_mask c, pair_mask d)
{
    return a | b << 2 | c << 4 | d << 6;
}
NNR_INLINE unsigned sixteen_bits(eight_masks a, eight_masks b) { return a | b << 8; }
NNR_INLINE void pair_store(double *to, pair a)
{
    to[0] = a.low;
    to[1] = a.high;
}
#endif

#endif
