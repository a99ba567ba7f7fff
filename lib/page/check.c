/* check.c - is this a page? Bytes of unknown origin are read with care, and judged.
 *
 * Owns:       the judgement that lets every other function of this folder trust what it reads.
 * Invariants: checks P1-P7 of lib/page/README.md; P1-P5 (memory safety, including that of edits)
 *             always, P6 and P7 (order) when `deep`.
 */
#include "page/fixed.h"
#include "page/layout.h"
#include "page/set.h"

#include "base/crc32c.h"
#include "format/tree_record.h"

#define MAP_WORD_BITS 64u
#define MAP_WORDS (QS_PAGE_BYTES / 2 / MAP_WORD_BITS)

void qs_page_seal(struct page *page)
{
    page->checksum = qs_crc32c(0, (uint8_t *)page + sizeof page->checksum,
                               QS_PAGE_BYTES - sizeof page->checksum);
}

bool qs_page_verify(const struct page *page)
{
    return page->checksum == qs_crc32c(0, page_bytes(page) + sizeof page->checksum,
                                       QS_PAGE_BYTES - sizeof page->checksum);
}

/* Marks [start, end), offsets in units of two bytes, as taken. False when some of it already is:
 * an edit of one record would then change the sizes of another. */
static bool map_take(uint64_t map[MAP_WORDS], unsigned start, unsigned end)
{
    while (start < end) {
        unsigned word = start / MAP_WORD_BITS;
        unsigned bit = start % MAP_WORD_BITS;
        unsigned length = end - start < MAP_WORD_BITS - bit ? end - start : MAP_WORD_BITS - bit;
        uint64_t bits = (UINT64_MAX >> (MAP_WORD_BITS - length)) << bit;
        if ((map[word] & bits) != 0)
            return false;
        map[word] |= bits;
        start += length;
    }
    return true;
}

static bool check_header(const struct page *page)
{
    bool inner = page_is_inner(page);

    if (!inner && page->kind != PAGE_LEAF)
        return false;
    if (inner ? page->level == 0 || page->count == 0 : page->level != 0)
        return false;
    if (page->size < PAGE_HEADER_BYTES || page->size > QS_PAGE_BYTES || page->size % 2 != 0)
        return false;
    if (page->heap > page->size || page->heap % 2 != 0 || slots_end(page) > page->heap)
        return false;
    if (page->prefix > QS_KEY_MAX + 1 || page->fence > page->prefix ||
        qs_page_key_order(page) > ORDER_INTEGER)
        return false;
    return page->count > first_key(page) || page->prefix == page->fence;
}

/* Bytes of the leaf record at `off`, 0 when it is none. */
static size_t check_leaf_record(const struct page *page, unsigned off)
{
    if (off + LEAF_RECORD_BYTES > page->size)
        return 0;
    const uint8_t *record = page_bytes(page) + off;
    unsigned key_size = load16(record) & KEY_SIZE_MASK;
    unsigned flags = load16(record) >> FLAGS_SHIFT;
    unsigned value_size = load16(record + 2);

    if (key_size == 0 || (flags & ~(ENTRY_TOMBSTONE | ENTRY_LARGE | ENTRY_TREE | ENTRY_DUPS)) != 0)
        return 0;
    if ((flags & ENTRY_TOMBSTONE) != 0 && value_size != 0)
        return 0;
    if ((flags & ENTRY_LARGE) != 0 && value_size != sizeof(struct large_ref))
        return 0;
    if ((flags & ENTRY_SET_TREE) != 0 && value_size != sizeof(struct tree_record))
        return 0;
    size_t bytes = leaf_record_bytes(key_size, value_size);
    if ((flags & ENTRY_SET) != 0 &&
        (off + bytes > page->size ||
         !qs_set_check(record + LEAF_RECORD_BYTES + key_size, value_size)))
        return 0;
    return bytes;
}

/* Bytes of the inner record at `off`, which entry `i` refers to; 0 when it is none. */
static size_t check_inner_record(const struct page *page, unsigned off, unsigned i)
{
    if (off + INNER_RECORD_BYTES > page->size)
        return 0;
    unsigned key_size = load16(page_bytes(page) + off);

    if (key_size > QS_KEY_MAX || (key_size == 0) != (i == 0))
        return 0;
    return inner_record_bytes(key_size);
}

static bool check_records(const struct page *page)
{
    bool inner = page_is_inner(page);
    uint64_t map[MAP_WORDS] = {0};
    size_t live = 0;

    for (unsigned i = 0; i < page->count; i++) {
        unsigned off = off_get(page, inner, i);
        if (off < page->heap || off % 2 != 0)
            return false;
        size_t bytes = inner ? check_inner_record(page, off, i) : check_leaf_record(page, off);
        if (bytes == 0 || off + bytes > page->size)
            return false;
        if (!map_take(map, off / 2, (unsigned)(off + bytes) / 2))
            return false;
        live += bytes;
    }
    return live + page->garbage == (size_t)(page->size - page->heap);
}

/* Prefix and look-ahead are those of the keys; and the keys ascend, if `ascend`. */
static bool check_order(const struct page *page, enum key_order order, bool ascend)
{
    bool inner = page_is_inner(page);
    unsigned first = first_key(page);
    size_t size;

    if (inner && la_get(page, 0) != 0)
        return false;
    if (page->count <= first)
        return true;
    const uint8_t *previous = record_key(page, inner, first, &size);
    if (key_normal_size(order, size) < page->prefix)
        return false;
    for (unsigned i = first; i < page->count; i++) {
        size_t key_size;
        const uint8_t *key = record_key(page, inner, i, &key_size);
        if (qs_key_lookahead(order, key, key_size, page->prefix) != la_get(page, i))
            return false;
        if (i > first && qs_key_common(order, previous, size, key, key_size) < page->prefix)
            return false;
        if (i > first && ascend && qs_key_compare(order, previous, size, key, key_size) >= 0)
            return false;
        previous = key;
        size = key_size;
    }
    return true;
}

bool qs_page_check(const struct page *page, enum key_order order, bool deep)
{
    if (page->kind == PAGE_FIXED)
        return qs_fixed_check(page, order, deep);
    return check_header(page) && check_records(page) &&
           (!deep || check_order(page, order, (page->order & PAGE_CUSTOM) == 0));
}
