/* layout.h - where things lie in a tree page, and the edits that leaves and inner pages share.
 *
 * Internal to this folder, and to who takes find.h. Everything is loaded and stored bytewise (load16() and
 * friends): the arrays move over each other as `count` changes, which typed pointers are not allowed to see.
 */
#ifndef QS_PAGE_LAYOUT_H
#define QS_PAGE_LAYOUT_H

#include "page/key_inline.h"
#include "page/page.h"

#define LEAF_SLOT_BYTES 6u    /* look-ahead, offset */
#define INNER_SLOT_BYTES 10u  /* look-ahead, pid, offset */
#define LEAF_RECORD_BYTES 4u  /* before the key: sizes and flags */
#define INNER_RECORD_BYTES 2u /* before the key: its size */
#define KEY_SIZE_MASK 0x1ffu  /* of a leaf record's first word */
#define FLAGS_SHIFT 9
#define NO_ENTRY UINT32_MAX /* "no entry is meant" where an index is expected */

ALWAYS_INLINE unsigned slot_bytes(bool inner)
{
    return inner ? INNER_SLOT_BYTES : LEAF_SLOT_BYTES;
}

ALWAYS_INLINE const uint8_t *page_bytes(const struct page *page)
{
    return (const uint8_t *)page;
}

ALWAYS_INLINE bool page_is_inner(const struct page *page)
{
    return page->kind == PAGE_INNER;
}

/* The first entry that has a key of its own. */
ALWAYS_INLINE unsigned first_key(const struct page *page)
{
    return page_is_inner(page) ? 1 : 0;
}

/* ---- arrays ---- */

ALWAYS_INLINE size_t la_offset(unsigned i)
{
    return PAGE_HEADER_BYTES + 4 * (size_t)i;
}

ALWAYS_INLINE size_t pid_offset(const struct page *page, unsigned i)
{
    return PAGE_HEADER_BYTES + 4 * ((size_t)page->count + i);
}

ALWAYS_INLINE size_t off_offset(const struct page *page, bool inner, unsigned i)
{
    return PAGE_HEADER_BYTES + (inner ? 8 : 4) * (size_t)page->count + 2 * (size_t)i;
}

/* Where the slots end and free space begins. */
ALWAYS_INLINE size_t slots_end(const struct page *page)
{
    unsigned each = page->kind == PAGE_FIXED ? page->item_size : slot_bytes(page_is_inner(page));
    return PAGE_HEADER_BYTES + (size_t)page->count * each;
}

ALWAYS_INLINE uint32_t la_get(const struct page *page, unsigned i)
{
    return load32(page_bytes(page) + la_offset(i));
}

ALWAYS_INLINE void la_set(struct page *page, unsigned i, uint32_t number)
{
    store32((uint8_t *)page + la_offset(i), number);
}

ALWAYS_INLINE unsigned off_get(const struct page *page, bool inner, unsigned i)
{
    return load16(page_bytes(page) + off_offset(page, inner, i));
}

ALWAYS_INLINE void off_set(struct page *page, bool inner, unsigned i, size_t off)
{
    store16((uint8_t *)page + off_offset(page, inner, i), (uint16_t)off);
}

/* ---- records ---- */

ALWAYS_INLINE size_t round_even(size_t bytes)
{
    return (bytes + 1) & ~(size_t)1;
}

ALWAYS_INLINE size_t leaf_record_bytes(size_t key_size, size_t value_size)
{
    return round_even(LEAF_RECORD_BYTES + key_size + value_size);
}

ALWAYS_INLINE size_t inner_record_bytes(size_t key_size)
{
    return round_even(INNER_RECORD_BYTES + key_size);
}

/* Bytes of a record that exists, padding included. */
ALWAYS_INLINE size_t record_bytes(const uint8_t *record, bool inner)
{
    return inner ? inner_record_bytes(load16(record))
                 : leaf_record_bytes(load16(record) & KEY_SIZE_MASK, load16(record + 2));
}

/* Key of entry `i`. */
ALWAYS_INLINE const uint8_t *record_key(const struct page *page, bool inner, unsigned i,
                                        size_t *size)
{
    const uint8_t *record = page_bytes(page) + off_get(page, inner, i);
    *size = inner ? load16(record) : load16(record) & KEY_SIZE_MASK;
    return record + (inner ? INNER_RECORD_BYTES : LEAF_RECORD_BYTES);
}

/* Bytes between the slots and the heap. */
ALWAYS_INLINE size_t contiguous_bytes(const struct page *page)
{
    return page->heap - slots_end(page);
}

/* ---- edits (edit.c) ---- */

/* Gives up the record at `off`; its entry must go or get another. */
void qs_page_record_free(struct page *page, unsigned off);

/* Makes the record at `off` begin `bytes` (even, of the contiguous space) earlier, by moving all that lie
 * lower; its old bytes stay. */
void qs_page_record_widen(struct page *page, unsigned off, size_t bytes);

/* Takes `bytes` (even) from the contiguous space; the offset of the new record. */
unsigned qs_page_record_new(struct page *page, size_t bytes);

/* Packs the records; that of entry `except` (NO_ENTRY: none) is left out, its offset meaningless.
 */
void qs_page_compact(struct page *page, unsigned except, void *scratch);

/* Makes room for an entry before `i`: count + 1, slot `i` undefined. Needs the contiguous space. */
void qs_page_slot_open(struct page *page, unsigned i);

/* Takes slot `i` away. Its record has been given up. */
void qs_page_slot_close(struct page *page, unsigned i);

/* The prefix for keys that share `common` bytes in a page whose fence is `fence`: all of them, but
 * only where this gains more than it costs (a look at a record in a search that finds nothing). */
unsigned qs_page_prefix_choose(size_t common, unsigned fence);

/* Adapts prefix, fence and la to a key that is about to join the page (in the place of entry
 * `except`, when that is not NO_ENTRY). */
void qs_page_prefix_admit(struct page *page, enum key_order order, const void *key, size_t key_size,
                          unsigned except);

#endif
