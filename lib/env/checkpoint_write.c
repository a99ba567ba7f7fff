/* checkpoint_write.c - what a checkpoint writes: page images, map array, free space, meta page.
 *
 * Order (engine §6): images of dirty pages, map array, free space; flush; meta page of the other slot; flush.
 * Before the meta page is written a failure takes everything back; from then on the state of the file
 * is not known, and the environment is failed.
 * Invariants: H1 no page that the last durable checkpoint refers to is written.
 */
#include "env/checkpoint.h"

#include "base/error.h"
#include "base/vector.h"
#include "env/flush.h"
#include "log/group.h"
#include "os/hook.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define LOG_RUN_PAGES 16u                /* the first segment of a database */
#define LOG_REST_MIN (2 * QS_PAGE_BYTES) /* with less left in it a segment is not begun with */

struct job *qs_job_new(struct core *core, struct replica *replica)
{
    struct job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return NULL;
    job->entries = malloc(LEAF_ENTRIES_MAX * sizeof *job->entries);
    if (job->entries == NULL) {
        free(job);
        return NULL;
    }
    job->core = core;
    job->replica = replica;
    job->as_of = replica->latest.txn;
    job->log_end = replica->log.end;
    job->meta = replica->meta;
    job->meta.checkpoint++;
    qs_batch_init(&job->batch, core->store);
    return job;
}

void qs_job_free(struct job *job)
{
    if (job == NULL)
        return;
    qs_publish_free(&job->publication);
    free(job->entries);
    free(job->freed);
    free(job->old);
    free(job);
}

/* ---- pages ---- */

/* Own versions come before what the log made. */
static size_t list_pids(const struct job *job, pageid_t *pid)
{
    const struct own *own = job->txn != NULL ? &job->txn->writer->own : NULL;
    const struct cache *cache = &job->replica->cache;
    size_t count = 0;
    for (size_t i = 0; own != NULL && i < own->capacity; i++)
        if (own->slot[i].version != NULL)
            pid[count++] = own->slot[i].pid;
    for (size_t i = 0; i < cache->placing_count; i++)
        if (own == NULL || qs_own_get(own, cache->placing[i]) == NULL)
            pid[count++] = cache->placing[i];
    return count;
}

/* By eleven bits at a time: a comparing sort would be what a commit waits for. */
static void sort_pids(pageid_t *pid, pageid_t *other, size_t count)
{
    enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS };
    for (unsigned shift = 0; shift < 32; shift += DIGIT_BITS) {
        size_t start[DIGITS + 1] = {0};
        for (size_t i = 0; i < count; i++)
            start[(pid[i] >> shift) % DIGITS + 1]++;
        for (unsigned i = 0; i < DIGITS; i++)
            start[i + 1] += start[i];
        for (size_t i = 0; i < count; i++)
            other[start[(pid[i] >> shift) % DIGITS]++] = pid[i];
        memcpy(pid, other, count * sizeof *pid);
    }
}

/* In page id order: key order for what was loaded in key order. */
int qs_job_list(struct job *job)
{
    struct publication *p = &job->publication;
    size_t own = job->txn != NULL ? job->txn->writer->own.count : 0;
    size_t most = own + job->replica->cache.placing_count + 1;
    pageid_t *pid = malloc(2 * most * sizeof *pid);
    p->place = calloc(most, sizeof *p->place);
    if (pid == NULL || p->place == NULL) {
        free(pid);
        return ENOMEM;
    }
    p->count = list_pids(job, pid);
    sort_pids(pid, pid + most, p->count);
    for (size_t i = 0; i < p->count; i++)
        p->place[i].pid = pid[i];
    free(pid);
    return 0;
}

static const struct version *version_of(const struct job *job, pageid_t pid)
{
    const struct version *own = job->txn != NULL ? qs_own_get(&job->txn->writer->own, pid) : NULL;
    return own != NULL ? own : qs_cache_version(&job->replica->cache, pid, job->as_of);
}

/* The file page that the previous checkpoint has for a page will be released. */
static int note_old(struct job *job, pageid_t pid)
{
    uint64_t word;
    if (pid >= job->replica->meta.next_pid)
        return 0;
    int rc = qs_map_base(&job->replica->cache.map, pid, &word);
    if (rc == QS_E_PAGE_NOTFOUND) /* a page id used for the first time */
        return 0;
    if (rc != 0 || (word & MAP_WORD_FREE) != 0)
        return rc;
    uint64_t pgno = word & MAP_WORD_PGNO;
    const struct page *old = qs_store_page(job->core->store, pgno);
    if (old == NULL)
        return QS_CORRUPT();
    rc = qs_vector_reserve((void **)&job->old, &job->old_capacity, job->old_count + 1,
                           sizeof *job->old);
    if (rc == 0)
        job->old[job->old_count++] = (struct pending_run){pgno, old->checkpoint, 0, 1};
    return rc;
}

static int write_image(struct job *job, const struct version *v, pageid_t pid, uint64_t pgno)
{
    struct page *image;
    int rc = qs_batch_page(&job->batch, pgno, &image);
    if (rc != 0)
        return rc;
    assert(v->kind == VERSION_DELTA || v->kind == VERSION_WHOLE);
    struct image merged = {v->page, NULL};
    if (v->kind == VERSION_DELTA) {
        const uint8_t *file = qs_store_map(job->core->store)->base;
        merged = (struct image){(const struct page *)(file + (v->base << QS_PAGE_SHIFT)), v->page};
    }
    if (merged.base->kind != PAGE_LEAF) {
        memcpy(image, merged.base, QS_PAGE_BYTES);
    } else {
        /* Rebuilt even when whole, so that records lie packed and in key order. */
        enum key_order order = (enum key_order)merged.base->order;
        unsigned n = qs_leaf_collect(&merged, order, job->entries);
        qs_leaf_build(image, QS_PAGE_BYTES, order, job->entries, n, merged.base->fence);
        assert(qs_page_used(image) == v->merged_bytes && n == v->merged_count); /* W2 */
    }
    image->pid = pid;
    image->checkpoint = job->meta.checkpoint;
    return 0;
}

bool qs_job_next_needs_page(const struct job *job)
{
    const struct version *v = version_of(job, job->publication.place[job->done].pid);
    return v->kind != VERSION_FREED;
}

int qs_job_write_next(struct job *job, uint64_t pgno)
{
    struct placement *place = &job->publication.place[job->done];
    const struct version *v = version_of(job, place->pid);
    int rc = note_old(job, place->pid);
    if (rc == 0 && v->kind != VERSION_FREED) /* else its word is made with the chain of free ones */
        rc = write_image(job, v, place->pid, pgno);
    place->word = pgno;
    job->done += rc == 0;
    return rc;
}

static int release_runs(struct job *job, const struct pending_run *runs, size_t count)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = qs_space_release(&job->core->space, runs[i].pgno, runs[i].pages, runs[i].born,
                              job->meta.checkpoint);
    return rc;
}

/* Runs that the log alone has used, and has no use for as of what is written. One that was released while the
 * checkpoint before was under way may be older than that: its readers, too. */
static int release_recycled(struct job *job)
{
    const struct recycle *recycle = &job->replica->latest.recycle;
    uint64_t number = job->meta.checkpoint;
    int rc = 0;
    for (size_t i = recycle->first; rc == 0 && i < recycle->count; i++) {
        const struct recycled *run = &recycle->run[i];
        if (run->txn <= job->as_of && run->pages > 0)
            rc = qs_space_release(&job->core->space, run->pgno, run->pages, run->born, number);
    }
    return rc;
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

/* Page ids given back since the last checkpoint, all of them dirty, go in front of the chain of free ones. */
static void chain_free_pids(struct job *job)
{
    for (size_t i = 0; i < job->freed_count; i++) {
        find_place(job, job->freed[i])->word = MAP_WORD_FREE | job->meta.free_pid;
        job->meta.free_pid = job->freed[i];
        job->meta.free_pids++;
    }
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
    const struct log *log = &job->replica->log;
    struct log_anchor *anchor = &job->meta.log;
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed)
        seed = anchor->seed * 6364136223846793005u + job->meta.checkpoint;
    bool carried = job->txn == NULL; /* there may be records behind */
    qs_log_anchor(log, &job->log_end, carried ? job->log_end.checksum : seed, anchor);
    uint64_t cut = job->core->cut != 0 ? job->core->cut : UINT64_MAX;
    bool stays = carried || ((anchor->pages << QS_PAGE_SHIFT) >= anchor->offset + LOG_REST_MIN &&
                             anchor->pgno + anchor->pages <= cut);
    int rc = stays ? 0 : new_segment(job, anchor);
    for (size_t i = 0; rc == 0 && i + stays < job->log_end.segments; i++)
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
    const struct publication *p = &job->publication;
    size_t low = 0, high = p->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (p->place[middle].pid / ARRAY_FANOUT < leaf)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < p->count && p->place[low].pid / ARRAY_FANOUT == leaf; low++)
        words[p->place[low].pid % ARRAY_FANOUT] = p->place[low].word;
}

static int write_map(struct job *job)
{
    const struct publication *p = &job->publication;
    uint64_t *leaves = malloc((p->count + 1) * sizeof *leaves);
    size_t count = 0;
    if (leaves == NULL)
        return ENOMEM;
    for (size_t i = 0; i < p->count; i++) {
        uint64_t leaf = p->place[i].pid / ARRAY_FANOUT;
        if (count == 0 || leaves[count - 1] != leaf)
            leaves[count++] = leaf;
    }
    struct array_update update = {&job->batch,  job->meta.checkpoint, 0,       job,
                                  map_allocate, map_release,          map_fill};
    int rc = qs_array_update(job->core->store, &job->meta.map, leaves, count, &update);
    free(leaves);
    return rc;
}

/* ---- the rest ---- */

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

int qs_job_write_rest(struct job *job, struct loose_runs loose)
{
    const struct latest *latest = &job->replica->latest;
    const struct meta *old = &job->replica->meta;
    struct meta *meta = &job->meta;
    chain_free_pids(job);
    int rc = release_runs(job, job->old, job->old_count);
    if (rc == 0)
        rc = release_runs(job, latest->released, job->passed.released);
    if (rc == 0)
        rc = release_recycled(job);
    if (rc == 0)
        rc = turn_log(job);
    if (rc == 0)
        rc = write_map(job);
    if (rc == 0)
        rc = qs_batch_write(&job->batch); /* the bitmap's update may read what was written */
    QS_HOOK("checkpoint.map");
    if (rc == 0)
        rc = qs_space_checkpoint(&job->core->space, &job->batch, meta, loose);
    if (rc == 0)
        rc = qs_batch_write(&job->batch);
    if (rc == 0)
        rc = cover_high_water(job);
    if (rc == 0)
        meta->used_pages +=
            meta->map.nodes + meta->bitmap.nodes - old->map.nodes - old->bitmap.nodes;
    return rc;
}

/* The first flush makes the state before this one durable as well. */
static int flush_pages(struct job *job)
{
    int rc = qs_flush_all(job->core);
    if (rc == 0)
        qs_core_durable(job->core, job->replica->meta.checkpoint);
    return rc;
}

/* Under follow_lock: who is starting a replica from the meta page has done so, or is told not to. */
static void set_finishing(struct core *core, bool finishing)
{
    if (core->has_lock_file)
        return;
    pthread_mutex_lock(&core->follow_lock);
    atomic_store(&core->finishing, finishing);
    pthread_mutex_unlock(&core->follow_lock);
}

int qs_job_make_durable(struct job *job)
{
    struct core *core = job->core;
    struct lock_header *header = qs_lockfile_header(core->lockfile);
    QS_HOOK("checkpoint.written");
    int rc = flush_pages(job);
    QS_HOOK("checkpoint.flushed");
    if (rc == 0) /* so is all that was committed */
        qs_group_raise(&header->visible, job->replica->latest.txn);
    if (rc == 0) {
        set_finishing(core, true);
        rc = qs_meta_write(core->store, &job->meta);
    }
    QS_HOOK("checkpoint.meta");
    if (rc == 0)
        rc = qs_flush_all(core);
    if (rc == 0)
        qs_core_durable(core, job->meta.checkpoint);
    else
        atomic_store(&header->failed, 1);
    if (rc != 0)
        set_finishing(core, false);
    return rc;
}
