/* get.c - looking one key up: the hot path; see tree.h. */
#include "tree/tree.h"

#include "base/error.h"
#include "page/find.h"
#include "tree/dup.h"
#include "tree/search.h"
#include "tree/writer.h"

#include <string.h>

enum key_order qs_tree_order(unsigned flags)
{
    if ((flags & QS_REVERSEKEY) != 0)
        return ORDER_REVERSE;
    return (flags & QS_INTEGERKEY) != 0 ? ORDER_INTEGER : ORDER_BYTES;
}

void qs_tree_orders(struct tree_order *order, const struct tree_record *record)
{
    uint64_t marks = record->root != TREE_ROOT_NONE ? record->root : 0;
    order->keys = (struct order){
        .built_in = qs_tree_order(record->flags),
        .custom = (marks & TREE_CUSTOM_KEYS) != 0,
        .whole = (marks & TREE_WHOLE_KEYS) != 0,
    };
    order->dups = (struct order){
        .built_in = qs_dup_order(record->flags),
        .custom = (marks & TREE_CUSTOM_DUPS) != 0,
    };
}

void qs_tree_set_root(struct tree_state *tree, pageid_t root)
{
    const struct tree_order *order = &tree->order;
    tree->record.root = root | (order->keys.custom ? TREE_CUSTOM_KEYS : 0) |
                        (order->keys.whole ? TREE_WHOLE_KEYS : 0) |
                        (order->dups.custom ? TREE_CUSTOM_DUPS : 0);
}

void qs_tree_mark_custom(struct tree_state *tree)
{
    tree->order.keys.custom = true;
    tree->order.keys.whole = tree->record.depth <= 1;
    qs_tree_set_root(tree, qs_tree_root(&tree->record));
    tree->dirty = tree->unlogged = true;
}

void qs_tree_mark_custom_dups(struct tree_state *tree)
{
    tree->order.dups.custom = true;
    qs_tree_set_root(tree, qs_tree_root(&tree->record));
    tree->dirty = tree->unlogged = true;
}

/* By the program's order; out of line, to keep the way below short. */
__attribute__((noinline)) static int search(const struct view *view,
                                            const struct tree_record *record,
                                            const struct order *order, bool exact, const void *key,
                                            size_t key_size, struct entry *entry)
{
    struct path path;
    struct leaf_pos pos;
    bool equal;
    int rc = exact ? qs_search_exact(&path, &pos, view, record, order, key, key_size, &equal)
                   : qs_search(&path, &pos, view, record, order, key, key_size, &equal);
    if (rc != 0 || !equal)
        return rc != 0 ? rc : QS_E_NOTFOUND;
    qs_leaf_get(&pos, entry);
    return 0;
}

/* By the built-in order, a constant of the caller's: all of the way in one function, as calls and the registers they
 * save were a quarter of it. */
ALWAYS_INLINE int get(const struct view *view, const struct tree_record *record,
                      enum key_order order, const void *key, size_t key_size, struct entry *entry)
{
    pageid_t pid = qs_tree_root(record);
    struct image image;
    for (unsigned level = record->depth; level-- > 1;) {
        int rc = qs_view_image(view, pid, &image);
        if (rc != 0)
            return rc;
        const struct page *page = image.base;
        if (!qs_path_fits(page, level, PAGE_LEAF))
            return QS_CORRUPT();
        pid = inner_child(page, inner_search(page, order, key, key_size));
    }
    int rc = qs_view_image(view, pid, &image);
    if (rc != 0)
        return rc;
    if (image.delta == NULL) /* else it was asked for before the delta was here */
        qs_page_prefetch(image.base);
    if (!qs_path_fits(image.base, 0, PAGE_LEAF))
        return QS_CORRUPT();
    const struct page *page = image.delta != NULL ? image.delta : image.base;
    while (!leaf_find(page, order, key, key_size, entry)) {
        if (page == image.base)
            return QS_E_NOTFOUND;
        page = image.base;
    }
    return page == image.delta && (entry->flags & ENTRY_TOMBSTONE) != 0 ? QS_E_NOTFOUND : 0;
}

/* In the rarer orders. */
__attribute__((noinline)) static int get_backward(const struct view *view,
                                                  const struct tree_record *record,
                                                  enum key_order order, const void *key,
                                                  size_t key_size, struct entry *entry)
{
    return order == ORDER_INTEGER ? get(view, record, ORDER_INTEGER, key, key_size, entry)
                                  : get(view, record, ORDER_REVERSE, key, key_size, entry);
}

int qs_tree_get(const struct view *view, const struct tree_record *record,
                const struct order *order, const void *key, size_t key_size, struct entry *entry)
{
    if (record->root == TREE_ROOT_NONE)
        return QS_E_NOTFOUND;
    if (__builtin_expect(qs_order_asks(order), 0))
        return search(view, record, order, false, key, key_size, entry);
    if (__builtin_expect(order->built_in != ORDER_BYTES, 0))
        return get_backward(view, record, order->built_in, key, key_size, entry);
    return get(view, record, ORDER_BYTES, key, key_size, entry);
}

int qs_tree_find(const struct view *view, const struct tree_record *record,
                 const struct order *order, const void *key, size_t key_size, struct entry *entry)
{
    const struct order built_in = {.built_in = order->built_in};
    if (order->custom && record->root != TREE_ROOT_NONE)
        return search(view, record, order, true, key, key_size, entry);
    return qs_tree_get(view, record, &built_in, key, key_size, entry);
}

int qs_tree_value_apart(const struct view *view, const struct entry *entry, struct qs_val *value)
{
    if ((entry->flags & ENTRY_DUPS) != 0)
        return qs_dup_value(view, entry, value);
    struct large_ref ref;
    if (entry->value_size != sizeof ref)
        return QS_CORRUPT();
    memcpy(&ref, entry->value, sizeof ref);
    value->size = ref.size;
    return qs_large_read(view, &ref, &value->data);
}
