/* checkpoint_carry.c - a checkpoint carried along by the commits that log: each does a share.
 *
 *        log_used >= 3/4 of the budget     all written    the flush ahead has ended       all linked
 *   none -------------------------> writing --------> flushing ----------> linking --------------> none
 *     ^                                |                  |                 (in force)
 *     +---- failed; overtaken by another <----------------+
 *
 * It contains everything up to the transaction t that was the newest when it began. Until it is in force a
 * snapshot of t is held, so that the chains keep what is to be written. Pages for its images are set aside some
 * at a time, and the log says which (LOG_TAKEN): so other processes do not take them, and whoever makes the next
 * checkpoint finds them, when this one comes to nothing.
 *
 * When all are written a flush is begun, and waited for by nobody: commits go on, and one that finds it ended
 * writes the few pages that remain, flushes those, and the meta page. The log before t is released, the rest
 * goes on to be followed from the new meta page. All that is left is to link it (checkpoint_link.c).
 * Invariants: H2 as in checkpoint.c. H4 a share that fails is never the commit's failure.
 */
#include "env/checkpoint.h"

#include "base/error.h"
#include "env/env.h"
#include "log/group.h"
#include "os/hook.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SHARE_PAGES_MIN 4u /* so many at a time are written, for one call into the system */
#define OUT_PAGES_MIN 16u  /* so many are handed to the device at a time, where they lie in a row */
#define TAKEN_PAGES_MAX 256u /* so many pages are set aside at a time */
#define TAKEN_RUNS_MAX 64u   /* in so many runs */

/* ---- beginning and giving up ---- */

static int copy_freed(struct job *job)
{
    struct latest *latest = &job->replica->latest;
    job->freed = malloc((latest->freed_count + 1) * sizeof *job->freed);
    if (job->freed == NULL)
        return ENOMEM;
    job->freed_count = latest->freed_count;
    if (job->freed_count > 0)
        memcpy(job->freed, latest->freed, job->freed_count * sizeof *job->freed);
    latest->freed_least = latest->freed_count;
    return 0;
}

static int take_state(struct job *job)
{
    static const struct qs_tree main_tree = {.index = 0};
    const struct latest *latest = &job->replica->latest;
    const struct view view = {.map = &job->replica->cache.map,
                              .file = qs_store_map(job->core->store)->base,
                              .snapshot = latest->txn,
                              .checkpoint = UINT64_MAX};
    const struct tree_version *main_version;
    struct meta *meta = &job->meta;
    int rc = qs_replica_tree(job->replica, &view, &main_tree, &main_version);
    if (rc == 0)
        rc = copy_freed(job);
    if (rc != 0)
        return rc;
    job->passed = (struct passed){latest->released_count, latest->runs_count};
    job->reused = latest->reused;
    job->taken_first = job->taken_count = job->taken_next = latest->taken_count;
    meta->txn = latest->txn;
    meta->main = main_version->record;
    meta->next_pid = latest->next_pid;
    meta->free_pid = latest->free_pid;
    meta->free_pids = latest->free_pids;
    meta->used_pages = latest->used_pages;
    meta->map_size_bytes = latest->map_size_bytes;
    return 0;
}

static int begin(struct core *core, struct replica *replica)
{
    struct job *job = qs_job_new(core, replica);
    if (job == NULL)
        return ENOMEM;
    int rc = take_state(job);
    if (rc == 0)
        rc = qs_cache_placing(&replica->cache, job->as_of);
    if (rc != 0) {
        qs_job_free(job);
        return rc;
    }
    job->log_used = qs_commit_log_used(core, replica);
    core->job = job;
    rc = qs_job_list(job);
    QS_HOOK("carry.begun");
    return rc;
}

static void give_up_pages(struct job *job)
{
    qs_cache_not_placed(&job->replica->cache);
    job->core->spare_first = job->taken_first;
    job->core->spare_end = job->taken_count;
}

void qs_checkpoint_drop(struct core *core)
{
    struct job *job = core->job;
    if (job == NULL)
        return;
    core->job = NULL;
    if (job->phase == JOB_LINKING)
        qs_cache_placed(&job->replica->cache);
    else
        give_up_pages(job);
    qs_job_free(job);
}

/* ---- pages ---- */

/* A LOG_TAKEN record. */
struct taken_record {
    struct log_record record;
    struct log_taken taken;
    struct log_link run[TAKEN_RUNS_MAX];
};

static int allocate_runs(struct space *space, size_t wanted, struct taken_record *taken)
{
    int rc = 0;
    while (rc == 0 && wanted > 0 && taken->taken.count < TAKEN_RUNS_MAX) {
        struct log_link *run = &taken->run[taken->taken.count];
        rc = qs_space_allocate_some(space, wanted, &run->pgno, &run->pages);
        if (rc == 0) {
            wanted -= run->pages;
            taken->taken.count++;
        }
    }
    return rc;
}

/* Sets pages aside for the next images. */
static int take_pages(struct job *job)
{
    struct core *core = job->core;
    struct latest *latest = &job->replica->latest;
    struct taken_record bytes;
    size_t left = job->publication.count - job->done;
    memset(&bytes, 0, sizeof bytes);
    bytes.taken.checkpoint = job->meta.checkpoint;
    int rc = allocate_runs(&core->space, left < TAKEN_PAGES_MAX ? left : TAKEN_PAGES_MAX, &bytes);
    size_t payload = sizeof bytes.taken + bytes.taken.count * sizeof *bytes.run;
    if (rc == 0)
        rc = qs_replica_take(job->replica, &bytes.taken, payload);
    if (rc == 0)
        rc = qs_commit_append(core, job->replica, &bytes.record, sizeof bytes.record + payload,
                              LOG_TAKEN, latest->txn);
    if (rc != 0) { /* nobody else knows of them */
        latest->taken_count = job->taken_count;
        for (uint64_t i = 0; i < bytes.taken.count; i++)
            qs_space_free(&core->space, bytes.run[i].pgno, bytes.run[i].pages);
        return rc;
    }
    QS_HOOK("carry.taken");
    atomic_store(&qs_lockfile_header(core->lockfile)->written, job->replica->log.end.position);
    core->space_taken = job->taken_count = latest->taken_count;
    core->space_segments = job->replica->log.end.segments;
    return 0;
}

/* What was written to since the last time, of the run that is being written to. Else the flush at the end
 * would have to write it all. */
static void write_out(struct job *job)
{
    struct store *store = job->core->store;
    if (job->run_pgno > job->out_pgno)
        store->io->write_out(store->file, job->out_pgno << QS_PAGE_SHIFT,
                             (job->run_pgno - job->out_pgno) << QS_PAGE_SHIFT);
    job->out_pgno = job->run_pgno;
}

static int next_page(struct job *job, uint64_t *pgno)
{
    if (job->run_left == 0) {
        int rc = job->taken_next == job->taken_count ? take_pages(job) : 0;
        if (rc != 0)
            return rc;
        write_out(job);
        const struct pending_run *run = &job->replica->latest.taken[job->taken_next++];
        job->run_pgno = job->out_pgno = run->pgno;
        job->run_left = run->pages;
    }
    job->run_left--;
    *pgno = job->run_pgno++;
    return 0;
}

/* Writes pages until `due` of them are. */
static int write_pages(struct job *job, size_t due)
{
    int rc = 0;
    while (rc == 0 && job->done < due) {
        uint64_t pgno = 0;
        if (qs_job_next_needs_page(job))
            rc = next_page(job, &pgno);
        if (rc == 0)
            rc = qs_job_write_next(job, pgno);
    }
    if (rc == 0)
        rc = qs_batch_write(&job->batch);
    if (rc == 0 && (job->run_left == 0 || job->run_pgno - job->out_pgno >= OUT_PAGES_MIN))
        write_out(job);
    return rc;
}

/* How many pages are to be written by now, so that all are when half of what was left of the budget is. */
static size_t pages_due(const struct job *job)
{
    uint64_t limit = job->core->log_limit, used = qs_commit_log_used(job->core, job->replica);
    uint64_t span = limit > job->log_used ? (limit - job->log_used) / 2 : 0;
    uint64_t gone = used > job->log_used ? used - job->log_used : 0;
    size_t count = job->publication.count;
    return gone >= span ? count : (size_t)(count * gone / span);
}

/* ---- coming into force ---- */

/* What the log says since is in use, and nothing to the checkpoint: large values, segments. */
static int list_loose(struct job *job, struct pending_run **out, size_t *count)
{
    const struct latest *latest = &job->replica->latest;
    const struct log *log = &job->replica->log;
    uint64_t number = job->meta.checkpoint;
    size_t most = latest->runs_count + log->end.segments + 1;
    struct pending_run *run = malloc(most * sizeof *run);
    *out = run;
    *count = 0;
    if (run == NULL)
        return ENOMEM;
    for (size_t i = job->passed.runs; i < latest->runs_count; i++)
        run[(*count)++] =
            (struct pending_run){latest->runs[i].pgno, number, number, latest->runs[i].pages};
    for (size_t i = job->log_end.segments; i < log->end.segments; i++)
        run[(*count)++] =
            (struct pending_run){log->segment[i].pgno, number, number, log->segment[i].pages};
    return 0;
}

/* Pages that were set aside and not written to. */
static int release_taken(struct job *job)
{
    const struct latest *latest = &job->replica->latest;
    struct space *space = &job->core->space;
    uint64_t number = job->meta.checkpoint;
    int rc = 0;
    if (job->run_left > 0)
        rc = qs_space_release(space, job->run_pgno, job->run_left, number, number);
    for (size_t i = 0; rc == 0 && i < latest->taken_count; i++)
        if (i < job->taken_first || i >= job->taken_next)
            rc = qs_space_release(space, latest->taken[i].pgno, latest->taken[i].pages, number,
                                  number);
    return rc;
}

static int write_rest(struct job *job)
{
    struct loose_runs loose;
    struct pending_run *runs;
    int rc = list_loose(job, &runs, &loose.count);
    loose.run = runs;
    if (rc == 0)
        rc = release_taken(job);
    if (rc == 0)
        rc = qs_job_write_rest(job, loose);
    free(runs);
    return rc;
}

/* All that was committed is visible by now. */
static void enter_force(struct job *job)
{
    struct core *core = job->core;
    struct replica *replica = job->replica;
    struct lock_header *header = qs_lockfile_header(core->lockfile);
    QS_HOOK("carry.durable");
    pthread_mutex_lock(&core->follow_lock);
    qs_space_commit(&core->space, &job->meta);
    core->space_checkpoint = job->meta.checkpoint;
    qs_map_set_root(&replica->cache.map, &job->meta.map, true);
    qs_replica_pass(replica, &job->meta, &job->passed);
    core->space_runs = replica->latest.runs_count;
    core->space_segments = replica->log.end.segments;
    core->space_taken = core->spare_first = core->spare_end = 0;
    job->phase = JOB_LINKING;
    job->link_from = replica->log.end.position;
    /* After the replica: who sees this number finds the replica at least as new. */
    atomic_store(&header->checkpoint, job->meta.checkpoint);
    atomic_store(&core->finishing, false);
    QS_HOOK("carry.published");
    pthread_mutex_unlock(&core->follow_lock);
}

static int finish(struct job *job)
{
    struct core *core = job->core;
    qs_space_begin(&core->space);
    int rc = write_rest(job);
    if (rc == 0)
        rc = qs_job_make_durable(job);
    if (rc != 0) {
        qs_space_rollback(&core->space);
        return rc;
    }
    enter_force(job);
    if (!core->has_lock_file) /* nobody is told to leave the old pages */
        qs_job_link_all(core);
    return 0;
}

/* ---- a share ---- */

/* Another process has begun one: this one was given up for dead. Or it has used runs again that this one
 * contains, or releases: before any were taken it could not know. */
static bool is_overtaken(const struct job *job)
{
    const struct latest *latest = &job->replica->latest;
    return job->taken_count != latest->taken_count || job->reused != latest->reused;
}

/* What another process carries is left to it, until there is little of the budget left. */
static bool is_time(const struct core *core, const struct replica *replica)
{
    uint64_t used = qs_commit_log_used(core, replica), limit = core->log_limit;
    uint64_t from = replica->latest.taken_count == 0 ? limit / 4 * 3 : limit / 16 * 15;
    return used >= from && replica->log.end.position >= core->carry_from;
}

/* All pages are written. */
static void begin_flush(struct job *job)
{
    struct store *store = job->core->store;
    write_out(job);
    job->phase = JOB_FLUSHING;
    store->io->flush_ahead(store->file);
}

/* The device may be slow: then the log waits for it, before it is full. */
static bool is_flushed(const struct core *core, const struct replica *replica)
{
    return core->store->io->flush_ahead_ended(core->store->file) ||
           qs_commit_log_used(core, replica) >= core->log_limit / 16 * 15;
}

/* One share, or what comes before it; *ready: it can be put in force. */
static int share(struct core *core, struct replica *replica, bool *ready)
{
    int rc = core->job == NULL ? begin(core, replica) : 0;
    if (rc != 0)
        return rc;
    struct job *job = core->job;
    if (job->phase == JOB_FLUSHING) {
        *ready = is_flushed(core, replica);
        return 0;
    }
    size_t due = pages_due(job), count = job->publication.count;
    if (due == count || due >= job->done + SHARE_PAGES_MIN)
        rc = write_pages(job, due);
    if (rc == 0 && job->done == count)
        begin_flush(job);
    return rc;
}

/* It has failed, or is no longer wanted: another try some log later, and at last in one go. */
static void give_up(struct core *core, const struct replica *replica)
{
    qs_checkpoint_drop(core);
    core->carry_from = replica->log.end.position + core->log_limit / 16;
}

void qs_checkpoint_carry(struct core *core, struct replica *replica)
{
    int rc = 0;
    bool ready = false;
    if (core->job == NULL && !is_time(core, replica))
        return;
    pthread_mutex_lock(&core->follow_lock);
    if (core->job != NULL && core->job->phase == JOB_LINKING)
        qs_job_link_share(core);
    else if (core->job != NULL && is_overtaken(core->job))
        give_up(core, replica);
    else
        rc = share(core, replica, &ready);
    pthread_mutex_unlock(&core->follow_lock);
    QS_HOOK("carry.shared");
    if (ready)
        rc = finish(core->job);
    if (rc != 0) { /* H4 */
        pthread_mutex_lock(&core->follow_lock);
        give_up(core, replica);
        pthread_mutex_unlock(&core->follow_lock);
    }
}
