/* dup_again.c - another value for the key that got the last one; see dup.h.
 *
 * Programs put many values into one key in a row. While nothing else in the tree changes, the owner's own
 * version and the place of its entry are known, and so is the last leaf of a large set: what remains is
 * one search in a page. Anything unusual is left to the long way.
 */
#include "tree/dup.h"

#include "page/fixed.h"
#include "tree/cursor.h"
#include "tree/structure.h"
#include "tree/writer.h"

#include <string.h>

void qs_dup_remember(struct writer *w, struct tree_state *tree, const struct put *put, pageid_t pid)
{
    bool found;
    const struct version *owner = qs_own_get(&w->own, tree->insert_pid);
    if (qs_order_asks(&tree->order.keys) || qs_order_asks(&tree->order.dups))
        return; /* the long way asks the program */
    tree->dup_index =
        qs_leaf_search(owner->page, tree->order.keys.built_in, put->key, put->key_size, &found);
    tree->dup_pid = found ? pid : QS_PAGEID_NONE;
}

/* Puts the value behind the last one of the leaf `v`. */
static bool append_to_leaf(struct writer *w, struct version *v, enum key_order order,
                           const struct qs_val *value)
{
    struct page *page = v->page;
    unsigned count = page->count;
    struct entry last, entry = {value->data, value->data, (uint16_t)value->size, 0, 0};
    bool fixed = page->kind == PAGE_FIXED;
    const uint8_t *bytes = value->data, *start = (const uint8_t *)page;
    if (v->kind != VERSION_WHOLE || count == 0 || (bytes >= start && bytes < start + v->page_bytes))
        return false;
    if (fixed ? value->size != page->item_size || count == qs_fixed_capacity(value->size)
              : v->merged_bytes + qs_entry_bytes(value->size, 0) > PAGE_CAPACITY)
        return false;
    if (fixed)
        qs_fixed_entry(page, count - 1, &last);
    else
        qs_leaf_entry(page, count - 1, &last);
    if (qs_key_compare(order, last.key, last.key_size, value->data, value->size) >= 0)
        return false;
    if (fixed)
        qs_fixed_insert(page, count, value->data, 1);
    else if (!qs_leaf_insert(page, order, count, &entry, &w->scratch))
        return false;
    v->merged_bytes = (uint16_t)qs_page_used(page);
    v->merged_count = page->count;
    return true;
}

/* Puts the value behind all of a large set, whose record is the entry's value. */
static bool append_to_large(struct writer *w, const struct tree_state *tree,
                            const struct entry *entry, const struct qs_val *value)
{
    struct tree_record record;
    struct version *leaf = qs_own_get(&w->own, tree->dup_pid);
    if (!append_to_leaf(w, leaf, qs_dup_order(tree->record.flags), value))
        return false;
    memcpy(&record, entry->value, sizeof record);
    record.entries++;
    memcpy((void *)(uintptr_t)entry->value, &record, sizeof record);
    return true;
}

/* Puts the value into a small set of items of one size, entry `i` of the owner, which grows in place. */
static bool add_to_small(struct version *owner, const struct tree_state *tree, unsigned i,
                         const struct entry *entry, const struct put *put)
{
    struct set set;
    uint8_t copy[QS_KEY_MAX]; /* the value may lie in this page */
    size_t size = put->value.size;
    bool found;
    qs_set_open(&set, entry->value, entry->value_size);
    if (set.ends != NULL || size != set.item_size || owner->merged_bytes + size > PAGE_CAPACITY ||
        entry->key_size + entry->value_size + size > ENTRY_INLINE_MAX)
        return false;
    unsigned at =
        qs_set_search(&set, qs_dup_order(tree->record.flags), put->value.data, size, &found);
    if (found || ((put->flags & QS_APPENDDUP) != 0 && at < set.count))
        return false;
    memcpy(copy, put->value.data, size);
    if (!qs_leaf_grow(owner->page, i, SET_HEADER_BYTES + at * size, copy, size))
        return false;
    owner->merged_bytes = (uint16_t)(owner->merged_bytes + size);
    return true;
}

bool qs_dup_again(struct writer *w, struct tree_state *tree, struct put *put)
{
    struct entry entry;
    bool found;
    if (tree->dup_pid == QS_PAGEID_NONE || qs_order_asks(&tree->order.keys) ||
        qs_order_asks(&tree->order.dups) || w->reserve.bytes != NULL || put->value.size == 0 ||
        put->remakes || (put->flags & ~(unsigned)(QS_NODUPDATA | QS_APPENDDUP)) != 0)
        return false;
    struct version *owner = qs_own_get(&w->own, tree->insert_pid);
    unsigned i =
        qs_leaf_search(owner->page, tree->order.keys.built_in, put->key, put->key_size, &found);
    if (!found || i != tree->dup_index || qs_cursors_save(tree) != 0)
        return false;
    qs_leaf_entry(owner->page, i, &entry);
    if (tree->dup_pid == tree->insert_pid ? !add_to_small(owner, tree, i, &entry, put)
                                          : !append_to_large(w, tree, &entry, &put->value))
        return false;
    tree->record.entries++;
    put->first = put->last = false;
    return true;
}
