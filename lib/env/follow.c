/* follow.c - following the log: doing again, in this process's replica, what was committed elsewhere.
 *
 * Crash recovery is the same thing, beginning at the meta page.
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

#define GROUP_BYTES_MAX (1u << 20) /* of log in a group, and so of versions that nobody sees yet */

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

/* Begins a transaction in which records are done again. */
static int begin_group(struct core *core, struct replica *replica, struct qs_txn **out)
{
    struct qs_txn *txn = qs_zeroed(sizeof *txn);
    if (txn == NULL)
        return ENOMEM;
    int rc = qs_core_begin_writer(core, txn, replica, UINT64_MAX);
    if (rc != 0) {
        free(txn);
        return rc;
    }
    /* What is in use is known from the log, and what is free does not matter here. */
    txn->writer->space = NULL;
    txn->redo = NULL;
    *out = txn;
    return 0;
}

/* Links what the records of the group did, unless `rc` says that they failed. */
static int end_group(struct core *core, struct qs_txn *txn, int rc)
{
    struct publication publication = {.place = NULL};
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

/* F2. The last transaction that may be linked as one with `first`. */
static txnid_t last_of_group(const struct core *core, txnid_t first)
{
    txnid_t last = core->live_newest.txn;
    for (unsigned i = 0; i < core->live_count; i++)
        if (core->live_snapshots[i] >= first && core->live_snapshots[i] < last)
            last = core->live_snapshots[i];
    return last;
}

/* One record, in the group that it begins or goes on with. */
static int follow_record(struct core *core, struct replica *replica,
                         const struct log_record *record, struct qs_txn **group)
{
    const void *payload = record + 1;
    size_t size = record->size - sizeof *record;
    if (record->kind == LOG_TAKEN)
        return qs_replica_take(replica, payload, size);
    if (record->kind != LOG_TXN)
        return 0;
    int rc = *group == NULL ? begin_group(core, replica, group) : 0;
    if (rc != 0)
        return rc;
    (*group)->id = record->txn;
    qs_writer_next((*group)->writer, record->txn);
    return qs_txn_replay(*group, payload, size);
}

/* Does the next records again: transactions, as one, or a record that is none. QS_E_NOTFOUND: there are none. */
static int follow_group(struct core *core, struct replica *replica, uint64_t limit)
{
    struct log *log = &replica->log;
    struct log_end begun = log->end, before;
    const struct log_record *record;
    struct qs_txn *group = NULL;
    txnid_t last = 0;
    int rc;
    do {
        before = log->end;
        rc = qs_log_next(log, limit, &record);
        if (rc != 0 || (group != NULL && record->kind != LOG_TXN)) {
            log->end = before; /* not there, or the next time */
            break;
        }
        if (group == NULL && record->kind == LOG_TXN)
            last = last_of_group(core, record->txn);
        rc = follow_record(core, replica, record, &group);
    } while (rc == 0 && log->end.position < limit && log->end.txn < last &&
             log->end.position - begun.position < GROUP_BYTES_MAX);
    if (group != NULL)
        rc = end_group(core, group, rc == QS_E_NOTFOUND ? 0 : rc);
    if (rc != 0)
        log->end = begun;
    return rc;
}

int qs_core_follow_log(struct core *core, struct replica *replica, uint64_t limit)
{
    int rc = 0;
    pthread_mutex_lock(&core->follow_lock);
    struct log *log = &replica->log;
    if (log->end.position < limit)
        qs_core_scan(core);
    while (rc == 0 && log->end.position < limit) {
        rc = follow_group(core, replica, limit);
        qs_core_free_unlinked(core, replica); /* by F1 no writer is using the pool now */
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
