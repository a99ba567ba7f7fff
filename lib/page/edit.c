/* edit.c - making, copying and editing pages: what leaves and inner pages have in common.
 *
 * Owns:       slots, record space, prefix and look-ahead upkeep.
 * Invariants: numbered in lib/page/README.md (P1-P7).
 */
#include "page/layout.h"

#include <assert.h>

void qs_page_init(struct page *page, enum page_kind kind, unsigned level, size_t size)
{
    assert(size >= PAGE_HEADER_BYTES && size <= QS_PAGE_BYTES);
    size &= ~(size_t)1;
    memset(page, 0, size);
    page->kind = (uint8_t)kind;
    page->level = (uint8_t)level;
    page->size = (uint16_t)size;
    page->heap = (uint16_t)size;
}

size_t qs_entry_bytes(size_t key_size, size_t value_size)
{
    return LEAF_SLOT_BYTES + leaf_record_bytes(key_size, value_size);
}

size_t qs_separator_bytes(size_t key_size)
{
    return INNER_SLOT_BYTES + inner_record_bytes(key_size);
}

size_t qs_page_used(const struct page *page)
{
    return slots_end(page) - PAGE_HEADER_BYTES + page->size - page->heap - page->garbage;
}

size_t qs_page_free(const struct page *page)
{
    return contiguous_bytes(page) + page->garbage;
}

/* Packs the records of `from` into `to`, whose header and slots are copies of those of `from` but
 * for the size, and whose records from.heap.. may be overwritten. Entry order becomes address
 * order, which is what scans like. */
static void pack_records(struct page *to, const struct page *slots, const uint8_t *from,
                         unsigned except)
{
    bool inner = page_is_inner(to);
    size_t heap = to->size;

    for (unsigned i = to->count; i-- > 0;) {
        if (i == except)
            continue;
        const uint8_t *record = from + off_get(slots, inner, i);
        size_t bytes = record_bytes(record, inner);
        heap -= bytes;
        memcpy((uint8_t *)to + heap, record, bytes);
        off_set(to, inner, i, heap);
    }
    to->heap = (uint16_t)heap;
    to->garbage = 0;
}

void qs_page_compact(struct page *page, unsigned except, void *scratch)
{
    memcpy((uint8_t *)scratch + page->heap, page_bytes(page) + page->heap, page->size - page->heap);
    pack_records(page, page, scratch, except);
}

void qs_page_copy(struct page *to, size_t size, const struct page *from)
{
    bool inner = page_is_inner(from);

    size &= ~(size_t)1;
    assert(size <= QS_PAGE_BYTES && qs_page_used(from) + PAGE_HEADER_BYTES <= size);
    memcpy(to, from, slots_end(from));
    to->size = (uint16_t)size;
    if (from->garbage != 0) {
        pack_records(to, from, page_bytes(from), NO_ENTRY);
    } else {
        unsigned bytes = from->size - from->heap;
        to->heap = (uint16_t)(size - bytes);
        memcpy((uint8_t *)to + to->heap, page_bytes(from) + from->heap, bytes);
        for (unsigned i = 0; i < to->count && size != from->size; i++)
            off_set(to, inner, i, off_get(from, inner, i) + size - from->size);
    }
    memset((uint8_t *)to + slots_end(to), 0, contiguous_bytes(to));
}

void qs_page_record_free(struct page *page, unsigned off)
{
    size_t bytes = record_bytes(page_bytes(page) + off, page_is_inner(page));

    if (off == page->heap)
        page->heap = (uint16_t)(page->heap + bytes);
    else
        page->garbage = (uint16_t)(page->garbage + bytes);
}

void qs_page_record_widen(struct page *page, unsigned off, size_t bytes)
{
    bool inner = page_is_inner(page);
    uint8_t *heap = (uint8_t *)page + page->heap;

    assert(bytes % 2 == 0 && bytes <= contiguous_bytes(page) && off >= page->heap);
    memmove(heap - bytes, heap, off - page->heap);
    page->heap = (uint16_t)(page->heap - bytes);
    for (unsigned i = 0; i < page->count; i++)
        if (off_get(page, inner, i) <= off)
            off_set(page, inner, i, off_get(page, inner, i) - bytes);
}

unsigned qs_page_record_new(struct page *page, size_t bytes)
{
    assert(bytes % 2 == 0 && bytes <= contiguous_bytes(page));
    page->heap = (uint16_t)(page->heap - bytes);
    return page->heap;
}

/* Moving up goes from the last array to the first, moving down from the first to the last. */
void qs_page_slot_open(struct page *page, unsigned i)
{
    bool inner = page_is_inner(page);
    uint8_t *la = (uint8_t *)page + PAGE_HEADER_BYTES;
    size_t n = page->count;
    uint8_t *off = la + (inner ? 8 : 4) * n;
    size_t up = inner ? 8 : 4; /* what the arrays before off[] grow by */

    assert(i <= n && slot_bytes(inner) <= contiguous_bytes(page));
    memmove(off + up + 2 * (i + 1), off + 2 * i, 2 * (n - i));
    memmove(off + up, off, 2 * i);
    if (inner) {
        uint8_t *pid = la + 4 * n;
        memmove(pid + 4 + 4 * (i + 1), pid + 4 * i, 4 * (n - i));
        memmove(pid + 4, pid, 4 * i);
    }
    memmove(la + 4 * (i + 1), la + 4 * i, 4 * (n - i));
    page->count++;
}

void qs_page_slot_close(struct page *page, unsigned i)
{
    bool inner = page_is_inner(page);
    uint8_t *la = (uint8_t *)page + PAGE_HEADER_BYTES;
    size_t n = page->count;
    uint8_t *off = la + (inner ? 8 : 4) * n;
    size_t down = inner ? 8 : 4; /* what the arrays before off[] shrink by */

    assert(i < n);
    memmove(la + 4 * i, la + 4 * (i + 1), 4 * (n - i - 1));
    if (inner) {
        uint8_t *pid = la + 4 * n;
        memmove(pid - 4, pid, 4 * i);
        memmove(pid - 4 + 4 * i, pid + 4 * (i + 1), 4 * (n - i - 1));
    }
    memmove(off - down, off, 2 * i);
    memmove(off - down + 2 * i, off + 2 * (i + 1), 2 * (n - i - 1));
    page->count--;
    if (page->count <= first_key(page))
        page->prefix = page->fence;
    if (page->count == 0) {
        page->heap = page->size;
        page->garbage = 0;
    }
}

/* ---- prefix ---- */

unsigned qs_page_prefix_choose(size_t common, unsigned fence)
{
    return common == fence + 1u ? fence : (unsigned)common;
}

static void la_rebuild(struct page *page, enum key_order order, unsigned except)
{
    bool inner = page_is_inner(page);

    for (unsigned i = first_key(page); i < page->count; i++) {
        if (i == except)
            continue;
        size_t size;
        const uint8_t *key = record_key(page, inner, i, &size);
        la_set(page, i, key_lookahead(order, key, size, page->prefix));
    }
}

void qs_page_prefix_admit(struct page *page, enum key_order order, const void *key, size_t key_size,
                          unsigned except)
{
    unsigned sample = first_key(page);
    unsigned others = page->count - (page->count < sample ? page->count : sample);
    unsigned prefix;

    if (except != NO_ENTRY) {
        others--;
        sample += except == sample;
    }
    if (others == 0) {
        prefix = page->fence;
        if (prefix > key_normal_size(order, key_size))
            prefix = (unsigned)key_normal_size(order, key_size);
    } else {
        size_t size;
        const uint8_t *other = record_key(page, page_is_inner(page), sample, &size);
        size_t common = qs_key_common(order, key, key_size, other, size);
        if (others > 1 && common > page->prefix)
            common = page->prefix;
        prefix = qs_page_prefix_choose(common, page->fence);
    }
    /* A key that is not where its fences say comes from a damaged parent: the page stays sound. */
    if (page->fence > prefix)
        page->fence = (uint16_t)prefix;
    if (page->prefix != prefix) {
        page->prefix = (uint16_t)prefix;
        la_rebuild(page, order, except);
    }
}
