/* io_posix.c - file I/O by plain system calls: the implementation that works everywhere.
 *
 * Owns:       nothing but the descriptor.
 * Invariants: a piece is written whole or the batch fails; pieces that follow each other in the
 *             file go out in one pwritev.
 * Locks:      none; every call stands for itself.
 * Source:     own. A range flush is an msync() of a mapping made for the purpose: the kernel turns
 *             it into a flush of just that range of the file, which fdatasync() cannot ask for.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* fallocate(), SEEK_DATA */
#endif

#include "os/io.h"
#include "os/posix_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Pieces in one pwritev: below IOV_MAX (1024), and small enough for the stack. */
#define GATHER_MAX 256

struct qs_io_file {
    int fd; /* ours to close */
};

/* Drops the first `done` bytes from the iovecs. Returns how many whole ones are behind us. */
static size_t iovecs_advance(struct iovec *iovecs, size_t count, size_t done)
{
    size_t gone = 0;

    while (gone < count && done >= iovecs[gone].iov_len) {
        done -= iovecs[gone].iov_len;
        gone++;
    }
    if (gone < count) {
        iovecs[gone].iov_base = (char *)iovecs[gone].iov_base + done;
        iovecs[gone].iov_len -= done;
    }
    return gone;
}

int qs_posix_write_vector(int fd, struct iovec *iovecs, size_t count, uint64_t offset)
{
    while (count > 0) {
        ssize_t done = pwritev(fd, iovecs, (int)count, (off_t)offset);
        size_t gone;

        if (done < 0) {
            if (errno == EINTR)
                continue;
            return errno;
        }
        gone = iovecs_advance(iovecs, count, (size_t)done);
        if (done == 0 && gone == 0)
            return EIO;
        iovecs += gone;
        count -= gone;
        offset += (uint64_t)done;
    }
    return 0;
}

size_t qs_posix_gather(const struct io_write *writes, size_t count, struct iovec *iovecs,
                       size_t max, size_t *filled, uint64_t *offset)
{
    uint64_t end = 0;
    size_t used = 0;
    size_t i;

    for (i = 0; i < count; i++) {
        if (writes[i].size == 0)
            continue;
        if (used == max || (used > 0 && writes[i].offset != end))
            break;
        if (used == 0)
            *offset = writes[i].offset;
        /* pwritev() only reads through the pointer; struct iovec has no const form. */
        iovecs[used].iov_base = (void *)(uintptr_t)writes[i].data;
        iovecs[used].iov_len = writes[i].size;
        end = writes[i].offset + writes[i].size;
        used++;
    }
    *filled = used;
    return i;
}

int qs_posix_write(int fd, const struct io_write *writes, size_t count)
{
    struct iovec iovecs[GATHER_MAX];
    uint64_t offset;
    size_t filled;
    int rc;

    while (count > 0) {
        size_t taken = qs_posix_gather(writes, count, iovecs, GATHER_MAX, &filled, &offset);

        if (filled > 0) {
            rc = qs_posix_write_vector(fd, iovecs, filled, offset);
            if (rc != 0)
                return rc;
        }
        writes += taken;
        count -= taken;
    }
    return 0;
}

int qs_posix_flush(int fd)
{
    /* EINTR comes before anything is done, so asking again loses no error. */
    while (fdatasync(fd) != 0) {
        if (errno != EINTR)
            return errno;
    }
    return 0;
}

int qs_posix_flush_range(int fd, uint64_t offset, uint64_t size)
{
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t start = offset & ~(page_bytes - 1);
    uint64_t length = offset - start + size;
    void *map;
    int rc;

    if (size == 0)
        return 0;
    map = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, (off_t)start);
    if (map == MAP_FAILED)
        return qs_posix_flush(fd);
    /* No page of it is ever touched: building and dropping the mapping costs a microsecond or two,
     * and the file may even end inside the range. */
    rc = msync(map, length, MS_SYNC) == 0 ? 0 : errno;
    munmap(map, length);
    /* EIO is the medium's answer, and is given once: it must not be asked away by a second flush.
     * Everything else means that the range was not looked at. */
    return rc == 0 || rc == EIO || rc == ENOSPC ? rc : qs_posix_flush(fd);
}

void qs_posix_write_out(int fd, uint64_t offset, uint64_t size)
{
    /* Errors stay with the pages, for the next flush to report. */
    (void)sync_file_range(fd, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE);
}

int qs_posix_truncate(int fd, uint64_t size)
{
    while (ftruncate(fd, (off_t)size) != 0) {
        if (errno != EINTR)
            return errno;
    }
    return 0;
}

/* Whether nothing of the range is allocated. Where the system cannot tell, something is. */
static bool is_hole(int fd, uint64_t offset, uint64_t size)
{
    off_t data = lseek(fd, (off_t)offset, SEEK_DATA);

    return data < 0 ? errno == ENXIO : (uint64_t)data >= offset + size;
}

int qs_posix_punch(int fd, uint64_t offset, uint64_t size)
{
    const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

    /* Asking costs less than a change of the inode, which the next flush would have to write. */
    if (size == 0 || is_hole(fd, offset, size))
        return 0;
    while (fallocate(fd, mode, (off_t)offset, (off_t)size) != 0) {
        if (errno != EINTR)
            return errno == ENOSYS ? EOPNOTSUPP : errno;
    }
    return 0;
}

static int posix_attach(int fd, struct qs_io_file **file)
{
    struct qs_io_file *made = malloc(sizeof *made);

    if (made == NULL)
        return ENOMEM;
    made->fd = fd;
    *file = made;
    return 0;
}

static void posix_close(struct qs_io_file *file)
{
    close(file->fd);
    free(file);
}

static int posix_write(struct qs_io_file *file, const struct io_write *writes, size_t count)
{
    return qs_posix_write(file->fd, writes, count);
}

static int posix_flush(struct qs_io_file *file)
{
    return qs_posix_flush(file->fd);
}

static int posix_flush_range(struct qs_io_file *file, uint64_t offset, uint64_t size)
{
    return qs_posix_flush_range(file->fd, offset, size);
}

static void posix_write_out(struct qs_io_file *file, uint64_t offset, uint64_t size)
{
    qs_posix_write_out(file->fd, offset, size);
}

/* There is no call that begins a flush and does not wait for it. */
static void posix_flush_ahead(struct qs_io_file *file)
{
    (void)file;
}

static bool posix_flush_ahead_ended(struct qs_io_file *file)
{
    (void)file;
    return true;
}

static int posix_truncate(struct qs_io_file *file, uint64_t size)
{
    return qs_posix_truncate(file->fd, size);
}

static int posix_punch(struct qs_io_file *file, uint64_t offset, uint64_t size)
{
    return qs_posix_punch(file->fd, offset, size);
}

const struct qs_io_ops qs_io_posix = {
    .name = "posix",
    .attach = posix_attach,
    .close = posix_close,
    .write = posix_write,
    .flush = posix_flush,
    .flush_range = posix_flush_range,
    .write_out = posix_write_out,
    .flush_ahead = posix_flush_ahead,
    .flush_ahead_ended = posix_flush_ahead_ended,
    .truncate = posix_truncate,
    .punch = posix_punch,
};
