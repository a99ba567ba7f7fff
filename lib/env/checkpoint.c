/* checkpoint.c - a checkpoint in one go: a transaction commits by it.
 *
 * It holds the transaction's changes and those of the log before it; only when all of that is durable is
 * anything linked and visible, and the log begins anew.
 * Invariants: H2 once the meta page is out, nothing can fail for want of memory: versions are
 *             allocated before.
 *             H3 a reader that uses the new checkpoint sees at least the transaction that made it: what it
 *             placed carries that number, older readers go on along the chains.
 */
#include "env/checkpoint.h"

#include "base/error.h"
#include "env/env.h"
#include "log/group.h"
#include "os/hook.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What the new meta page says of the transaction. */
static int take_state(struct job *job)
{
    static const struct qs_tree main_tree = {.index = 0};
    const struct writer *w = job->txn->writer;
    const struct latest *latest = &job->replica->latest;
    struct meta *meta = &job->meta;
    const struct tree_record *record;
    const struct tree_order *order;
    int rc = qs_txn_record(job->txn, &main_tree, &record, &order);
    if (rc != 0)
        return rc;
    job->freed = malloc((w->spare_count + w->freed_count + 1) * sizeof *job->freed);
    if (job->freed == NULL)
        return ENOMEM;
    for (size_t i = 0; i < w->spare_count; i++)
        job->freed[job->freed_count++] = w->spare[i];
    for (size_t i = 0; i < w->freed_count; i++)
        job->freed[job->freed_count++] = w->freed[i];
    job->passed.released = latest->released_count;
    meta->txn = job->txn->id;
    meta->main = *record;
    meta->next_pid = w->next_pid;
    meta->free_pid = w->free_pid;
    meta->free_pids = w->free_pids;
    meta->used_pages = w->used_pages;
    meta->map_size_bytes = latest->map_size_bytes;
    if (job->txn->map_size_bytes > meta->map_size_bytes)
        meta->map_size_bytes = job->txn->map_size_bytes;
    return 0;
}

/* Another run for images: what a checkpoint of this process had set aside that was given up, then what is free.
 * Another process may still be writing to what it has set aside. */
static int next_run(struct job *job)
{
    const struct latest *latest = &job->replica->latest;
    if (job->taken_next >= job->core->spare_end)
        return qs_space_allocate_some(&job->core->space, job->publication.count - job->done,
                                      &job->run_pgno, &job->run_left);
    const struct pending_run *run = &latest->taken[job->taken_next++];
    job->run_pgno = run->pgno;
    job->run_left = run->pages;
    return 0;
}

static int write_pages(struct job *job)
{
    int rc = 0;
    job->taken_next = job->core->spare_first;
    while (rc == 0 && job->done < job->publication.count) {
        bool needed = qs_job_next_needs_page(job);
        if (needed && job->run_left == 0)
            rc = next_run(job);
        if (rc == 0)
            rc = qs_job_write_next(job, needed ? job->run_pgno : 0);
        job->run_pgno += needed;
        job->run_left -= needed;
    }
    return rc;
}

/* What was set aside, and not written to, is free when this one is in force. */
static int release_taken(struct job *job)
{
    const struct latest *latest = &job->replica->latest;
    uint64_t number = job->meta.checkpoint;
    int rc = 0;
    if (job->run_left > 0)
        rc = qs_space_release(&job->core->space, job->run_pgno, job->run_left, number, number);
    for (size_t i = 0; rc == 0 && i < latest->taken_count; i++)
        if (i < job->core->spare_first || i >= job->taken_next)
            rc = qs_space_release(&job->core->space, latest->taken[i].pgno, latest->taken[i].pages,
                                  number, number);
    return rc;
}

/* The transaction releases runs of its own accord, beside those that the log says. */
static int release_own(struct job *job)
{
    const struct writer *w = job->txn->writer;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < w->released_count; i++)
        rc = qs_space_release(&job->core->space, w->released[i].pgno, w->released[i].pages,
                              w->released[i].born, job->meta.checkpoint);
    return rc;
}

/* Everything that can be taken back. */
static int write_checkpoint(struct job *job)
{
    struct publication *p = &job->publication;
    int rc = take_state(job);
    if (rc == 0)
        rc = qs_job_list(job);
    if (rc == 0)
        rc = qs_publish_trees(p, job->txn);
    if (rc == 0)
        rc = write_pages(job);
    QS_HOOK("checkpoint.pages");
    if (rc == 0)
        rc = release_taken(job);
    if (rc == 0)
        rc = release_own(job);
    if (rc == 0)
        rc = qs_job_write_rest(job, (struct loose_runs){NULL, 0});
    if (rc == 0)
        qs_space_punch(&job->core->space, job->meta.used_pages, PUNCH_PAGES_MAX);
    if (rc == 0) /* H2 */
        rc = qs_cache_prepare(&job->replica->cache, p->place, p->count, QS_TXNID_NONE);
    return rc;
}

/* Links the new state and lets readers see it. */
static void publish(struct job *job)
{
    struct core *core = job->core;
    struct replica *replica = job->replica;
    struct lock_header *header = qs_lockfile_header(core->lockfile);
    struct stamp stamp = {job->txn->id, job->meta.checkpoint};
    QS_HOOK("checkpoint.durable");
    pthread_mutex_lock(&core->follow_lock);
    qs_space_commit(&core->space, &job->meta);
    core->space_checkpoint = job->meta.checkpoint;
    core->space_runs = core->space_taken = core->spare_first = core->spare_end = 0;
    qs_core_scan(core, replica);
    qs_publish_link(&job->publication, job->txn, stamp, qs_core_live(core));
    qs_cache_placed(&replica->cache);
    qs_map_set_root(&replica->cache.map, &job->meta.map, false);
    qs_replica_advance(replica, &job->meta);
    core->space_segments = replica->log.end.segments;
    QS_HOOK("checkpoint.linked");
    /* After the replica: who sees this number finds the replica at least as new. */
    atomic_store(&header->checkpoint, job->meta.checkpoint);
    atomic_store(&core->finishing, false);
    atomic_store(&header->linked, job->meta.checkpoint);
    /* After the number: who sees the transaction looks for it in the checkpoint. */
    qs_group_raise(&header->visible, job->meta.txn);
    QS_HOOK("checkpoint.published");
    qs_core_scan(core, replica);
    qs_cache_trim(&replica->cache, qs_core_live(core), SIZE_MAX);
    pthread_mutex_unlock(&core->follow_lock);
}

int qs_checkpoint(struct core *core, struct qs_txn *txn)
{
    pthread_mutex_lock(&core->follow_lock);
    int rc = qs_checkpoint_settle(core);
    pthread_mutex_unlock(&core->follow_lock);
    if (rc != 0)
        return rc;
    struct cache *cache = &txn->replica->cache;
    struct job *job = qs_job_new(core, txn->replica);
    rc = job != NULL ? qs_cache_placing(cache, txn->replica->latest.txn) : ENOMEM;
    if (rc != 0) {
        qs_job_free(job);
        return rc;
    }
    job->txn = txn;
    rc = write_checkpoint(job);
    if (rc == 0)
        rc = qs_job_make_durable(job);
    if (rc == 0)
        publish(job);
    else
        qs_cache_not_placed(cache);
    qs_job_free(job);
    return rc;
}
