/* get.c - looking one key up: the hot path; see tree.h. */
#include "tree/tree.h"

#include "base/error.h"
#include "tree/dup.h"
#include "tree/path.h"
#include "tree/writer.h"

#include <string.h>

enum key_order qs_tree_order(unsigned flags)
{
    if ((flags & QS_REVERSEKEY) != 0)
        return ORDER_REVERSE;
    return (flags & QS_INTEGERKEY) != 0 ? ORDER_INTEGER : ORDER_BYTES;
}

int qs_tree_get(const struct view *view, const struct tree_record *record, enum key_order order,
                const void *key, size_t key_size, struct entry *entry)
{
    if (record->root == TREE_ROOT_NONE)
        return QS_E_NOTFOUND;
    pageid_t pid = (pageid_t)record->root;
    struct image image;
    for (unsigned level = record->depth; level-- > 1;) {
        int rc = qs_path_page(view, pid, level, PAGE_LEAF, &image);
        if (rc != 0)
            return rc;
        pid = qs_inner_child(image.base, qs_inner_search(image.base, order, key, key_size));
    }
    int rc = qs_path_page(view, pid, 0, PAGE_LEAF, &image);
    if (rc != 0)
        return rc;
    return qs_leaf_lookup(&image, order, key, key_size, entry);
}

int qs_tree_value(const struct view *view, const struct entry *entry, struct qs_val *value)
{
    if ((entry->flags & (ENTRY_LARGE | ENTRY_DUPS)) == 0) {
        *value = (struct qs_val){entry->value_size, entry->value};
        return 0;
    }
    if ((entry->flags & ENTRY_DUPS) != 0)
        return qs_dup_value(view, entry, value);
    struct large_ref ref;
    if (entry->value_size != sizeof ref)
        return QS_CORRUPT();
    memcpy(&ref, entry->value, sizeof ref);
    value->size = ref.size;
    return qs_large_read(view, &ref, &value->data);
}
