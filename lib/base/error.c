/* error.c - the one door corruption leaves by, and the texts of the engine's codes.
 *
 * Owns:       a thread-local note of where the last corruption was found.
 */
#include "base/error.h"

#include <stdio.h>

static _Thread_local char last_corruption[128];

int qs_corrupt_at(const char *file, int line)
{
    snprintf(last_corruption, sizeof last_corruption, "%s:%d", file, line);
    return QS_E_CORRUPTED;
}

const char *qs_corrupt_where(void)
{
    return last_corruption;
}
