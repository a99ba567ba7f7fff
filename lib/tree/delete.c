/* delete.c - removing a key, and a whole tree's pages; see tree.h. */
#include "tree/structure.h"

#include "base/error.h"
#include "tree/cursor.h"
#include "tree/writer.h"

#include <string.h>

/* Removes the entry from the writer's own version: a delta keeps a tombstone (rule 3), a whole page
 * keeps nothing. A delta without room for the tombstone becomes whole. */
static int remove_entry(struct writer *w, struct tree_state *tree, struct path *path,
                        const struct entry *old)
{
    struct version *v;
    int rc = qs_writer_leaf(w, path->leaf, &v);
    if (rc != 0)
        return rc;
    uint16_t merged = (uint16_t)(v->merged_bytes - qs_entry_bytes(old->key_size, old->value_size));
    uint16_t count = (uint16_t)(v->merged_count - 1);
    struct entry tombstone = {w->input, w->input, old->key_size, 0, ENTRY_TOMBSTONE};
    memcpy(w->input, old->key, old->key_size);
    bool found;
    unsigned i = qs_leaf_search(v->page, tree->order, w->input, old->key_size, &found);
    bool done = true;
    if (v->kind == VERSION_WHOLE)
        qs_leaf_remove(v->page, i);
    else if (found)
        done = qs_leaf_replace(v->page, tree->order, i, &tombstone, &w->scratch);
    else
        done = qs_leaf_insert(v->page, tree->order, i, &tombstone, &w->scratch);
    if (!done) {
        struct version *whole, *replaced;
        struct image image;
        qs_writer_image(w, v, &image);
        unsigned n = 0, all = qs_leaf_collect(&image, tree->order, w->entries);
        for (unsigned e = 0; e < all; e++)
            if (qs_key_compare(tree->order, w->entries[e].key, w->entries[e].key_size, w->input,
                               old->key_size) != 0)
                w->entries[n++] = w->entries[e];
        unsigned fence = image.base->fence;
        rc = qs_writer_replace(w, path->leaf, &whole, &replaced);
        if (rc != 0)
            return rc;
        qs_leaf_build(whole->page, QS_PAGE_BYTES, tree->order, w->entries, n, fence);
        qs_version_free(replaced);
        v = whole;
    }
    v->merged_bytes = merged;
    v->merged_count = count;
    qs_writer_image(w, v, &path->image);
    return 0;
}

static int release_value(struct writer *w, struct tree_state *tree, const struct entry *entry)
{
    struct large_ref ref;
    if ((entry->flags & ENTRY_LARGE) == 0)
        return 0;
    if (entry->value_size != sizeof ref)
        return QS_CORRUPT();
    memcpy(&ref, entry->value, sizeof ref);
    tree->record.overflow_pages -= qs_large_pages(ref.size);
    return qs_large_release(w, &ref);
}

int qs_tree_delete(struct writer *w, struct tree_state *tree, const void *key, size_t key_size,
                   bool tree_record)
{
    struct path path;
    struct entry old;
    uint8_t saved_key[QS_KEY_MAX];
    if (tree->record.root == TREE_ROOT_NONE || key_size > QS_KEY_MAX)
        return QS_E_NOTFOUND;
    int rc = qs_large_settle(w);
    if (rc == 0)
        rc = qs_path_find(&path, &w->view, &tree->record, tree->order, PATH_KEY, key, key_size);
    if (rc == 0)
        rc = qs_leaf_lookup(&path.image, tree->order, key, key_size, &old);
    if (rc == 0 && ((old.flags & ENTRY_TREE) != 0) != tree_record)
        rc = QS_E_INCOMPATIBLE;
    if (rc != 0)
        return rc;
    memcpy(saved_key, key, key_size);
    tree->dirty = w->changed = true;
    tree->insert_pid = tree->append_pid = QS_PAGEID_NONE;
    rc = qs_cursors_save(tree);
    if (rc == 0)
        rc = release_value(w, tree, &old);
    if (rc != 0)
        return rc;
    if (--tree->record.entries == 0)
        return qs_tree_empty(w, tree);
    rc = remove_entry(w, tree, &path, &old);
    if (rc == 0)
        rc = qs_leaf_shrink(w, tree, &path);
    return rc == 0 ? qs_cursors_deleted(w, tree, saved_key, key_size) : rc;
}

/* Gives back the pages and runs below page `pid` of `level`, itself included. */
static int empty_page(struct writer *w, struct tree_state *tree, pageid_t pid, unsigned level)
{
    struct image image;
    int rc = qs_path_page(&w->view, pid, level, &image);
    for (unsigned i = 0; rc == 0 && level > 0 && i < image.base->count; i++)
        rc = empty_page(w, tree, qs_inner_child(image.base, i), level - 1);
    /* A tree of one leaf is emptied by its last delete, whose run is released already; with overflow
     * pages counted out there is nothing to look for. */
    struct leaf_pos pos;
    bool more = rc == 0 && level == 0 && tree->record.overflow_pages > 0 &&
                qs_leaf_first(&pos, &image, tree->order);
    for (; rc == 0 && more; more = qs_leaf_next(&pos, tree->order)) {
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
        rc = empty_page(w, tree, (pageid_t)tree->record.root, tree->record.depth - 1u);
    if (rc != 0)
        return rc;
    tree->record.root = TREE_ROOT_NONE;
    tree->record.depth = 0;
    tree->record.branch_pages = tree->record.leaf_pages = 0;
    tree->record.overflow_pages = tree->record.entries = 0;
    tree->insert_pid = tree->append_pid = QS_PAGEID_NONE;
    tree->dirty = w->changed = true;
    return 0;
}
