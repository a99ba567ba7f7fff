/* put.c - storing a key; see tree.h.
 *
 * A put looks the key up, asks its flags what stands in the way, and stores the entry (place.c). What a
 * key that exists gets in a tree with duplicates is dup_put.c's.
 */
#include "tree/structure.h"

#include "base/error.h"
#include "tree/cursor.h"
#include "tree/dup.h"
#include "tree/place.h"
#include "tree/writer.h"

#include <errno.h>
#include <string.h>

/* A put under way. */
struct job {
    struct writer *w;
    struct tree_state *tree;
    struct put *put;
    struct key_place place; /* of the key */
    struct entry entry;     /* the new one */
};

static size_t bytes_of(const struct entry *e)
{
    return qs_entry_bytes(e->key_size, e->value_size);
}

static bool inside(const void *pointer, const struct version *v)
{
    const uint8_t *p = pointer, *start = (const uint8_t *)v->page;
    return p >= start && p < start + v->page_bytes;
}

/* Finds the place behind all keys, if the key belongs there: who appends is asked about the last only. */
static int find_end(struct job *job)
{
    const struct put *put = job->put;
    struct entry last;
    int rc = qs_place_find_end(&job->w->view, job->tree, &job->place, &last);
    if (rc != 0 || put->behind || last.key_size == 0)
        return rc;
    return qs_order_compare(&job->tree->order.keys, put->key, put->key_size, last.key,
                            last.key_size) > 0
               ? 0
               : QS_E_KEYEXIST;
}

/* Finds the key's place; plants the tree when it is empty. */
static int find(struct job *job)
{
    struct tree_state *tree = job->tree;
    const struct put *put = job->put;
    const struct view *view = &job->w->view;
    int rc = tree->record.root == TREE_ROOT_NONE ? qs_tree_plant(job->w, tree) : 0;
    if (rc != 0)
        return rc;
    if ((put->flags & QS_APPEND) != 0 && qs_order_asks(&tree->order.keys))
        return find_end(job);
    if (!put->exact && !put->tree_record)
        return qs_place_find(view, tree, put->key, put->key_size, &job->place);
    rc = qs_place_find_exact(view, tree, put->key, put->key_size, &job->place);
    if (rc != 0 || job->place.exists)
        return rc;
    return qs_place_find(view, tree, put->key, put->key_size, &job->place);
}

/* What stands in the way of the put. */
static int check(struct job *job)
{
    struct put *put = job->put;
    if ((put->flags & QS_APPEND) != 0 && !qs_order_asks(&job->tree->order.keys)) {
        bool last;
        int rc = qs_place_is_last(job->w, job->tree, &job->place, &last);
        if (rc != 0 || !last)
            return rc != 0 ? rc : QS_E_KEYEXIST;
    }
    if (!job->place.exists)
        return 0;
    if ((put->flags & QS_NOOVERWRITE) != 0) {
        int rc = qs_tree_value(&job->w->view, &job->place.old, &put->value);
        return rc != 0 ? rc : QS_E_KEYEXIST;
    }
    if (((job->place.old.flags & ENTRY_TREE) != 0) == put->tree_record)
        return 0;
    job->w->changed = true; /* LMDB counts this transaction: it has dirtied the page by then */
    return QS_E_INCOMPATIBLE;
}

/* A key found equal to one of other bytes: with a value of the same size LMDB overwrites just that. */
static void keep_key(struct job *job)
{
    const struct entry *old = &job->place.old;
    struct put *put = job->put;
    if (!job->place.exists || !job->tree->order.keys.custom)
        return;
    if (old->flags == 0 && old->value_size == put->value.size &&
        old->key_size + put->value.size <= ENTRY_INLINE_MAX) {
        put->key = old->key;
        put->key_size = old->key_size;
    }
}

/* Makes the new entry, writing a large value on the way. */
static int make_entry(struct job *job)
{
    struct put *put = job->put;
    size_t size = put->value.size;
    keep_key(job);
    job->entry = (struct entry){put->key, put->value.data, (uint16_t)put->key_size, (uint16_t)size,
                                put->tree_record ? ENTRY_TREE : 0};
    if (!put->placed && put->key_size + size <= ENTRY_INLINE_MAX) {
        /* Reserved space starts as what the key had, as LMDB's in-place overwrite does. */
        if ((put->flags & QS_RESERVE) != 0) {
            bool same =
                job->place.exists && job->place.old.value_size == size && job->place.old.flags == 0;
            job->entry.value =
                same ? job->place.old.value : memset(job->w->input + QS_KEY_MAX, 0, size);
        }
        return 0;
    }
    job->entry.flags = ENTRY_LARGE;
    job->entry.value = &put->large;
    job->entry.value_size = sizeof put->large;
    if (put->placed)
        return qs_large_place(job->w, &put->large, put->reused);
    return qs_large_write(job->w, (put->flags & QS_RESERVE) != 0 ? NULL : put->value.data, size,
                          &put->large);
}

static int release_old(struct job *job)
{
    struct large_ref ref;
    if (!job->place.exists || (job->place.old.flags & ENTRY_LARGE) == 0)
        return 0;
    memcpy(&ref, job->place.old.value, sizeof ref);
    job->tree->record.overflow_pages -= qs_large_pages(ref.size);
    return qs_large_release(job->w, &ref);
}

/* Hands out the space of a reserved value. */
static int hand_out(struct job *job)
{
    struct entry entry;
    struct writer *w = job->w;
    int rc = qs_tree_find(&w->view, &job->tree->record, &job->tree->order.keys, job->entry.key,
                          job->entry.key_size, &entry);
    if (rc != 0)
        return rc;
    if (w->reserve.bytes != NULL)
        w->reserve.ref = (void *)(uintptr_t)entry.value;
    job->put->value.data = w->reserve.bytes != NULL ? w->reserve.bytes : entry.value;
    return 0;
}

/* An append right after an append: the leaf is known, nothing is looked up. False, nothing done, where
 * anything is unusual. */
static bool append_behind(struct writer *w, struct tree_state *tree, const struct put *put)
{
    struct entry last,
        entry = {put->key, put->value.data, (uint16_t)put->key_size, (uint16_t)put->value.size, 0};
    if (tree->append_pid == QS_PAGEID_NONE || (put->flags & QS_APPEND) == 0 ||
        qs_order_asks(&tree->order.keys) || (put->flags & QS_RESERVE) != 0 || put->tree_record ||
        put->placed || w->reserve.bytes != NULL ||
        put->key_size + put->value.size > ENTRY_INLINE_MAX)
        return false;
    struct version *v = qs_own_get(&w->own, tree->append_pid);
    unsigned count = v->page->count;
    qs_leaf_entry(v->page, count - 1u, &last);
    if (v->merged_bytes + bytes_of(&entry) > PAGE_CAPACITY || inside(put->key, v) ||
        inside(put->value.data, v) ||
        qs_key_compare(tree->order.keys.built_in, last.key, last.key_size, put->key,
                       put->key_size) >= 0)
        return false;
    qs_cursors_save(tree);
    if (!qs_leaf_insert(v->page, tree->order.keys.built_in, count, &entry, &w->scratch))
        return false;
    v->merged_bytes = (uint16_t)(v->merged_bytes + bytes_of(&entry));
    v->merged_count++;
    tree->record.entries++;
    tree->insert_pid = tree->append_pid;
    tree->insert_index = count;
    tree->dup_pid = QS_PAGEID_NONE;
    return true;
}

/* After a put: whether the next append may go the short way. */
static void note_append(struct job *job)
{
    struct tree_state *tree = job->tree;
    const struct version *v = qs_own_get(&job->w->own, tree->insert_pid);
    bool whole = v != NULL && v->kind == VERSION_WHOLE;
    if ((job->put->flags & QS_APPEND) != 0 && whole && tree->insert_index + 1 == v->page->count)
        tree->append_pid = tree->insert_pid;
}

/* Sets what is used: the path alone is some hundred bytes. */
static void start(struct job *job, struct writer *w, struct tree_state *tree, struct put *put)
{
    job->w = w;
    job->tree = tree;
    job->put = put;
}

int qs_tree_put(struct writer *w, struct tree_state *tree, struct put *put)
{
    struct job job;

    if (append_behind(w, tree, put) || qs_dup_again(w, tree, put))
        return 0;
    tree->append_pid = tree->dup_pid = QS_PAGEID_NONE;
    start(&job, w, tree, put);
    int rc = qs_large_settle(w);
    if (rc == 0)
        rc = find(&job);
    if (rc != 0)
        return rc;
    put->first = !job.place.exists && qs_place_is_first(&job.place, tree->order.keys.built_in);
    put->last =
        !job.place.exists && qs_leaf_at_end(&job.place.pos) && qs_path_is_last(&job.place.path);
    rc = check(&job);
    if (rc == 0)
        rc = qs_place_check_order(&w->view, tree, &job.place, put->key, put->key_size);
    if (rc == 0 && job.place.exists && qs_dup_adds(tree, put, &job.place.old))
        return qs_dup_add(w, tree, &job.place, put);
    if (rc == 0)
        rc = make_entry(&job);
    if (rc == 0)
        rc = qs_cursors_save(tree);
    if (rc == 0)
        rc = release_old(&job);
    if (rc != 0)
        return rc;
    tree->dirty = w->changed = true;
    rc = qs_place_store(w, tree, &job.place, &job.entry);
    if (rc != 0)
        return rc;
    put->key = job.entry.key;
    put->key_size = job.entry.key_size;
    tree->record.entries += !job.place.exists;
    if (job.entry.flags & ENTRY_LARGE)
        tree->record.overflow_pages += qs_large_pages(put->large.size);
    note_append(&job);
    return (put->flags & QS_RESERVE) != 0 ? hand_out(&job) : 0;
}
