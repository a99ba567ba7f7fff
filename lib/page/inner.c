/* inner.c - inner pages: which child, and the edits that splits and merges make.
 *
 * Owns:       the inner record: a word for the size, the separator.
 * Invariants: numbered in lib/page/README.md (P1-P7). Entry 0 has an empty separator and la 0; it
 *             takes no part in search, prefix or order.
 * Source:     Bf-Tree (PVLDB 17(11)) section 3; children are page ids, not pointers.
 */
#include "page/find.h"

#include <assert.h>

bool qs_inner_outside(const struct page *page, enum key_order order, const uint8_t *key,
                      size_t key_size, unsigned *child)
{
    size_t size;
    const uint8_t *other = record_key(page, true, 1, &size);

    if (qs_key_common(order, key, key_size, other, size) >= page->prefix)
        return false;
    *child = qs_key_compare(order, key, key_size, other, size) < 0 ? 0 : page->count - 1u;
    return true;
}

unsigned qs_inner_ties(const struct page *page, enum key_order order, unsigned low,
                       const uint8_t *key, size_t key_size)
{
    unsigned high = page->count;
    uint32_t target = la_get(page, low);

    if (target != UINT32_MAX)
        high = low + search_below(page_bytes(page) + la_offset(low), high - low, target + 1);
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        size_t size;
        const uint8_t *other = record_key(page, true, middle, &size);
        if (qs_key_compare(order, key, key_size, other, size) < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low - 1;
}

unsigned qs_inner_search(const struct page *page, enum key_order order, const void *key,
                         size_t key_size)
{
    if (__builtin_expect(order == ORDER_BYTES, 1))
        return inner_search(page, ORDER_BYTES, key, key_size);
    if (order == ORDER_INTEGER)
        return inner_search(page, ORDER_INTEGER, key, key_size);
    return inner_search(page, ORDER_REVERSE, key, key_size);
}

pageid_t qs_inner_child(const struct page *page, unsigned i)
{
    assert(i < page->count);
    return inner_child(page, i);
}

void qs_inner_separator(const struct page *page, unsigned i, struct separator *separator)
{
    size_t size;

    assert(i < page->count);
    separator->key = record_key(page, true, i, &size);
    separator->key_size = (uint16_t)size;
    separator->pid = qs_inner_child(page, i);
}

void qs_inner_set_child(struct page *page, unsigned i, pageid_t pid)
{
    assert(i < page->count);
    store32((uint8_t *)page + pid_offset(page, i), pid);
}

static void write_record(uint8_t *record, const void *key, size_t key_size)
{
    store16(record, (uint16_t)key_size);
    if (key_size % 2 != 0)
        record[INNER_RECORD_BYTES + key_size] = 0;
    if (key_size > 0)
        memcpy(record + INNER_RECORD_BYTES, key, key_size);
}

bool qs_inner_insert(struct page *page, enum key_order order, unsigned i,
                     const struct separator *separator, void *scratch)
{
    size_t bytes = inner_record_bytes(separator->key_size);

    assert(i >= 1 && i <= page->count);
    assert(separator->key_size >= 1 && separator->key_size <= QS_KEY_MAX);
    if (bytes + INNER_SLOT_BYTES > qs_page_free(page))
        return false;
    if (bytes + INNER_SLOT_BYTES > contiguous_bytes(page))
        qs_page_compact(page, NO_ENTRY, scratch);
    qs_page_prefix_admit(page, order, separator->key, separator->key_size, NO_ENTRY);
    qs_page_slot_open(page, i);
    unsigned off = qs_page_record_new(page, bytes);
    write_record((uint8_t *)page + off, separator->key, separator->key_size);
    off_set(page, true, i, off);
    qs_inner_set_child(page, i, separator->pid);
    la_set(page, i, qs_key_lookahead(order, separator->key, separator->key_size, page->prefix));
    return true;
}

void qs_inner_remove(struct page *page, unsigned i)
{
    assert(i < page->count);
    qs_page_record_free(page, off_get(page, true, i));
    qs_page_slot_close(page, i);
    if (i == 0 && page->count > 0) {
        uint8_t *record = (uint8_t *)page + off_get(page, true, 0);
        size_t bytes = record_bytes(record, true);
        store16(record, 0);
        page->garbage = (uint16_t)(page->garbage + bytes - inner_record_bytes(0));
        la_set(page, 0, 0);
    }
}

bool qs_inner_rekey(struct page *page, enum key_order order, unsigned i, const void *key,
                    size_t key_size, void *scratch)
{
    assert(i >= 1 && i < page->count);
    assert(key_size >= 1 && key_size <= QS_KEY_MAX);
    unsigned off = off_get(page, true, i);
    size_t old_bytes = record_bytes(page_bytes(page) + off, true);
    size_t bytes = inner_record_bytes(key_size);

    if (bytes > qs_page_free(page) + old_bytes)
        return false;
    if (bytes <= old_bytes) {
        page->garbage = (uint16_t)(page->garbage + old_bytes - bytes);
    } else {
        qs_page_record_free(page, off);
        if (bytes > contiguous_bytes(page))
            qs_page_compact(page, i, scratch);
        off = qs_page_record_new(page, bytes);
        off_set(page, true, i, off);
    }
    write_record((uint8_t *)page + off, key, key_size);
    qs_page_prefix_admit(page, order, key, key_size, i);
    la_set(page, i, qs_key_lookahead(order, key, key_size, page->prefix));
    return true;
}

/* What all keys but the first, which counts as empty, share, as far as it is worth it. */
static unsigned build_prefix(const struct page *page, const struct separator *separators,
                             unsigned count, unsigned fence)
{
    enum key_order order = qs_page_key_order(page);
    const struct separator *first = &separators[1];

    if ((page->order & PAGE_CUSTOM) != 0)
        return 0;
    if (count < 2)
        return fence;
    if (count == 2) {
        size_t size = key_normal_size(order, first->key_size);
        return fence < size ? fence : (unsigned)size;
    }
    const struct separator *last = &separators[count - 1];
    return qs_page_prefix_choose(
        qs_key_common(order, first->key, first->key_size, last->key, last->key_size), fence);
}

void qs_inner_build(struct page *page, size_t size, enum key_order order, unsigned level,
                    const struct separator *separators, unsigned count, unsigned fence)
{
    assert(size >= PAGE_HEADER_BYTES && size <= QS_PAGE_BYTES);
    assert(level >= 1 && level <= UINT8_MAX);
    size &= ~(size_t)1;
    size_t heap = size;

    memset(page, 0, PAGE_HEADER_BYTES);
    page->kind = PAGE_INNER;
    page->order = (uint16_t)order;
    order = qs_page_key_order(page);
    page->level = (uint8_t)level;
    page->count = (uint16_t)count;
    page->size = (uint16_t)size;
    page->prefix = (uint16_t)build_prefix(page, separators, count, fence);
    page->fence = (uint16_t)(fence < page->prefix ? fence : page->prefix);
    for (unsigned i = count; i-- > 0;) {
        const struct separator *separator = &separators[i];
        size_t key_size = i == 0 ? 0 : separator->key_size;
        heap -= inner_record_bytes(key_size);
        assert(heap >= slots_end(page) && heap < size);
        write_record((uint8_t *)page + heap, separator->key, key_size);
        off_set(page, true, i, heap);
        qs_inner_set_child(page, i, separator->pid);
        la_set(page, i,
               i == 0 ? 0 : qs_key_lookahead(order, separator->key, key_size, page->prefix));
    }
    page->heap = (uint16_t)heap;
    memset((uint8_t *)page + slots_end(page), 0, contiguous_bytes(page));
}
