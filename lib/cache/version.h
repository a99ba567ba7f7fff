/* version.h - one version of a tree page in private memory, and its memory.
 *
 * A version is one of five things, told by `kind`:
 *   VERSION_DELTA   a mini-page over the file page `base`: entries that differ from it (rule 3)
 *   VERSION_WHOLE   a complete page
 *   VERSION_CLEAN   nothing of its own: the page is file page `base`
 *   VERSION_FREED   the page id is not in use from this transaction on
 *   VERSION_UNUSED  the same, and the newest checkpoint says so too
 * A published version never changes (rule 1) but for `older`, which the writer may shorten.
 */
#ifndef QS_CACHE_VERSION_H
#define QS_CACHE_VERSION_H

#include "format/page.h"

#include <stdatomic.h>

enum version_kind { VERSION_DELTA, VERSION_WHOLE, VERSION_CLEAN, VERSION_FREED, VERSION_UNUSED };

struct version {
    _Atomic(struct version *) older; /* the version before; NULL: the page did not exist before, or
                                        nobody can ask for what it was */
    txnid_t txn;                     /* transaction that made it */
    pgno_t base;           /* DELTA: the file page below; CLEAN: the page itself; else 0 */
    uint16_t kind;         /* enum version_kind */
    uint16_t page_bytes;   /* room for `page`, 0 for all others */
    uint16_t merged_bytes; /* what base and delta take together (qs_page_used()) */
    uint16_t merged_count; /* entries they have together, tombstones not counted */
    struct page page[];    /* DELTA and WHOLE */
};

/* Allocates a version with a page of at least `page_bytes` (rounded up to a size class); kind,
 * older and txn are the caller's to set. NULL when there is no memory. */
struct version *qs_version_new(enum version_kind kind, size_t page_bytes);
void qs_version_free(struct version *version);

/* The largest delta: what outgrows it becomes a whole page. */
#define VERSION_DELTA_MAX 2048u
#define VERSION_CLASS_BYTES 64u

#endif
