/* error.c - the one door corruption leaves by, and the texts of the engine's codes.
 *
 * Owns:       a thread-local note of where the last corruption was found.
 */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

static _Thread_local char last_corruption[128];

void qs_corrupt_at(const char *file, int line)
{
    snprintf(last_corruption, sizeof last_corruption, "%s:%d", file, line);
}

const char *qs_corrupt_where(void)
{
    return last_corruption;
}

const char *qs_strerror(int rc)
{
    static const char *const text[] = {
        [-QS_E_KEYEXIST] = "the key exists already",
        [-QS_E_NOTFOUND] = "not found",
        [-QS_E_CORRUPTED] = "the file is damaged",
        [-QS_E_PANIC] = "the environment takes no more writes after a failure",
        [-QS_E_VERSION_MISMATCH] = "a Quickstep file of another format version",
        [-QS_E_INVALID] = "not a Quickstep file",
        [-QS_E_MAP_FULL] = "the map size is used up",
        [-QS_E_READERS_FULL] = "all reader slots are taken",
        [-QS_E_TLS_FULL] = "no thread-local key left",
        [-QS_E_MAP_RESIZED] = "another process uses more than this environment's map size",
        [-QS_E_INCOMPATIBLE] = "the operation does not fit the tree",
        [-QS_E_BAD_RSLOT] = "this thread's reader slot is in use",
        [-QS_E_BAD_TXN] = "the transaction has failed, is finished or has a child",
        [-QS_E_BAD_VALSIZE] = "unsupported size of a key, name or value",
        [-QS_E_PAGE_NOTFOUND] = "a page that is referred to does not exist",
    };
    if (rc == 0)
        return "success";
    if (rc > 0)
        return strerror(rc);
    if (-rc < (int)(sizeof text / sizeof text[0]))
        return text[-rc];
    return "unknown error";
}
