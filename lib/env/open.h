/* open.h - opening the files behind a core; see core.h. Called under the registry's lock. */
#ifndef QS_ENV_OPEN_H
#define QS_ENV_OPEN_H

#include "env/core.h"

/* Opens (and creates) lock file and data file, in the order qs_env_open() documents, and makes a core
 * with its first replica. */
int qs_open_files(const struct qs_options *options, struct core **core);

/* Gives a core that was opened read-only a descriptor that writes. */
int qs_open_writable(struct core *core, const struct qs_options *options);

/* Closes everything a core has and frees it. */
void qs_core_free(struct core *core);

#endif
