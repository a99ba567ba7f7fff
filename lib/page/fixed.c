/* fixed.c - fixed pages: search, edit, build, check.
 *
 * Owns:       arrays of items of one size, in pages and in small sets.
 * Invariants: F1 items ascend strictly. F2 they end at or below `size`; heap == size, fence and garbage
 *             are 0.
 */
#include "page/fixed.h"

#include "page/key_inline.h"

#include <assert.h>

void qs_fixed_build(struct page *page, enum key_order order, size_t item_size, const void *items,
                    unsigned count)
{
    assert(item_size >= 1 && item_size <= QS_KEY_MAX && count <= qs_fixed_capacity(item_size));
    memset(page, 0, PAGE_HEADER_BYTES);
    page->kind = PAGE_FIXED;
    page->order = (uint16_t)order;
    page->count = (uint16_t)count;
    page->size = page->heap = QS_PAGE_BYTES;
    page->item_size = (uint16_t)item_size;
    uint8_t *to = (uint8_t *)page + PAGE_HEADER_BYTES;
    size_t bytes = count * item_size;
    if (bytes > 0)
        memcpy(to, items, bytes);
    memset(to + bytes, 0, QS_PAGE_BYTES - PAGE_HEADER_BYTES - bytes);
}

/* How many of the numbers behind `items` are below `target`; no branch depends on one. */
#define COUNT_BELOW(load, step)                                                                    \
    do {                                                                                           \
        while (count > 1) {                                                                        \
            unsigned half = count / 2;                                                             \
            base = load(items + (size_t)(base + half - 1) * (step)) < target ? base + half : base; \
            count -= half;                                                                         \
        }                                                                                          \
        return base + (load(items + (size_t)base * (step)) < target);                              \
    } while (0)

ALWAYS_INLINE uint32_t load32_swapped(const uint8_t *at)
{
    return __builtin_bswap32(load32(at));
}

ALWAYS_INLINE uint64_t load64_swapped(const uint8_t *at)
{
    return __builtin_bswap64(load64(at));
}

static unsigned below32(const uint8_t *items, unsigned count, uint32_t target, unsigned base)
{
    COUNT_BELOW(load32, 4);
}

static unsigned below64(const uint8_t *items, unsigned count, uint64_t target, unsigned base)
{
    COUNT_BELOW(load64, 8);
}

static unsigned below32_swapped(const uint8_t *items, unsigned count, uint32_t target,
                                unsigned base)
{
    COUNT_BELOW(load32_swapped, 4);
}

static unsigned below64_swapped(const uint8_t *items, unsigned count, uint64_t target,
                                unsigned base)
{
    COUNT_BELOW(load64_swapped, 8);
}

/* Items that are numbers of 4 or 8 bytes, or compare as such. */
static unsigned search_numbers(const uint8_t *items, size_t item_size, unsigned count,
                               enum key_order order, const uint8_t *item)
{
    bool swapped = order == ORDER_BYTES;
    if (item_size == 4)
        return swapped ? below32_swapped(items, count, load32_swapped(item), 0)
                       : below32(items, count, load32(item), 0);
    return swapped ? below64_swapped(items, count, load64_swapped(item), 0)
                   : below64(items, count, load64(item), 0);
}

unsigned qs_items_search(const uint8_t *items, size_t item_size, unsigned count,
                         enum key_order order, const void *item, size_t size, bool *found)
{
    unsigned low = 0, high = count;
    *found = false;
    if (count == 0)
        return 0;
    if (size == item_size && (size == 4 || size == 8)) {
        low = search_numbers(items, item_size, count, order, item);
        *found = low < count && memcmp(items + low * item_size, item, size) == 0;
        return low;
    }
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        int difference = qs_key_compare(order, item, size, items + middle * item_size, item_size);
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

unsigned qs_fixed_search(const struct page *page, enum key_order order, const void *item,
                         size_t item_size, bool *found)
{
    return qs_items_search(qs_fixed_item(page, 0), page->item_size, page->count, order, item,
                           item_size, found);
}

void qs_fixed_insert(struct page *page, unsigned i, const void *items, unsigned count)
{
    size_t each = page->item_size;
    uint8_t *at = (uint8_t *)page + PAGE_HEADER_BYTES + i * each;
    assert(i <= page->count && page->count + count <= qs_fixed_capacity(each));
    memmove(at + count * each, at, (page->count - i) * each);
    memcpy(at, items, count * each);
    page->count = (uint16_t)(page->count + count);
}

void qs_fixed_replace(struct page *page, unsigned i, const void *item, enum key_order order)
{
    assert(i < page->count);
    memcpy((uint8_t *)page + PAGE_HEADER_BYTES + (size_t)i * page->item_size, item,
           page->item_size);
    page->order = (uint16_t)order;
}

void qs_fixed_remove(struct page *page, unsigned i)
{
    size_t each = page->item_size;
    uint8_t *at = (uint8_t *)page + PAGE_HEADER_BYTES + i * each;
    assert(i < page->count);
    memmove(at, at + each, (page->count - i - 1u) * each);
    page->count--;
}

bool qs_fixed_check(const struct page *page, enum key_order order, bool deep)
{
    size_t each = page->item_size;
    if (page->kind != PAGE_FIXED || page->level != 0 || page->size != QS_PAGE_BYTES ||
        page->heap != page->size || page->garbage != 0 || page->fence != 0 ||
        qs_page_key_order(page) > ORDER_INTEGER || each == 0 || each > QS_KEY_MAX ||
        page->count > qs_fixed_capacity(each))
        return false;
    deep &= (page->order & PAGE_CUSTOM) == 0;
    for (unsigned i = 1; deep && i < page->count; i++)
        if (qs_key_compare(order, qs_fixed_item(page, i - 1), each, qs_fixed_item(page, i), each) >=
            0)
            return false;
    return true;
}
