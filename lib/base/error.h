/* error.h - the engine's own error codes: the negative half of every `int rc`.
 *
 * 0 is success, a positive rc is an errno of the system, a negative one stands below. The codes
 * themselves are public (quickstep.h); this header adds the one door corruption leaves by.
 */
#ifndef QS_BASE_ERROR_H
#define QS_BASE_ERROR_H

#include "quickstep.h"

/* QS_E_CORRUPTED. Every finding of bad bytes on disk comes through here, so that one breakpoint on
 * qs_corrupt_at() catches them all. `file` and `line` say who found it; they are kept for
 * qs_corrupt_where(). The code stands in the macro, so that callers' compilers and analyzers see
 * that it is not 0. Any thread. */
void qs_corrupt_at(const char *file, int line);
#define QS_CORRUPT() (qs_corrupt_at(__FILE__, __LINE__), QS_E_CORRUPTED)

/* "file:line" of the last corruption this thread found, or "" (thread-local, static storage). */
const char *qs_corrupt_where(void);

#endif
