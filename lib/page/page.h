/* page.h - the one page layout (format/page.h): search, edit, build, verify.
 *
 * Pure: bytes in, bytes out; no I/O, locks or allocation. Pages passed to the functions here other
 * than qs_page_check() and qs_page_verify() have been verified or were made here. A page of any
 * `size` from PAGE_HEADER_BYTES to 4096 works (mini-pages are smaller); it lies at a multiple of 8.
 * Any thread; a page that is being edited belongs to one. lib/page/README.md has the invariants.
 * Source: Bf-Tree (PVLDB 17(11)) section 3; look-ahead bytes are stored apart from offsets so that
 * a search compares one contiguous array (SIMD) and touches the heap once.
 */
#ifndef QS_PAGE_PAGE_H
#define QS_PAGE_PAGE_H

#include "format/page.h"
#include "page/key.h"

#include <string.h>

/* One leaf entry, pointing to where its bytes lie. */
struct entry {
    const void *key;
    const void *value;
    uint16_t key_size;   /* bytes, 1..QS_KEY_MAX */
    uint16_t value_size; /* bytes stored in the leaf */
    uint8_t flags;       /* enum entry_flag */
};

/* One child of an inner page. */
struct separator {
    const void *key;   /* children's keys are >= this; empty for the first child */
    uint16_t key_size; /* bytes, 0..QS_KEY_MAX */
    pageid_t pid;
};

/* The built-in order that a page's keys have, or would have but for PAGE_CUSTOM. */
static inline enum key_order qs_page_key_order(const struct page *page)
{
    return (enum key_order)(page->order & ~PAGE_CUSTOM);
}

/* Makes an empty page of `size` bytes (an odd byte at the end stays unused, here and below). All of
 * it is zeroed; an inner page must get its first child by qs_inner_build() instead. */
void qs_page_init(struct page *page, enum page_kind kind, unsigned level, size_t size);

/* Asks for the lines a search in a leaf of usual size will want (header, look-ahead, offsets), all at
 * once instead of one after the other. They are asked for as what is used once: where there are many leaves, they
 * would drive inner pages and the mapping table out of the larger caches, which are of use to each get. */
static inline void qs_page_prefetch(const struct page *page)
{
    const char *line = (const char *)page;
    __asm__ volatile(""); /* or gcc takes the call for one without effect, and drops it */
    __builtin_prefetch(line, 0, 0);
    __builtin_prefetch(line + 64, 0, 0);
    __builtin_prefetch(line + 128, 0, 0);
    __builtin_prefetch(line + 192, 0, 0);
    __builtin_prefetch(line + 256, 0, 0);
}

/* Bytes an entry (a separator) takes in a page: record, padding, look-ahead, offset, pid. */
size_t qs_entry_bytes(size_t key_size, size_t value_size);
size_t qs_separator_bytes(size_t key_size);

/* Bytes in use by entries (without header and garbage), and bytes still free when compacted. */
size_t qs_page_used(const struct page *page);
size_t qs_page_free(const struct page *page);

/* Copies a leaf or inner page, header and all, into one of another `size` (its entries fit; the two
 * do not overlap), packed. The way a mini-page grows or shrinks: keys are not looked at. */
void qs_page_copy(struct page *to, size_t size, const struct page *from);

/* ---- leaves and mini-pages ---- */

/* First entry whose key is >= `key`, count when there is none; *found tells whether it is equal. */
unsigned qs_leaf_search(const struct page *page, enum key_order order, const void *key,
                        size_t key_size, bool *found);

/* Entry `i` (< count). */
static inline void qs_leaf_entry(const struct page *page, unsigned i, struct entry *entry)
{
    const uint8_t *bytes = (const uint8_t *)page, *record;
    uint16_t offset, word;
    memcpy(&offset, bytes + PAGE_HEADER_BYTES + 4 * (size_t)page->count + 2 * (size_t)i,
           sizeof offset);
    record = bytes + offset;
    memcpy(&word, record, sizeof word);
    memcpy(&entry->value_size, record + 2, sizeof entry->value_size);
    entry->key_size = word & 0x1ff;
    entry->flags = (uint8_t)(word >> 9);
    entry->key = record + 4;
    entry->value = record + 4 + entry->key_size;
}

/* Inserts before entry `i` (its place by order). Compacts when the free bytes are scattered.
 * Returns false, page untouched, when it does not fit. Entry bytes must not lie in this page.
 * `scratch`: 4096 bytes the compaction may use. */
bool qs_leaf_insert(struct page *page, enum key_order order, unsigned i, const struct entry *entry,
                    void *scratch);

/* Replaces value and flags of entry `i` (same key); in place when the size is the same. */
bool qs_leaf_replace(struct page *page, enum key_order order, unsigned i, const struct entry *entry,
                     void *scratch);

/* Puts `count` bytes, which lie elsewhere, into the value of entry `i` at offset `at`, in place. False,
 * page untouched, unless `count` is even and there is as much contiguous space. */
bool qs_leaf_grow(struct page *page, unsigned i, size_t at, const void *bytes, size_t count);

void qs_leaf_remove(struct page *page, unsigned i);

/* Builds a leaf from `count` entries in order (they fit, and do not lie in `page`): records packed
 * in key order from the end. `fence` as in format/page.h. Header fields other than kind, level,
 * count, size, heap, garbage, prefix, fence and order are zeroed. `order` may hold PAGE_CUSTOM: entries
 * are where they are, and fence and prefix become 0. */
void qs_leaf_build(struct page *page, size_t size, enum key_order order,
                   const struct entry *entries, unsigned count, unsigned fence);

/* ---- inner pages ---- */

/* The child whose range holds `key`. */
unsigned qs_inner_search(const struct page *page, enum key_order order, const void *key,
                         size_t key_size);
pageid_t qs_inner_child(const struct page *page, unsigned i);
void qs_inner_separator(const struct page *page, unsigned i, struct separator *separator);
void qs_inner_set_child(struct page *page, unsigned i, pageid_t pid);

/* Inserts a separator before `i` (1 <= i <= count). False, untouched, when it does not fit. */
bool qs_inner_insert(struct page *page, enum key_order order, unsigned i,
                     const struct separator *separator, void *scratch);

/* Removes child `i`. When i == 0 the next child takes the empty separator (and its range). */
void qs_inner_remove(struct page *page, unsigned i);

/* Replaces the separator of child `i` (>= 1), keeping its pid. False, untouched, when no room. */
bool qs_inner_rekey(struct page *page, enum key_order order, unsigned i, const void *key,
                    size_t key_size, void *scratch);

/* As qs_leaf_build(); the first separator's key is stored empty whatever it is. */
void qs_inner_build(struct page *page, size_t size, enum key_order order, unsigned level,
                    const struct separator *separators, unsigned count, unsigned fence);

/* ---- images in the file ---- */

/* Sets / verifies the checksum of a 4096-byte page. */
void qs_page_seal(struct page *page);
bool qs_page_verify(const struct page *page);

/* True when the bytes (4096 of them, of unknown origin) are a well-formed leaf or inner page:
 * sizes, offsets and record bounds inside the page, records apart from each other, la and keys in
 * order (but with PAGE_CUSTOM), prefix right. After it every function above is memory-safe on the page. With `deep` false,
 * everything needed for memory safety only (no key order). Any `size` is accepted (mini-pages): who
 * reads a file also wants it to be 4096. Level, pid and checkpoint are the caller's to judge. */
bool qs_page_check(const struct page *page, enum key_order order, bool deep);

#endif
