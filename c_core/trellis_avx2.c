/* trellis_avx2.c - the loops of the trellises for machines with AVX2.

   `extend` is that of trellis_kernels.h, four doubles at a time. A step of the paths waits for the one before, so the
   next few weights are measured between steps: neither of both has the machine for itself. */
#include "platform.h"

#ifdef NNR_AVX2
#include <immintrin.h>
#include <math.h> /* HUGE_VAL */
#include <string.h>

#include "trellis.h"
#include "trellis_loops.h"

#define AVX2 __attribute__((target("avx2")))

enum { GROUP = 4 }; /* weights that are measured together */

/* What the candidates of classes 0, 2, 3, 1 and of classes 0, 3, 2, 1 are more than the lowest one, by its residue. */
static const double AFTER_LOWEST[2][4][4] = {
    {{0, 2, 3, 1}, {3, 1, 2, 0}, {2, 0, 1, 3}, {1, 3, 0, 2}}, {{0, 3, 2, 1}, {3, 2, 1, 0}, {2, 1, 0, 3}, {1, 0, 3, 2}}
};

typedef struct {
    double size[GROUP], lowest[GROUP]; /* x and the lowest candidate */
    int32_t residue[GROUP];            /* of that */
} measures;

/* Returns all ones for weights whose levels would not fit, or that are no numbers. */
NNR_INLINE AVX2 __m256d measure(const float *weights, __m256d step, measures *m, int32_t *code)
{
    const __m128 sizes = _mm_andnot_ps(_mm_set1_ps(-0.0f), _mm_loadu_ps(weights));
    const __m256d x = _mm256_div_pd(_mm256_cvtps_pd(sizes), step), zero = _mm256_mul_pd(x, x);
    const __m128i one = _mm_set1_epi32(1);
    const __m128i below = _mm_sub_epi32(_mm256_cvttpd_epi32(x), one), whole = _mm_max_epi32(below, one);
    const __m256d lowest = _mm256_cvtepi32_pd(whole);
    /* where the lowest is not 1, zero is no better than these either */
    const __m256d from4 = _mm256_sub_pd(x, _mm256_set1_pd(4.0)), from3 = _mm256_sub_pd(x, _mm256_set1_pd(3.0));
    const __m256d for_even = _mm256_cmp_pd(zero, _mm256_mul_pd(from4, from4), _CMP_LT_OQ);
    const __m256d for_odd = _mm256_cmp_pd(zero, _mm256_mul_pd(from3, from3), _CMP_LT_OQ);
    const __m256d less =
        _mm256_add_pd(_mm256_and_pd(for_even, _mm256_set1_pd(1.0)), _mm256_and_pd(for_odd, _mm256_set1_pd(2.0)));
    _mm256_storeu_pd(m->size, x);
    _mm256_storeu_pd(m->lowest, lowest);
    _mm_storeu_si128((__m128i *)(void *)m->residue, _mm_and_si128(whole, _mm_set1_epi32(3)));
    _mm_storeu_si128((__m128i *)(void *)code, _mm256_cvttpd_epi32(_mm256_sub_pd(lowest, less)));
    return _mm256_cmp_pd(x, _mm256_set1_pd((double)LEVEL_LIMIT), _CMP_NLE_UQ);
}

/* Costs of the eight states. Two states that share their successors stand in the same lane:

       before even places   low 0 6 3 5   high 4 2 7 1
       before odd places    low 0 3 6 5   high 4 7 2 1

   What a step makes of `low` stands where the next one wants it, and what it makes of `high` is one move away. */
typedef struct {
    __m256d low, high;
} lanes;

/* Errors of the nearest candidates, zero among them where `nowhere` says nothing; in the order of AFTER_LOWEST. */
NNR_INLINE AVX2 __m256d distances(__m256d x, const double *lowest, const double *after, __m256d nowhere)
{
    const __m256d n = _mm256_add_pd(_mm256_broadcast_sd(lowest), _mm256_loadu_pd(after));
    const __m256d error = _mm256_sub_pd(x, n);
    return _mm256_min_pd(_mm256_max_pd(_mm256_mul_pd(x, x), nowhere), _mm256_mul_pd(error, error));
}

NNR_INLINE AVX2 unsigned decision_of(__m256d to_low, __m256d to_high)
{
    return (unsigned)_mm256_movemask_ps(_mm256_shuffle_ps(_mm256_castpd_ps(to_low), _mm256_castpd_ps(to_high), 0x88));
}

/* Each minimum is compared with the sum for the lower one of the two states, wherever that stands: it wins a tie. */
NNR_INLINE AVX2 unsigned extend_even(lanes *c, const measures *m, int64_t i)
{
    const __m256d nowhere = _mm256_setr_pd(0.0, HUGE_VAL, 0.0, HUGE_VAL);
    const __m256d x = _mm256_broadcast_sd(m->size + i);
    const __m256d d = distances(x, m->lowest + i, AFTER_LOWEST[0][m->residue[i]], nowhere);
    const __m256d parity0 = _mm256_unpacklo_pd(d, d), parity1 = _mm256_unpackhi_pd(d, d);
    const __m256d low0 = _mm256_add_pd(c->low, parity0), high1 = _mm256_add_pd(c->high, parity1);
    const __m256d low1 = _mm256_add_pd(c->low, parity1), high0 = _mm256_add_pd(c->high, parity0);
    const __m256d low = _mm256_min_pd(low0, high1), high = _mm256_min_pd(high0, low1);
    c->low = low;
    c->high = _mm256_permute2f128_pd(high, high, 0x01);
    return decision_of(_mm256_cmp_pd(low, _mm256_blend_pd(low0, high1, 0xa), _CMP_LT_OQ),
                       _mm256_cmp_pd(high, _mm256_blend_pd(low1, high0, 0xa), _CMP_LT_OQ));
}

NNR_INLINE AVX2 unsigned extend_odd(lanes *c, const measures *m, int64_t i)
{
    const __m256d nowhere = _mm256_setr_pd(0.0, 0.0, HUGE_VAL, HUGE_VAL);
    const __m256d x = _mm256_broadcast_sd(m->size + i);
    const __m256d d = distances(x, m->lowest + i, AFTER_LOWEST[1][m->residue[i]], nowhere);
    const __m256d parity0 = _mm256_permute2f128_pd(d, d, 0x00), parity1 = _mm256_permute2f128_pd(d, d, 0x11);
    const __m256d low0 = _mm256_add_pd(c->low, parity0), high1 = _mm256_add_pd(c->high, parity1);
    const __m256d low1 = _mm256_add_pd(c->low, parity1), high0 = _mm256_add_pd(c->high, parity0);
    const __m256d low = _mm256_min_pd(low0, high1), high = _mm256_min_pd(high0, low1);
    c->low = low;
    c->high = _mm256_permute_pd(high, 0x5);
    return decision_of(_mm256_cmp_pd(low, _mm256_blend_pd(low0, high1, 0xc), _CMP_LT_OQ),
                       _mm256_cmp_pd(high, _mm256_blend_pd(low1, high0, 0xc), _CMP_LT_OQ));
}

/* Of a group that begins at an even place. */
NNR_INLINE AVX2 void extend_by_group(lanes *c, const measures *m, uint8_t *decisions, int64_t count)
{
    int64_t i;
    for (i = 0; i + 2 <= count; i += 2) {
        decisions[i] = (uint8_t)extend_even(c, m, i);
        decisions[i + 1] = (uint8_t)extend_odd(c, m, i + 1);
    }
    if (i < count)
        decisions[i] = (uint8_t)extend_even(c, m, i);
}

NNR_NOINLINE AVX2 int extend(path_costs *costs, const float *weights, int64_t count, double step, int32_t *code,
                             uint8_t *decisions)
{
    const __m256d steps = _mm256_set1_pd(step);
    __m256d misfits = _mm256_setzero_pd();
    measures group[2]; /* one that is measured, one that paths go through */
    float last_weights[GROUP] = {0.0f};
    int32_t last_codes[GROUP];
    const int64_t rest = count % GROUP;
    lanes c;
    int64_t i;
    unsigned ready = 0;

    c.low = _mm256_set_m128d(_mm_blend_pd(costs->odd_b, costs->odd_a, 2), _mm_blend_pd(costs->even_a, costs->even_b, 2));
    c.high = _mm256_set_m128d(_mm_blend_pd(costs->odd_a, costs->odd_b, 2), _mm_blend_pd(costs->even_b, costs->even_a, 2));
    if (count >= GROUP)
        misfits = measure(weights, steps, &group[0], code);
    for (i = 0; i + 2 * GROUP <= count; i += GROUP, ready ^= 1) {
        const __m256d more = measure(weights + i + GROUP, steps, &group[ready ^ 1], code + i + GROUP);
        extend_by_group(&c, &group[ready], decisions + i, GROUP);
        misfits = _mm256_or_pd(misfits, more);
    }
    if (count >= GROUP)
        extend_by_group(&c, &group[ready], decisions + i, GROUP);
    if (rest > 0) {
        memcpy(last_weights, weights + count - rest, (size_t)rest * sizeof *weights);
        misfits = _mm256_or_pd(misfits, measure(last_weights, steps, &group[0], last_codes));
        memcpy(code + count - rest, last_codes, (size_t)rest * sizeof *code);
        extend_by_group(&c, &group[0], decisions + count - rest, rest);
    }
    if (count % 2) {
        c.low = _mm256_permute4x64_pd(c.low, 0xd8);
        c.high = _mm256_permute4x64_pd(c.high, 0xd8);
    }
    costs->even_a = _mm_blend_pd(_mm256_castpd256_pd128(c.low), _mm256_castpd256_pd128(c.high), 2);
    costs->even_b = _mm_blend_pd(_mm256_castpd256_pd128(c.high), _mm256_castpd256_pd128(c.low), 2);
    costs->odd_a = _mm_blend_pd(_mm256_extractf128_pd(c.high, 1), _mm256_extractf128_pd(c.low, 1), 2);
    costs->odd_b = _mm_blend_pd(_mm256_extractf128_pd(c.low, 1), _mm256_extractf128_pd(c.high, 1), 2);
    return _mm256_movemask_pd(misfits) == 0;
}

#define HAS_EXTEND
#define REACHED {{0, 3, 2, 1, 6, 5, 4, 7}, {0, 6, 2, 4, 3, 5, 1, 7}}
#define KERNEL NNR_NOINLINE AVX2
#define KERNELS nnr_trellis_avx2
#include "trellis_kernels.h"
#else
typedef int nothing; /* a file must not be empty */
#endif
