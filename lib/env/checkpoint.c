/* checkpoint.c - writing a transaction's changes to the file and making them the newest state.
 *
 * Order (engine §6): images of dirty pages, map array, free space; flush; meta page of the other slot;
 * flush; only then is anything linked and visible. Before the meta page is written a failure takes
 * everything back; from then on the state of the file is not known, and the environment is failed.
 * Invariants: K1 no page that the last durable checkpoint refers to is written (QS_NOSYNC: the previous
 *             one).
 *             K2 once the meta page is out, nothing can fail for want of memory: versions are
 *             allocated before.
 */
#include "env/env.h"

#include "base/error.h"
#include "os/hook.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A checkpoint under way. */
struct job {
    struct core *core;
    struct qs_txn *txn;
    struct writer *w;
    struct batch batch;         /* images on their way */
    struct meta meta;           /* to be written */
    struct placement *place;    /* dirty pages by page id */
    struct version **version;   /* their own versions, in the same order */
    size_t count;               /* how many */
    struct tree_change *change; /* changed trees */
    size_t change_count;
    uint64_t run_pgno, run_left; /* allocated pages not used yet */
};

static int by_pid(const void *a, const void *b)
{
    const struct own_slot *x = a, *y = b;
    return (x->pid > y->pid) - (x->pid < y->pid);
}

/* Lists the own versions in page id order: key order for what was loaded in key order. */
static int collect_pages(struct job *job)
{
    const struct own *own = &job->w->own;
    struct own_slot *slots = malloc((own->count + 1) * sizeof *slots);
    job->place = calloc(own->count + 1, sizeof *job->place);
    job->version = malloc((own->count + 1) * sizeof(struct version *));
    if (slots == NULL || job->place == NULL || job->version == NULL) {
        free(slots);
        return ENOMEM;
    }
    for (size_t i = 0; i < own->capacity; i++)
        if (own->slot[i].version != NULL)
            slots[job->count++] = own->slot[i];
    qsort(slots, job->count, sizeof *slots, by_pid);
    for (size_t i = 0; i < job->count; i++) {
        job->place[i].pid = slots[i].pid;
        job->version[i] = slots[i].version;
    }
    free(slots);
    return 0;
}

/* The file page that the previous checkpoint has for a page is released. */
static int release_old(struct job *job, pageid_t pid)
{
    uint64_t word;
    if (pid >= job->txn->replica->meta.next_pid)
        return 0;
    int rc = qs_map_base(job->w->view.map, pid, &word);
    if (rc == QS_E_PAGE_NOTFOUND) /* a page id used for the first time */
        return 0;
    if (rc != 0 || (word & MAP_WORD_FREE) != 0)
        return rc;
    uint64_t pgno = word & MAP_WORD_PGNO;
    const struct page *old = qs_store_page(job->core->store, pgno);
    if (old == NULL)
        return QS_CORRUPT();
    return qs_space_release(&job->core->space, pgno, 1, old->checkpoint, job->meta.checkpoint);
}

/* One page for an image; taken from runs as long as the free space gives them. */
static int next_pgno(struct job *job, size_t wanted, uint64_t *pgno)
{
    if (job->run_left == 0) {
        int rc = qs_space_allocate_some(&job->core->space, wanted, &job->run_pgno, &job->run_left);
        if (rc != 0)
            return rc;
    }
    job->run_left--;
    *pgno = job->run_pgno++;
    return 0;
}

static int write_image(struct job *job, const struct version *v, pageid_t pid, uint64_t pgno)
{
    struct page *image;
    struct image merged;
    int rc = qs_batch_page(&job->batch, pgno, &image);
    if (rc != 0)
        return rc;
    qs_writer_image(job->w, v, &merged);
    if (merged.base->kind == PAGE_INNER) {
        memcpy(image, merged.base, QS_PAGE_BYTES);
    } else {
        /* Rebuilt even when whole, so that records lie packed and in key order. */
        enum key_order order = (enum key_order)merged.base->order;
        unsigned n = qs_leaf_collect(&merged, order, job->w->entries);
        qs_leaf_build(image, QS_PAGE_BYTES, order, job->w->entries, n, merged.base->fence);
        assert(qs_page_used(image) == v->merged_bytes && n == v->merged_count); /* W2 */
    }
    image->pid = pid;
    image->checkpoint = job->meta.checkpoint;
    return 0;
}

static int write_pages(struct job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        struct placement *place = &job->place[i];
        const struct version *v = job->version[i];
        int rc = release_old(job, place->pid);
        if (rc != 0)
            return rc;
        if (v->kind == VERSION_FREED)
            continue; /* its word is made with the chain of free page ids */
        uint64_t pgno;
        rc = next_pgno(job, job->count - i, &pgno);
        if (rc == 0)
            rc = write_image(job, v, place->pid, pgno);
        if (rc != 0)
            return rc;
        place->word = pgno;
    }
    if (job->run_left == 0)
        return 0;
    return qs_space_free(&job->core->space, job->run_pgno, job->run_left);
}

static struct placement *find_place(struct job *job, pageid_t pid)
{
    size_t low = 0, high = job->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (job->place[middle].pid < pid)
            low = middle + 1;
        else
            high = middle;
    }
    assert(low < job->count && job->place[low].pid == pid);
    return &job->place[low];
}

/* Page ids given back go in front of the chain of free ones. */
static void chain_free_pids(struct job *job)
{
    const struct writer *w = job->w;
    job->meta.free_pid = w->free_pid;
    job->meta.free_pids = w->free_pids + w->freed_count;
    for (size_t i = 0; i < w->freed_count; i++) {
        find_place(job, w->freed[i])->word = MAP_WORD_FREE | job->meta.free_pid;
        job->meta.free_pid = w->freed[i];
    }
    job->meta.next_pid = w->next_pid;
}

static int release_runs(struct job *job)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < job->w->released_count; i++) {
        const struct pending_run *run = &job->w->released[i];
        rc = qs_space_release(&job->core->space, run->pgno, run->pages, run->born,
                              job->meta.checkpoint);
    }
    return rc;
}

/* ---- the map array ---- */

static int map_allocate(void *context, uint64_t *pgno)
{
    struct job *job = context;
    return qs_space_allocate(&job->core->space, 1, pgno);
}

static int map_release(void *context, uint64_t pgno, uint64_t born)
{
    struct job *job = context;
    return qs_space_release(&job->core->space, pgno, 1, born, job->meta.checkpoint);
}

/* Leaves come ascending, as the placements do, but each is looked up: leaves are few. */
static void map_fill(void *context, uint64_t leaf, uint64_t *words)
{
    struct job *job = context;
    size_t low = 0, high = job->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (job->place[middle].pid / ARRAY_FANOUT < leaf)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < job->count && job->place[low].pid / ARRAY_FANOUT == leaf; low++)
        words[job->place[low].pid % ARRAY_FANOUT] = job->place[low].word;
}

static int write_map(struct job *job)
{
    uint64_t *leaves = malloc((job->count + 1) * sizeof *leaves);
    size_t count = 0;
    if (leaves == NULL)
        return ENOMEM;
    for (size_t i = 0; i < job->count; i++) {
        uint64_t leaf = job->place[i].pid / ARRAY_FANOUT;
        if (count == 0 || leaves[count - 1] != leaf)
            leaves[count++] = leaf;
    }
    struct array_update update = {&job->batch,  job->meta.checkpoint, 0,       job,
                                  map_allocate, map_release,          map_fill};
    int rc = qs_array_update(job->core->store, &job->meta.map, leaves, count, &update);
    free(leaves);
    return rc;
}

/* ---- the whole ---- */

static int collect_trees(struct job *job)
{
    struct qs_txn *txn = job->txn;
    job->change = calloc(txn->tree_count + 1, sizeof *job->change);
    if (job->change == NULL)
        return ENOMEM;
    for (uint32_t i = 0; i < txn->tree_count; i++) {
        struct txn_tree *state = txn->tree[i];
        if (state == NULL || !state->state.dirty)
            continue;
        struct tree_change *change = &job->change[job->change_count++];
        change->tree = qs_names_at(txn->names, i);
        int rc =
            qs_replica_prepare(txn->replica, change, &state->state.record, state->exists, txn->id);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Pages below the high water may have been allocated and given back unwritten: the file has them all
 * the same, and the map covers it. */
static int cover_high_water(struct job *job)
{
    struct store *store = job->core->store;
    uint64_t pages = job->meta.high_water;
    int rc = 0;
    if (qs_store_map(store)->pages < pages)
        rc = qs_store_map_reserve(store, pages * 2);
    if (rc == 0 && !qs_store_reaches(store, 0, pages))
        rc = store->io->truncate(store->file, pages << QS_PAGE_SHIFT);
    return rc;
}

/* Everything that goes to the file before the meta page. */
static int write_all(struct job *job)
{
    struct core *core = job->core;
    int rc = write_pages(job);
    if (rc != 0)
        return rc;
    QS_HOOK("commit.pages");
    chain_free_pids(job);
    rc = release_runs(job);
    if (rc == 0)
        rc = write_map(job);
    if (rc == 0)
        rc = qs_batch_write(&job->batch); /* the bitmap's update may read what was written */
    QS_HOOK("commit.map");
    if (rc == 0)
        rc = qs_space_checkpoint(&core->space, &job->batch, &job->meta);
    if (rc == 0)
        rc = qs_batch_write(&job->batch);
    return rc == 0 ? cover_high_water(job) : rc;
}

/* What the new meta page says beside what the writing above filled in. */
static void finish_meta(struct job *job, uint64_t map_size_bytes)
{
    const struct meta *old = &job->txn->replica->meta;
    struct meta *meta = &job->meta;
    const struct txn_tree *main_tree = job->txn->tree_count > 0 ? job->txn->tree[0] : NULL;
    meta->txn = job->txn->id;
    if (main_tree != NULL)
        meta->main = main_tree->state.record;
    if (map_size_bytes > meta->map_size_bytes)
        meta->map_size_bytes = map_size_bytes;
    meta->used_pages = job->w->used_pages + meta->map.nodes + meta->bitmap.nodes - old->map.nodes -
                       old->bitmap.nodes;
}

/* The first flush makes the state before this one durable as well, if its meta page is among what is
 * flushed. After a flush that failed the system may hold that page and never write it again, so the
 * first commit writes it once more, as it is. */
static int flush_pages(struct job *job)
{
    struct core *core = job->core;
    struct meta old = job->txn->replica->meta;
    int rc = core->meta_suspect ? qs_meta_write(core->store, &old) : 0;
    if (rc == 0)
        rc = core->store->io->flush(core->store->file);
    if (rc != 0)
        return rc;
    core->meta_suspect = false;
    qs_core_durable(core, old.checkpoint);
    return 0;
}

/* Flush, meta page, flush, as far as the flags ask for. A failure in here is final. */
static int make_durable(struct job *job, unsigned flags)
{
    struct core *core = job->core;
    bool lazy = qs_env_lazy(flags);
    QS_HOOK("commit.written");
    int rc = lazy ? 0 : flush_pages(job);
    QS_HOOK("commit.flushed");
    if (rc == 0)
        rc = qs_meta_write(core->store, &job->meta);
    QS_HOOK("commit.meta");
    if (rc == 0 && !lazy && (flags & QS_NOMETASYNC) == 0) {
        rc = core->store->io->flush(core->store->file);
        if (rc == 0)
            qs_core_durable(core, job->meta.checkpoint);
    }
    if (rc != 0)
        atomic_store(&qs_lockfile_header(core->lockfile)->failed, 1);
    return rc;
}

/* Links the new state and lets readers see it. */
static void publish(struct job *job)
{
    struct core *core = job->core;
    struct replica *replica = job->txn->replica;
    struct lock_header *header = qs_lockfile_header(core->lockfile);
    QS_HOOK("commit.durable");
    qs_space_commit(&core->space, &job->meta);
    core->space_checkpoint = job->meta.checkpoint;
    qs_cache_publish(&replica->cache, job->place, job->count, job->txn->id, qs_core_live(core));
    for (size_t i = 0; i < job->change_count; i++)
        qs_replica_publish(replica, &job->change[i], qs_core_live(core));
    qs_map_set_root(&replica->cache.map, &job->meta.map);
    qs_replica_advance(replica, &job->meta);
    QS_HOOK("commit.linked");
    /* After the replica: who sees this number finds the replica at least as new. */
    atomic_store(&header->checkpoint, job->meta.checkpoint);
    QS_HOOK("commit.published");
    qs_core_scan(core);
    qs_cache_trim(&replica->cache, job->txn->id, qs_core_live(core));
}

static void job_free(struct job *job)
{
    qs_cache_forget(job->place, job->place != NULL ? job->count : 0);
    for (size_t i = 0; i < job->change_count; i++)
        qs_replica_forget(&job->change[i]);
    free(job->place);
    free(job->version);
    free(job->change);
}

int qs_checkpoint_commit(struct qs_env *env, struct qs_txn *txn)
{
    struct core *core = env->core;
    struct job *job = calloc(1, sizeof *job);
    if (job == NULL) {
        qs_space_rollback(&core->space);
        return ENOMEM;
    }
    job->core = core;
    job->txn = txn;
    job->w = txn->writer;
    job->meta = txn->replica->meta;
    job->meta.checkpoint++;
    qs_batch_init(&job->batch, core->store);
    int rc = qs_txn_flush_catalog(txn);
    if (rc == 0)
        rc = qs_large_settle(txn->writer);
    if (rc == 0)
        rc = collect_pages(job);
    if (rc == 0)
        rc = collect_trees(job);
    if (rc == 0)
        rc = write_all(job);
    if (rc == 0)
        rc = qs_cache_prepare(&txn->replica->cache, job->place, job->count, txn->id); /* K2 */
    if (rc == 0) {
        uint64_t map_size = atomic_load(&env->map_size_bytes);
        finish_meta(job, map_size);
        if (job->meta.used_pages > atomic_load(&env->accepted_pages))
            atomic_store(&env->accepted_pages, job->meta.used_pages);
        rc = make_durable(job, atomic_load(&env->flags));
    }
    if (rc == 0)
        publish(job);
    else
        qs_space_rollback(&core->space);
    job_free(job);
    free(job);
    return rc;
}
