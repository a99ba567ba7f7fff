/* replica.c - committed trees and the life of a process's picture; see replica.h.
 *
 * Invariant: R2 a tree without a chain was changed by no transaction of this replica, so its record
 *            in the main tree is the same for every snapshot the replica serves, and whoever loads it
 *            first loads it for all. The writer loads a tree's chain before it changes the tree.
 */
#include "txn/replica.h"

#include "base/error.h"
#include "base/vector.h"
#include "base/zeroed.h"
#include "tree/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct tree_version *new_version(uint32_t index, const struct tree_record *record,
                                        bool exists, txnid_t txn)
{
    struct tree_version *v = qs_zeroed(sizeof *v);
    if (v == NULL)
        return NULL;
    v->txn = txn;
    v->exists = exists;
    v->index = index;
    if (exists) {
        v->record = *record;
        qs_tree_orders(&v->order, record);
    }
    return v;
}

static int head_slot(struct replica *r, uint32_t index, _Atomic(struct tree_version *) **slot)
{
    /* acquire: pairs with the release below; the chunk is zeroed */
    _Atomic(struct tree_version *) *chunk =
        atomic_load_explicit(&r->head[index / TREE_CHUNK], memory_order_acquire);
    if (chunk == NULL) {
        _Atomic(struct tree_version *) *fresh = calloc(TREE_CHUNK, sizeof *fresh);
        if (fresh == NULL)
            return ENOMEM;
        if (atomic_compare_exchange_strong_explicit(&r->head[index / TREE_CHUNK], &chunk, fresh,
                                                    memory_order_acq_rel, memory_order_acquire))
            chunk = fresh;
        else
            free(fresh);
    }
    *slot = &chunk[index % TREE_CHUNK];
    return 0;
}

static void take_meta(struct replica *r, const struct meta *meta)
{
    struct latest *latest = &r->latest;
    r->meta = *meta;
    atomic_store(&r->checkpoint, meta->checkpoint);
    atomic_store(&r->txn, meta->txn);
    atomic_store(&r->linking, false);
    atomic_store(&r->map_pgno, meta->map.pgno);
    atomic_store(&r->map_levels, meta->map.levels);
    atomic_store(&r->used_pages, meta->used_pages);
    atomic_store(&r->applied, meta->txn);
    latest->txn = meta->txn;
    latest->next_pid = meta->next_pid;
    latest->free_pid = meta->free_pid;
    latest->free_pids = meta->free_pids;
    latest->used_pages = meta->used_pages;
    latest->map_size_bytes = meta->map_size_bytes;
    latest->freed_count = latest->released_count = latest->runs_count = latest->taken_count = 0;
    latest->freed_least = 0;
    latest->released_pages = 0;
    qs_recycle_reset(&latest->recycle, meta->log.position);
}

int qs_replica_open(struct store *store, const struct meta *meta, struct replica *reuse,
                    const struct replica *before, struct replica **out)
{
    _Atomic(struct tree_version *) *slot;
    /* `users` of a struct used again is left alone: late comers count themselves in and out. */
    struct replica *r = reuse != NULL ? reuse : calloc(1, sizeof *r);
    if (r == NULL)
        return ENOMEM;
    bool next = before != NULL && before->meta.checkpoint + 1 == meta->checkpoint;
    r->store = store;
    take_meta(r, meta);
    qs_retire_init(&r->retire, free);
    r->log.run = qs_store_run;
    r->log.store = store;
    int rc = qs_log_open(&r->log, &meta->log, meta->checkpoint, meta->txn);
    if (rc == 0)
        rc = qs_cache_open(&r->cache, store, &meta->map, next ? &before->cache.map : NULL);
    if (rc != 0)
        goto err_after_alloc;
    struct tree_version *main_tree = new_version(0, &meta->main, true, 0);
    rc = main_tree != NULL ? head_slot(r, 0, &slot) : ENOMEM;
    if (rc != 0)
        goto err_after_cache;
    atomic_init(slot, main_tree);
    r->retired = false;
    *out = r;
    return 0;

err_after_cache:
    free(main_tree);
    qs_replica_empty(r);
err_after_alloc:
    qs_log_close(&r->log);
    if (reuse == NULL)
        free(r);
    return rc;
}

void qs_replica_empty(struct replica *r)
{
    for (size_t i = 0; i < TREES_MAX / TREE_CHUNK; i++) {
        _Atomic(struct tree_version *) *chunk =
            atomic_load_explicit(&r->head[i], memory_order_relaxed);
        for (size_t j = 0; chunk != NULL && j < TREE_CHUNK; j++) {
            struct tree_version *v = atomic_load_explicit(&chunk[j], memory_order_relaxed);
            while (v != NULL) {
                struct tree_version *older = atomic_load_explicit(&v->older, memory_order_relaxed);
                free(v);
                v = older;
            }
        }
        free((void *)chunk);
        atomic_store_explicit(&r->head[i], NULL, memory_order_relaxed);
    }
    qs_retire_close(&r->retire);
    qs_cache_close(&r->cache);
    qs_log_close(&r->log);
    qs_ahead_free(atomic_exchange(&r->ahead, NULL));
    free(r->latest.freed);
    free(r->latest.released);
    free(r->latest.runs);
    free(r->latest.taken);
    qs_recycle_free(&r->latest.recycle);
    memset(&r->latest, 0, sizeof r->latest);
    r->retired = true;
}

void qs_replica_free(struct replica *r)
{
    if (r == NULL)
        return;
    if (!r->retired)
        qs_replica_empty(r);
    free(r);
}

#define AHEAD_KEPT 65536u /* entries */

void qs_replica_renew_ahead(struct replica *r, unsigned behind)
{
    /* relaxed: changed by who holds follow_lock */
    struct ahead *ahead = atomic_load_explicit(&r->ahead, memory_order_relaxed), *fresh;
    if (ahead == NULL)
        return;
    /* Who began after it was replaced uses the new one; whoever began before is counted. */
    if (behind == 0) {
        qs_ahead_free(ahead->retired);
        ahead->retired = NULL;
    }
    if (ahead->count < AHEAD_KEPT || ahead->retired != NULL || (fresh = qs_ahead_new()) == NULL)
        return;
    fresh->retired = ahead;
    /* seq_cst: a reader that takes the old one has shown itself before the next scan */
    atomic_store(&r->ahead, fresh);
}

void qs_replica_state(struct replica *r, struct replica_state *state)
{
    do {
        /* acquire: pairs with the release of the even number; what it covers is linked */
        /* seq_cst: the second look at a state comes after the slot was published (rule 5) */
        state->sequence = atomic_load(&r->sequence);
        state->checkpoint = atomic_load_explicit(&r->checkpoint, memory_order_acquire);
        state->txn = atomic_load_explicit(&r->txn, memory_order_acquire);
        state->linking = atomic_load_explicit(&r->linking, memory_order_acquire);
        state->map.pgno = atomic_load_explicit(&r->map_pgno, memory_order_acquire);
        state->map.levels = atomic_load_explicit(&r->map_levels, memory_order_acquire);
        /* acquire loads above: this load comes after them */
    } while ((state->sequence & 1) != 0 ||
             atomic_load_explicit(&r->sequence, memory_order_acquire) != state->sequence);
}

void qs_replica_advance(struct replica *r, const struct meta *meta)
{
    uint64_t sequence = atomic_load_explicit(&r->sequence, memory_order_relaxed);
    /* seq_cst, all of them: once per checkpoint, and they order against the slots' publication */
    atomic_store(&r->sequence, sequence + 1);
    take_meta(r, meta);
    /* Cannot fail: there is room for one segment, since one is needed to have a log at all. */
    qs_log_open(&r->log, &meta->log, meta->checkpoint, meta->txn);
    atomic_store(&r->sequence, sequence + 2);
}

/* Drops the first `count` of `*total` elements. */
static void drop_first(void *elements, size_t *total, size_t count, size_t size)
{
    *total -= count;
    if (count > 0 && *total > 0)
        memmove(elements, (char *)elements + count * size, *total * size);
}

void qs_replica_pass(struct replica *r, const struct meta *meta, const struct passed *passed)
{
    struct latest *latest = &r->latest;
    uint64_t sequence = atomic_load_explicit(&r->sequence, memory_order_relaxed);
    /* seq_cst, as in qs_replica_advance() */
    atomic_store(&r->sequence, sequence + 1);
    latest->used_pages +=
        meta->map.nodes + meta->bitmap.nodes - r->meta.map.nodes - r->meta.bitmap.nodes;
    r->meta = *meta;
    atomic_store(&r->checkpoint, meta->checkpoint);
    atomic_store(&r->txn, latest->txn);
    atomic_store(&r->linking, true);
    atomic_store(&r->map_pgno, meta->map.pgno);
    atomic_store(&r->map_levels, meta->map.levels);
    atomic_store(&r->used_pages, latest->used_pages);
    for (size_t i = 0; i < passed->released; i++)
        latest->released_pages -= latest->released[i].pages;
    drop_first(latest->released, &latest->released_count, passed->released,
               sizeof *latest->released);
    drop_first(latest->runs, &latest->runs_count, passed->runs, sizeof *latest->runs);
    latest->taken_count = 0;
    qs_recycle_pass(&latest->recycle, meta->txn, meta->log.position);
    if (latest->freed_least > 0) { /* chained by the checkpoint, one in front of the other */
        latest->free_pid = latest->freed[latest->freed_least - 1];
        latest->free_pids += latest->freed_least;
        drop_first(latest->freed, &latest->freed_count, latest->freed_least, sizeof *latest->freed);
    }
    qs_log_pass(&r->log, &meta->log, meta->checkpoint);
    atomic_store(&r->sequence, sequence + 2);
}

void qs_replica_linked(struct replica *r)
{
    uint64_t sequence = atomic_load_explicit(&r->sequence, memory_order_relaxed);
    /* seq_cst, as in qs_replica_advance() */
    atomic_store(&r->sequence, sequence + 1);
    atomic_store(&r->linking, false);
    atomic_store(&r->sequence, sequence + 2);
}

int qs_replica_take(struct replica *r, const void *payload, size_t size)
{
    struct latest *latest = &r->latest;
    struct log_taken taken;
    if (size < sizeof taken)
        return QS_CORRUPT();
    memcpy(&taken, payload, sizeof taken);
    const uint8_t *at = (const uint8_t *)payload + sizeof taken;
    if (taken.count != (size - sizeof taken) / sizeof(struct log_link))
        return QS_CORRUPT();
    if (taken.checkpoint <= r->meta.checkpoint)
        return 0; /* that one is done */
    int rc = qs_vector_reserve((void **)&latest->taken, &latest->taken_capacity,
                               latest->taken_count + taken.count, sizeof *latest->taken);
    for (uint64_t i = 0; rc == 0 && i < taken.count; i++) {
        struct log_link run;
        memcpy(&run, at + i * sizeof run, sizeof run);
        latest->taken[latest->taken_count++] =
            (struct pending_run){run.pgno, taken.checkpoint, taken.checkpoint, run.pages};
    }
    return rc;
}

int qs_replica_make_room(struct replica *r, const struct writer *w)
{
    struct latest *latest = &r->latest;
    int rc = qs_vector_reserve((void **)&latest->freed, &latest->freed_capacity,
                               w->spare_count + w->freed_count, sizeof *latest->freed);
    if (rc == 0)
        rc =
            qs_vector_reserve((void **)&latest->released, &latest->released_capacity,
                              latest->released_count + w->released_count, sizeof *latest->released);
    if (rc == 0)
        rc = qs_vector_reserve((void **)&latest->runs, &latest->runs_capacity,
                               latest->runs_count + w->allocated_count, sizeof *latest->runs);
    return rc == 0
               ? qs_recycle_make_room(&latest->recycle, w->released_count + 2 * w->allocated_count)
               : rc;
}

/* What it released: to the list of what may be used again, or to wait for a checkpoint. */
static void leave_released(struct replica *r, const struct writer *w)
{
    struct latest *latest = &r->latest;
    for (size_t i = 0; i < w->released_count; i++) {
        struct pending_run run = w->released[i];
        if (run.freed == RUN_FREED &&
            qs_recycle_add(&latest->recycle, &run, r->log.end.position, w->txn))
            continue;
        run.freed = 0;
        latest->released_pages += run.pages;
        latest->released[latest->released_count++] = run;
    }
}

/* Large values. Who did the changes took runs off the list himself; several transactions that are done again as
 * one may have placed what another of them released: the positions are right for all of them. */
static void leave_runs(struct replica *r, const struct writer *w)
{
    struct latest *latest = &r->latest;
    struct recycle *recycle = &latest->recycle;
    bool followed = w->recycle == NULL;
    for (size_t i = 0; followed && i < w->allocated_count; i++)
        qs_recycle_placed(recycle, w->allocated[i].pgno, recycle->position, true);
    leave_released(r, w);
    for (size_t i = 0; i < w->allocated_count; i++) {
        const struct pending_run *run = &w->allocated[i];
        bool reused = run->born == RUN_REUSED;
        latest->runs[latest->runs_count++] = *run;
        if (!followed)
            qs_recycle_placed(recycle, run->pgno, recycle->position, false);
        else if (reused)
            qs_recycle_cut(recycle, run->pgno, run->pages);
        latest->reused += followed && reused;
    }
    recycle->position = r->log.end.position;
}

void qs_replica_leave(struct replica *r, const struct writer *w, uint64_t map_size_bytes)
{
    struct latest *latest = &r->latest;
    latest->txn = w->txn;
    latest->next_pid = w->next_pid;
    latest->free_pid = w->free_pid;
    latest->free_pids = w->free_pids;
    latest->used_pages = w->used_pages;
    if (map_size_bytes > latest->map_size_bytes)
        latest->map_size_bytes = map_size_bytes;
    latest->freed_count = w->spare_count;
    if (latest->freed_least > w->spare_count)
        latest->freed_least = w->spare_count;
    for (size_t i = 0; i < w->freed_count; i++)
        latest->freed[latest->freed_count++] = w->freed[i];
    leave_runs(r, w);
    atomic_store(&r->used_pages, w->used_pages);
    /* release: a reader that finds it applied finds what it linked */
    atomic_store_explicit(&r->applied, w->txn, memory_order_release);
}

static int record_of_entry(const struct entry *entry, struct tree_record *record)
{
    if ((entry->flags & ENTRY_TREE) == 0)
        return QS_E_INCOMPATIBLE;
    if (entry->value_size != sizeof *record)
        return QS_CORRUPT();
    memcpy(record, entry->value, sizeof *record);
    return 0;
}

/* Loads a tree that has no chain (R2). */
static int load_tree(struct replica *r, const struct view *view, const struct qs_tree *tree,
                     _Atomic(struct tree_version *) *slot)
{
    const struct tree_version *main_tree;
    struct tree_record record;
    struct entry entry;
    static const struct qs_tree main_name = {.index = 0};
    /* A write transaction's own changes are not committed: look with the committed view. */
    struct view committed = *view;
    committed.own = NULL;
    int rc = qs_replica_tree(r, &committed, &main_name, &main_tree);
    if (rc == 0)
        rc = qs_tree_find(&committed, &main_tree->record, &main_tree->order.keys, tree->name,
                          tree->size, &entry);
    if (rc == 0)
        rc = record_of_entry(&entry, &record);
    if (rc != 0)
        return rc;
    struct tree_version *loaded = new_version(tree->index, &record, true, 0), *expected = NULL;
    if (loaded == NULL)
        return ENOMEM;
    /* release: readers that take the head see the record */
    if (!atomic_compare_exchange_strong_explicit(slot, &expected, loaded, memory_order_acq_rel,
                                                 memory_order_acquire))
        free(loaded);
    return 0;
}

/* The version that a view sees, which stays where it is as long as the snapshot is in use (C1); NULL: the tree
 * does not exist for it. */
static const struct tree_version *tree_of_slot(const struct view *view,
                                               _Atomic(struct tree_version *) *slot)
{
    qs_inside_enter(view->inside);
    struct tree_version *v = atomic_load_explicit(slot, memory_order_acquire);
    while (v != NULL && v->txn > view->snapshot)
        v = atomic_load_explicit(&v->older, memory_order_acquire);
    if (v != NULL && !v->exists)
        v = NULL;
    qs_inside_leave(view->inside);
    return v;
}

int qs_replica_tree(struct replica *r, const struct view *view, const struct qs_tree *tree,
                    const struct tree_version **version)
{
    _Atomic(struct tree_version *) *slot;
    *version = NULL;
    int rc = head_slot(r, tree->index, &slot);
    if (rc != 0)
        return rc;
    if (atomic_load_explicit(slot, memory_order_relaxed) == NULL) {
        rc = load_tree(r, view, tree, slot);
        if (rc != 0)
            return rc;
    }
    *version = tree_of_slot(view, slot);
    return *version != NULL ? 0 : QS_E_NOTFOUND;
}

int qs_replica_prepare(struct replica *r, struct tree_change *change,
                       const struct tree_record *record, bool exists, txnid_t txn)
{
    _Atomic(struct tree_version *) *slot;
    int rc = head_slot(r, change->tree->index, &slot);
    if (rc != 0)
        return rc;
    change->fresh = new_version(change->tree->index, record, exists, txn);
    bool has_chain = atomic_load_explicit(slot, memory_order_relaxed) != NULL;
    change->bottom = has_chain ? NULL : new_version(change->tree->index, NULL, false, 0);
    return change->fresh == NULL || (change->bottom == NULL && !has_chain) ? ENOMEM : 0;
}

void qs_replica_forget(struct tree_change *change)
{
    free(change->fresh);
    free(change->bottom);
    change->fresh = change->bottom = NULL;
}

void qs_replica_publish(struct replica *r, struct tree_change *change, struct live live)
{
    _Atomic(struct tree_version *) *slot;
    if (head_slot(r, change->tree->index, &slot) != 0)
        return; /* cannot be: qs_replica_prepare() made it */
    struct tree_version *head = atomic_load_explicit(slot, memory_order_relaxed), *v, *newer;
    if (head == NULL) {
        head = change->bottom;
        change->bottom = NULL;
    }
    /* As versions of pages (C1 in cache.c). */
    for (newer = head; (v = atomic_load_explicit(&newer->older, memory_order_relaxed)) != NULL;) {
        if (!qs_live_all_past(live, (struct stamp){v->txn, 0}, (struct stamp){newer->txn, 0})) {
            newer = v;
            continue;
        }
        atomic_store_explicit(&newer->older, atomic_load_explicit(&v->older, memory_order_relaxed),
                              memory_order_release);
        qs_retire_add(&r->retire, v);
    }
    atomic_init(&change->fresh->older, head);
    /* release: readers that take the head see the record */
    atomic_store_explicit(slot, change->fresh, memory_order_release);
    free(change->bottom);
    change->fresh = change->bottom = NULL;
}
