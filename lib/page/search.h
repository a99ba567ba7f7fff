/* search.h - the first look-ahead number that is not below a target: the inner loop of everything.
 *
 * Three numbers that do not wait for each other say which block of 64 it is, three more which one of 16 in
 * that (arrays beyond 256 are halved before). A comparison of that block with the target, four numbers at
 * a time, gives one bit for each number: ones, then zeros, and where the zeros begin is the answer. No
 * branch depends on the numbers. Blocks may overlap the part that is known to be below, as its bits are
 * ones: so no array needs a remainder handled number by number, and nothing beyond its end is read.
 * search_below_portable() is the twin that every machine compiles and the tests compare with.
 * Numbers out of order (a damaged page) give a wrong answer, never one above `count`.
 * Any alignment. Pure; any thread.
 * Source: Bf-Tree (PVLDB 17(11)) section 3 for look-ahead bytes. Measured (a get among 1,000,000 keys, two
 *         inner pages and a leaf, instructions): 548; halved to 64 and one block of them 554, all four 683.
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
#define SEARCH_WINDOW 64u /* numbers of which a look at three leaves a block */

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

/* The instruction tells which signed numbers are greater, and puts that in their place. Flipping the top bit
 * of both sides makes up for the sign, flipping the others turns the order round. */
ALWAYS_INLINE search_lanes lanes_target(uint32_t target)
{
    return _mm_set1_epi32((int)(target ^ 0x7fffffffu));
}

/* All ones in every lane whose number is below the target. */
ALWAYS_INLINE search_lanes lanes_below(const uint8_t *la, search_lanes target)
{
    search_lanes numbers = _mm_loadu_si128((const __m128i_u *)la);
    return _mm_cmpgt_epi32(_mm_xor_si128(numbers, _mm_set1_epi32(INT32_MAX)), target);
}

/* A bit for each of 4 numbers. */
ALWAYS_INLINE unsigned lanes_mark(const uint8_t *la, search_lanes target)
{
    return (unsigned)_mm_movemask_ps(_mm_castsi128_ps(lanes_below(la, target)));
}

/* A bit for each of 16 numbers. */
ALWAYS_INLINE unsigned block_mark(const uint8_t *la, search_lanes target)
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
ALWAYS_INLINE unsigned block_mark(const uint8_t *la, search_lanes target)
{
    static const uint8_t bits[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    uint16x8_t low =
        vcombine_u16(vmovn_u32(lanes_below(la, target)), vmovn_u32(lanes_below(la + 16, target)));
    uint16x8_t high = vcombine_u16(vmovn_u32(lanes_below(la + 32, target)),
                                   vmovn_u32(lanes_below(la + 48, target)));
    uint8x8_t weights = vld1_u8(bits);
    return vaddv_u8(vand_u8(vmovn_u16(low), weights)) |
           (unsigned)vaddv_u8(vand_u8(vmovn_u16(high), weights)) << 8;
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

ALWAYS_INLINE unsigned lesser(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* How many of the first three blocks of `size` numbers are below; what ends the array may stand for the end of a
 * block behind it, for where that is below, all are. */
ALWAYS_INLINE unsigned blocks_below(const uint8_t *la, unsigned count, unsigned size,
                                    uint32_t target)
{
    unsigned last = count - 1;

    return (load32(la + 4 * (size_t)(size - 1)) < target) +
           (load32(la + 4 * (size_t)lesser(2 * size - 1, last)) < target) +
           (load32(la + 4 * (size_t)lesser(3 * size - 1, last)) < target);
}

/* One block to a window. */
ALWAYS_INLINE unsigned search_window(const uint8_t *la, unsigned count, uint32_t target)
{
    unsigned first = SEARCH_BLOCK * blocks_below(la, count, SEARCH_BLOCK, target);
    first = lesser(first, count - SEARCH_BLOCK);
    unsigned bits = block_mark(la + 4 * (size_t)first, lanes_target(target));

    return first + (unsigned)__builtin_ctz(~bits);
}

/* Asks for the part of an array beside la[], of numbers as large, that goes with a window. */
ALWAYS_INLINE void prefetch_window(const uint8_t *beside)
{
    for (unsigned i = 0; i <= SEARCH_WINDOW; i += SEARCH_BLOCK)
        __builtin_prefetch(beside + 4 * (size_t)i);
}

/* search_below(); in the array `beside`, if it is not NULL, the answer is looked up next. */
ALWAYS_INLINE unsigned search_below_beside(const uint8_t *la, unsigned count, uint32_t target,
                                           const uint8_t *beside)
{
    unsigned base = 0, left = count;

    if (count < SEARCH_BLOCK)
        return search_few(la, count, target);
    if (count <= SEARCH_WINDOW)
        return search_window(la, count, target);
    while (left > 4 * SEARCH_WINDOW) {
        unsigned half = left / 2;
        base = search_step(la, base, half, target);
        left -= half;
    }
    base += SEARCH_WINDOW * blocks_below(la + 4 * (size_t)base, left, SEARCH_WINDOW, target);
    /* A full window, part of which may be known to be below: its size is a constant. */
    base = lesser(base, count - SEARCH_WINDOW);
    if (beside != NULL)
        prefetch_window(beside + 4 * (size_t)base);
    return base + search_window(la + 4 * (size_t)base, SEARCH_WINDOW, target);
}
#else
ALWAYS_INLINE unsigned search_below_beside(const uint8_t *la, unsigned count, uint32_t target,
                                           const uint8_t *beside)
{
    (void)beside;
    return search_below_portable(la, count, target);
}
#endif

ALWAYS_INLINE unsigned search_below(const uint8_t *la, unsigned count, uint32_t target)
{
    return search_below_beside(la, count, target, NULL);
}

#endif
