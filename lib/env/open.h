/* open.h - opening the files behind a core; see core.h. Called under the registry's lock. */
#ifndef QS_ENV_OPEN_H
#define QS_ENV_OPEN_H

#include "env/core.h"

/* Opens (and creates) lock file and data file, in the order qs_env_open() documents, and makes a core
 * with its first replica. */
int qs_open_files(const struct qs_options *options, struct core **core);

/* The first opener's: sets the shared positions from meta page and log, making durable what it lets others
 * see. Records before position *sound need not be verified again.
 * QS_E_CORRUPTED (something durable is missing), ENOMEM, errno of writing and flushing. */
int qs_recover(struct core *core, const struct meta *meta, uint64_t *sound);

/* Gives a core that was opened read-only a descriptor that writes. */
int qs_open_writable(struct core *core, const struct qs_options *options);

/* Called before the last close: shortens or seals the log when this process is the only one that has the
 * file open, and knows its newest state. Never fails: the log stays then. */
void qs_core_leave(struct core *core);

/* What the last to close does, if it is worth it: makes the file shorter. */
void qs_close_shrink(struct core *core, struct replica *replica);

/* Closes everything a core has and frees it. */
void qs_core_free(struct core *core);

#endif
