/* dup_put.c - adding a value to a key that has some; see dup.h.
 *
 * A small set is built anew, with the value in it, outside of the page and then stored as any value is.
 * One that would outgrow what a leaf takes becomes a tree. The entry that owns a large set is stored
 * again with every change, since it holds the count.
 */
#include "tree/dup.h"

#include "base/error.h"
#include "page/fixed.h"
#include "tree/cursor.h"
#include "tree/writer.h"

#include <errno.h>
#include <string.h>

/* A value being added. */
struct job {
    struct writer *w;
    struct tree_state *tree;
    struct key_place *place; /* of the key */
    struct put *put;         /* the value, and flags */
    struct qs_val key;       /* as the caller has it; put->key is the stored one */
    bool fixed;              /* they have one size */
    bool last;               /* large: none follows it */
    struct set set;          /* those there are, unless the set is large */
    unsigned at;             /* where the value goes among them */
};

/* The pair is there already. */
static int refuse_or_ignore(struct job *job)
{
    job->tree->dirty = job->w->changed = true; /* LMDB has dirtied the page by then */
    return (job->put->flags & (QS_NODUPDATA | QS_APPENDDUP)) != 0 ? QS_E_KEYEXIST : 0;
}

/* Stores the key with a new value, `added` duplicates more than before. */
static int store(struct job *job, const void *value, size_t size, unsigned flags, unsigned added)
{
    struct entry entry = {job->put->key, value, (uint16_t)job->put->key_size, (uint16_t)size,
                          (uint8_t)flags};
    job->tree->dirty = job->w->changed = true;
    int rc = qs_place_store(job->w, job->tree, job->place, &entry);
    job->put->key = entry.key; /* the old place may be gone */
    if (rc == 0)
        job->tree->record.entries += added;
    return rc;
}

static int store_tree(struct job *job, const struct tree_state *sub, unsigned added)
{
    if (sub->order.keys.custom && !job->tree->order.dups.custom)
        qs_tree_mark_custom_dups(job->tree);
    int rc = store(job, &sub->record, sizeof sub->record, ENTRY_SET_TREE, added);
    if (rc == 0 && job->last)
        qs_dup_remember(job->w, job->tree, job->put, sub->insert_pid);
    return rc;
}

/* Puts the value into a large set. */
static int add_to_tree(struct job *job, struct tree_state *sub)
{
    bool append = (job->put->flags & QS_APPENDDUP) != 0;
    const struct qs_val *value = &job->put->value;
    if (job->fixed)
        return qs_fixed_put(job->w, sub, value, append, &job->last);
    struct put put = {.key = value->data,
                      .key_size = value->size,
                      .value = {0, value->data},
                      .flags = append ? QS_APPEND : QS_NOOVERWRITE};
    int rc = qs_tree_put(job->w, sub, &put);
    job->last = put.last;
    return rc;
}

/* ---- a value found equal to one of other bytes, whose place it takes (as LMDB has it) ---- */

static bool overwrites(const struct job *job)
{
    return qs_order_asks(&job->tree->order.dups) &&
           (job->put->flags & (QS_NODUPDATA | QS_APPENDDUP)) == 0;
}

/* Whether that is so; only among values of one size, as where they are packed LMDB knows no other. */
static bool differs(const struct job *job, const struct qs_val *old)
{
    const struct qs_val *value = &job->put->value;
    return value->size == old->size && memcmp(value->data, old->data, old->size) != 0;
}

static void move_cursors(const struct job *job, const struct qs_val *old)
{
    const struct qs_val key = {job->put->key_size, job->put->key};
    qs_cursors_dup_moved(job->tree, &key, old, &job->put->value);
}

static int overwrite_in_large(struct job *job, struct tree_state *sub)
{
    const struct qs_val *value = &job->put->value;
    struct key_place place;
    struct version *v;
    uint8_t copy[QS_KEY_MAX]; /* the value may lie in the page */
    int rc = qs_place_find(&job->w->view, sub, value->data, value->size, &place);
    const struct qs_val old = {place.old.key_size, place.old.key};
    if (rc != 0 || !differs(job, &old))
        return rc != 0 ? rc : refuse_or_ignore(job);
    move_cursors(job, &old);
    struct entry entry = {memcpy(copy, value->data, value->size), copy, (uint16_t)value->size, 0,
                          0};
    rc = qs_place_check_order(&job->w->view, sub, &place, value->data, value->size);
    if (rc == 0 && !job->fixed) {
        rc = qs_place_store(job->w, sub, &place, &entry);
    } else if (rc == 0) {
        rc = qs_writer_leaf(job->w, place.path.leaf, true, &v);
        if (rc == 0)
            qs_fixed_replace(v->page, place.pos.base_i, copy, qs_order_stored(&sub->order.keys));
    }
    return rc == 0 ? store_tree(job, sub, 0) : rc;
}

static int overwrite_in_small(struct job *job)
{
    uint8_t with[ENTRY_INLINE_MAX + QS_KEY_MAX + SET_END_BYTES], bytes[ENTRY_INLINE_MAX];
    const struct qs_val *value = &job->put->value;
    const struct qs_val old = qs_set_item(&job->set, job->at);
    struct set both;
    if (!differs(job, &old))
        return refuse_or_ignore(job);
    move_cursors(job, &old);
    if ((job->place->old.flags & ENTRY_DUPS) == 0)
        return store(job, value->data, value->size, 0, 0);
    size_t size = qs_set_insert(with, &job->set, job->at, *value, job->set.ends == NULL);
    qs_set_open(&both, with, size);
    size = qs_set_remove(bytes, &both, job->at + 1);
    return store(job, bytes, size, ENTRY_SET, 0);
}

/* A small set that grows is stored anew with the key it came with, if that is but equal to the old one. */
static void use_callers_key(struct job *job)
{
    if (job->fixed && (job->place->old.flags & ENTRY_DUPS) != 0)
        return; /* LMDB keeps room for more */
    job->put->key = job->key.data;
    job->put->key_size = job->key.size;
}

static int add_to_large(struct job *job)
{
    struct tree_state sub;
    qs_dup_open(&sub, job->tree, &job->place->old);
    if (job->put->value.size == 0 || (job->fixed && job->put->value.size != sub.record.pad))
        return QS_E_BAD_VALSIZE;
    int rc = add_to_tree(job, &sub);
    if (rc == QS_E_KEYEXIST)
        return overwrites(job) ? overwrite_in_large(job, &sub) : refuse_or_ignore(job);
    return rc == 0 ? store_tree(job, &sub, 1) : rc;
}

/* The state of a large set to be, in the order of the small one. */
static void start_tree(const struct job *job, struct tree_state *sub)
{
    const struct order *order = &job->tree->order.dups;
    *sub = (struct tree_state){.insert_pid = QS_PAGEID_NONE, .append_pid = QS_PAGEID_NONE};
    sub->record.root = TREE_ROOT_NONE;
    sub->order.keys = *order;
    sub->order.keys.whole = order->custom;
}

/* A small set that would grow too large becomes a tree. */
static int make_large(struct job *job)
{
    struct tree_state sub;
    int rc = 0;
    start_tree(job, &sub);
    if (job->fixed)
        rc = qs_fixed_plant(job->w, &sub, job->set.item_size, job->set.items, job->set.count);
    for (unsigned i = 0; rc == 0 && !job->fixed && i < job->set.count; i++) {
        struct qs_val item = qs_set_item(&job->set, i);
        struct put put = {.key = item.data,
                          .key_size = item.size,
                          .value = {0, item.data},
                          .flags = QS_APPEND,
                          .behind = true};
        rc = qs_tree_put(job->w, &sub, &put);
    }
    if (rc == 0)
        rc = add_to_tree(job, &sub);
    return rc == 0 ? store_tree(job, &sub, 1) : rc;
}

/* Stores the key with a small set of what it had and, where `value` is not NULL, that. */
static int store_small(struct job *job, const struct qs_val *value)
{
    uint8_t bytes[ENTRY_INLINE_MAX];
    struct set none = job->set;
    size_t size;
    if (value != NULL) {
        size = qs_set_insert(bytes, &job->set, job->at, *value, job->fixed);
    } else {
        none.count = 0;
        size = qs_set_insert(bytes, &none, 0, qs_set_item(&job->set, 0), job->fixed);
    }
    int rc = store(job, bytes, size, ENTRY_SET, value != NULL);
    if (rc == 0 && job->fixed)
        qs_dup_remember(job->w, job->tree, job->put, job->tree->insert_pid);
    return rc;
}

/* A value below the last, which was to be appended. A value that stood alone has become a set by the time
 * LMDB finds out. */
static int refuse_append(struct job *job)
{
    bool alone = (job->place->old.flags & ENTRY_DUPS) == 0 && job->set.item_size > 0;
    int rc = alone ? store_small(job, NULL) : 0;
    return rc == 0 ? refuse_or_ignore(job) : rc;
}

/* Finds the value's place in a small set. Where the program is asked, who appends is asked about the last one
 * only, and gets that one's place when the value does not belong behind it. */
static void find_in_small(struct job *job, bool *found)
{
    const struct qs_val *value = &job->put->value;
    const struct order *order = &job->tree->order.dups;
    const struct set *set = &job->set;
    bool append = (job->put->flags & QS_APPENDDUP) != 0, there;
    if (!append || !qs_order_asks(order)) {
        job->at = qs_order_search_set(order, set, value, found);
    } else {
        struct qs_val last = qs_set_item(set, set->count - 1u);
        int difference = qs_order_compare(order, value->data, value->size, last.data, last.size);
        *found = difference == 0;
        job->at = set->count - (difference <= 0);
    }
    if (order->custom || !qs_order_asks(order) || (append && job->at < set->count))
        return;
    unsigned at = qs_set_search(set, order->built_in, value->data, value->size, &there);
    if (at != job->at || there != *found)
        qs_tree_mark_custom_dups(job->tree);
}

static int add_to_small(struct job *job)
{
    const struct qs_val *value = &job->put->value;
    bool found;
    qs_dup_set(&job->set, &job->place->old);
    bool empty = job->set.count == 1 && qs_set_item(&job->set, 0).size == 0;
    if (job->fixed && value->size != job->set.item_size && !empty)
        return QS_E_BAD_VALSIZE;
    find_in_small(job, &found);
    if (found)
        return overwrites(job) ? overwrite_in_small(job) : refuse_or_ignore(job);
    if (value->size == 0)
        return QS_E_BAD_VALSIZE;
    if ((job->put->flags & QS_APPENDDUP) != 0 && job->at < job->set.count)
        return refuse_append(job);
    use_callers_key(job);
    if (empty) /* it stands for none as soon as there is another, as LMDB has it */
        return store(job, value->data, value->size, 0, 0);
    if (job->put->key_size + qs_set_grown(&job->set, value->size, job->fixed) > ENTRY_INLINE_MAX)
        return make_large(job);
    return store_small(job, value);
}

int qs_dup_add(struct writer *w, struct tree_state *tree, struct key_place *place, struct put *put)
{
    struct job job = {.w = w, .tree = tree, .place = place, .put = put};
    job.fixed = (tree->record.flags & QS_DUPFIXED) != 0;
    if ((put->flags & QS_RESERVE) != 0)
        return EINVAL;
    if ((place->old.flags & (ENTRY_LARGE | ENTRY_TREE)) != 0)
        return QS_CORRUPT();
    int rc = qs_cursors_save(tree);
    if (rc != 0)
        return rc;
    job.key = (struct qs_val){put->key_size, put->key};
    put->key = place->old.key; /* which may be an equal one */
    put->key_size = place->old.key_size;
    tree->unlogged |= tree->order.dups.custom;
    return (place->old.flags & ENTRY_SET_TREE) != 0 ? add_to_large(&job) : add_to_small(&job);
}
