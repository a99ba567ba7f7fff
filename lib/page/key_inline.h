/* key_inline.h - comparing keys, for the hot loops of this folder: one body for every order.
 *
 * Each function takes the order as a constant of its caller, so that the compiler makes one copy
 * for each order and no copy asks again. Two directions suffice: ORDER_BYTES reads a key forward,
 * ORDER_REVERSE backward, and ORDER_INTEGER backward after one byte that holds the size (at most
 * 255: longer keys then compare as their bytes do, which keeps the order total).
 * Never reads outside of a key. Pure functions; any thread.
 */
#ifndef QS_PAGE_KEY_INLINE_H
#define QS_PAGE_KEY_INLINE_H

#include "page/key.h"

#include <assert.h>
#include <string.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "loads below take bytes as they lie");

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE uint16_t load16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

ALWAYS_INLINE uint32_t load32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

ALWAYS_INLINE uint64_t load64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

ALWAYS_INLINE void store16(uint8_t *at, uint16_t value)
{
    memcpy(at, &value, sizeof value);
}

ALWAYS_INLINE void store32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
}

/* ---- bytes in one of two directions ---- */

/* Bytes i..i+7 (i..i+3, i) in the direction of reading, as a big-endian number. */
ALWAYS_INLINE uint64_t chunk8(bool backward, const uint8_t *key, size_t size, size_t i)
{
    return backward ? load64(key + size - i - 8) : __builtin_bswap64(load64(key + i));
}

ALWAYS_INLINE uint32_t chunk4(bool backward, const uint8_t *key, size_t size, size_t i)
{
    return backward ? load32(key + size - i - 4) : __builtin_bswap32(load32(key + i));
}

ALWAYS_INLINE uint8_t chunk1(bool backward, const uint8_t *key, size_t size, size_t i)
{
    return backward ? key[size - 1 - i] : key[i];
}

#define SHORT_KEY 32u /* bytes up to which a comparison in line beats a call of memcmp() */

/* The last chunk overlaps the one before it: bytes found equal may be compared twice. */
ALWAYS_INLINE int string_compare(bool backward, const uint8_t *a, size_t a_size, const uint8_t *b,
                                 size_t b_size)
{
    size_t n = a_size < b_size ? a_size : b_size;
    int by_size = (a_size > b_size) - (a_size < b_size);

    if (!backward && n > SHORT_KEY) {
        int difference = memcmp(a, b, n);
        return difference != 0 ? difference : by_size;
    }
    if (n >= 8) {
        for (size_t i = 0;; i = i + 16 <= n ? i + 8 : n - 8) {
            uint64_t x = chunk8(backward, a, a_size, i);
            uint64_t y = chunk8(backward, b, b_size, i);
            if (x != y)
                return x < y ? -1 : 1;
            if (i + 8 == n)
                return by_size;
        }
    }
    if (n >= 4) {
        uint64_t x = (uint64_t)chunk4(backward, a, a_size, 0) << 32;
        uint64_t y = (uint64_t)chunk4(backward, b, b_size, 0) << 32;
        x |= chunk4(backward, a, a_size, n - 4);
        y |= chunk4(backward, b, b_size, n - 4);
        return x != y ? (x < y ? -1 : 1) : by_size;
    }
    for (size_t i = 0; i < n; i++) {
        int difference = chunk1(backward, a, a_size, i) - chunk1(backward, b, b_size, i);
        if (difference != 0)
            return difference;
    }
    return by_size;
}

/* Overlapping likewise. */
ALWAYS_INLINE bool string_equal(const uint8_t *a, const uint8_t *b, size_t n)
{
    if (n > SHORT_KEY)
        return memcmp(a, b, n) == 0;
    if (n >= 8) {
        for (size_t i = 0; i + 8 < n; i += 8)
            if (load64(a + i) != load64(b + i))
                return false;
        return load64(a + n - 8) == load64(b + n - 8);
    }
    if (n >= 4)
        return load32(a) == load32(b) && load32(a + n - 4) == load32(b + n - 4);
    size_t i = 0;
    while (i < n && a[i] == b[i])
        i++;
    return i == n;
}

ALWAYS_INLINE size_t string_common(bool backward, const uint8_t *a, size_t a_size, const uint8_t *b,
                                   size_t b_size)
{
    size_t n = a_size < b_size ? a_size : b_size;
    size_t i = 0;

    for (; i + 8 <= n; i += 8) {
        uint64_t x = chunk8(backward, a, a_size, i) ^ chunk8(backward, b, b_size, i);
        if (x != 0)
            return i + (size_t)__builtin_clzll(x) / 8;
    }
    while (i < n && chunk1(backward, a, a_size, i) == chunk1(backward, b, b_size, i))
        i++;
    return i;
}

ALWAYS_INLINE uint32_t string_lookahead(bool backward, const uint8_t *key, size_t size, size_t skip)
{
    if (skip + 4 <= size)
        return chunk4(backward, key, size, skip);
    if (skip >= size)
        return 0;
    if (size >= 4)
        return chunk4(backward, key, size, size - 4) << (8 * (skip + 4 - size));
    uint32_t value = 0;
    for (size_t i = skip; i < skip + 4; i++)
        value = value << 8 | (i < size ? chunk1(backward, key, size, i) : 0);
    return value;
}

/* ---- the orders ---- */

/* The size byte of ORDER_INTEGER. */
ALWAYS_INLINE uint32_t size_byte(size_t size)
{
    return size < 255 ? (uint32_t)size : 255;
}

/* Bytes of the normalized key. */
ALWAYS_INLINE size_t key_normal_size(enum key_order order, size_t size)
{
    return order == ORDER_INTEGER ? size + 1 : size;
}

ALWAYS_INLINE int key_compare(enum key_order order, const uint8_t *a, size_t a_size,
                              const uint8_t *b, size_t b_size)
{
    if (order == ORDER_INTEGER && size_byte(a_size) != size_byte(b_size))
        return a_size < b_size ? -1 : 1;
    return string_compare(order != ORDER_BYTES, a, a_size, b, b_size);
}

/* The same for every order, as normalizing loses nothing. */
ALWAYS_INLINE bool key_equal(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    return a_size == b_size && string_equal(a, b, a_size);
}

ALWAYS_INLINE size_t key_common(enum key_order order, const uint8_t *a, size_t a_size,
                                const uint8_t *b, size_t b_size)
{
    if (order != ORDER_INTEGER)
        return string_common(order != ORDER_BYTES, a, a_size, b, b_size);
    if (size_byte(a_size) != size_byte(b_size))
        return 0;
    return 1 + string_common(true, a, a_size, b, b_size);
}

ALWAYS_INLINE uint32_t key_lookahead(enum key_order order, const uint8_t *key, size_t size,
                                     size_t skip)
{
    if (order != ORDER_INTEGER)
        return string_lookahead(order != ORDER_BYTES, key, size, skip);
    if (skip > 0)
        return string_lookahead(true, key, size, skip - 1);
    return size_byte(size) << 24 | string_lookahead(true, key, size, 0) >> 8;
}

/* 0 when `key` shares the first `prefix` normalized bytes of `sample` (which has as many), else on
 * which side of all the keys that do it lies. */
ALWAYS_INLINE int key_prefix_side(enum key_order order, const uint8_t *key, size_t key_size,
                                  const uint8_t *sample, size_t sample_size, size_t prefix)
{
    if (key_common(order, key, key_size, sample, sample_size) >= prefix)
        return 0;
    return key_compare(order, key, key_size, sample, sample_size) < 0 ? -1 : 1;
}

#endif
