/* put.c - storing a key; see tree.h.
 *
 * A put looks the key up, makes the leaf the writer's own, and edits the delta; a delta that
 * outgrows its class moves to a larger one, then becomes a whole page, and a leaf whose merged
 * image would not fit a page is split then and there.
 */
#include "tree/structure.h"

#include "base/error.h"
#include "tree/cursor.h"
#include "tree/writer.h"

#include <errno.h>
#include <string.h>

/* A put under way. */
struct job {
    struct writer *w;
    struct tree_state *tree;
    struct put *put;
    struct path path;
    struct leaf_pos pos; /* first live entry >= key */
    bool exists;         /* it is the key's */
    struct entry old;    /* the key's entry when it exists */
    struct entry entry;  /* the new one */
};

static bool inside(const void *pointer, const struct version *v)
{
    const uint8_t *p = pointer, *start = (const uint8_t *)v->page;
    return p >= start && p < start + v->page_bytes;
}

/* Copies inputs out of the version that is about to be edited. */
static void detach_input(struct job *job, const struct version *v)
{
    uint8_t *to = job->w->input;
    struct entry *e = &job->entry;
    if (inside(e->key, v)) {
        memcpy(to, e->key, e->key_size);
        e->key = to;
    }
    if (e->value_size > 0 && inside(e->value, v)) {
        memcpy(to + QS_KEY_MAX, e->value, e->value_size);
        e->value = to + QS_KEY_MAX;
    }
}

static size_t bytes_of(const struct entry *e)
{
    return qs_entry_bytes(e->key_size, e->value_size);
}

/* Puts the new entry into the page of `v`; false when it has no room. */
static bool edit_page(struct job *job, struct version *v)
{
    bool found;
    unsigned i =
        qs_leaf_search(v->page, job->tree->order, job->entry.key, job->entry.key_size, &found);
    if (found)
        return qs_leaf_replace(v->page, job->tree->order, i, &job->entry, &job->w->scratch);
    return qs_leaf_insert(v->page, job->tree->order, i, &job->entry, &job->w->scratch);
}

/* All entries of the leaf with the new one among them, in writer->entries; *at is its index. */
static unsigned collect(struct job *job, const struct image *image, unsigned *at)
{
    struct entry *e = job->w->entries;
    unsigned n = qs_leaf_collect(image, job->tree->order, e), i = 0, end = n;
    while (i < end) { /* first entry >= key */
        unsigned mid = (i + end) / 2;
        if (qs_key_compare(job->tree->order, e[mid].key, e[mid].key_size, job->entry.key,
                           job->entry.key_size) < 0)
            i = mid + 1;
        else
            end = mid;
    }
    if (!job->exists) {
        memmove(e + i + 1, e + i, (n - i) * sizeof *e);
        n++;
    }
    e[i] = job->entry;
    *at = i;
    return n;
}

/* A delta without room: moves to a larger class, or becomes a whole page. */
static int enlarge(struct job *job, struct version *v)
{
    struct version *bigger, *old;
    size_t wanted = v->page_bytes + bytes_of(&job->entry) + VERSION_CLASS_BYTES;
    if (v->kind == VERSION_DELTA && wanted <= VERSION_DELTA_MAX) {
        bigger = qs_version_new(VERSION_DELTA, wanted * 5 / 4);
        if (bigger == NULL)
            return ENOMEM;
        bigger->base = v->base;
        bigger->merged_bytes = v->merged_bytes;
        bigger->merged_count = v->merged_count;
        unsigned n = v->page->count;
        for (unsigned i = 0; i < n; i++)
            qs_leaf_entry(v->page, i, &job->w->entries[i]);
        qs_leaf_build(bigger->page, bigger->page_bytes, job->tree->order, job->w->entries, n,
                      v->page->fence);
        int rc = qs_own_set(&job->w->own, job->path.leaf, bigger, &old);
        if (rc == 0)
            rc = edit_page(job, bigger) ? 0 : QS_CORRUPT();
        qs_version_free(old);
        return rc;
    }
    struct image image;
    unsigned at;
    qs_writer_image(job->w, v, &image);
    unsigned fence = image.base->fence, n = collect(job, &image, &at);
    uint16_t bytes = v->merged_bytes, count = v->merged_count;
    int rc = qs_writer_replace(job->w, job->path.leaf, &bigger, &old);
    if (rc != 0)
        return rc;
    qs_leaf_build(bigger->page, QS_PAGE_BYTES, job->tree->order, job->w->entries, n, fence);
    bigger->merged_bytes = bytes;
    bigger->merged_count = count;
    qs_version_free(old);
    return 0;
}

/* Stores the entry in the leaf at the end of the path. */
static int store(struct job *job)
{
    struct version *v;
    int rc = qs_writer_leaf(job->w, job->path.leaf, &v);
    if (rc != 0)
        return rc;
    size_t old_bytes = job->exists ? bytes_of(&job->old) : 0;
    size_t merged = v->merged_bytes + bytes_of(&job->entry) - old_bytes;
    detach_input(job, v);
    if (merged > PAGE_CAPACITY) {
        struct image image;
        unsigned at;
        qs_writer_image(job->w, v, &image);
        unsigned n = collect(job, &image, &at);
        return qs_leaf_split(job->w, job->tree, &job->path, n, at);
    }
    v->merged_bytes = (uint16_t)merged;
    v->merged_count += !job->exists;
    job->tree->insert_pid = job->path.leaf;
    job->tree->insert_index = job->pos.base_i + job->pos.delta_i;
    return edit_page(job, v) ? 0 : enlarge(job, v);
}

/* Finds the key's place; plants the tree when it is empty. */
static int find(struct job *job)
{
    struct tree_state *tree = job->tree;
    int rc = tree->record.root == TREE_ROOT_NONE ? qs_tree_plant(job->w, tree) : 0;
    if (rc == 0)
        rc = qs_path_find(&job->path, &job->w->view, &tree->record, tree->order, PATH_KEY,
                          job->put->key, job->put->key_size);
    if (rc != 0)
        return rc;
    job->exists =
        qs_leaf_seek(&job->pos, &job->path.image, tree->order, job->put->key, job->put->key_size);
    if (job->exists)
        qs_leaf_get(&job->pos, &job->old);
    return 0;
}

/* Whether every key of the tree is less than the new one. Leaves behind its own may be empty. */
static int is_last(const struct job *job, bool *last)
{
    struct path path = job->path;
    struct leaf_pos pos;
    *last = qs_leaf_at_end(&job->pos);
    while (*last) {
        int rc = qs_path_next(&path, &job->w->view);
        if (rc != 0)
            return rc == QS_E_NOTFOUND ? 0 : rc;
        *last = !qs_leaf_first(&pos, &path.image, job->tree->order);
    }
    return 0;
}

/* What stands in the way of the put. */
static int check(struct job *job)
{
    struct put *put = job->put;
    if ((put->flags & QS_APPEND) != 0) {
        bool last;
        int rc = is_last(job, &last);
        if (rc != 0 || !last)
            return rc != 0 ? rc : QS_E_KEYEXIST;
    }
    if (!job->exists)
        return 0;
    if ((put->flags & QS_NOOVERWRITE) != 0) {
        int rc = qs_tree_value(&job->w->view, &job->old, &put->value);
        return rc != 0 ? rc : QS_E_KEYEXIST;
    }
    if (((job->old.flags & ENTRY_TREE) != 0) == put->tree_record)
        return 0;
    job->w->changed = true; /* LMDB counts this transaction: it has dirtied the page by then */
    return QS_E_INCOMPATIBLE;
}

/* Makes the new entry, writing a large value on the way. */
static int make_entry(struct job *job)
{
    struct put *put = job->put;
    size_t size = put->value.size;
    job->entry = (struct entry){put->key, put->value.data, (uint16_t)put->key_size, (uint16_t)size,
                                put->tree_record ? ENTRY_TREE : 0};
    if (!put->placed && put->key_size + size <= ENTRY_INLINE_MAX) {
        /* Reserved space starts as what the key had, as LMDB's in-place overwrite does. */
        if ((put->flags & QS_RESERVE) != 0) {
            bool same = job->exists && job->old.value_size == size && job->old.flags == 0;
            job->entry.value = same ? job->old.value : memset(job->w->input + QS_KEY_MAX, 0, size);
        }
        return 0;
    }
    job->entry.flags = ENTRY_LARGE;
    job->entry.value = &put->large;
    job->entry.value_size = sizeof put->large;
    if (put->placed)
        return qs_large_place(job->w, &put->large);
    return qs_large_write(job->w, (put->flags & QS_RESERVE) != 0 ? NULL : put->value.data, size,
                          &put->large);
}

static int release_old(struct job *job)
{
    struct large_ref ref;
    if (!job->exists || (job->old.flags & ENTRY_LARGE) == 0)
        return 0;
    memcpy(&ref, job->old.value, sizeof ref);
    job->tree->record.overflow_pages -= qs_large_pages(ref.size);
    return qs_large_release(job->w, &ref);
}

/* Hands out the space of a reserved value. */
static int hand_out(struct job *job)
{
    struct entry entry;
    struct writer *w = job->w;
    int rc = qs_tree_get(&w->view, &job->tree->record, job->tree->order, job->entry.key,
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
        (put->flags & QS_RESERVE) != 0 || put->tree_record || put->placed ||
        w->reserve.bytes != NULL || put->key_size + put->value.size > ENTRY_INLINE_MAX)
        return false;
    struct version *v = qs_own_get(&w->own, tree->append_pid);
    unsigned count = v->page->count;
    qs_leaf_entry(v->page, count - 1u, &last);
    if (v->merged_bytes + bytes_of(&entry) > PAGE_CAPACITY || inside(put->key, v) ||
        inside(put->value.data, v) ||
        qs_key_compare(tree->order, last.key, last.key_size, put->key, put->key_size) >= 0)
        return false;
    qs_cursors_save(tree);
    if (!qs_leaf_insert(v->page, tree->order, count, &entry, &w->scratch))
        return false;
    v->merged_bytes = (uint16_t)(v->merged_bytes + bytes_of(&entry));
    v->merged_count++;
    tree->record.entries++;
    tree->insert_pid = tree->append_pid;
    tree->insert_index = count;
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

    if (append_behind(w, tree, put))
        return 0;
    tree->append_pid = QS_PAGEID_NONE;
    start(&job, w, tree, put);
    int rc = qs_large_settle(w);
    if (rc == 0)
        rc = find(&job);
    if (rc == 0)
        rc = check(&job);
    if (rc == 0)
        rc = make_entry(&job);
    if (rc == 0)
        rc = qs_cursors_save(tree);
    if (rc == 0)
        rc = release_old(&job);
    if (rc != 0)
        return rc;
    tree->dirty = w->changed = true;
    rc = store(&job);
    if (rc != 0)
        return rc;
    tree->record.entries += !job.exists;
    if (job.entry.flags & ENTRY_LARGE)
        tree->record.overflow_pages += qs_large_pages(put->large.size);
    note_append(&job);
    return (put->flags & QS_RESERVE) != 0 ? hand_out(&job) : 0;
}
