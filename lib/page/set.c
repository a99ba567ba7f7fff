/* set.c - small sets of duplicates: search, and the edits, which copy.
 *
 * Owns:       the packed form (format/page.h).
 * Invariants: S1 (set) items ascend strictly and have 1 to 511 bytes; the last one's end is that of
 *             the value.
 */
#include "page/set.h"

#include "page/fixed.h"
#include "page/key_inline.h"

#include <assert.h>

bool qs_set_check(const void *value, size_t size)
{
    const uint8_t *bytes = value;
    if (size < SET_HEADER_BYTES + 1)
        return false;
    unsigned word = load16(bytes);
    if ((word & SET_FIXED) != 0) {
        unsigned item_size = word & ~SET_FIXED;
        return item_size >= 1 && item_size <= QS_KEY_MAX &&
               (size - SET_HEADER_BYTES) % item_size == 0;
    }
    size_t head = SET_HEADER_BYTES + SET_END_BYTES * (size_t)word, last = 0;
    if (word == 0 || head > size)
        return false;
    for (unsigned i = 0; i < word; i++) {
        size_t end = load16(bytes + SET_HEADER_BYTES + SET_END_BYTES * (size_t)i);
        if (end <= last || end - last > QS_KEY_MAX)
            return false;
        last = end;
    }
    return head + last == size;
}

unsigned qs_set_search(const struct set *set, enum key_order order, const void *item,
                       size_t item_size, bool *found)
{
    unsigned low = 0, high = set->count;
    if (set->ends == NULL)
        return qs_items_search(set->items, set->item_size, set->count, order, item, item_size,
                               found);
    *found = false;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        struct qs_val other = qs_set_item(set, middle);
        int difference = qs_key_compare(order, item, item_size, other.data, other.size);
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

static size_t items_bytes(const struct set *set)
{
    if (set->ends == NULL || set->count == 0)
        return (size_t)set->count * set->item_size;
    return load16(set->ends + SET_END_BYTES * (size_t)(set->count - 1u));
}

size_t qs_set_grown(const struct set *set, size_t item_size, bool fixed)
{
    size_t ends = fixed ? 0 : SET_END_BYTES * (size_t)(set->count + 1u);
    return SET_HEADER_BYTES + ends + items_bytes(set) + item_size;
}

size_t qs_set_insert(uint8_t *to, const struct set *set, unsigned i, struct qs_val item, bool fixed)
{
    unsigned count = set->count + 1u;
    size_t ends = fixed ? 0 : SET_END_BYTES * (size_t)count;
    uint8_t *items = to + SET_HEADER_BYTES + ends;
    size_t all = items_bytes(set), before = 0;

    assert(i <= set->count && (!fixed || (set->ends == NULL && set->item_size == item.size)));
    store16(to, (uint16_t)(fixed ? SET_FIXED | item.size : count));
    if (i == set->count)
        before = all;
    else if (i > 0)
        before = (size_t)((const uint8_t *)qs_set_item(set, i).data - set->items);
    if (!fixed) {
        uint8_t *end = to + SET_HEADER_BYTES;
        for (unsigned j = 0; j < count; j++, end += SET_END_BYTES) {
            const struct qs_val other = j == i ? item : qs_set_item(set, j - (j > i));
            size_t start = j == 0 ? 0 : load16(end - SET_END_BYTES);
            store16(end, (uint16_t)(start + other.size));
        }
    }
    memcpy(items, set->items, before);
    memcpy(items + before, item.data, item.size);
    memcpy(items + before + item.size, set->items + before, all - before);
    return (size_t)(items - to) + all + item.size;
}

size_t qs_set_pack(uint8_t *to, const struct entry *entries, unsigned count)
{
    uint8_t *items = to + SET_HEADER_BYTES + SET_END_BYTES * (size_t)count;
    size_t end = 0;
    store16(to, (uint16_t)count);
    for (unsigned i = 0; i < count; i++) {
        memcpy(items + end, entries[i].key, entries[i].key_size);
        end += entries[i].key_size;
        store16(to + SET_HEADER_BYTES + SET_END_BYTES * (size_t)i, (uint16_t)end);
    }
    return (size_t)(items - to) + end;
}

size_t qs_set_pack_fixed(uint8_t *to, size_t item_size, const void *items, unsigned count)
{
    store16(to, (uint16_t)(SET_FIXED | item_size));
    memcpy(to + SET_HEADER_BYTES, items, count * item_size);
    return SET_HEADER_BYTES + count * item_size;
}

size_t qs_set_remove(uint8_t *to, const struct set *set, unsigned i)
{
    unsigned count = set->count - 1u;
    struct qs_val item = qs_set_item(set, i);
    size_t ends = set->ends == NULL ? 0 : SET_END_BYTES * (size_t)count;
    uint8_t *items = to + SET_HEADER_BYTES + ends;
    size_t all = items_bytes(set);
    size_t before = (size_t)((const uint8_t *)item.data - set->items);

    assert(i < set->count && count > 0);
    store16(to, (uint16_t)(set->ends == NULL ? SET_FIXED | set->item_size : count));
    for (unsigned j = 0; set->ends != NULL && j < count; j++) {
        unsigned end = load16(set->ends + SET_END_BYTES * (size_t)(j + (j >= i)));
        store16(to + SET_HEADER_BYTES + SET_END_BYTES * (size_t)j,
                (uint16_t)(j >= i ? end - item.size : end));
    }
    memcpy(items, set->items, before);
    memcpy(items + before, set->items + before + item.size, all - before - item.size);
    return (size_t)(items - to) + all - item.size;
}
