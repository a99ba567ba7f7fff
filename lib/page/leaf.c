/* leaf.c - leaves and mini-pages: search, edit, build.
 *
 * Owns:       the leaf record: sizes and flags in two words, key, value.
 * Invariants: numbered in lib/page/README.md (P1-P7).
 * Source:     Bf-Tree (PVLDB 17(11)) section 3; differs in: keys are stored whole, the prefix may
 *             be longer than what the fences share and is then checked against one record.
 */
#include "page/find.h"

#include <assert.h>

/* Goes on from entry `low`, whose look-ahead, like that of an unknown number of entries behind it,
 * is `target`, that of `key`: first entry that is >= `key`. Kept out of line, for it is rare. */
__attribute__((noinline)) static unsigned search_ties(const struct page *page, enum key_order order,
                                                      unsigned low, uint32_t target,
                                                      const uint8_t *key, size_t key_size,
                                                      bool *found)
{
    unsigned high = page->count;

    if (target != UINT32_MAX)
        high = low + search_below(page_bytes(page) + la_offset(low), high - low, target + 1);
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        size_t size;
        const uint8_t *other = record_key(page, false, middle, &size);
        int difference = qs_key_compare(order, key, key_size, other, size);
        if (difference == 0) {
            *found = true;
            return middle;
        }
        if (difference < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* The hit is tried before the prefix is checked: a key that is found shares it anyway, so only
 * searches that find nothing pay for the check. */
ALWAYS_INLINE unsigned search_as(const struct page *page, enum key_order order, const uint8_t *key,
                                 size_t key_size, bool *found)
{
    unsigned count = page->count;
    unsigned prefix = page->prefix;
    const uint8_t *la = page_bytes(page) + PAGE_HEADER_BYTES;

    *found = false;
    if (count == 0)
        return 0;
    uint32_t target = key_lookahead(order, key, key_size, prefix);
    unsigned i = search_below(la, count, target);
    bool tie = i < count && la_get(page, i) == target;
    int difference = -1;
    if (tie || prefix > page->fence) {
        size_t size;
        const uint8_t *other = record_key(page, false, i < count ? i : i - 1, &size);
        if (tie) {
            difference = key_compare(order, key, key_size, other, size);
            if (difference == 0) {
                *found = true;
                return i;
            }
        }
        if (prefix > page->fence) {
            int side = key_prefix_side(order, key, key_size, other, size, prefix);
            if (side != 0)
                return side < 0 ? 0 : count;
        }
    }
    if (difference < 0)
        return i;
    i++;
    if (i == count || la_get(page, i) != target)
        return i;
    return search_ties(page, order, i, target, key, key_size, found);
}

unsigned qs_leaf_search(const struct page *page, enum key_order order, const void *key,
                        size_t key_size, bool *found)
{
    if (__builtin_expect(order == ORDER_BYTES, 1))
        return search_as(page, ORDER_BYTES, key, key_size, found);
    if (order == ORDER_INTEGER)
        return search_as(page, ORDER_INTEGER, key, key_size, found);
    return search_as(page, ORDER_REVERSE, key, key_size, found);
}

bool qs_leaf_tie(const struct page *page, enum key_order order, unsigned low, const uint8_t *key,
                 size_t key_size, struct entry *entry)
{
    bool found = false;
    unsigned i = search_ties(page, order, low, la_get(page, low), key, key_size, &found);

    if (found)
        qs_leaf_entry(page, i, entry);
    return found;
}

/* Writes the value, the padding and the words before the key. */
static void write_value(uint8_t *record, const struct entry *entry)
{
    size_t bytes = LEAF_RECORD_BYTES + entry->key_size + entry->value_size;

    store16(record, (uint16_t)(entry->key_size | entry->flags << FLAGS_SHIFT));
    store16(record + 2, entry->value_size);
    if (bytes % 2 != 0)
        record[bytes] = 0;
    if (entry->value_size > 0)
        memcpy(record + bytes - entry->value_size, entry->value, entry->value_size);
}

static void write_record(uint8_t *record, const struct entry *entry)
{
    write_value(record, entry);
    memcpy(record + LEAF_RECORD_BYTES, entry->key, entry->key_size);
}

bool qs_leaf_insert(struct page *page, enum key_order order, unsigned i, const struct entry *entry,
                    void *scratch)
{
    size_t bytes = leaf_record_bytes(entry->key_size, entry->value_size);

    assert(i <= page->count);
    assert(entry->key_size >= 1 && entry->key_size <= QS_KEY_MAX);
    if (bytes + LEAF_SLOT_BYTES > qs_page_free(page))
        return false;
    if (bytes + LEAF_SLOT_BYTES > contiguous_bytes(page))
        qs_page_compact(page, NO_ENTRY, scratch);
    qs_page_prefix_admit(page, order, entry->key, entry->key_size, NO_ENTRY);
    qs_page_slot_open(page, i);
    unsigned off = qs_page_record_new(page, bytes);
    write_record((uint8_t *)page + off, entry);
    off_set(page, false, i, off);
    la_set(page, i, qs_key_lookahead(order, entry->key, entry->key_size, page->prefix));
    return true;
}

bool qs_leaf_replace(struct page *page, enum key_order order, unsigned i, const struct entry *entry,
                     void *scratch)
{
    assert(i < page->count);
    unsigned off = off_get(page, false, i);
    size_t old_bytes = record_bytes(page_bytes(page) + off, false);
    size_t bytes = leaf_record_bytes(entry->key_size, entry->value_size);

    (void)order; /* the key stays, and with it prefix and la */
    assert((load16(page_bytes(page) + off) & KEY_SIZE_MASK) == entry->key_size);
    if (bytes <= old_bytes) {
        write_value((uint8_t *)page + off, entry);
        page->garbage = (uint16_t)(page->garbage + old_bytes - bytes);
        return true;
    }
    if (bytes > qs_page_free(page) + old_bytes)
        return false;
    if (bytes > contiguous_bytes(page) && bytes - old_bytes <= contiguous_bytes(page)) {
        /* A value that grows a little, again and again: no reason to pack the page each time. */
        qs_page_record_widen(page, off, bytes - old_bytes);
        write_record((uint8_t *)page + off - (bytes - old_bytes), entry);
        return true;
    }
    qs_page_record_free(page, off);
    if (bytes > contiguous_bytes(page))
        qs_page_compact(page, i, scratch);
    off = qs_page_record_new(page, bytes);
    write_record((uint8_t *)page + off, entry);
    off_set(page, false, i, off);
    return true;
}

bool qs_leaf_grow(struct page *page, unsigned i, size_t at, const void *bytes, size_t count)
{
    assert(i < page->count);
    unsigned off = off_get(page, false, i);
    uint8_t *record = (uint8_t *)page + off;
    size_t before = LEAF_RECORD_BYTES + (load16(record) & KEY_SIZE_MASK) + at;

    assert(at <= load16(record + 2));
    if (count % 2 != 0 || count > contiguous_bytes(page))
        return false;
    qs_page_record_widen(page, off, count);
    memmove(record - count, record, before);
    record -= count;
    memcpy(record + before, bytes, count);
    store16(record + 2, (uint16_t)(load16(record + 2) + count));
    return true;
}

void qs_leaf_remove(struct page *page, unsigned i)
{
    assert(i < page->count);
    qs_page_record_free(page, off_get(page, false, i));
    qs_page_slot_close(page, i);
}

/* What all keys of `entries` share, as far as it is worth it. */
static unsigned build_prefix(const struct page *page, const struct entry *entries, unsigned count,
                             unsigned fence)
{
    enum key_order order = qs_page_key_order(page);
    if ((page->order & PAGE_CUSTOM) != 0)
        return 0; /* the first and the last say nothing about the others */
    if (count == 0)
        return fence;
    if (count == 1) {
        size_t size = key_normal_size(order, entries->key_size);
        return fence < size ? fence : (unsigned)size;
    }
    const struct entry *last = &entries[count - 1];
    return qs_page_prefix_choose(
        qs_key_common(order, entries->key, entries->key_size, last->key, last->key_size), fence);
}

void qs_leaf_build(struct page *page, size_t size, enum key_order order,
                   const struct entry *entries, unsigned count, unsigned fence)
{
    assert(size >= PAGE_HEADER_BYTES && size <= QS_PAGE_BYTES);
    size &= ~(size_t)1;
    size_t heap = size;

    memset(page, 0, PAGE_HEADER_BYTES);
    page->kind = PAGE_LEAF;
    page->order = (uint16_t)order;
    order = qs_page_key_order(page);
    page->count = (uint16_t)count;
    page->size = (uint16_t)size;
    page->prefix = (uint16_t)build_prefix(page, entries, count, fence);
    page->fence = (uint16_t)(fence < page->prefix ? fence : page->prefix);
    for (unsigned i = count; i-- > 0;) {
        const struct entry *entry = &entries[i];
        heap -= leaf_record_bytes(entry->key_size, entry->value_size);
        assert(heap >= slots_end(page) && heap < size);
        write_record((uint8_t *)page + heap, entry);
        off_set(page, false, i, heap);
        la_set(page, i, qs_key_lookahead(order, entry->key, entry->key_size, page->prefix));
    }
    page->heap = (uint16_t)heap;
    memset((uint8_t *)page + slots_end(page), 0, contiguous_bytes(page));
}
