/* platform.h - the few things C99 has no words for: inlining, branch hints, leading zeros.

   Everything has a portable fallback; NNR_PORTABLE forces it, so that it is tested too. NNR_NO_SIMD does so for vector
   instructions alone. NNR_COVERAGE leaves every function in one place, so that its branches are counted once. */
#ifndef NNR_PLATFORM_H
#define NNR_PLATFORM_H

#include <stdint.h>

#if defined(__GNUC__) && !defined(NNR_PORTABLE)
#ifdef NNR_COVERAGE
#define NNR_INLINE static inline
#else
#define NNR_INLINE static inline __attribute__((always_inline))
#endif
#define NNR_NOINLINE static __attribute__((noinline))
#define NNR_LIKELY(condition) __builtin_expect(!!(condition), 1)
#elif defined(_MSC_VER) && !defined(NNR_PORTABLE)
#include <intrin.h>
#define NNR_INLINE static __forceinline
#define NNR_NOINLINE static __declspec(noinline)
#define NNR_LIKELY(condition) (condition)
#else
#define NNR_INLINE static inline
#define NNR_NOINLINE static
#define NNR_LIKELY(condition) (condition)
#endif
#define NNR_UNLIKELY(condition) (!NNR_LIKELY(!(condition)))

/* Vector instructions of the machine's base set; and functions may be compiled for a later set than the rest, and chosen
   when it is there. */
#if !defined(NNR_PORTABLE) && !defined(NNR_NO_SIMD)
#if defined(__SSE2__) || defined(_M_X64)
#define NNR_SSE2
#elif defined(__ARM_NEON) && defined(__aarch64__)
#define NNR_NEON
#endif
#if defined(__GNUC__) && defined(__x86_64__)
#define NNR_AVX2
#define NNR_CONDITIONAL_MOVES
#endif
#endif

/* Leading zeros of a non-zero word. */
NNR_INLINE int leading_zeros(uint64_t word)
{
#if defined(__GNUC__) && !defined(NNR_PORTABLE)
    return __builtin_clzll(word);
#elif defined(_MSC_VER) && (defined(_M_X64) || defined(_M_ARM64)) && !defined(NNR_PORTABLE)
    unsigned long index;
    _BitScanReverse64(&index, word);
    return 63 - (int)index;
#else
    int zeros = 0;
    while (!(word >> 63)) {
        word <<= 1;
        zeros++;
    }
    return zeros;
#endif
}

/* Trailing zeros of a non-zero word. */
NNR_INLINE int trailing_zeros(uint64_t word)
{
#if defined(__GNUC__) && !defined(NNR_PORTABLE)
    return __builtin_ctzll(word);
#else
    return 63 - leading_zeros(word & (0 - word));
#endif
}

/* Eight bytes as a big-endian number, at any alignment; compilers make one load of it. */
NNR_INLINE uint64_t load_be64(const uint8_t *bytes)
{
    return (uint64_t)bytes[0] << 56 | (uint64_t)bytes[1] << 48 | (uint64_t)bytes[2] << 40 |
           (uint64_t)bytes[3] << 32 | (uint64_t)bytes[4] << 24 | (uint64_t)bytes[5] << 16 |
           (uint64_t)bytes[6] << 8 | (uint64_t)bytes[7];
}

NNR_INLINE void store_be64(uint8_t *bytes, uint64_t word)
{
    bytes[0] = (uint8_t)(word >> 56);
    bytes[1] = (uint8_t)(word >> 48);
    bytes[2] = (uint8_t)(word >> 40);
    bytes[3] = (uint8_t)(word >> 32);
    bytes[4] = (uint8_t)(word >> 24);
    bytes[5] = (uint8_t)(word >> 16);
    bytes[6] = (uint8_t)(word >> 8);
    bytes[7] = (uint8_t)word;
}

#endif
