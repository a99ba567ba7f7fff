/* crc32c_wide.c - folding: what stands D bits before the end of a message may be multiplied by x^D and added to
 * the end; modulo the polynomial nothing changes.
 *
 * Four registers of 64 bytes are folded over the next 256 bytes, again and again, and in the end over one
 * another. In a register each 128 bits go by themselves: their halves are multiplied by x^(D+32) and x^(D-32), which
 * are taken modulo the polynomial first and so have 32 bits. Bits are reflected, as everywhere in this checksum: the
 * first bit of the message is the lowest, and a product comes out one bit too low, which the constants make up for.
 * Source: Gopal et al., Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction, Intel 2009.
 */
#include "base/crc32c_wide.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define WIDE_FUNCTION __attribute__((target("avx512f,vpclmulqdq")))
#define WIDE_INLINE static inline __attribute__((always_inline, target("avx512f,vpclmulqdq")))

enum { REGISTER_BYTES = 64, BLOCK_BYTES = 4 * REGISTER_BYTES };

/* Powers of x modulo the polynomial, as factors: what folds over so many bytes. */
struct factors {
    uint64_t low, high;
};
static const struct factors over_block = {0xdcb17aa4u, 0xb9e02b86u};    /* x^2080, x^2016 */
static const struct factors over_register = {0x740eef02u, 0x9e4addf8u}; /* x^544, x^480 */

bool qs_crc32c_wide_detect(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("vpclmulqdq");
}

WIDE_INLINE __m512i fold(__m512i value, __m512i factors, __m512i onto)
{
    __m512i low = _mm512_clmulepi64_epi128(value, factors, 0x00);
    __m512i high = _mm512_clmulepi64_epi128(value, factors, 0x11);
    return _mm512_ternarylogic_epi64(low, high, onto, 0x96); /* exclusive or of the three */
}

WIDE_INLINE __m512i load(const uint8_t *data)
{
    return _mm512_loadu_si512(data);
}

WIDE_INLINE __m512i spread(const struct factors *factors)
{
    return _mm512_broadcast_i32x4(_mm_set_epi64x((int64_t)factors->high, (int64_t)factors->low));
}

WIDE_FUNCTION size_t qs_crc32c_wide_fold(uint32_t state, const uint8_t *data, size_t size,
                                         uint8_t rest[64])
{
    const uint8_t *at = data + BLOCK_BYTES, *end = data + size;
    __m512i factors = spread(&over_block);
    __m512i a = load(data), b = load(data + 64), c = load(data + 128), d = load(data + 192);
    a = _mm512_xor_si512(a, _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)state)));
    for (; end - at >= BLOCK_BYTES; at += BLOCK_BYTES) {
        a = fold(a, factors, load(at));
        b = fold(b, factors, load(at + 64));
        c = fold(c, factors, load(at + 128));
        d = fold(d, factors, load(at + 192));
    }
    factors = spread(&over_register);
    d = fold(fold(fold(a, factors, b), factors, c), factors, d);
    for (; end - at >= REGISTER_BYTES; at += REGISTER_BYTES)
        d = fold(d, factors, load(at));
    _mm512_storeu_si512(rest, d);
    return (size_t)(at - data);
}

#else
bool qs_crc32c_wide_detect(void)
{
    return false;
}

size_t qs_crc32c_wide_fold(uint32_t state, const uint8_t *data, size_t size, uint8_t rest[64])
{
    (void)state;
    (void)data;
    (void)size;
    (void)rest;
    return 0;
}
#endif
