/* dup_delete.c - removing one value of a key that has several; see dup.h. */
#include "tree/dup.h"

#include "base/error.h"
#include "tree/cursor.h"
#include "tree/structure.h"
#include "tree/writer.h"

#include <string.h>

/* A large set becomes small again when it takes less than this: a quarter of a page, half of what made
 * it large, so that it does not go back and forth. */
#define SMALL_AGAIN_BYTES (ENTRY_INLINE_MAX / 2)

/* A value being removed. */
struct job {
    struct writer *w;
    struct tree_state *tree;
    struct key_place *place;    /* of the key */
    const struct qs_val *value; /* which one */
};

static int store(struct job *job, const void *value, size_t size, unsigned flags)
{
    const struct entry *old = &job->place->old;
    struct entry entry = {old->key, value, old->key_size, (uint16_t)size, (uint8_t)flags};
    bool smaller = size < old->value_size; /* a set that was large may need more: no merge then */
    int rc = qs_place_store(job->w, job->tree, job->place, &entry);
    if (rc == 0)
        job->tree->record.entries--;
    return rc == 0 && smaller ? qs_place_shrunk(job->w, job->tree, job->place) : rc;
}

/* Packs what is left of a large set into `to`; 0 bytes when that is too much. */
static int pack(struct job *job, const struct tree_state *sub, uint8_t *to, size_t *size)
{
    struct image image;
    enum page_kind kind = qs_leaf_kind(&sub->record);
    *size = 0;
    if (sub->record.depth != 1)
        return 0;
    int rc = qs_path_page(&job->w->view, (pageid_t)sub->record.root, 0, kind, &image);
    if (rc != 0)
        return rc;
    if (kind == PAGE_FIXED) {
        const struct page *page = image.base;
        if (page->count * (size_t)page->item_size <= SMALL_AGAIN_BYTES)
            *size = qs_set_pack_fixed(to, page->item_size, qs_fixed_item(page, 0), page->count);
        return 0;
    }
    unsigned n = qs_leaf_collect(&image, sub->order, job->w->entries);
    size_t bytes = SET_END_BYTES * (size_t)n;
    for (unsigned i = 0; i < n; i++)
        bytes += job->w->entries[i].key_size;
    if (bytes <= SMALL_AGAIN_BYTES)
        *size = qs_set_pack(to, job->w->entries, n);
    return 0;
}

/* Stores what is left of a large set, in the form that suits it. */
static int store_rest(struct job *job, struct tree_state *sub)
{
    uint8_t bytes[SMALL_AGAIN_BYTES + SET_HEADER_BYTES];
    size_t size;
    int rc = pack(job, sub, bytes, &size);
    if (rc != 0)
        return rc;
    if (size == 0)
        return store(job, &sub->record, sizeof sub->record, ENTRY_SET_TREE);
    rc = qs_tree_empty(job->w, sub);
    return rc == 0 ? store(job, bytes, size, ENTRY_SET) : rc;
}

static int remove_from_large(struct job *job, bool *rest)
{
    struct tree_state sub;
    int rc = 0;
    qs_dup_open(&sub, job->tree, &job->place->old);
    *rest = sub.record.entries > 1;
    if (!*rest) {
        struct key_place place;
        rc = qs_place_find(&job->w->view, &sub, job->value->data, job->value->size, &place);
        return rc == 0 && !place.exists ? QS_E_NOTFOUND : rc;
    }
    struct del del = {job->value->data, job->value->size, NULL, false};
    rc = qs_leaf_kind(&sub.record) == PAGE_FIXED ? qs_fixed_delete(job->w, &sub, job->value)
                                                 : qs_tree_delete(job->w, &sub, &del);
    if (rc != 0)
        return rc;
    job->tree->dirty = job->w->changed = true;
    return store_rest(job, &sub);
}

static int remove_from_small(struct job *job, bool *rest)
{
    uint8_t bytes[ENTRY_INLINE_MAX];
    const struct entry *old = &job->place->old;
    struct set set;
    bool found;
    qs_dup_set(&set, old);
    unsigned i = qs_set_search(&set, qs_dup_order(job->tree->record.flags), job->value->data,
                               job->value->size, &found);
    if (!found)
        return QS_E_NOTFOUND;
    *rest = set.count > 1;
    if (!*rest)
        return 0;
    job->tree->dirty = job->w->changed = true;
    size_t size = qs_set_remove(bytes, &set, i);
    return store(job, bytes, size, ENTRY_SET);
}

int qs_dup_remove(struct writer *w, struct tree_state *tree, struct key_place *place,
                  const struct qs_val *value, bool *rest)
{
    struct job job = {w, tree, place, value};
    uint8_t key[QS_KEY_MAX], copy[QS_KEY_MAX]; /* both may lie in pages that are about to change */
    struct qs_val removed = {value->size, copy};
    size_t key_size = place->old.key_size;
    *rest = true;
    if (value->size == 0 && (place->old.flags & ENTRY_DUPS) != 0)
        return QS_E_BAD_VALSIZE;
    if (value->size > QS_KEY_MAX)
        return QS_E_NOTFOUND;
    memcpy(key, place->old.key, key_size);
    if (value->size > 0)
        memcpy(copy, value->data, value->size);
    job.value = &removed;
    int rc = qs_cursors_save(tree);
    if (rc == 0)
        rc = (place->old.flags & ENTRY_SET_TREE) != 0 ? remove_from_large(&job, rest)
                                                      : remove_from_small(&job, rest);
    if (rc != 0 || !*rest)
        return rc;
    tree->insert_pid = tree->append_pid = tree->dup_pid = QS_PAGEID_NONE;
    return qs_cursors_dup_deleted(tree, key, key_size, &removed);
}
