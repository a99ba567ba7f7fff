/* key.c - the built-in orders for callers outside of this folder.
 *
 * Owns:       nothing; the bodies are in key_inline.h, one copy for each order comes from here.
 * Invariants: K1 compare(a, b) is the comparison of the normalized strings, and so total.
 *             K2 when a and b share their first `skip` normalized bytes,
 *                lookahead(a) < lookahead(b) implies a < b.
 *             K3 left < separator <= right, and no shorter string lies there.
 * Source:     separators: Bayer and Unterauer, "Prefix B-trees" (1977).
 */
#include "page/key.h"

#include "page/key_inline.h"

#include <assert.h>

int qs_key_compare(enum key_order order, const void *a, size_t a_size, const void *b, size_t b_size)
{
    switch (order) {
    case ORDER_REVERSE:
        return key_compare(ORDER_REVERSE, a, a_size, b, b_size);
    case ORDER_INTEGER:
        return key_compare(ORDER_INTEGER, a, a_size, b, b_size);
    case ORDER_BYTES:
        break;
    }
    return key_compare(ORDER_BYTES, a, a_size, b, b_size);
}

uint32_t qs_key_lookahead(enum key_order order, const void *key, size_t size, size_t skip)
{
    return key_lookahead(order, key, size, skip);
}

size_t qs_key_common(enum key_order order, const void *a, size_t a_size, const void *b,
                     size_t b_size)
{
    switch (order) {
    case ORDER_REVERSE:
        return key_common(ORDER_REVERSE, a, a_size, b, b_size);
    case ORDER_INTEGER:
        return key_common(ORDER_INTEGER, a, a_size, b, b_size);
    case ORDER_BYTES:
        break;
    }
    return key_common(ORDER_BYTES, a, a_size, b, b_size);
}

void qs_key_separator(enum key_order order, const void *left, size_t left_size, const void *right,
                      size_t right_size, const void **separator, size_t *separator_size)
{
    size_t size = right_size;

    assert(qs_key_compare(order, left, left_size, right, right_size) < 0);
    if (order != ORDER_INTEGER)
        size = qs_key_common(order, left, left_size, right, right_size) + 1;
    assert(size <= right_size);
    *separator = order == ORDER_REVERSE ? (const uint8_t *)right + (right_size - size) : right;
    *separator_size = size;
}
