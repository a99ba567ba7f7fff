/* follow.c - following the log: doing again, in this process's replica, what was committed elsewhere.
 *
 * Crash recovery is the same thing, beginning at the meta page.
 * Invariants: F1 a replica's chains change under follow_lock only. Only who holds the writer mutex appends,
 *             and has followed to the end by then; so nobody else finds anything to apply while a write
 *             transaction runs in this process.
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
    return qs_txn_init_write(txn, replica, &core->names, &core->space, &base);
}

/* A transaction of the log is done again in the replica; under follow_lock. */
static int apply(struct core *core, struct replica *replica, const struct log_record *record)
{
    struct publication publication = {.place = NULL};
    struct qs_txn *txn = qs_zeroed(sizeof *txn);
    if (txn == NULL)
        return ENOMEM;
    int rc = qs_core_begin_writer(core, txn, replica, UINT64_MAX);
    /* What is in use is known from the log, and what is free does not matter here. */
    if (rc == 0)
        txn->writer->space = NULL;
    txn->redo = NULL;
    if (rc == 0)
        rc = qs_txn_replay(txn, record + 1, record->size - sizeof *record);
    if (rc == 0)
        rc = qs_txn_flush_catalog(txn);
    if (rc == 0)
        rc = qs_publish_prepare(&publication, txn);
    if (rc == 0)
        qs_publish_own(&publication, txn, qs_core_live(core));
    qs_publish_free(&publication);
    qs_txn_close(txn);
    free(txn);
    return rc;
}

int qs_core_follow_log(struct core *core, struct replica *replica, uint64_t limit)
{
    const struct log_record *record;
    int rc = 0;
    pthread_mutex_lock(&core->follow_lock);
    struct log *log = &replica->log;
    if (log->end.position < limit)
        qs_core_scan(core);
    while (rc == 0 && log->end.position < limit) {
        struct log_end before = log->end;
        rc = qs_log_next(log, limit, &record);
        if (rc == 0 && record->kind == LOG_TXN) {
            rc = apply(core, replica, record);
            qs_core_free_unlinked(core, replica); /* by F1 no writer is using the pool now */
        }
        if (rc == 0 && record->kind == LOG_TAKEN)
            rc = qs_replica_take(replica, record + 1, record->size - sizeof *record);
        if (rc != 0)
            log->end = before;
    }
    if (rc == QS_E_NOTFOUND)
        rc = limit == UINT64_MAX ? 0 : QS_CORRUPT();
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
