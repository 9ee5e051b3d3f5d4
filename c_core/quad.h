/* quad.h - four floats side by side, and masks of four lanes. SSE2 and NEON where they are part of the machine's
   base set, plain C elsewhere; additions, comparisons and moves only, so all three give the same bits. */
#ifndef NNR_QUAD_H
#define NNR_QUAD_H

#include <stdint.h>

#include "platform.h"

#if defined(NNR_SSE2)
#include <emmintrin.h>
typedef __m128 quad;
typedef __m128 quad_mask; /* all ones or all zeros in a lane */

NNR_INLINE quad quad_load(const float *from) { return _mm_loadu_ps(from); }
NNR_INLINE void quad_store(float *to, quad a) { _mm_storeu_ps(to, a); }
NNR_INLINE quad quad_all(float a) { return _mm_set1_ps(a); }
NNR_INLINE quad quad_add(quad a, quad b) { return _mm_add_ps(a, b); }
NNR_INLINE quad quad_min(quad a, quad b) { return _mm_min_ps(a, b); }
NNR_INLINE quad_mask quad_less(quad a, quad b) { return _mm_cmplt_ps(a, b); }
NNR_INLINE quad_mask mask_all(void) { return _mm_castsi128_ps(_mm_set1_epi32(-1)); }
NNR_INLINE quad_mask mask_and_not(quad_mask a, quad_mask b) { return _mm_andnot_ps(b, a); }
NNR_INLINE unsigned mask_bits(quad_mask a) { return (unsigned)_mm_movemask_ps(a); }
NNR_INLINE quad quad_select(quad_mask m, quad a, quad b)
{
    return _mm_or_ps(_mm_and_ps(m, a), _mm_andnot_ps(m, b));
}
/* a2 a3 a0 a1 */
NNR_INLINE quad quad_halves_swapped(quad a) { return _mm_shuffle_ps(a, a, _MM_SHUFFLE(1, 0, 3, 2)); }
/* a0 a2 b0 b2 and a3 a1 b3 b1 */
NNR_INLINE quad quad_evens(quad a, quad b) { return _mm_shuffle_ps(a, b, _MM_SHUFFLE(2, 0, 2, 0)); }
NNR_INLINE quad quad_odds(quad a, quad b) { return _mm_shuffle_ps(a, b, _MM_SHUFFLE(1, 3, 1, 3)); }
NNR_INLINE quad_mask mask_evens(quad_mask a, quad_mask b) { return quad_evens(a, b); }
NNR_INLINE quad_mask mask_odds(quad_mask a, quad_mask b) { return quad_odds(a, b); }

#elif defined(NNR_NEON)
#include <arm_neon.h>
typedef float32x4_t quad;
typedef uint32x4_t quad_mask;

NNR_INLINE quad quad_load(const float *from) { return vld1q_f32(from); }
NNR_INLINE void quad_store(float *to, quad a) { vst1q_f32(to, a); }
NNR_INLINE quad quad_all(float a) { return vdupq_n_f32(a); }
NNR_INLINE quad quad_add(quad a, quad b) { return vaddq_f32(a, b); }
NNR_INLINE quad quad_min(quad a, quad b) { return vminq_f32(a, b); }
NNR_INLINE quad_mask quad_less(quad a, quad b) { return vcltq_f32(a, b); }
NNR_INLINE quad_mask mask_all(void) { return vdupq_n_u32(UINT32_MAX); }
NNR_INLINE quad_mask mask_and_not(quad_mask a, quad_mask b) { return vbicq_u32(a, b); }
NNR_INLINE unsigned mask_bits(quad_mask a)
{
    static const uint32_t BITS[4] = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(a, vld1q_u32(BITS)));
}
NNR_INLINE quad quad_select(quad_mask m, quad a, quad b) { return vbslq_f32(m, a, b); }
NNR_INLINE quad quad_halves_swapped(quad a) { return vextq_f32(a, a, 2); }
NNR_INLINE quad quad_evens(quad a, quad b) { return vuzp1q_f32(a, b); }
NNR_INLINE quad quad_odds(quad a, quad b) { return vrev64q_f32(vuzp2q_f32(a, b)); }
NNR_INLINE quad_mask mask_evens(quad_mask a, quad_mask b) { return vuzp1q_u32(a, b); }
NNR_INLINE quad_mask mask_odds(quad_mask a, quad_mask b) { return vrev64q_u32(vuzp2q_u32(a, b)); }

#else
#define NNR_QUAD_PLAIN
#endif

#ifdef NNR_QUAD_PLAIN
typedef struct {
    float lane[4];
} quad;
typedef struct {
    uint8_t lane[4];
} quad_mask;

NNR_INLINE quad quad_load(const float *from)
{
    quad q = {{from[0], from[1], from[2], from[3]}};
    return q;
}
NNR_INLINE void quad_store(float *to, quad a)
{
    int i;
    for (i = 0; i < 4; i++)
        to[i] = a.lane[i];
}
NNR_INLINE quad quad_all(float a)
{
    quad q = {{a, a, a, a}};
    return q;
}
NNR_INLINE quad quad_add(quad a, quad b)
{
    int i;
    for (i = 0; i < 4; i++)
        a.lane[i] += b.lane[i];
    return a;
}
NNR_INLINE quad quad_min(quad a, quad b)
{
    int i;
    for (i = 0; i < 4; i++)
        a.lane[i] = a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i];
    return a;
}
NNR_INLINE quad_mask quad_less(quad a, quad b)
{
    quad_mask m;
    int i;
    for (i = 0; i < 4; i++)
        m.lane[i] = a.lane[i] < b.lane[i];
    return m;
}
NNR_INLINE quad_mask mask_all(void)
{
    quad_mask m = {{1, 1, 1, 1}};
    return m;
}
NNR_INLINE quad_mask mask_and_not(quad_mask a, quad_mask b)
{
    int i;
    for (i = 0; i < 4; i++)
        a.lane[i] = a.lane[i] & (b.lane[i] ^ 1);
    return a;
}
NNR_INLINE unsigned mask_bits(quad_mask a)
{
    return (unsigned)a.lane[0] | (unsigned)a.lane[1] << 1 | (unsigned)a.lane[2] << 2 | (unsigned)a.lane[3] << 3;
}
NNR_INLINE quad quad_select(quad_mask m, quad a, quad b)
{
    int i;
    for (i = 0; i < 4; i++)
        a.lane[i] = m.lane[i] ? a.lane[i] : b.lane[i];
    return a;
}
NNR_INLINE quad quad_halves_swapped(quad a)
{
    quad q = {{a.lane[2], a.lane[3], a.lane[0], a.lane[1]}};
    return q;
}
NNR_INLINE quad quad_evens(quad a, quad b)
{
    quad q = {{a.lane[0], a.lane[2], b.lane[0], b.lane[2]}};
    return q;
}
NNR_INLINE quad quad_odds(quad a, quad b)
{
    quad q = {{a.lane[3], a.lane[1], b.lane[3], b.lane[1]}};
    return q;
}
NNR_INLINE quad_mask mask_evens(quad_mask a, quad_mask b)
{
    quad_mask m = {{a.lane[0], a.lane[2], b.lane[0], b.lane[2]}};
    return m;
}
NNR_INLINE quad_mask mask_odds(quad_mask a, quad_mask b)
{
    quad_mask m = {{a.lane[3], a.lane[1], b.lane[3], b.lane[1]}};
    return m;
}
#endif

#endif
