/* posix_calls.h - the file operations as plain system calls on a descriptor.
 *
 * The POSIX implementation is these and nothing else; the io_uring one falls back to them. All
 * carry on after EINTR and short writes. 0 or a positive errno. Any thread; no state.
 */
#ifndef QS_OS_POSIX_CALLS_H
#define QS_OS_POSIX_CALLS_H

#include "os/io.h"

#include <sys/uio.h>

/* Writes the whole of `iovecs` (which it uses up: they are changed) at `offset`. EIO when a write
 * makes no progress. */
int qs_posix_write_vector(int fd, struct iovec *iovecs, size_t count, uint64_t offset);

/* Gathers the pieces from `writes[0]` on that follow each other in the file, at most `max` of them,
 * into `iovecs`; empty pieces are passed over. Returns how many pieces it took; *filled is the
 * number of iovecs and *offset where they go (undefined when *filled is 0). */
size_t qs_posix_gather(const struct io_write *writes, size_t count, struct iovec *iovecs,
                       size_t max, size_t *filled, uint64_t *offset);

int qs_posix_write(int fd, const struct io_write *writes, size_t count);
int qs_posix_flush(int fd);
int qs_posix_flush_range(int fd, uint64_t offset, uint64_t size);
void qs_posix_write_out(int fd, uint64_t offset, uint64_t size);
int qs_posix_truncate(int fd, uint64_t size);
int qs_posix_punch(int fd, uint64_t offset, uint64_t size);

#endif
