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
    bool exact;                 /* it is one that is stored */
    struct qs_val removed;      /* the stored one, in `bytes` */
    uint8_t bytes[QS_KEY_MAX];
    uint8_t key[QS_KEY_MAX]; /* the key: its page is about to change */
};

/* Before a value is removed: copies it, and moves the cursors on it on to `next` (NULL: there is none). */
static void leave(struct job *job, const struct qs_val *stored, const struct qs_val *next)
{
    memcpy(job->bytes, stored->data, stored->size);
    job->removed = (struct qs_val){stored->size, job->bytes};
    qs_cursors_leave_dup(job->tree, job->key, job->place->old.key_size, stored, next);
}

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
    int rc = qs_path_page(&job->w->view, qs_tree_root(&sub->record), 0, kind, &image);
    if (rc != 0)
        return rc;
    if (kind == PAGE_FIXED) {
        const struct page *page = image.base;
        if (page->count * (size_t)page->item_size <= SMALL_AGAIN_BYTES)
            *size = qs_set_pack_fixed(to, page->item_size, qs_fixed_item(page, 0), page->count);
        return 0;
    }
    unsigned n = qs_leaf_collect(&image, sub->order.keys.built_in, job->w->entries);
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

static bool same(const struct qs_val *a, const struct qs_val *b)
{
    return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

/* As leave(), of a large set: the successor may lie in another leaf. */
static int leave_large(struct job *job, const struct tree_state *sub, const struct key_place *place)
{
    const struct qs_val stored = {place->old.key_size, place->old.key};
    struct cursor cursor;
    struct entry entry;
    int rc = QS_E_NOTFOUND;
    if (qs_cursors_on_dup(job->tree, job->key, job->place->old.key_size, &stored)) {
        qs_cursor_init(&cursor, &job->w->view, &sub->record, &sub->order);
        cursor.path = place->path;
        cursor.pos = place->pos;
        cursor.state = CURSOR_LIVE;
        rc = qs_cursor_next(&cursor);
        if (rc == 0)
            rc = qs_cursor_entry(&cursor, &entry);
    }
    if (rc != 0 && rc != QS_E_NOTFOUND)
        return rc;
    if (rc == QS_E_NOTFOUND) {
        leave(job, &stored, NULL);
        return 0;
    }
    const struct qs_val next = {entry.key_size, entry.key};
    leave(job, &stored, &next);
    return 0;
}

static int remove_from_large(struct job *job, bool *rest)
{
    struct tree_state sub;
    struct key_place place;
    const struct qs_val *value = job->value;
    qs_dup_open(&sub, job->tree, &job->place->old);
    int rc = job->exact ? qs_place_find_exact(&job->w->view, &sub, value->data, value->size, &place)
                        : qs_place_find(&job->w->view, &sub, value->data, value->size, &place);
    if (rc == 0 && !place.exists)
        rc = QS_E_NOTFOUND;
    *rest = sub.record.entries > 1;
    if (rc != 0 || !*rest)
        return rc;
    rc = leave_large(job, &sub, &place);
    if (rc == 0)
        rc = qs_leaf_kind(&sub.record) == PAGE_FIXED ? qs_fixed_remove_at(job->w, &sub, &place)
                                                     : qs_key_remove(job->w, &sub, &place);
    if (rc != 0)
        return rc;
    job->tree->dirty = job->w->changed = true;
    return store_rest(job, &sub);
}

static int remove_from_small(struct job *job, bool *rest)
{
    uint8_t bytes[ENTRY_INLINE_MAX];
    const struct entry *old = &job->place->old;
    const struct order *order = &job->tree->order.dups;
    struct set set;
    bool found;
    qs_dup_set(&set, old);
    unsigned i = job->exact ? qs_order_find_set(order, &set, job->value, &found)
                            : qs_order_search_set(order, &set, job->value, &found);
    if (!found)
        return QS_E_NOTFOUND;
    *rest = set.count > 1;
    if (!*rest)
        return 0;
    job->tree->dirty = job->w->changed = true;
    const struct qs_val stored = qs_set_item(&set, i);
    struct qs_val next = {0, NULL};
    if (i + 1u < set.count)
        next = qs_set_item(&set, i + 1);
    leave(job, &stored, next.data != NULL ? &next : NULL);
    size_t size = qs_set_remove(bytes, &set, i);
    return store(job, bytes, size, ENTRY_SET);
}

int qs_dup_remove(struct writer *w, struct tree_state *tree, struct key_place *place,
                  const struct del *del, bool *rest)
{
    struct job job = {.w = w, .tree = tree, .place = place, .exact = del->exact};
    const struct qs_val *value = del->value;
    uint8_t copy[QS_KEY_MAX]; /* it may lie in a page that is about to change */
    const struct qs_val wanted = {value->size, copy};
    *rest = true;
    if (value->size == 0 && (place->old.flags & ENTRY_DUPS) != 0)
        return QS_E_BAD_VALSIZE;
    if (value->size > QS_KEY_MAX)
        return QS_E_NOTFOUND;
    memcpy(job.key, place->old.key, place->old.key_size);
    if (value->size > 0)
        memcpy(copy, value->data, value->size);
    job.value = &wanted;
    int rc = qs_cursors_save(tree);
    if (rc == 0)
        rc = (place->old.flags & ENTRY_SET_TREE) != 0 ? remove_from_large(&job, rest)
                                                      : remove_from_small(&job, rest);
    if (rc != 0 || !*rest)
        return rc;
    if (!same(&job.removed, &wanted))
        tree->unlogged = true; /* a replay would not find it */
    tree->unlogged |= tree->order.dups.custom;
    tree->insert_pid = tree->append_pid = tree->dup_pid = QS_PAGEID_NONE;
    return 0;
}
