/* version.h - one version of a tree page in private memory, and its memory.
 *
 * A version is one of five things, told by `kind`:
 *   VERSION_DELTA   a mini-page over the file page `base`: entries that differ from it (rule 3)
 *   VERSION_WHOLE   a complete page
 *   VERSION_CLEAN   nothing of its own: the page is file page `base`
 *   VERSION_FREED   the page id is not in use from this transaction on
 *   VERSION_UNUSED  the same, and the newest checkpoint says so too
 * A published version never changes (rule 1) but for `older`, which the writer may shorten.
 *
 * A checkpoint of transaction t comes into force later, at transaction L. What it wrote of a page is linked
 * as a version of L that only its own readers see, {L, checkpoint}: for a reader of an older checkpoint
 * nobody keeps the new file page, for one of the new checkpoint nobody keeps the old one.
 */
#ifndef QS_CACHE_VERSION_H
#define QS_CACHE_VERSION_H

#include "format/page.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>

enum version_kind { VERSION_DELTA, VERSION_WHOLE, VERSION_CLEAN, VERSION_FREED, VERSION_UNUSED };

struct version {
    _Atomic(struct version *) older; /* the version before; NULL: the page did not exist before, or
                                        nobody can ask for what it was */
    txnid_t txn;                     /* transaction that made it */
    uint64_t checkpoint;   /* who uses an older checkpoint does not see it: it says the same as the
                              one below, in pages that this checkpoint wrote. 0: anybody may */
    pgno_t base;           /* DELTA: the file page below; CLEAN: the page itself; else 0 */
    uint16_t kind;         /* enum version_kind */
    uint16_t page_bytes;   /* room for `page`, 0 for all others */
    uint16_t merged_bytes; /* what base and delta take together (qs_page_used()) */
    uint16_t merged_count; /* entries they have together, tombstones not counted */
    struct page page[];    /* DELTA and WHOLE */
};

/* What decides who sees a version. Down a chain neither part grows. */
struct stamp {
    txnid_t txn;
    uint64_t checkpoint;
};

static inline struct stamp qs_version_stamp(const struct version *version)
{
    return (struct stamp){version->txn, version->checkpoint};
}

/* Whether a reader of snapshot and checkpoint `by` sees what is stamped `of`. */
static inline bool qs_stamp_seen(struct stamp of, struct stamp by)
{
    return of.txn <= by.txn && of.checkpoint <= by.checkpoint;
}

/* The largest delta: what outgrows it becomes a whole page. */
#define VERSION_DELTA_MAX 2048u
#define VERSION_CLASS_BYTES 64u

/* ---- memory ---- */

/* A class for each size of a page, none included. */
#define VERSION_CLASSES (QS_PAGE_BYTES / VERSION_CLASS_BYTES + 1)

/* Empty slabs that a pool keeps, 64 MiB: what a checkpoint frees, the log behind it soon needs anew. */
#ifdef QS_DEBUG
#define VERSION_SLABS_KEPT 0u
#else
#define VERSION_SLABS_KEPT 256u
#endif

struct version_slab;
struct version_arena;

/* The versions of one replica. Threads: one at a time; the writer's, or whoever holds follow_lock while
 * there is no writer (F1). */
struct version_pool {
    struct version_slab *partial[VERSION_CLASSES]; /* slabs with blocks to be had, by class */
    struct version_slab *full;                     /* slabs without */
    struct version_slab *empty;                    /* slabs of no class, kept for the next need */
    struct version_arena *arenas;                  /* the memory of them all */
    size_t slabs;                                  /* all of them */
    size_t empties;                                /* those on `empty` */
    uint64_t count;                                /* versions handed out */
    uint64_t bytes;                                /* their blocks */
};

/* A pool begins as zeros. Closing it gives back the memory of all versions, whoever has them. */
void qs_version_pool_close(struct version_pool *pool);

/* Allocates a version with a page of at least `page_bytes` (rounded up to a size class); kind,
 * older and txn are the caller's to set. NULL when there is no memory. */
struct version *qs_version_new(struct version_pool *pool, enum version_kind kind,
                               size_t page_bytes);
/* Gives it back to its pool; NULL is allowed. */
void qs_version_free(struct version *version);

#endif
