/* set.h - a small set of duplicates, packed into the value of its key's entry (format/page.h).
 *
 * Pure functions. Bytes passed to those other than qs_set_check() were checked or made here; they lie
 * at any address. A set in the page layout would cost 32 bytes and 10 an item, and want alignment.
 */
#ifndef QS_PAGE_SET_H
#define QS_PAGE_SET_H

#include "page/page.h"
#include "quickstep.h"

#include <string.h>

/* A set, pointing to where its bytes lie. */
struct set {
    const uint8_t *ends;  /* u16 a piece: where each item ends; NULL: items of one size */
    const uint8_t *items; /* the first item */
    uint16_t count;       /* items, at least 1 */
    uint16_t item_size;   /* bytes of each, where there are no ends */
};

static inline void qs_set_open(struct set *set, const void *value, size_t size)
{
    const uint8_t *bytes = value;
    uint16_t word;
    memcpy(&word, bytes, sizeof word);
    if ((word & SET_FIXED) != 0) {
        uint16_t item_size = (uint16_t)(word & ~SET_FIXED);
        *set = (struct set){NULL, bytes + SET_HEADER_BYTES,
                            (uint16_t)((size - SET_HEADER_BYTES) / item_size), item_size};
    } else {
        const uint8_t *ends = bytes + SET_HEADER_BYTES;
        *set = (struct set){ends, ends + SET_END_BYTES * (size_t)word, word, 0};
    }
}

/* A value that stands alone, seen as a set. */
static inline void qs_set_of_one(struct set *set, const void *item, size_t size)
{
    *set = (struct set){NULL, item, 1, (uint16_t)size};
}

/* Item `i` (< count). */
static inline struct qs_val qs_set_item(const struct set *set, unsigned i)
{
    uint16_t start = 0, end;
    if (set->ends == NULL)
        return (struct qs_val){set->item_size, set->items + (size_t)i * set->item_size};
    if (i > 0)
        memcpy(&start, set->ends + SET_END_BYTES * (size_t)(i - 1), sizeof start);
    memcpy(&end, set->ends + SET_END_BYTES * (size_t)i, sizeof end);
    return (struct qs_val){(size_t)(end - start), set->items + start};
}

/* Bytes of unknown origin: is this a set whose items can be read? (Their order is not looked at.) */
bool qs_set_check(const void *value, size_t size);

/* First item that is >= `item`, count when there is none; *found tells whether it is equal. */
unsigned qs_set_search(const struct set *set, enum key_order order, const void *item,
                       size_t item_size, bool *found);

/* Writes `set`, which may be empty here, with `item` before its item `i` to `to`, whose bytes are elsewhere; with items of one
 * size when `fixed`. Returns its bytes. qs_set_grown() tells them beforehand. */
size_t qs_set_insert(uint8_t *to, const struct set *set, unsigned i, struct qs_val item,
                     bool fixed);
size_t qs_set_grown(const struct set *set, size_t item_size, bool fixed);

/* Writes the set of the keys of `entries`, or of `count` items that lie one behind the other. Returns its
 * bytes. */
size_t qs_set_pack(uint8_t *to, const struct entry *entries, unsigned count);
size_t qs_set_pack_fixed(uint8_t *to, size_t item_size, const void *items, unsigned count);

/* Writes `set` without its item `i` to `to`. Returns its bytes. */
size_t qs_set_remove(uint8_t *to, const struct set *set, unsigned i);

#endif
