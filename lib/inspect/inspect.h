/* inspect.h - looking at a file from outside: what verifier and dump share.
 *
 * Works on a file that nobody writes; opens it read-only and takes no lock. Threads: one.
 */
#ifndef QS_INSPECT_INSPECT_H
#define QS_INSPECT_INSPECT_H

#include "cache/view.h"
#include "format/meta.h"
#include "quickstep.h"

/* A file being looked at. */
struct inspect {
    struct store *store;
    struct meta meta; /* the newest */
    struct map map;   /* its mapping table */
    struct view view; /* what its last transaction sees */
};

/* errno, QS_E_INVALID, QS_E_VERSION_MISMATCH, QS_E_CORRUPTED (no valid meta page). */
int qs_inspect_open(struct inspect *inspect, const char *path);
void qs_inspect_close(struct inspect *inspect);

/* Prints the newest meta page, every tree with its counts, or one page in full to stdout. */
void qs_dump_meta(const struct inspect *inspect);
int qs_dump_trees(struct inspect *inspect);
int qs_dump_page(struct inspect *inspect, uint64_t pgno);
int qs_dump_space(struct inspect *inspect);

#endif
