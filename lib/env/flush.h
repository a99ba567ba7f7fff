/* flush.h - the file's flushes, from whoever needs one; see log/group.h. */
#ifndef QS_ENV_FLUSH_H
#define QS_ENV_FLUSH_H

#include "env/core.h"

/* Waits until the log up to `position`, which lies in `segment`, is durable. */
int qs_flush_wait(struct core *core, uint64_t position, const struct log_segment *segment);

/* Flushes the whole file. Not under follow_lock. */
int qs_flush_all(struct core *core);

/* Writes the records between two former ends of a log over themselves, and the large values that they
 * refer to. `alone`: nobody else appends, and segments of which nothing was durable are written whole. */
int qs_flush_write_again(struct store *store, const struct log *log, uint64_t from, uint64_t to,
                         bool alone);

#endif
