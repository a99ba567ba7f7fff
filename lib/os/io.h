/* io.h - all file I/O on the data file, as a table of functions with several equals behind it.
 *
 * Implementations: io_uring (io_uring.c), POSIX (io_posix.c), and the tests' recording / faulting
 * one (tests/). All results are 0 or a positive errno; a short write is carried on, and EIO when it
 * makes no progress. Functions may be called from any thread; callers serialise writers.
 */
#ifndef QS_OS_IO_H
#define QS_OS_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct qs_io_file; /* an open file; the implementation's own */

/* One piece of a batch. */
struct io_write {
    uint64_t offset; /* bytes from the start of the file */
    const void *data;
    size_t size; /* bytes */
};

struct qs_io_ops {
    const char *name; /* "io_uring", "posix", ... */

    /* Takes over an open descriptor (closed by close()). The ring, if any, comes into being at
     * first need, not here. ENOMEM. */
    int (*attach)(int fd, struct qs_io_file **file);
    void (*close)(struct qs_io_file *file);

    /* Writes every piece; order is free. All or an error (then any part may have been written). */
    int (*write)(struct qs_io_file *file, const struct io_write *writes, size_t count);

    /* Makes everything written so far durable (data and size). */
    int (*flush)(struct qs_io_file *file);

    /* Makes bytes [offset, offset + size) durable; may do more. */
    int (*flush_range)(struct qs_io_file *file, uint64_t offset, uint64_t size);

    /* Has the system begin to write out what was written to [offset, offset + size), so that a later flush
     * has less to do. A hint: it says nothing, and reports nothing that a flush would not. */
    void (*write_out)(struct qs_io_file *file, uint64_t offset, uint64_t size);

    /* Begins a flush of the whole file that nobody waits for, and tells whether it has ended: one at a time. A
     * hint as well: a later flush has less to do, and reports what went wrong. */
    void (*flush_ahead)(struct qs_io_file *file);
    bool (*flush_ahead_ended)(struct qs_io_file *file);

    /* Sets the file's size. */
    int (*truncate)(struct qs_io_file *file, uint64_t size);

    /* Gives the range, which lies inside the file, back to the file system: it reads as zeros after. A
     * range that is a hole already is left alone. EOPNOTSUPP where there are no holes. */
    int (*punch)(struct qs_io_file *file, uint64_t offset, uint64_t size);
};

extern const struct qs_io_ops qs_io_posix;
extern const struct qs_io_ops qs_io_uring; /* falls back to POSIX calls where io_uring is refused */

/* The implementation to use when nobody asked for one. */
const struct qs_io_ops *qs_io_default(void);

#endif
