/* error.h - the engine's own error codes: the negative half of every `int rc`.
 *
 * 0 is success, a positive rc is an errno of the system, a negative one stands below. The codes
 * themselves are public (quickstep.h); this header adds the one door corruption leaves by.
 */
#ifndef QS_BASE_ERROR_H
#define QS_BASE_ERROR_H

#include "quickstep.h"

/* Returns QS_E_CORRUPTED. Every finding of bad bytes on disk comes through here, so that one
 * breakpoint on this function catches them all. `file` and `line` say who found it; they are kept
 * for qs_corrupt_where(). Any thread. */
int qs_corrupt_at(const char *file, int line);
#define QS_CORRUPT() qs_corrupt_at(__FILE__, __LINE__)

/* "file:line" of the last corruption this thread found, or "" (thread-local, static storage). */
const char *qs_corrupt_where(void);

#endif
