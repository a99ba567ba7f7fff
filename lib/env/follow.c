/* follow.c - following the log: doing again, in this process's replica, what was committed elsewhere.
 *
 * Crash recovery is the same thing, beginning at the meta page. Transactions that no reader can tell apart
 * are done again as one: what they change in common is copied and linked once.
 * Invariants: F1 a replica's chains change under follow_lock only. Only who holds the writer mutex appends,
 *             and has followed to the end by then; so nobody else finds anything to apply while a write
 *             transaction runs in this process.
 *             F2 transactions are linked as one only where no snapshot lies between them: none that a slot
 *             holds, and none of the visible transaction or earlier that a slot could still come to hold,
 *             since whoever the scan missed begins at the transaction that was visible before it, or later.
 */
#include "env/core.h"

#include "base/error.h"
#include "base/zeroed.h"
#include "log/group.h"
#include "txn/change.h"
#include "txn/publish.h"

#include <errno.h>
#include <stdlib.h>

int qs_core_begin_writer(struct core *core, struct qs_txn *txn, struct replica *replica,
                         uint64_t limit_pages)
{
    const struct latest *latest = &replica->latest;
    struct writer_base base = {
        .next_pid = latest->next_pid,
        .free_pid = latest->free_pid,
        .free_pids = latest->free_pids,
        .spare = latest->freed,
        .spare_count = latest->freed_count,
        .used_pages = latest->used_pages,
        .limit_pages = limit_pages,
        .checkpoint = replica->meta.checkpoint,
        .txn = latest->txn + 1,
    };
    int rc = qs_txn_init_write(txn, replica, &core->names, &core->space, &base);
    if (rc == 0)
        txn->writer->recycle = &replica->latest.recycle;
    return rc;
}

/* F2. The newest transaction that may be done again together with `first`, so that only the last of them is a
 * state of this replica. A snapshot is `visible` as it was at some time, and a slot that the scan has
 * missed holds one no older than `live_visible`. Without a lock file this process alone raises `visible`, to
 * what it has applied. */
static txnid_t batch_end(const struct core *core, txnid_t first)
{
    txnid_t last = core->has_lock_file ? core->live_visible : QS_TXNID_NONE;
    if (last < first)
        return first;
    for (unsigned i = 0; i < core->live_count; i++)
        if (core->live_snapshots[i] >= first && core->live_snapshots[i] < last)
            last = core->live_snapshots[i];
    return last;
}

/* The next transaction's record; what others stand before it are passed over, and runs noted. */
static int next_txn(struct replica *replica, uint64_t limit, const struct log_record **record)
{
    struct log *log = &replica->log;
    struct log_end before = log->end;
    int rc = qs_log_next(log, limit, record);
    while (rc == 0 && (*record)->kind != LOG_TXN) {
        if ((*record)->kind == LOG_TAKEN)
            rc = qs_replica_take(replica, *record + 1, (*record)->size - sizeof **record);
        if (rc != 0)
            break;
        before = log->end;
        rc = qs_log_next(log, limit, record);
    }
    if (rc != 0)
        log->end = before;
    return rc;
}

/* Does the records from `record` on again, up to transaction `last`, as changes of one transaction. */
static int replay_batch(struct qs_txn *txn, struct replica *replica, uint64_t limit,
                        const struct log_record *record, txnid_t last)
{
    int rc = qs_txn_replay(txn, record);
    while (rc == 0 && txn->id < last) {
        rc = next_txn(replica, limit, &record);
        if (rc == QS_E_NOTFOUND)
            return 0;
        if (rc == 0)
            rc = qs_txn_replay(txn, record);
    }
    return rc;
}

/* The next transactions of the log are done again in the replica; under follow_lock. */
static int apply(struct core *core, struct replica *replica, uint64_t limit)
{
    struct publication publication = {.place = NULL};
    const struct log_record *record;
    struct log_end before = replica->log.end;
    size_t taken = replica->latest.taken_count;
    int rc = next_txn(replica, limit, &record);
    if (rc != 0)
        return rc;
    struct qs_txn *txn = qs_zeroed(sizeof *txn);
    rc = txn != NULL ? qs_core_begin_writer(core, txn, replica, UINT64_MAX) : ENOMEM;
    if (rc == 0) {
        /* What is in use is known from the log, and what is free does not matter here. */
        txn->writer->space = NULL;
        txn->writer->recycle = NULL;
        rc = replay_batch(txn, replica, limit, record, batch_end(core, record->txn));
    }
    if (rc == 0)
        rc = qs_txn_flush_catalog(txn);
    if (rc == 0)
        rc = qs_publish_prepare(&publication, txn);
    if (rc == 0) {
        qs_publish_own(&publication, txn, qs_core_live(core));
    } else { /* all of it once more, another time */
        replica->log.end = before;
        replica->latest.taken_count = taken;
    }
    qs_publish_free(&publication);
    if (txn != NULL)
        qs_txn_close(txn);
    free(txn);
    return rc;
}

/* Applies what stands before `limit`; under follow_lock. */
static int follow(struct core *core, struct replica *replica, uint64_t limit)
{
    struct log *log = &replica->log;
    const struct ahead *ahead = atomic_load_explicit(&replica->ahead, memory_order_relaxed);
    int rc = 0;
    if (log->end.position < limit)
        qs_core_scan(core, replica);
    if (ahead != NULL && ahead->log.end.position > log->sound)
        log->sound = ahead->log.end.position;
    while (rc == 0 && log->end.position < limit) {
        rc = apply(core, replica, limit);
        qs_core_free_unlinked(core, replica); /* by F1 no writer is using the pool now */
    }
    /* A record of another kind may be the last before the limit. */
    if (rc == QS_E_NOTFOUND)
        rc = limit == UINT64_MAX || log->end.position == limit ? 0 : QS_CORRUPT();
    return rc;
}

int qs_core_follow_log(struct core *core, struct replica *replica, uint64_t limit)
{
    pthread_mutex_lock(&core->follow_lock);
    int rc = follow(core, replica, limit);
    pthread_mutex_unlock(&core->follow_lock);
    return rc;
}

/* By F1 nobody appends while there is something to apply: only then may the log be looked at. */
int qs_core_catch_up(void *context, struct replica *replica, txnid_t snapshot, uint64_t limit)
{
    struct core *core = context;
    pthread_mutex_lock(&core->follow_lock);
    int rc = atomic_load(&replica->applied) < snapshot ? follow(core, replica, limit) : 0;
    pthread_mutex_unlock(&core->follow_lock);
    return rc;
}

int qs_core_look_ahead(struct core *core, struct replica *replica, txnid_t snapshot, uint64_t limit)
{
    pthread_mutex_lock(&core->follow_lock);
    struct ahead *ahead = atomic_load_explicit(&replica->ahead, memory_order_relaxed);
    if (ahead == NULL) {
        ahead = qs_ahead_new();
        atomic_store(&replica->ahead, ahead);
    }
    int rc = ahead != NULL ? 0 : ENOMEM;
    if (rc == 0 && atomic_load(&replica->applied) < snapshot)
        rc = qs_ahead_read(ahead, &replica->log, replica->latest.used_pages, &core->names, limit);
    pthread_mutex_unlock(&core->follow_lock);
    return rc;
}

int qs_core_probe(struct core *core, struct replica *replica)
{
    struct lock_header *header = qs_lockfile_header(core->lockfile);
    txnid_t before = atomic_load(&replica->applied);
    int rc = qs_core_follow_log(core, replica, UINT64_MAX);
    txnid_t now = atomic_load(&replica->applied);
    if (rc == 0 && now != before)
        qs_group_raise(&header->visible, now);
    return rc;
}
