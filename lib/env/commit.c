/* commit.c - committing a write transaction: by a record in the log, or by a checkpoint.
 *
 * By log: the record is appended, `written` stored (the commit point), the versions linked; all under the
 * writer mutex. The flush comes after it has been released, and is shared (log/group.c). By checkpoint
 * go transactions that are too large for the log, and the one that finds the log full.
 * Locks: the writer mutex is held; follow_lock is taken.
 */
#include "env/env.h"

#include "base/error.h"
#include "env/flush.h"
#include "log/group.h"
#include "os/hook.h"
#include "txn/change.h"
#include "txn/publish.h"

#include <errno.h>

#define LOG_BUDGET_MIN (16ull << 20)
#define LOG_BUDGET_MAX (64ull << 20)
#define PINNED_MAX (1ull << 30)
#define SEGMENT_BYTES_MIN (64ull << 10)
#define SEGMENT_BYTES_MAX (1ull << 20)

/* Others apply what is logged, all of it anew after each checkpoint: they bound the log. */
void qs_commit_budget(struct core *core, uint64_t used_pages)
{
    uint64_t half = (used_pages << QS_PAGE_SHIFT) / 2;
    uint64_t most = half < LOG_BUDGET_MIN ? LOG_BUDGET_MIN : half;
    if (most > LOG_BUDGET_MAX)
        most = LOG_BUDGET_MAX;
    if (most > LOG_BUDGET_MIN && core->has_lock_file && qs_lockfile_shared(core->lockfile))
        most = LOG_BUDGET_MIN;
    core->log_limit = core->log_bytes_max != 0 ? core->log_bytes_max : most;
}

/* How much of the file large values may take that the log has released, and no checkpoint yet. */
static uint64_t pinned_limit(const struct core *core, uint64_t used_pages)
{
    uint64_t used = used_pages << QS_PAGE_SHIFT;
    uint64_t most = used < PINNED_MAX ? used : PINNED_MAX;
    return core->log_bytes_max == 0 && most > core->log_limit ? most : core->log_limit;
}

uint64_t qs_commit_log_used(const struct core *core, const struct replica *replica)
{
    const struct latest *latest = &replica->latest;
    uint64_t logged = replica->log.end.position - replica->log.anchor;
    uint64_t pinned = (latest->released_pages + latest->recycle.pages) << QS_PAGE_SHIFT;
    if (pinned == 0)
        return logged;
    uint64_t weight = pinned_limit(core, latest->used_pages) / (core->log_limit | 1);
    return logged + pinned / (weight > 0 ? weight : 1);
}

/* Whether the transaction can go, and is best put, into the log. */
static bool by_log(struct core *core, const struct qs_txn *txn)
{
    const struct log *log = &txn->replica->log;
    size_t size = txn->redo->size;
    return !txn->redo->off && log->end.segments > 0 && size <= core->log_limit / 4 &&
           qs_commit_log_used(core, txn->replica) + size <= core->log_limit &&
           qs_room_for(core, txn);
}

/* Segments grow with the log, so that a small database has a small log. */
uint64_t qs_commit_segment_pages(const struct log *log, size_t size)
{
    if (qs_log_fits(log, size))
        return 0;
    uint64_t bytes = log->end.position - log->anchor;
    bytes = bytes < SEGMENT_BYTES_MIN   ? SEGMENT_BYTES_MIN
            : bytes > SEGMENT_BYTES_MAX ? SEGMENT_BYTES_MAX
                                        : bytes;
    if (bytes < size + LOG_LINK_BYTES)
        bytes = size + LOG_LINK_BYTES;
    return (bytes + QS_PAGE_BYTES - 1) >> QS_PAGE_SHIFT;
}

/* Goes on in a new segment of `pages` pages from *pgno on, with the record at its start. */
static int add_segment(struct core *core, struct replica *replica, size_t size, uint64_t pages,
                       uint64_t *pgno)
{
    struct log *log = &replica->log;
    const struct qs_io_ops *io = core->store->io;
    struct qs_io_file *file = core->store->file;
    /* What the record is about to cover need not be cleared before. */
    uint64_t covered = size >> QS_PAGE_SHIFT;
    int rc = qs_space_allocate(&core->space, pages, pgno);
    if (rc != 0)
        return rc;
    QS_HOOK("commit.segment");
    rc = qs_log_clear_run(io, file, *pgno + covered, pages - covered);
    if (rc == 0)
        rc = qs_log_link(log, io, file, atomic_load(&qs_lockfile_header(core->lockfile)->durable),
                         *pgno, pages);
    if (rc == 0) { /* what is full changes no more */
        const struct log_segment *full = &log->segment[log->end.segments - 2];
        io->write_out(file, full->pgno << QS_PAGE_SHIFT, full->pages << QS_PAGE_SHIFT);
    }
    qs_commit_budget(core, replica->latest.used_pages);
    qs_room_forget(core);
    if (rc != 0)
        qs_space_free(&core->space, *pgno, pages);
    return rc;
}

int qs_commit_append(struct core *core, struct replica *replica, struct log_record *record,
                     size_t size, enum log_kind kind, txnid_t txn)
{
    struct lock_header *header = qs_lockfile_header(core->lockfile);
    struct log *log = &replica->log;
    struct log_end before = log->end;
    uint64_t pages = qs_commit_segment_pages(log, size), pgno;
    int rc = pages > 0 ? add_segment(core, replica, size, pages, &pgno) : 0;
    if (rc != 0)
        goto out;
    rc = qs_log_append(log, core->store->io, core->store->file, record, size, kind, txn,
                       atomic_load(&header->durable));
    if (rc == 0 && pages > 0)
        qs_group_raise(&header->full_sync_upto, log->end.position);
    if (rc != 0 && pages > 0)
        qs_space_free(&core->space, pgno, pages);
out:
    if (rc != 0)
        log->end = before;
    return rc;
}

/* Writes the record. What is not durable by a flush of the log's range says so, before it is written. */
static int append(struct core *core, struct qs_txn *txn)
{
    struct lock_header *header = qs_lockfile_header(core->lockfile);
    struct redo *redo = txn->redo;
    int rc = qs_commit_append(core, txn->replica, (struct log_record *)(void *)redo->bytes,
                              redo->size, LOG_TXN, txn->id);
    /* A suspect meta page is written again by who flushes the whole file (log/group.c). */
    if (rc == 0 && (txn->writer->allocated_count > 0 || atomic_load(&header->suspect) != 0))
        qs_group_raise(&header->full_sync_upto, txn->replica->log.end.position);
    return rc;
}

static int commit_by_log(struct core *core, struct qs_txn *txn, bool durable,
                         struct commit_wait *wait)
{
    struct lock_header *header = qs_lockfile_header(core->lockfile);
    struct log *log = &txn->replica->log;
    struct publication publication = {.place = NULL};
    pthread_mutex_lock(&core->follow_lock);
    int rc = qs_publish_prepare(&publication, txn);
    if (rc == 0)
        rc = append(core, txn);
    QS_HOOK("commit.appended");
    if (rc != 0)
        goto out;
    /* The commit point. seq_cst: who reads `written` in order to flush finds the bytes written. */
    atomic_store(&header->written, log->end.position);
    QS_HOOK("commit.written");
    qs_publish_own(&publication, txn, qs_core_live(core));
    core->space_runs = txn->replica->latest.runs_count;
    core->space_segments = log->end.segments;
    QS_HOOK("commit.linked");
    if (durable)
        *wait = (struct commit_wait){txn->id, log->end.position, *qs_log_tail(log)};
    else
        qs_group_raise(&header->visible, txn->id);
out:
    pthread_mutex_unlock(&core->follow_lock);
    qs_publish_free(&publication);
    return rc;
}

static void record_map_size(struct qs_txn *txn, uint64_t size_bytes)
{
    static const struct qs_tree main_tree = {.index = 0};
    if (size_bytes <= txn->replica->latest.map_size_bytes)
        return;
    txn->map_size_bytes = size_bytes;
    qs_redo_add(txn->redo, &main_tree, LOG_OP_SIZE, NULL, 0, &size_bytes, sizeof size_bytes);
}

/* What the record says of runs of large values. */
static void record_runs(const struct core *core, struct qs_txn *txn)
{
    const struct replica *replica = txn->replica;
    const struct recycle *recycle = &replica->latest.recycle;
    struct writer *w = txn->writer;
    bool marks = w->gave_back || recycle->took_count > 0;
    bool recycles = qs_core_recycles(core, replica);
    for (size_t i = 0; recycles && i < w->released_count; i++) {
        struct pending_run *run = &w->released[i];
        if (run->born == replica->meta.checkpoint && qs_recycle_knows(recycle, run->pgno))
            run->freed = RUN_FREED;
    }
    qs_redo_add_freed(txn->redo, w->released, w->released_count);
    if (marks)
        qs_redo_mark_runs(txn->redo, w->allocated, w->allocated_count);
}

/* Where the log cannot grow, a checkpoint may do with what is free. */
static int put_in_force(struct core *core, struct qs_txn *txn, bool durable,
                        struct commit_wait *wait, bool *logged)
{
    if (by_log(core, txn)) {
        int rc = commit_by_log(core, txn, durable, wait);
        *logged = rc == 0;
        if (!qs_store_is_full(rc))
            return rc;
    }
    int rc = qs_checkpoint(core, txn);
    core->space.denied |= qs_store_is_full(rc);
    return rc;
}

int qs_commit(struct qs_env *env, struct qs_txn *txn, struct commit_wait *wait)
{
    struct core *core = env->core;
    unsigned flags = atomic_load(&env->flags);
    int rc = qs_txn_settle(txn);
    if (rc == 0) {
        record_map_size(txn, atomic_load(&env->map_size_bytes));
        rc = qs_txn_flush_catalog(txn);
    }
    if (rc == 0) {
        record_runs(core, txn);
        qs_recycle_settle(&txn->replica->latest.recycle);
    }
    bool logged = false;
    if (rc == 0)
        rc = put_in_force(core, txn, !qs_env_lazy(flags), wait, &logged);
    if (rc != 0) {
        qs_space_rollback(&core->space);
        return rc;
    }
    if (logged)
        qs_checkpoint_carry(core, txn->replica);
    uint64_t used = txn->replica->latest.used_pages;
    if (used > atomic_load(&env->accepted_pages))
        atomic_store(&env->accepted_pages, used);
    return 0;
}

void qs_commit_seen(struct core *core, const struct replica *replica, struct commit_wait *wait)
{
    struct lock_header *header = qs_lockfile_header(core->lockfile);
    const struct log_segment *tail = qs_log_tail(&replica->log);
    if (tail != NULL && replica->latest.txn > atomic_load(&header->visible))
        *wait = (struct commit_wait){replica->latest.txn, replica->log.end.position, *tail};
}

int qs_commit_wait(struct core *core, const struct commit_wait *wait)
{
    struct lock_header *header = qs_lockfile_header(core->lockfile);
    int rc = qs_flush_wait(core, wait->position, &wait->segment);
    if (rc != 0)
        return rc;
    QS_HOOK("commit.durable");
    qs_group_raise(&header->visible, wait->txn);
    QS_HOOK("commit.visible");
    return 0;
}
