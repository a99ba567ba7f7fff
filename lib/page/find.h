/* find.h - the child for a key and the entry of a key, in line: for gets, which do little else.
 *
 * The order is a constant of the caller's, as in key_inline.h. What is rare is called: keys outside of a
 * page's prefix, and look-ahead that several keys share.
 * Pure; any thread.
 */
#ifndef QS_PAGE_FIND_H
#define QS_PAGE_FIND_H

#include "page/layout.h"
#include "page/search.h"

/* Where a key belongs that does not share an inner page's prefix: *child; false: it does share it. The prefix is
 * checked against the same record each time: it stays in the processor's cache, which is more than can be said
 * of the one next to the key. */
bool qs_inner_outside(const struct page *page, enum key_order order, const uint8_t *key,
                      size_t key_size, unsigned *child);

/* Goes on from entry `low`, whose look-ahead, like that of an unknown number of entries behind it, is that of
 * `key`: the child. */
unsigned qs_inner_ties(const struct page *page, enum key_order order, unsigned low,
                       const uint8_t *key, size_t key_size);

/* The same in a leaf: the entry of exactly this key; false: there is none. */
bool qs_leaf_tie(const struct page *page, enum key_order order, unsigned low, const uint8_t *key,
                 size_t key_size, struct entry *entry);

/* qs_inner_search() */
ALWAYS_INLINE unsigned inner_search(const struct page *page, enum key_order order,
                                    const uint8_t *key, size_t key_size)
{
    unsigned count = page->count, child;
    const uint8_t *la = page_bytes(page) + PAGE_HEADER_BYTES;

    if (count <= 1)
        return 0;
    if (page->prefix > page->fence && qs_inner_outside(page, order, key, key_size, &child))
        return child;
    uint32_t target = key_lookahead(order, key, key_size, page->prefix);
    unsigned i =
        1 + search_below_beside(la + 4, count - 1, target, page_bytes(page) + pid_offset(page, 1));
    if (i == count || la_get(page, i) != target)
        return i - 1;
    return qs_inner_ties(page, order, i, key, key_size);
}

ALWAYS_INLINE pageid_t inner_child(const struct page *page, unsigned i)
{
    return load32(page_bytes(page) + pid_offset(page, i));
}

/* The entry of exactly this key; false, *entry undefined: there is none. The prefix needs no check, and keys no order, where only what is equal counts. */
ALWAYS_INLINE bool leaf_find(const struct page *page, enum key_order order, const uint8_t *key,
                             size_t key_size, struct entry *entry)
{
    uint32_t target = key_lookahead(order, key, key_size, page->prefix);
    unsigned i = search_below(page_bytes(page) + PAGE_HEADER_BYTES, page->count, target);

    if (i == page->count || la_get(page, i) != target)
        return false;
    qs_leaf_entry(page, i, entry);
    return key_equal(key, key_size, entry->key, entry->key_size) ||
           qs_leaf_tie(page, order, i, key, key_size, entry);
}

#endif
