/* checkpoint.c - writing everything since the last checkpoint to the file, and making that the newest state.
 *
 * A checkpoint is made by a transaction that commits: it holds the transaction's changes and those of the log
 * before it. Order (engine §6): images of dirty pages, map array, free space; flush; meta page of the other
 * slot; flush; only then is anything linked and visible, and the log begins anew. Before the meta page is
 * written a failure takes everything back; from then on the state of the file is not known, and the
 * environment is failed.
 * Invariants: H1 no page that the last durable checkpoint refers to is written.
 *             H2 once the meta page is out, nothing can fail for want of memory: versions are
 *             allocated before.
 *             H3 a reader that uses the new checkpoint sees at least the transaction that made it: what it
 *             placed carries that number, older readers go on along the chains.
 */
#include "env/env.h"

#include "base/error.h"
#include "env/flush.h"
#include "log/group.h"
#include "os/hook.h"
#include "txn/publish.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define LOG_RUN_PAGES 16u                /* the first segment of a database */
#define LOG_REST_MIN (2 * QS_PAGE_BYTES) /* with less left in it a segment is not begun with */

/* A checkpoint under way. */
struct job {
    struct core *core;
    struct qs_txn *txn;
    struct writer *w;
    struct batch batch;             /* images on their way */
    struct meta meta;               /* to be written */
    struct publication publication; /* dirty pages by page id; changed trees */
    struct version **version;       /* the pages' newest versions, in the same order */
    uint64_t run_pgno, run_left;    /* allocated pages not used yet */
};

static int by_pid(const void *a, const void *b)
{
    const struct own_slot *x = a, *y = b;
    return (x->pid > y->pid) - (x->pid < y->pid);
}

/* Lists the newest version of every dirty page; own ones come before what the log made. */
static size_t list_versions(const struct job *job, struct own_slot *slots)
{
    const struct own *own = &job->w->own;
    struct cache *cache = &job->txn->replica->cache;
    size_t count = 0;
    for (size_t i = 0; i < own->capacity; i++)
        if (own->slot[i].version != NULL)
            slots[count++] = own->slot[i];
    for (size_t i = 0; i < cache->dirty_count; i++) {
        struct map_entry *entry;
        pageid_t pid = cache->dirty[i];
        if (qs_own_get(own, pid) != NULL || qs_map_entry(&cache->map, pid, &entry) != 0)
            continue; /* a dirty page has an entry */
        slots[count++] =
            (struct own_slot){atomic_load_explicit(&entry->head, memory_order_relaxed), pid};
    }
    return count;
}

/* In page id order: key order for what was loaded in key order. */
static int collect_pages(struct job *job)
{
    struct publication *p = &job->publication;
    size_t most = job->w->own.count + job->txn->replica->cache.dirty_count + 1;
    struct own_slot *slots = malloc(most * sizeof *slots);
    p->place = calloc(most, sizeof *p->place);
    job->version = malloc(most * sizeof(struct version *));
    if (slots == NULL || p->place == NULL || job->version == NULL) {
        free(slots);
        return ENOMEM;
    }
    p->count = list_versions(job, slots);
    qsort(slots, p->count, sizeof *slots, by_pid);
    for (size_t i = 0; i < p->count; i++) {
        p->place[i].pid = slots[i].pid;
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
    if (merged.base->kind != PAGE_LEAF) {
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
    for (size_t i = 0; i < job->publication.count; i++) {
        struct placement *place = &job->publication.place[i];
        const struct version *v = job->version[i];
        int rc = release_old(job, place->pid);
        if (rc != 0)
            return rc;
        if (v->kind == VERSION_FREED)
            continue; /* its word is made with the chain of free page ids */
        uint64_t pgno;
        rc = next_pgno(job, job->publication.count - i, &pgno);
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
    size_t low = 0, high = job->publication.count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (job->publication.place[middle].pid < pid)
            low = middle + 1;
        else
            high = middle;
    }
    assert(low < job->publication.count && job->publication.place[low].pid == pid);
    return &job->publication.place[low];
}

static void chain_free_pid(struct job *job, pageid_t pid)
{
    find_place(job, pid)->word = MAP_WORD_FREE | job->meta.free_pid;
    job->meta.free_pid = pid;
    job->meta.free_pids++;
}

/* Page ids given back since the last checkpoint go in front of the chain of free ones. */
static void chain_free_pids(struct job *job)
{
    const struct writer *w = job->w;
    job->meta.free_pid = w->free_pid;
    job->meta.free_pids = w->free_pids;
    for (size_t i = 0; i < w->spare_count; i++)
        chain_free_pid(job, w->spare[i]);
    for (size_t i = 0; i < w->freed_count; i++)
        chain_free_pid(job, w->freed[i]);
    job->meta.next_pid = w->next_pid;
}

static int release_runs(struct job *job, const struct pending_run *runs, size_t count)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = qs_space_release(&job->core->space, runs[i].pgno, runs[i].pages, runs[i].born,
                              job->meta.checkpoint);
    return rc;
}

/* ---- the log ---- */

/* A segment for the log to begin in, where the last one has no room to speak of. */
static int new_segment(struct job *job, struct log_anchor *anchor)
{
    struct store *store = job->core->store;
    int rc = qs_space_allocate(&job->core->space, LOG_RUN_PAGES, &anchor->pgno);
    if (rc == 0)
        rc = qs_log_clear_run(store->io, store->file, anchor->pgno, LOG_RUN_PAGES);
    anchor->pages = LOG_RUN_PAGES;
    anchor->offset = 0;
    anchor->born = job->meta.checkpoint;
    return rc;
}

/* The log goes on behind what the checkpoint contains, in the same segment if that will do; those before
 * it are released. */
static int turn_log(struct job *job)
{
    const struct log *log = &job->txn->replica->log;
    struct log_anchor *anchor = &job->meta.log;
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed)
        seed = anchor->seed * 6364136223846793005u + job->meta.checkpoint;
    qs_log_anchor(log, seed, anchor);
    bool stays = (anchor->pages << QS_PAGE_SHIFT) >= anchor->offset + LOG_REST_MIN;
    int rc = stays ? 0 : new_segment(job, anchor);
    for (size_t i = 0; rc == 0 && i + stays < log->end.segments; i++)
        rc = qs_space_release(&job->core->space, log->segment[i].pgno, log->segment[i].pages,
                              log->segment[i].born, job->meta.checkpoint);
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
    size_t low = 0, high = job->publication.count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (job->publication.place[middle].pid / ARRAY_FANOUT < leaf)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < job->publication.count && job->publication.place[low].pid / ARRAY_FANOUT == leaf;
         low++)
        words[job->publication.place[low].pid % ARRAY_FANOUT] = job->publication.place[low].word;
}

static int write_map(struct job *job)
{
    uint64_t *leaves = malloc((job->publication.count + 1) * sizeof *leaves);
    size_t count = 0;
    if (leaves == NULL)
        return ENOMEM;
    for (size_t i = 0; i < job->publication.count; i++) {
        uint64_t leaf = job->publication.place[i].pid / ARRAY_FANOUT;
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
    QS_HOOK("checkpoint.pages");
    chain_free_pids(job);
    const struct latest *latest = &job->txn->replica->latest;
    rc = release_runs(job, job->w->released, job->w->released_count);
    if (rc == 0)
        rc = release_runs(job, latest->released, latest->released_count);
    if (rc == 0)
        rc = turn_log(job);
    if (rc == 0)
        rc = write_map(job);
    if (rc == 0)
        rc = qs_batch_write(&job->batch); /* the bitmap's update may read what was written */
    QS_HOOK("checkpoint.map");
    if (rc == 0)
        rc = qs_space_checkpoint(&core->space, &job->batch, &job->meta);
    if (rc == 0)
        rc = qs_batch_write(&job->batch);
    return rc == 0 ? cover_high_water(job) : rc;
}

/* What the new meta page says beside what the writing above filled in. */
static int finish_meta(struct job *job)
{
    static const struct qs_tree main_tree = {NULL, 0, 0};
    struct replica *replica = job->txn->replica;
    const struct meta *old = &replica->meta;
    struct meta *meta = &job->meta;
    const struct tree_record *record;
    enum key_order order;
    int rc = qs_txn_record(job->txn, &main_tree, &record, &order);
    if (rc != 0)
        return rc;
    meta->txn = job->txn->id;
    meta->main = *record;
    meta->map_size_bytes = replica->latest.map_size_bytes;
    if (job->txn->map_size_bytes > meta->map_size_bytes)
        meta->map_size_bytes = job->txn->map_size_bytes;
    meta->used_pages = job->w->used_pages + meta->map.nodes + meta->bitmap.nodes - old->map.nodes -
                       old->bitmap.nodes;
    return 0;
}

/* The first flush makes the state before this one durable as well. */
static int flush_pages(struct job *job)
{
    int rc = qs_flush_all(job->core);
    if (rc == 0)
        qs_core_durable(job->core, job->txn->replica->meta.checkpoint);
    return rc;
}

/* Flush, meta page, flush, whatever the flags: so the pages this checkpoint releases can be used by the next
 * one, and the second flush has little to write. A failure in here is final. */
static int make_durable(struct job *job)
{
    struct core *core = job->core;
    struct lock_header *header = qs_lockfile_header(core->lockfile);
    QS_HOOK("checkpoint.written");
    int rc = flush_pages(job);
    QS_HOOK("checkpoint.flushed");
    if (rc == 0)
        rc = qs_meta_write(core->store, &job->meta);
    QS_HOOK("checkpoint.meta");
    if (rc == 0)
        rc = qs_flush_all(core);
    if (rc == 0)
        qs_core_durable(core, job->meta.checkpoint);
    else
        atomic_store(&header->failed, 1);
    return rc;
}

/* Links the new state and lets readers see it. */
static void publish(struct job *job)
{
    struct core *core = job->core;
    struct replica *replica = job->txn->replica;
    struct lock_header *header = qs_lockfile_header(core->lockfile);
    QS_HOOK("checkpoint.durable");
    pthread_mutex_lock(&core->follow_lock);
    qs_space_commit(&core->space, &job->meta);
    core->space_checkpoint = job->meta.checkpoint;
    core->space_runs = 0;
    qs_core_scan(core);
    qs_publish_link(&job->publication, job->txn, qs_core_live(core));
    qs_cache_placed(&replica->cache);
    qs_map_set_root(&replica->cache.map, &job->meta.map);
    qs_replica_advance(replica, &job->meta);
    core->space_segments = replica->log.end.segments;
    QS_HOOK("checkpoint.linked");
    /* After the replica: who sees this number finds the replica at least as new. */
    atomic_store(&header->checkpoint, job->meta.checkpoint);
    /* After the number: who sees the transaction looks for it in the checkpoint. */
    qs_group_raise(&header->visible, job->meta.txn);
    QS_HOOK("checkpoint.published");
    qs_core_scan(core);
    qs_cache_trim(&replica->cache, job->txn->id, qs_core_live(core));
    pthread_mutex_unlock(&core->follow_lock);
}

/* Everything that can be taken back. */
static int write_checkpoint(struct job *job)
{
    struct publication *p = &job->publication;
    int rc = collect_pages(job);
    if (rc == 0)
        rc = qs_publish_trees(p, job->txn);
    if (rc == 0)
        rc = write_all(job);
    if (rc == 0)
        rc = finish_meta(job);
    if (rc == 0) /* H2 */
        rc = qs_cache_prepare(&job->txn->replica->cache, p->place, p->count, job->txn->id);
    return rc;
}

static struct job *new_job(struct core *core, struct qs_txn *txn)
{
    struct job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return NULL;
    job->core = core;
    job->txn = txn;
    job->w = txn->writer;
    job->meta = txn->replica->meta;
    job->meta.checkpoint++;
    qs_batch_init(&job->batch, core->store);
    return job;
}

static void free_job(struct job *job)
{
    qs_publish_free(&job->publication);
    free(job->version);
    free(job);
}

int qs_checkpoint(struct core *core, struct qs_txn *txn)
{
    struct job *job = new_job(core, txn);
    if (job == NULL)
        return ENOMEM;
    int rc = write_checkpoint(job);
    if (rc == 0)
        rc = make_durable(job);
    if (rc == 0)
        publish(job);
    free_job(job);
    return rc;
}
