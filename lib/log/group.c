/* group.c - one flush for all who wait; see group.h.
 *
 * Owns:       header->flush, header->flushes; raises header->durable, clears header->suspect.
 * Invariants: G1 `durable` is raised to what `written` was before the flush began, never further: what
 *             is appended meanwhile may have missed it.
 *             G2 below `full_sync_upto` only a flush of the whole file makes anything durable.
 *             G3 after a flush that failed nothing becomes durable any more: what it did not write is
 *             forgotten by the system, and a later flush would not notice.
 *             G4 every flush of the file is made under the flush mutex, one at a time, and its outcome noted
 *             before the mutex is released: the system tells of a failure once.
 * Locks:      the flush mutex, under none or under the writer mutex; write_again() takes follow_lock under
 *             it.
 * Source:     own; the shape is the usual one of group commit.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* syscall() */
#endif

#include "log/group.h"

#include "base/error.h"
#include "os/hook.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WAIT_NS 20000000 /* for a leader, before looking whether he is dead */

int qs_group_init(struct lock_header *header)
{
    pthread_mutexattr_t attributes;
    int rc = pthread_mutexattr_init(&attributes);
    if (rc != 0)
        return rc;
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    rc = pthread_mutex_init(&header->flush, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return rc;
}

/* pthread_mutex_trylock(), the mutex of a dead holder made good. Nobody sleeps on the mutex itself: in several
 * pid namespaces the kernel could take who dies there for the holder (readers/writer.c, I4). */
static int taken(struct lock_header *header, int rc)
{
    if (rc == EOWNERDEAD) {
        atomic_store(&header->flush_unsure, 1); /* first: the next may die as well */
        rc = pthread_mutex_consistent(&header->flush);
    }
    return rc == ENOTRECOVERABLE ? QS_E_PANIC : rc;
}

static void wait_for_leader(struct lock_header *header, uint32_t seen)
{
    const struct timespec timeout = {0, WAIT_NS};
    syscall(SYS_futex, &header->flushes, FUTEX_WAIT, seen, &timeout, NULL, 0);
}

static void leave(struct lock_header *header)
{
    QS_HOOK("flush.done");
    pthread_mutex_unlock(&header->flush);
    atomic_fetch_add(&header->flushes, 1);
    syscall(SYS_futex, &header->flushes, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static bool lies_in(const struct log_segment *segment, uint64_t from, uint64_t to)
{
    uint64_t bytes = (segment->pages << QS_PAGE_SHIFT) - segment->offset;
    return from >= segment->position && to - segment->position <= bytes;
}

/* What was appended before the look at `written` becomes durable (G1). With a `segment`, a flush of
 * the range will do where it covers all that is missing. */
static int flush_written(struct lock_header *header, const struct qs_io_ops *io,
                         struct qs_io_file *file, const struct log_segment *segment,
                         const struct group_log *log)
{
    bool unsure = atomic_load(&header->flush_unsure) != 0;
    uint64_t written = atomic_load(&header->written), durable = atomic_load(&header->durable);
    bool range = segment != NULL && !unsure && durable >= atomic_load(&header->full_sync_upto) &&
                 lies_in(segment, durable, written);
    uint64_t all = written;
    uint64_t suspect = range ? 0 : atomic_load(&header->suspect);
    int rc = unsure ? log->write_again(log->context, durable, &written) : 0;
    if (rc == 0 && suspect != 0)
        rc = log->write_meta(log->context, suspect);
    if (rc == 0)
        rc = range ? io->flush_range(file, qs_log_offset(segment, durable), written - durable)
                   : io->flush(file);
    if (rc == 0 && unsure && written == all)
        atomic_store(&header->flush_unsure, 0);
    if (rc != 0)
        atomic_store(&header->failed, 1); /* G3 */
    else if (atomic_load(&header->failed) != 0)
        rc = QS_E_PANIC;
    else
        qs_group_raise(&header->durable, written);
    if (rc == 0 && suspect != 0) /* a checkpoint made since is not this one */
        atomic_compare_exchange_strong(&header->suspect, &suspect, 0);
    return rc;
}

int qs_group_wait(struct lock_header *header, const struct qs_io_ops *io, struct qs_io_file *file,
                  uint64_t position, const struct log_segment *segment, const struct group_log *log)
{
    for (;;) {
        /* Before the look at `durable`: a flush that ends after it makes the wait return at once. */
        uint32_t seen = atomic_load(&header->flushes);
        if (atomic_load(&header->durable) >= position)
            return 0; /* whatever failed since (G3) */
        if (atomic_load(&header->failed) != 0)
            return QS_E_PANIC;
        int rc = taken(header, pthread_mutex_trylock(&header->flush));
        if (rc == EBUSY) {
            wait_for_leader(header, seen);
            continue;
        }
        if (rc != 0)
            return rc;
        if (atomic_load(&header->durable) < position)
            rc = flush_written(header, io, file, segment, log);
        leave(header);
        if (rc != 0)
            return rc;
    }
}

bool qs_group_idle(struct lock_header *header)
{
    if (taken(header, pthread_mutex_trylock(&header->flush)) != 0)
        return false;
    bool idle = atomic_load(&header->flush_unsure) == 0;
    leave(header);
    return idle;
}

int qs_group_flush_all(struct lock_header *header, const struct qs_io_ops *io,
                       struct qs_io_file *file, const struct group_log *log)
{
    uint32_t seen = atomic_load(&header->flushes);
    int rc;
    while ((rc = taken(header, pthread_mutex_trylock(&header->flush))) == EBUSY) {
        wait_for_leader(header, seen);
        seen = atomic_load(&header->flushes);
    }
    if (rc != 0)
        return rc;
    rc = atomic_load(&header->failed) != 0 ? QS_E_PANIC : 0;
    if (rc == 0)
        rc = flush_written(header, io, file, NULL, log);
    leave(header);
    return rc;
}
