/* version.c - memory of versions, from the process's allocator, in size classes of 64 bytes.
 *
 * The ring of the paper (section 4) takes this file's place behind the same two functions.
 */
#include "cache/version.h"

#include <stdlib.h>

struct version *qs_version_new(enum version_kind kind, size_t page_bytes)
{
    size_t rounded =
        (page_bytes + VERSION_CLASS_BYTES - 1) / VERSION_CLASS_BYTES * VERSION_CLASS_BYTES;
    struct version *version = malloc(sizeof *version + rounded);
    if (version == NULL)
        return NULL;
    atomic_init(&version->older, NULL);
    version->txn = 0;
    version->checkpoint = 0;
    version->base = 0;
    version->kind = (uint16_t)kind;
    version->page_bytes = (uint16_t)rounded;
    version->merged_bytes = 0;
    version->merged_count = 0;
    return version;
}

void qs_version_free(struct version *version)
{
    free(version);
}
