/* io_uring.c - file I/O through io_uring, where it helps and the kernel lets us; else plain calls.
 *
 * It helps range flushes, and batches past the page cache (O_DIRECT), which then wait for the
 * device together. A buffered write is only a copy: the ring makes it dearer (README.md has
 * figures).
 *
 * Owns:       the descriptor and three small rings, made at first need: one for batches of writes,
 *             one for range flushes, so that a log flush does not wait behind a batch of images, and one for
 *             the flush ahead, with an open file description of its own: the system tells each of a failure
 *             once, and this one has nobody to listen.
 * Life:       RING_NONE -> RING_READY -> RING_REFUSED, or RING_NONE -> RING_REFUSED; a refused ring
 *             (no kernel support, seccomp, no memory, or a broken one) stays refused.
 * Invariants: I1 when a call returns, nothing of it is in flight, but for a flush ahead: no ring refers to
 *             its memory.
 *             I2 a ring is used by the process that made it only (its memory is shared with the
 *             kernel, and in a forked child with the parent too).
 *             I3 what the ring could not write in full is finished by a plain call, whose answer
 *             counts; a flush that answered EIO or ENOSPC is never asked again.
 * Locks:      one mutex a ring, held from the first submission to the last completion. Taken by
 *             nobody who holds another lock of this module.
 * Source:     own.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* liburing.h */
#endif

#include "os/io.h"
#include "os/posix_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WRITE_DEPTH 64   /* operations in flight in a batch; at most 64: one bit each */
#define FLUSH_DEPTH 2    /* one is used, of a flush ahead as well */
#define OP_PIECES_MAX 16 /* pieces of one operation */

enum ring_state { RING_NONE, RING_READY, RING_REFUSED };

/* One vectored write in flight. */
struct write_op {
    struct iovec iovecs[OP_PIECES_MAX]; /* what is to be written */
    size_t count;                       /* of iovecs */
    uint64_t offset;                    /* bytes from the start of the file */
    size_t size;                        /* bytes, all iovecs together */
};

struct ring {
    pthread_mutex_t mutex; /* around everything below but `state` */
    _Atomic int state;     /* enum ring_state; release under mutex, acquire anywhere */
    struct io_uring uring; /* while RING_READY */
    struct write_op *ops;  /* WRITE_DEPTH of them; NULL in the flush ring */
};

struct qs_io_file {
    int fd;              /* ours to close */
    bool direct;         /* opened with O_DIRECT: batches go through the ring */
    pid_t pid;           /* the process that may use the rings (I2) */
    struct ring writes;  /* batches */
    struct ring flushes; /* range flushes */
    struct ring ahead;   /* the flush ahead */
    int ahead_fd;        /* what it flushes; -1 before the first; under its ring's mutex */
    bool ahead_busy;     /* it is under way; the same */
};

/* What one batch has still to do. */
struct batch {
    const struct io_write *writes; /* the pieces not yet submitted */
    size_t count;                  /* of writes */
    uint64_t free_ops;             /* bit i: ops[i] is not in flight */
    int rc;                        /* first error; nothing is submitted after it */
};

static uint64_t all_ops(void)
{
    return WRITE_DEPTH == 64 ? UINT64_MAX : (1ull << (WRITE_DEPTH % 64)) - 1;
}

/* Makes the ring; under its mutex. */
static void ring_make(struct ring *ring, unsigned depth, bool with_ops)
{
    if (with_ops) {
        ring->ops = calloc(depth, sizeof *ring->ops);
        if (ring->ops == NULL)
            goto refused;
    }
    if (io_uring_queue_init(depth, &ring->uring, 0) != 0)
        goto err_after_ops;
    atomic_store_explicit(&ring->state, RING_READY, memory_order_release);
    return;

err_after_ops:
    free(ring->ops);
    ring->ops = NULL;
refused:
    atomic_store_explicit(&ring->state, RING_REFUSED, memory_order_release);
}

/* Gives the ring up for good; under its mutex, nothing in flight. What it holds prepared but not
 * submitted goes with it. */
static void ring_drop(struct ring *ring)
{
    atomic_store_explicit(&ring->state, RING_REFUSED, memory_order_release);
    io_uring_queue_exit(&ring->uring);
    free(ring->ops);
    ring->ops = NULL;
}

/* Locks the ring for use. False: plain calls are to be used, nothing is locked. */
static bool ring_enter(struct qs_io_file *file, struct ring *ring, unsigned depth, bool with_ops)
{
    /* acquire; pairs with the release in ring_make() and ring_drop() */
    if (atomic_load_explicit(&ring->state, memory_order_acquire) == RING_REFUSED)
        return false;
    if (file->pid != getpid())
        return false;
    pthread_mutex_lock(&ring->mutex);
    if (atomic_load_explicit(&ring->state, memory_order_relaxed) == RING_NONE)
        ring_make(ring, depth, with_ops);
    if (atomic_load_explicit(&ring->state, memory_order_relaxed) == RING_READY)
        return true;
    pthread_mutex_unlock(&ring->mutex);
    return false;
}

/* Submits what is prepared and waits for one completion. False: the ring is of no use any more. */
static bool ring_submit(struct ring *ring)
{
    int rc;

    do {
        rc = io_uring_submit_and_wait(&ring->uring, 1);
    } while (rc == -EINTR);
    return rc >= 0;
}

/* After a failed submission: waits until the `taken` operations that the kernel has are complete,
 * whatever it takes (I1): their results are of no interest, all will be written again. */
static void ring_drain(struct ring *ring, unsigned taken)
{
    struct io_uring_cqe *cqe;

    while (taken > 0) {
        if (io_uring_peek_cqe(&ring->uring, &cqe) == 0) {
            io_uring_cqe_seen(&ring->uring, cqe);
            taken--;
        } else {
            sched_yield();
        }
    }
}

/* ---- batches of writes ---- */

/* Fills and prepares operations until all are in flight or no piece is left. */
static void batch_prepare(struct qs_io_file *file, struct ring *ring, struct batch *batch)
{
    while (batch->rc == 0 && batch->count > 0 && batch->free_ops != 0) {
        unsigned index = (unsigned)__builtin_ctzll(batch->free_ops);
        struct write_op *op = &ring->ops[index];
        struct io_uring_sqe *sqe;
        size_t taken = qs_posix_gather(batch->writes, batch->count, op->iovecs, OP_PIECES_MAX,
                                       &op->count, &op->offset);

        batch->writes += taken;
        batch->count -= taken;
        if (op->count == 0)
            continue;
        op->size = 0;
        for (size_t i = 0; i < op->count; i++)
            op->size += op->iovecs[i].iov_len;
        /* Never NULL: the queue is as deep as there are operations. */
        sqe = io_uring_get_sqe(&ring->uring);
        io_uring_prep_writev(sqe, file->fd, op->iovecs, (unsigned)op->count, op->offset);
        io_uring_sqe_set_data64(sqe, index);
        batch->free_ops &= ~(1ull << index);
    }
}

/* Takes in what is complete. A short or failed operation is done again by plain calls, from its
 * start: that costs little, and is rare. */
static void batch_reap(struct qs_io_file *file, struct ring *ring, struct batch *batch)
{
    struct io_uring_cqe *cqe;

    while (io_uring_peek_cqe(&ring->uring, &cqe) == 0) {
        unsigned index = (unsigned)io_uring_cqe_get_data64(cqe);
        struct write_op *op = &ring->ops[index];
        bool whole = cqe->res >= 0 && (size_t)cqe->res == op->size;

        io_uring_cqe_seen(&ring->uring, cqe);
        if (!whole && batch->rc == 0)
            batch->rc = qs_posix_write_vector(file->fd, op->iovecs, op->count, op->offset);
        batch->free_ops |= 1ull << index;
    }
}

/* Runs the batch. False: the ring broke, and the caller has to write everything himself. */
static bool batch_run(struct qs_io_file *file, struct ring *ring, struct batch *batch)
{
    for (;;) {
        batch_prepare(file, ring, batch);
        if (batch->free_ops == all_ops())
            return true;
        if (!ring_submit(ring)) {
            unsigned busy = (unsigned)__builtin_popcountll(~batch->free_ops & all_ops());

            ring_drain(ring, busy - io_uring_sq_ready(&ring->uring));
            return false;
        }
        batch_reap(file, ring, batch);
    }
}

/* True when the batch is one stretch that a single call writes as well. */
static bool batch_is_single(const struct io_write *writes, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (writes[i].offset != writes[i - 1].offset + writes[i - 1].size)
            return false;
    }
    return count <= OP_PIECES_MAX;
}

static int uring_write(struct qs_io_file *file, const struct io_write *writes, size_t count)
{
    struct batch batch = {writes, count, all_ops(), 0};
    bool done;

    if (!file->direct || batch_is_single(writes, count) ||
        !ring_enter(file, &file->writes, WRITE_DEPTH, true))
        return qs_posix_write(file->fd, writes, count);
    done = batch_run(file, &file->writes, &batch);
    if (!done)
        ring_drop(&file->writes);
    pthread_mutex_unlock(&file->writes.mutex);
    return done ? batch.rc : qs_posix_write(file->fd, writes, count);
}

/* ---- flushes ---- */

/* Whole-file flushes gain nothing from a ring: the caller waits anyway. */
static int uring_flush(struct qs_io_file *file)
{
    return qs_posix_flush(file->fd);
}

/* The range flush itself, under the ring's mutex. False: the ring broke. */
static bool flush_run(struct qs_io_file *file, uint64_t offset, uint32_t size, int *result)
{
    struct io_uring *uring = &file->flushes.uring;
    struct io_uring_sqe *sqe = io_uring_get_sqe(uring);
    struct io_uring_cqe *cqe;

    io_uring_prep_fsync(sqe, file->fd, IORING_FSYNC_DATASYNC);
    sqe->off = offset;
    sqe->len = size;
    while (io_uring_peek_cqe(uring, &cqe) != 0) {
        if (!ring_submit(&file->flushes)) {
            ring_drain(&file->flushes, 1 - io_uring_sq_ready(uring));
            return false;
        }
    }
    *result = -cqe->res;
    io_uring_cqe_seen(uring, cqe);
    return true;
}

static int uring_flush_range(struct qs_io_file *file, uint64_t offset, uint64_t size)
{
    int rc = 0;
    bool done;

    if (size == 0)
        return 0;
    if (size > UINT32_MAX || !ring_enter(file, &file->flushes, FLUSH_DEPTH, false))
        return qs_posix_flush_range(file->fd, offset, size);
    done = flush_run(file, offset, (uint32_t)size, &rc);
    if (!done)
        ring_drop(&file->flushes);
    pthread_mutex_unlock(&file->flushes.mutex);
    if (done && (rc == 0 || rc == EIO || rc == ENOSPC))
        return rc;
    return qs_posix_flush_range(file->fd, offset, size);
}

/* ---- the flush ahead ---- */

static int open_ahead(struct qs_io_file *file)
{
    char path[32];

    if (file->ahead_fd < 0) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", file->fd);
        file->ahead_fd = open(path, O_RDWR | O_CLOEXEC);
    }
    return file->ahead_fd;
}

/* Takes in its end; under the ring's mutex. */
static void reap_ahead(struct qs_io_file *file)
{
    struct io_uring *uring = &file->ahead.uring;
    struct io_uring_cqe *cqe;

    if (file->ahead_busy && io_uring_peek_cqe(uring, &cqe) == 0) {
        io_uring_cqe_seen(uring, cqe);
        file->ahead_busy = false;
    }
}

/* So that nothing refers to the file any more when it is closed. */
static void wait_ahead(struct qs_io_file *file)
{
    struct io_uring_cqe *cqe;

    if (!ring_enter(file, &file->ahead, FLUSH_DEPTH, false))
        return;
    if (file->ahead_busy) {
        int rc;

        do {
            rc = io_uring_wait_cqe(&file->ahead.uring, &cqe);
        } while (rc == -EINTR);
        if (rc == 0)
            io_uring_cqe_seen(&file->ahead.uring, cqe);
        file->ahead_busy = false;
    }
    pthread_mutex_unlock(&file->ahead.mutex);
}

static void uring_flush_ahead(struct qs_io_file *file)
{
    struct ring *ring = &file->ahead;

    if (!ring_enter(file, ring, FLUSH_DEPTH, false))
        return;
    reap_ahead(file); /* one that nobody asked after */
    if (!file->ahead_busy && open_ahead(file) >= 0) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);

        io_uring_prep_fsync(sqe, file->ahead_fd, IORING_FSYNC_DATASYNC);
        file->ahead_busy = io_uring_submit(&ring->uring) == 1;
        if (!file->ahead_busy)
            ring_drop(ring);
    }
    pthread_mutex_unlock(&ring->mutex);
}

static bool uring_flush_ahead_ended(struct qs_io_file *file)
{
    struct ring *ring = &file->ahead;
    bool ended;

    if (!ring_enter(file, ring, FLUSH_DEPTH, false))
        return true;
    reap_ahead(file);
    ended = !file->ahead_busy;
    pthread_mutex_unlock(&ring->mutex);
    return ended;
}

/* ---- the rest ---- */

static int uring_attach(int fd, struct qs_io_file **file)
{
    struct qs_io_file *made = calloc(1, sizeof *made);

    if (made == NULL)
        return ENOMEM;
    made->fd = fd;
    made->direct = (fcntl(fd, F_GETFL) & O_DIRECT) != 0;
    made->pid = getpid();
    pthread_mutex_init(&made->writes.mutex, NULL);
    pthread_mutex_init(&made->flushes.mutex, NULL);
    pthread_mutex_init(&made->ahead.mutex, NULL);
    made->ahead_fd = -1;
    *file = made;
    return 0;
}

/* In a forked child a mutex may be held by a thread that exists in the parent only, so it is not
 * touched. A ready ring can go: unmapping and closing are the child's own affair. */
static void uring_close(struct qs_io_file *file)
{
    struct ring *rings[] = {&file->writes, &file->flushes, &file->ahead};
    bool own = file->pid == getpid();

    if (own && file->ahead_busy)
        wait_ahead(file);
    for (size_t i = 0; i < sizeof rings / sizeof rings[0]; i++) {
        if (atomic_load_explicit(&rings[i]->state, memory_order_acquire) == RING_READY)
            ring_drop(rings[i]);
        if (own)
            pthread_mutex_destroy(&rings[i]->mutex);
    }
    if (file->ahead_fd >= 0)
        close(file->ahead_fd);
    close(file->fd);
    free(file);
}

static int uring_truncate(struct qs_io_file *file, uint64_t size)
{
    return qs_posix_truncate(file->fd, size);
}

static void uring_write_out(struct qs_io_file *file, uint64_t offset, uint64_t size)
{
    qs_posix_write_out(file->fd, offset, size);
}

static int uring_punch(struct qs_io_file *file, uint64_t offset, uint64_t size)
{
    return qs_posix_punch(file->fd, offset, size);
}

const struct qs_io_ops qs_io_uring = {
    .name = "io_uring",
    .attach = uring_attach,
    .close = uring_close,
    .write = uring_write,
    .flush = uring_flush,
    .flush_range = uring_flush_range,
    .flush_ahead = uring_flush_ahead,
    .flush_ahead_ended = uring_flush_ahead_ended,
    .truncate = uring_truncate,
    .write_out = uring_write_out,
    .punch = uring_punch,
};

const struct qs_io_ops *qs_io_default(void)
{
    return &qs_io_uring;
}
