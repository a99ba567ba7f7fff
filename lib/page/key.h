/* key.h - the built-in orders of keys, all of them as orders of normalized byte strings.
 *
 * Normalized byte i of a key k of n bytes:
 *   ORDER_BYTES     k[i]
 *   ORDER_REVERSE   k[n-1-i]
 *   ORDER_INTEGER   i == 0: n (at most 255); else k[n-i]
 *                   (native little-endian numbers, shorter ones first; total for every size)
 * Keys compare as their normalized strings do: bytewise, a prefix before its extensions.
 * Pure functions; any thread.
 */
#ifndef QS_PAGE_KEY_H
#define QS_PAGE_KEY_H

#include "base/types.h"

enum key_order { ORDER_BYTES, ORDER_REVERSE, ORDER_INTEGER };

/* < 0, 0, > 0. Sizes are bytes, each up to QS_KEY_MAX (longer works too). */
int qs_key_compare(enum key_order order, const void *a, size_t a_size, const void *b,
                   size_t b_size);

/* The look-ahead of a key: its normalized bytes skip..skip+3 as a big-endian number, zero beyond.
 */
uint32_t qs_key_lookahead(enum key_order order, const void *key, size_t size, size_t skip);

/* How many leading normalized bytes the two keys share. */
size_t qs_key_common(enum key_order order, const void *a, size_t a_size, const void *b,
                     size_t b_size);

/* The shortest key `s` (at least 1 byte) of this order with left < s <= right, given left < right;
 * points into `right` (no copy). ORDER_INTEGER never shortens. */
void qs_key_separator(enum key_order order, const void *left, size_t left_size, const void *right,
                      size_t right_size, const void **separator, size_t *separator_size);

#endif
