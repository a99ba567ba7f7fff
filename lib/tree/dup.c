/* dup.c - what an entry of a tree with duplicates holds; see dup.h. */
#include "tree/dup.h"

#include "base/error.h"
#include "tree/writer.h"

#include <string.h>

enum key_order qs_dup_order(unsigned flags)
{
    if ((flags & QS_INTEGERDUP) != 0)
        return ORDER_INTEGER;
    return (flags & QS_REVERSEDUP) != 0 ? ORDER_REVERSE : ORDER_BYTES;
}

static void record_of(struct tree_record *record, const struct entry *entry)
{
    memcpy(record, entry->value, sizeof *record); /* qs_page_check() has looked at the size */
}

uint64_t qs_dup_count(const struct entry *entry)
{
    struct set set;
    if ((entry->flags & ENTRY_SET_TREE) != 0) {
        struct tree_record record;
        record_of(&record, entry);
        return record.entries;
    }
    qs_dup_set(&set, entry);
    return set.count;
}

int qs_dup_value(const struct view *view, const struct entry *entry, struct qs_val *value)
{
    struct set set;
    if ((entry->flags & ENTRY_SET_TREE) == 0) {
        qs_dup_set(&set, entry);
        *value = qs_set_item(&set, 0);
        return 0;
    }
    struct tree_record record;
    struct path path;
    struct leaf_pos pos;
    struct entry first;
    record_of(&record, entry);
    int rc = qs_path_find(&path, view, &record, ORDER_BYTES, PATH_FIRST, NULL, 0);
    while (rc == 0 && !qs_leaf_first(&pos, &path.image, qs_page_key_order(path.image.base)))
        rc = qs_path_next(&path, view);
    if (rc != 0)
        return rc == QS_E_NOTFOUND ? QS_CORRUPT() : rc;
    qs_leaf_get(&pos, &first);
    *value = (struct qs_val){first.key_size, first.key};
    return 0;
}

void qs_dup_orders(struct tree_order *order, const struct tree_order *owner,
                   const struct tree_record *record)
{
    qs_tree_orders(order, record);
    order->keys.built_in = owner->dups.built_in;
    order->keys.program = owner->dups.program;
}

void qs_dup_open(struct tree_state *sub, const struct tree_state *tree, const struct entry *entry)
{
    memset(sub, 0, sizeof *sub);
    record_of(&sub->record, entry);
    qs_dup_orders(&sub->order, &tree->order, &sub->record);
    sub->insert_pid = sub->append_pid = QS_PAGEID_NONE;
}

int qs_dup_release(struct writer *w, const struct entry *entry)
{
    struct tree_state sub = {.insert_pid = QS_PAGEID_NONE, .append_pid = QS_PAGEID_NONE};
    if ((entry->flags & ENTRY_SET_TREE) == 0)
        return 0;
    record_of(&sub.record, entry);
    return qs_tree_empty(w, &sub);
}
