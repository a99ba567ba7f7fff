/* group.h - making the log durable: one flush for all who wait.
 *
 * Committers and processes share it through the positions in the lock file. Whoever needs more to be
 * durable than is becomes the leader, if there is none, and flushes all that is written; the others
 * wait for him, and look again.
 * Threads and processes: any. A leader that dies is noticed by those who wait.
 */
#ifndef QS_LOG_GROUP_H
#define QS_LOG_GROUP_H

#include "format/lockfile.h"
#include "log/log.h"

/* Initialises the flush mutex: the first opener's, in private memory too. */
int qs_group_init(struct lock_header *header);

/* What is written once more before a flush, because the system may have told somebody else, who has died,
 * that it could not write it. 0 or errno. */
struct group_log {
    /* What lies between two positions, over itself; *to is lowered where this process knows no further. */
    int (*write_again)(void *context, uint64_t from, uint64_t *to);
    /* The meta page of a checkpoint: header->suspect, before a flush of the whole file. */
    int (*write_meta)(void *context, uint64_t checkpoint);
    void *context;
};

/* Waits until the log up to `position`, which lies in `segment`, is durable. errno of the flush, for
 * who led it, and QS_E_PANIC for everybody else after one that failed, for good. */
int qs_group_wait(struct lock_header *header, const struct qs_io_ops *io, struct qs_io_file *file,
                  uint64_t position, const struct log_segment *segment,
                  const struct group_log *log);

/* Flushes the whole file; the log as it is now is durable then. Also under the writer mutex. */
int qs_group_flush_all(struct lock_header *header, const struct qs_io_ops *io,
                       struct qs_io_file *file, const struct group_log *log);

/* Whether no flush is under way, nor was its leader lost: so what is committed by now becomes durable together,
 * as far as it is not yet. Where other processes have the file open they may know less of the log. */
bool qs_group_idle(struct lock_header *header);

/* Raises a position, or the visible transaction, that only grows. */
static inline void qs_group_raise(_Atomic uint64_t *position, uint64_t to)
{
    /* seq_cst: `visible` is one side of what decides who saw whom (engine rule 5) */
    uint64_t now = atomic_load(position);
    while (now < to && !atomic_compare_exchange_weak(position, &now, to))
        ;
}

#endif
