/* copy.h - what plain and compact copies share; see copy.c and copy_compact.c. */
#ifndef QS_ENV_COPY_H
#define QS_ENV_COPY_H

#include "env/env.h"

#define COPY_WRITE_MAX (1u << 30) /* bytes handed to one write(2); Linux takes twice that */

/* Writes all of it at the descriptor's offset: errno of write(2). Copies consist of whole pages from
 * memory that is aligned to them, so that the descriptor may be one for direct I/O. */
int qs_copy_write(int fd, const void *bytes, size_t size);

/* The first two pages of a copy. */
int qs_copy_metas(int fd, const struct meta *meta);

/* Writes what `txn` sees without free space; the copy's state is numbered 1 (0 when empty). */
int qs_copy_compact(struct qs_txn *txn, int fd, uint64_t map_size_bytes);

#endif
