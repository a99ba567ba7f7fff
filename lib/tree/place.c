/* place.c - changing one entry of a tree; see place.h.
 *
 * A store makes the leaf the writer's own and edits the delta; a delta that outgrows its class moves to
 * a larger one, then becomes a whole page, and a leaf whose merged image would not fit a page is split
 * then and there. A removal leaves a tombstone in a delta. In custom order there are no deltas, and the
 * entry's index says where it goes: keys are not compared.
 */
#include "tree/place.h"

#include "base/error.h"
#include "tree/cursor.h"
#include "tree/search.h"
#include "tree/structure.h"
#include "tree/writer.h"

#include <errno.h>
#include <string.h>

/* The first change of a larger small set makes its leaf whole. */
#define DELTA_SET_MAX (VERSION_DELTA_MAX / 8)

/* A store under way. */
struct job {
    struct writer *w;
    struct tree_state *tree;
    struct key_place *place;
    struct entry *entry; /* to be stored */
};

static bool inside(const void *pointer, const struct version *v)
{
    const uint8_t *p = pointer, *start = (const uint8_t *)v->page;
    return p >= start && p < start + v->page_bytes;
}

/* Copies inputs out of the version that is about to be edited. */
static inline void detach_input(struct job *job, const struct version *v)
{
    uint8_t *to = job->w->input;
    struct entry *e = job->entry;
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
    unsigned i = qs_leaf_search(v->page, job->tree->order.keys.built_in, job->entry->key,
                                job->entry->key_size, &found);
    if (found)
        return qs_leaf_replace(v->page, job->tree->order.keys.built_in, i, job->entry,
                               &job->w->scratch);
    return qs_leaf_insert(v->page, job->tree->order.keys.built_in, i, job->entry, &job->w->scratch);
}

/* All entries of the leaf with the new one among them, in writer->entries; *at is its index. */
static unsigned collect(struct job *job, const struct image *image, unsigned *at)
{
    struct entry *e = job->w->entries;
    unsigned n = qs_leaf_collect(image, job->tree->order.keys.built_in, e), i = 0, end = n;
    while (i < end) { /* first entry >= key */
        unsigned mid = (i + end) / 2;
        if (qs_key_compare(job->tree->order.keys.built_in, e[mid].key, e[mid].key_size,
                           job->entry->key, job->entry->key_size) < 0)
            i = mid + 1;
        else
            end = mid;
    }
    if (!job->place->exists) {
        memmove(e + i + 1, e + i, (n - i) * sizeof *e);
        n++;
    }
    e[i] = *job->entry;
    *at = i;
    return n;
}

/* A delta without room: moves to a larger class, or becomes a whole page. */
static int enlarge(struct job *job, struct version *v)
{
    struct version *bigger, *old;
    size_t wanted = v->page_bytes + bytes_of(job->entry) + VERSION_CLASS_BYTES;
    if (v->kind == VERSION_DELTA && wanted <= VERSION_DELTA_MAX) {
        bigger = qs_version_new(&job->w->view.map->versions, VERSION_DELTA, wanted * 5 / 4);
        if (bigger == NULL)
            return ENOMEM;
        bigger->base = v->base;
        bigger->merged_bytes = v->merged_bytes;
        bigger->merged_count = v->merged_count;
        unsigned n = v->page->count;
        for (unsigned i = 0; i < n; i++)
            qs_leaf_entry(v->page, i, &job->w->entries[i]);
        qs_leaf_build(bigger->page, bigger->page_bytes, job->tree->order.keys.built_in,
                      job->w->entries, n, v->page->fence);
        int rc = qs_own_set(&job->w->own, job->place->path.leaf, bigger, &old);
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
    int rc = qs_writer_replace(job->w, job->place->path.leaf, &bigger, &old);
    if (rc != 0)
        return rc;
    qs_leaf_build(bigger->page, QS_PAGE_BYTES, job->tree->order.keys.built_in, job->w->entries, n,
                  fence);
    bigger->merged_bytes = bytes;
    bigger->merged_count = count;
    qs_version_free(old);
    return 0;
}

/* ---- custom order: leaves are whole, and what has a place there keeps it (rule 9) ---- */

/* Which entry of its leaf a place is on. */
static unsigned index_of(const struct leaf_pos *place, enum key_order order)
{
    struct leaf_pos pos;
    unsigned n = 0;
    if (place->image.delta == NULL)
        return place->base_i;
    qs_leaf_first(&pos, &place->image, order);
    while (!qs_leaf_at_end(&pos) &&
           (pos.base_i != place->base_i || pos.delta_i != place->delta_i)) {
        qs_leaf_next(&pos, order);
        n++;
    }
    return n;
}

/* Makes the own version `*v` of a leaf a whole page that says so; what replaces it must be freed. */
static int make_whole(struct writer *w, const struct tree_state *tree, pageid_t pid,
                      struct version **v, struct version **replaced)
{
    struct version *from = *v;
    struct image image;
    *replaced = NULL;
    if (from->kind == VERSION_DELTA) {
        qs_writer_image(w, from, &image);
        unsigned n = qs_leaf_collect(&image, tree->order.keys.built_in, w->entries);
        int rc = qs_writer_replace(w, pid, v, replaced);
        if (rc != 0)
            return rc;
        qs_leaf_build((*v)->page, QS_PAGE_BYTES, qs_order_stored(&tree->order.keys), w->entries, n,
                      0);
        (*v)->merged_bytes = from->merged_bytes;
        (*v)->merged_count = from->merged_count;
    }
    (*v)->page->order = (uint16_t)qs_order_stored(&tree->order.keys);
    return 0;
}

/* The entry takes the place at index `at` of the whole page of `v`; false when there is no room. */
static bool edit_at(struct job *job, struct version *v, unsigned at)
{
    enum key_order order = job->tree->order.keys.built_in;
    const struct entry *old = &job->place->old, *entry = job->entry;
    if (job->place->exists && old->key_size == entry->key_size &&
        memcmp(old->key, entry->key, entry->key_size) == 0)
        return qs_leaf_replace(v->page, order, at, entry, &job->w->scratch);
    if (job->place->exists) {
        qs_leaf_remove(v->page, at);
        qs_cursors_renamed(job->tree, old, entry);
    }
    return qs_leaf_insert(v->page, order, at, entry, &job->w->scratch);
}

static int store_at(struct job *job)
{
    struct writer *w = job->w;
    pageid_t pid = job->place->path.leaf;
    unsigned at = index_of(&job->place->pos, job->tree->order.keys.built_in);
    uint8_t old_key[QS_KEY_MAX]; /* the page it lies in may go */
    struct version *v, *replaced;
    int rc = qs_writer_leaf(w, pid, true, &v);
    if (rc != 0)
        return rc;
    struct entry *old = &job->place->old;
    size_t old_bytes = job->place->exists ? bytes_of(old) : 0;
    if (job->place->exists)
        old->key = memcpy(old_key, old->key, old->key_size);
    size_t merged = v->merged_bytes + bytes_of(job->entry) - old_bytes;
    detach_input(job, v);
    rc = make_whole(w, job->tree, pid, &v, &replaced);
    qs_version_free(replaced);
    if (rc != 0)
        return rc;
    if (merged > PAGE_CAPACITY) {
        struct image image = {v->page, NULL};
        struct entry *e = w->entries;
        unsigned n = qs_leaf_collect(&image, job->tree->order.keys.built_in, e);
        if (!job->place->exists)
            memmove(e + at + 1, e + at, (n++ - at) * sizeof *e);
        else
            qs_cursors_renamed(job->tree, old, job->entry);
        e[at] = *job->entry;
        return qs_leaf_split(w, job->tree, &job->place->path, n, at);
    }
    v->merged_bytes = (uint16_t)merged;
    v->merged_count += !job->place->exists;
    job->tree->insert_pid = pid;
    job->tree->insert_index = at;
    return edit_at(job, v, at) ? 0 : QS_CORRUPT();
}

static int remove_at(struct writer *w, const struct tree_state *tree, struct key_place *place)
{
    unsigned at = index_of(&place->pos, tree->order.keys.built_in);
    size_t bytes = bytes_of(&place->old);
    struct version *v, *replaced;
    int rc = qs_writer_leaf(w, place->path.leaf, true, &v);
    if (rc == 0) {
        rc = make_whole(w, tree, place->path.leaf, &v, &replaced);
        qs_version_free(replaced);
    }
    if (rc != 0)
        return rc;
    qs_leaf_remove(v->page, at);
    v->merged_bytes = (uint16_t)(v->merged_bytes - bytes);
    v->merged_count--;
    qs_writer_image(w, v, &place->path.image);
    return 0;
}

/* Stores the entry in the leaf at the end of the path. */
static int store(struct job *job)
{
    struct version *v;
    /* A set is stored again and again, as it grows: in a delta it would pass through all its classes. */
    bool whole = (job->entry->flags & ENTRY_SET) != 0 && bytes_of(job->entry) > DELTA_SET_MAX;
    int rc = qs_writer_leaf(job->w, job->place->path.leaf, whole, &v);
    if (rc != 0)
        return rc;
    size_t old_bytes = job->place->exists ? bytes_of(&job->place->old) : 0;
    size_t merged = v->merged_bytes + bytes_of(job->entry) - old_bytes;
    detach_input(job, v);
    if (merged > PAGE_CAPACITY) {
        struct image image;
        unsigned at;
        qs_writer_image(job->w, v, &image);
        unsigned n = collect(job, &image, &at);
        return qs_leaf_split(job->w, job->tree, &job->place->path, n, at);
    }
    v->merged_bytes = (uint16_t)merged;
    v->merged_count += !job->place->exists;
    job->tree->insert_pid = job->place->path.leaf;
    job->tree->insert_index = job->place->pos.base_i + job->place->pos.delta_i;
    return edit_page(job, v) ? 0 : enlarge(job, v);
}

int qs_place_find(const struct view *view, const struct tree_state *tree, const void *key,
                  size_t key_size, struct key_place *place)
{
    int rc = qs_search(&place->path, &place->pos, view, &tree->record, &tree->order.keys, key,
                       key_size, &place->exists);
    if (rc == 0 && place->exists)
        qs_leaf_get(&place->pos, &place->old);
    return rc;
}

int qs_place_find_exact(const struct view *view, const struct tree_state *tree, const void *key,
                        size_t key_size, struct key_place *place)
{
    int rc = qs_search_exact(&place->path, &place->pos, view, &tree->record, &tree->order.keys, key,
                             key_size, &place->exists);
    if (rc == 0 && place->exists)
        qs_leaf_get(&place->pos, &place->old);
    return rc;
}

int qs_place_find_end(const struct view *view, const struct tree_state *tree,
                      struct key_place *place, struct entry *last)
{
    place->exists = false;
    last->key_size = 0;
    int rc = qs_search_end(&place->path, &place->pos, view, &tree->record,
                           tree->order.keys.built_in, last);
    return rc == QS_E_NOTFOUND ? 0 : rc;
}

int qs_place_ask_order(const struct view *view, struct tree_state *tree,
                       const struct key_place *place, const void *key, size_t key_size)
{
    const struct order *order = &tree->order.keys;
    bool agrees;
    if (order->custom) {
        tree->unlogged = true;
        return 0;
    }
    if (place->exists) {
        agrees = place->old.key_size == key_size && memcmp(place->old.key, key, key_size) == 0;
    } else {
        struct key_place there;
        int rc = qs_place_find_exact(view, tree, key, key_size, &there);
        if (rc != 0)
            return rc;
        agrees = !there.exists && there.path.leaf == place->path.leaf &&
                 there.pos.base_i == place->pos.base_i && there.pos.delta_i == place->pos.delta_i;
    }
    if (!agrees)
        qs_tree_mark_custom(tree);
    return 0;
}

bool qs_place_is_first(const struct key_place *place, enum key_order order)
{
    for (unsigned i = 0; i < place->path.steps; i++)
        if (place->path.step[i].index != 0)
            return false;
    struct leaf_pos before = place->pos;
    return !qs_leaf_prev(&before, order);
}

/* Leaves behind the key's own may be empty. */
int qs_place_is_last(const struct writer *w, const struct tree_state *tree,
                     const struct key_place *place, bool *last)
{
    struct path path = place->path;
    struct leaf_pos pos;
    *last = qs_leaf_at_end(&place->pos);
    while (*last) {
        int rc = qs_path_next(&path, &w->view);
        if (rc != 0)
            return rc == QS_E_NOTFOUND ? 0 : rc;
        *last = !qs_leaf_first(&pos, &path.image, tree->order.keys.built_in);
    }
    return 0;
}

/* Removes the entry from the writer's own version: a delta keeps a tombstone (rule 3), a whole page
 * keeps nothing. A delta without room for the tombstone becomes whole. */
static int remove_entry(struct writer *w, struct tree_state *tree, struct path *path,
                        const struct entry *old)
{
    struct version *v;
    int rc = qs_writer_leaf(w, path->leaf, false, &v);
    if (rc != 0)
        return rc;
    uint16_t merged = (uint16_t)(v->merged_bytes - qs_entry_bytes(old->key_size, old->value_size));
    uint16_t count = (uint16_t)(v->merged_count - 1);
    struct entry tombstone = {w->input, w->input, old->key_size, 0, ENTRY_TOMBSTONE};
    memcpy(w->input, old->key, old->key_size);
    bool found;
    unsigned i =
        qs_leaf_search(v->page, tree->order.keys.built_in, w->input, old->key_size, &found);
    bool done = true;
    if (v->kind == VERSION_WHOLE)
        qs_leaf_remove(v->page, i);
    else if (found)
        done = qs_leaf_replace(v->page, tree->order.keys.built_in, i, &tombstone, &w->scratch);
    else
        done = qs_leaf_insert(v->page, tree->order.keys.built_in, i, &tombstone, &w->scratch);
    if (!done) {
        struct version *whole, *replaced;
        struct image image;
        qs_writer_image(w, v, &image);
        unsigned n = 0, all = qs_leaf_collect(&image, tree->order.keys.built_in, w->entries);
        for (unsigned e = 0; e < all; e++)
            if (qs_key_compare(tree->order.keys.built_in, w->entries[e].key, w->entries[e].key_size,
                               w->input, old->key_size) != 0)
                w->entries[n++] = w->entries[e];
        unsigned fence = image.base->fence;
        rc = qs_writer_replace(w, path->leaf, &whole, &replaced);
        if (rc != 0)
            return rc;
        qs_leaf_build(whole->page, QS_PAGE_BYTES, tree->order.keys.built_in, w->entries, n, fence);
        qs_version_free(replaced);
        v = whole;
    }
    v->merged_bytes = merged;
    v->merged_count = count;
    qs_writer_image(w, v, &path->image);
    return 0;
}

int qs_place_store(struct writer *w, struct tree_state *tree, struct key_place *place,
                   struct entry *entry)
{
    struct job job = {w, tree, place, entry};
    return tree->order.keys.custom ? store_at(&job) : store(&job);
}

int qs_place_remove(struct writer *w, struct tree_state *tree, struct key_place *place)
{
    int rc = tree->order.keys.custom ? remove_at(w, tree, place)
                                     : remove_entry(w, tree, &place->path, &place->old);
    return rc == 0 ? qs_leaf_shrink(w, tree, &place->path) : rc;
}

int qs_place_shrunk(struct writer *w, struct tree_state *tree, struct key_place *place)
{
    struct version *v;
    int rc = qs_writer_leaf(w, place->path.leaf, false, &v);
    if (rc != 0)
        return rc;
    qs_writer_image(w, v, &place->path.image);
    return qs_leaf_shrink(w, tree, &place->path);
}
