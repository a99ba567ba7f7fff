/* fixed.h - fixed pages: items of one size, packed, in order (format/page.h).
 *
 * Leaves of large sets of duplicates of one size, handed out a page at a time. Pure functions, as all
 * of this folder; pages passed to those other than qs_fixed_check() were checked or made here.
 */
#ifndef QS_PAGE_FIXED_H
#define QS_PAGE_FIXED_H

#include "page/page.h"

/* Items of `item_size` bytes that a page of 4096 bytes has room for. */
static inline unsigned qs_fixed_capacity(size_t item_size)
{
    return (unsigned)((QS_PAGE_BYTES - PAGE_HEADER_BYTES) / item_size);
}

/* Item `i`; `i` == count is where the items end. */
static inline const uint8_t *qs_fixed_item(const struct page *page, unsigned i)
{
    return (const uint8_t *)page + PAGE_HEADER_BYTES + (size_t)i * page->item_size;
}

/* Asks for the lines that the first four steps of a search can want, all at once. */
static inline void qs_fixed_prefetch(const struct page *page)
{
    __asm__ volatile(""); /* as in qs_page_prefetch() */
    for (unsigned i = 0; i < 16; i++)
        __builtin_prefetch((const char *)page + i * (QS_PAGE_BYTES / 16));
}

/* Item `i` (< count) as an entry: a key without a value. */
static inline void qs_fixed_entry(const struct page *page, unsigned i, struct entry *entry)
{
    const uint8_t *item = qs_fixed_item(page, i);
    *entry = (struct entry){item, item, page->item_size, 0, 0};
}

/* `order` may hold PAGE_CUSTOM. Makes a page of 4096 bytes of `count` items, which lie one behind the other. */
void qs_fixed_build(struct page *page, enum key_order order, size_t item_size, const void *items,
                    unsigned count);

/* First item >= `item` (of any size), count when there is none; *found: it is equal. */
unsigned qs_fixed_search(const struct page *page, enum key_order order, const void *item,
                         size_t item_size, bool *found);
/* The same in an array. */
unsigned qs_items_search(const uint8_t *items, size_t item_size, unsigned count,
                         enum key_order order, const void *item, size_t size, bool *found);

/* Puts `count` items before item `i`. They fit, and lie elsewhere. */
void qs_fixed_insert(struct page *page, unsigned i, const void *items, unsigned count);
/* Puts an item, which lies elsewhere, in the place of item `i`; `order` as in qs_fixed_build(). */
void qs_fixed_replace(struct page *page, unsigned i, const void *item, enum key_order order);
void qs_fixed_remove(struct page *page, unsigned i);

/* As qs_page_check(), which passes fixed pages on to it. */
bool qs_fixed_check(const struct page *page, enum key_order order, bool deep);

#endif
