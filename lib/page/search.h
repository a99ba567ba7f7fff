/* search.h - the first look-ahead number that is not below a target: the inner loop of everything.
 *
 * A comparison of a small sorted array with the target, four numbers at a time, gives one bit for
 * each number: ones, then zeros, and where the zeros begin is the answer. No branch depends on the
 * numbers, and it is done before a binary search has seen its third one. Blocks may overlap, as a
 * bit may be set twice: so no array needs a remainder handled number by number, and nothing beyond
 * its end is read. Larger arrays are halved, without branches, until 64 numbers are left.
 * search_below_portable() is the twin that every machine compiles and the tests compare with.
 * Numbers out of order (a damaged page) give a wrong answer, never one above `count`.
 * Any alignment. Pure; any thread.
 * Source: Bf-Tree (PVLDB 17(11)) section 3 for look-ahead bytes. Measured (40 numbers, ns): bits 8,
 *         sums of lanes 8.5, binary search 19; eight lanes (AVX2) gain nothing over four.
 */
#ifndef QS_PAGE_SEARCH_H
#define QS_PAGE_SEARCH_H

#include "page/key_inline.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#define SEARCH_BLOCK 16u  /* numbers a block_mark() compares: one cache line */
#define SEARCH_WINDOW 64u /* numbers that have a bit each in the result */

/* Where to go on in a binary search: past the first `half` numbers from `base` when all of them are
 * below. Some compilers make a branch of this, which is mispredicted every other time. */
ALWAYS_INLINE unsigned search_step(const uint8_t *la, unsigned base, unsigned half, uint32_t target)
{
    unsigned below = load32(la + 4 * (size_t)(base + half - 1)) < target;
#ifdef __clang__
    __asm__("" : "+r"(below));
#endif
    return base + (half & -below);
}

/* How many of la[0..count) are below `target`. */
ALWAYS_INLINE unsigned search_below_portable(const uint8_t *la, unsigned count, uint32_t target)
{
    unsigned base = 0;

    if (count == 0)
        return 0;
    while (count > 1) {
        unsigned half = count / 2;
        base = search_step(la, base, half, target);
        count -= half;
    }
    return base + (load32(la + 4 * (size_t)base) < target);
}

#if defined(__SSE2__)
typedef __m128i search_lanes;
#define SEARCH_LANES 4u

/* The instruction compares signed numbers; flipping the top bit of both sides makes up for it. */
ALWAYS_INLINE search_lanes lanes_target(uint32_t target)
{
    return _mm_set1_epi32((int)(target ^ 0x80000000u));
}

/* All ones in every lane whose number is below the target. */
ALWAYS_INLINE search_lanes lanes_below(const uint8_t *la, search_lanes target)
{
    search_lanes numbers = _mm_loadu_si128((const __m128i_u *)la);
    return _mm_cmpgt_epi32(target, _mm_xor_si128(numbers, _mm_set1_epi32(INT32_MIN)));
}

/* A bit for each of 4 numbers. */
ALWAYS_INLINE unsigned lanes_mark(const uint8_t *la, search_lanes target)
{
    return (unsigned)_mm_movemask_ps(_mm_castsi128_ps(lanes_below(la, target)));
}

/* A bit for each of 16 numbers. */
ALWAYS_INLINE uint64_t block_mark(const uint8_t *la, search_lanes target)
{
    __m128i low = _mm_packs_epi32(lanes_below(la, target), lanes_below(la + 16, target));
    __m128i high = _mm_packs_epi32(lanes_below(la + 32, target), lanes_below(la + 48, target));
    return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(low, high));
}

#elif defined(__ARM_NEON)
typedef uint32x4_t search_lanes;
#define SEARCH_LANES 4u

ALWAYS_INLINE search_lanes lanes_target(uint32_t target)
{
    return vdupq_n_u32(target);
}

/* All ones in every lane whose number is below the target. */
ALWAYS_INLINE search_lanes lanes_below(const uint8_t *la, search_lanes target)
{
    return vcltq_u32(vreinterpretq_u32_u8(vld1q_u8(la)), target);
}

/* A bit for each of 4 numbers. */
ALWAYS_INLINE unsigned lanes_mark(const uint8_t *la, search_lanes target)
{
    static const uint32_t bits[4] = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(lanes_below(la, target), vld1q_u32(bits)));
}

/* A bit for each of 16 numbers. */
ALWAYS_INLINE uint64_t block_mark(const uint8_t *la, search_lanes target)
{
    static const uint8_t bits[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    uint16x8_t low =
        vcombine_u16(vmovn_u32(lanes_below(la, target)), vmovn_u32(lanes_below(la + 16, target)));
    uint16x8_t high = vcombine_u16(vmovn_u32(lanes_below(la + 32, target)),
                                   vmovn_u32(lanes_below(la + 48, target)));
    uint8x8_t weights = vld1_u8(bits);
    return vaddv_u8(vand_u8(vmovn_u16(low), weights)) |
           (uint64_t)vaddv_u8(vand_u8(vmovn_u16(high), weights)) << 8;
}
#endif

#ifdef SEARCH_LANES
/* Less than a block: four groups of four, overlapping as they must. */
ALWAYS_INLINE unsigned search_few(const uint8_t *la, unsigned count, uint32_t number)
{
    if (count < SEARCH_LANES) {
        unsigned below = 0;
        for (unsigned i = 0; i < count; i++)
            below += load32(la + 4 * i) < number;
        return below;
    }
    search_lanes target = lanes_target(number);
    unsigned last = count - SEARCH_LANES;
    unsigned second = last < 4 ? last : 4;
    unsigned third = last < 8 ? last : 8;
    unsigned bits = lanes_mark(la, target) | lanes_mark(la + 4 * second, target) << second |
                    lanes_mark(la + 4 * third, target) << third |
                    lanes_mark(la + 4 * last, target) << last;
    return (unsigned)__builtin_ctz(~bits);
}

/* One block to a window. */
ALWAYS_INLINE unsigned search_window(const uint8_t *la, unsigned count, uint32_t number)
{
    search_lanes target = lanes_target(number);
    unsigned last = count - SEARCH_BLOCK;
    uint64_t bits = block_mark(la + 4 * (size_t)last, target) << last;

    for (unsigned i = 0; i < last; i += SEARCH_BLOCK)
        bits |= block_mark(la + 4 * (size_t)i, target) << i;
    return bits == UINT64_MAX ? SEARCH_WINDOW : (unsigned)__builtin_ctzll(~bits);
}

ALWAYS_INLINE unsigned search_below(const uint8_t *la, unsigned count, uint32_t target)
{
    unsigned base = 0;

    if (count < SEARCH_BLOCK)
        return search_few(la, count, target);
    if (count <= SEARCH_WINDOW)
        return search_window(la, count, target);
    for (unsigned left = count; left > SEARCH_WINDOW;) {
        unsigned half = left / 2;
        base = search_step(la, base, half, target);
        left -= half;
    }
    /* A full window, part of which may be known to be below: unrolled. */
    if (base > count - SEARCH_WINDOW)
        base = count - SEARCH_WINDOW;
    return base + search_window(la + 4 * (size_t)base, SEARCH_WINDOW, target);
}
#else
ALWAYS_INLINE unsigned search_below(const uint8_t *la, unsigned count, uint32_t target)
{
    return search_below_portable(la, count, target);
}
#endif

#endif
