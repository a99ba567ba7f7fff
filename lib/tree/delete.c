/* delete.c - removing a key, and a whole tree's pages; see tree.h. */
#include "tree/structure.h"

#include "base/error.h"
#include "tree/cursor.h"
#include "tree/dup.h"
#include "tree/writer.h"

#include <string.h>

static int release_value(struct writer *w, struct tree_state *tree, const struct entry *entry)
{
    struct large_ref ref;
    if ((entry->flags & ENTRY_DUPS) != 0)
        return qs_dup_release(w, entry);
    if ((entry->flags & ENTRY_LARGE) == 0)
        return 0;
    if (entry->value_size != sizeof ref)
        return QS_CORRUPT();
    memcpy(&ref, entry->value, sizeof ref);
    tree->record.overflow_pages -= qs_large_pages(ref.size);
    return qs_large_release(w, &ref);
}

/* What an entry counts for. */
static uint64_t entries_of(const struct tree_state *tree, const struct entry *entry)
{
    return (tree->record.flags & QS_DUPSORT) != 0 ? qs_dup_count(entry) : 1;
}

int qs_key_remove(struct writer *w, struct tree_state *tree, struct key_place *place)
{
    tree->dirty = w->changed = true;
    tree->insert_pid = tree->append_pid = tree->dup_pid = QS_PAGEID_NONE;
    int rc = qs_cursors_save(tree);
    if (rc != 0)
        return rc;
    uint64_t gone = entries_of(tree, &place->old);
    if (tree->record.entries <= gone) {
        qs_cursors_mark(tree, place->old.key, place->old.key_size);
        return qs_tree_empty(w, tree);
    }
    tree->record.entries -= gone;
    rc = qs_cursors_leave(w, tree, place);
    if (rc == 0)
        rc = release_value(w, tree, &place->old);
    return rc == 0 ? qs_place_remove(w, tree, place) : rc;
}

/* A replay looks for the bytes that were recorded. */
static bool same_key(const struct entry *stored, const struct del *del)
{
    return stored->key_size == del->key_size && memcmp(stored->key, del->key, del->key_size) == 0;
}

int qs_tree_delete(struct writer *w, struct tree_state *tree, const struct del *del)
{
    struct key_place place;
    if (tree->record.root == TREE_ROOT_NONE || del->key_size > QS_KEY_MAX)
        return QS_E_NOTFOUND;
    int rc = qs_large_settle(w);
    if (rc == 0)
        rc = del->exact || del->tree_record
                 ? qs_place_find_exact(&w->view, tree, del->key, del->key_size, &place)
                 : qs_place_find(&w->view, tree, del->key, del->key_size, &place);
    if (rc == 0 && !place.exists)
        rc = QS_E_NOTFOUND;
    if (rc == 0 && ((place.old.flags & ENTRY_TREE) != 0) != del->tree_record)
        rc = QS_E_INCOMPATIBLE;
    bool rest = false;
    if (rc == 0 && qs_order_asks(&tree->order.keys))
        tree->unlogged |= tree->order.keys.custom || !same_key(&place.old, del);
    if (rc == 0 && del->value != NULL && (tree->record.flags & QS_DUPSORT) != 0)
        rc = qs_dup_remove(w, tree, &place, del, &rest);
    return rc == 0 && !rest ? qs_key_remove(w, tree, &place) : rc;
}

/* Gives back the pages and runs below page `pid` of `level`, itself included. */
static int empty_page(struct writer *w, struct tree_state *tree, pageid_t pid, unsigned level)
{
    struct image image;
    int rc = qs_path_page(&w->view, pid, level, qs_leaf_kind(&tree->record), &image);
    for (unsigned i = 0; rc == 0 && level > 0 && i < image.base->count; i++)
        rc = empty_page(w, tree, qs_inner_child(image.base, i), level - 1);
    struct leaf_pos pos;
    bool look = tree->record.overflow_pages > 0 || (tree->record.flags & QS_DUPSORT) != 0;
    bool more =
        rc == 0 && level == 0 && look && qs_leaf_first(&pos, &image, tree->order.keys.built_in);
    for (; rc == 0 && more; more = qs_leaf_next(&pos, tree->order.keys.built_in)) {
        struct entry entry;
        qs_leaf_get(&pos, &entry);
        rc = release_value(w, tree, &entry);
    }
    return rc == 0 ? qs_writer_give_pid(w, pid) : rc;
}

int qs_tree_empty(struct writer *w, struct tree_state *tree)
{
    int rc = qs_large_settle(w);
    qs_cursors_unset(tree);
    if (rc == 0 && tree->record.root != TREE_ROOT_NONE)
        rc = empty_page(w, tree, qs_tree_root(&tree->record), tree->record.depth - 1u);
    if (rc != 0)
        return rc;
    tree->record.root = TREE_ROOT_NONE;
    tree->record.depth = 0;
    tree->record.branch_pages = tree->record.leaf_pages = 0;
    tree->record.overflow_pages = tree->record.entries = 0;
    tree->unlogged |= tree->order.keys.custom || tree->order.dups.custom;
    tree->order.keys.custom = tree->order.dups.custom = tree->order.keys.whole = false;
    tree->insert_pid = tree->append_pid = tree->dup_pid = QS_PAGEID_NONE;
    tree->dirty = w->changed = true;
    return 0;
}
