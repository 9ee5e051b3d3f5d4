/* nonzero.h - which of up to 64 numbers are not zero, as a mask. SSE2 and NEON where they are part of the machine's
   base set, plain C elsewhere. */
#ifndef NNR_NONZERO_H
#define NNR_NONZERO_H

#include <stdint.h>

#include "platform.h"

enum { MASK_POSITIONS = 64 };

#if defined(NNR_SSE2)
#include <emmintrin.h>
NNR_INLINE uint64_t nonzero_of_16(const int32_t *numbers)
{
    const __m128i *from = (const __m128i *)(const void *)numbers, none = _mm_setzero_si128();
    const __m128i a = _mm_cmpeq_epi32(_mm_loadu_si128(from), none);
    const __m128i b = _mm_cmpeq_epi32(_mm_loadu_si128(from + 1), none);
    const __m128i c = _mm_cmpeq_epi32(_mm_loadu_si128(from + 2), none);
    const __m128i d = _mm_cmpeq_epi32(_mm_loadu_si128(from + 3), none);
    const __m128i zeros = _mm_packs_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, d));
    return (uint64_t)_mm_movemask_epi8(zeros) ^ 0xffff;
}
#elif defined(NNR_NEON)
#include <arm_neon.h>
NNR_INLINE uint64_t nonzero_of_16(const int32_t *numbers)
{
    static const uint8_t BITS[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x8_t bits = vld1_u8(BITS);
    const int32x4_t a = vld1q_s32(numbers), b = vld1q_s32(numbers + 4);
    const int32x4_t c = vld1q_s32(numbers + 8), d = vld1q_s32(numbers + 12);
    const uint16x8_t low = vcombine_u16(vmovn_u32(vtstq_s32(a, a)), vmovn_u32(vtstq_s32(b, b)));
    const uint16x8_t high = vcombine_u16(vmovn_u32(vtstq_s32(c, c)), vmovn_u32(vtstq_s32(d, d)));
    return (uint64_t)vaddv_u8(vand_u8(vmovn_u16(low), bits)) |
           (uint64_t)vaddv_u8(vand_u8(vmovn_u16(high), bits)) << 8;
}
#else
NNR_INLINE uint64_t nonzero_of_16(const int32_t *numbers)
{
    uint64_t mask = 0;
    int i;
    for (i = 0; i < 16; i++)
        mask |= (uint64_t)(numbers[i] != 0) << i;
    return mask;
}
#endif

NNR_INLINE uint64_t nonzero_mask(const int32_t *numbers, int count)
{
    uint64_t mask = 0;
    int i = 0;
    for (; i + 16 <= count; i += 16)
        mask |= nonzero_of_16(numbers + i) << i;
    for (; i < count; i++)
        mask |= (uint64_t)(numbers[i] != 0) << i;
    return mask;
}

#endif
