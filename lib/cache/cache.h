/* cache.h - committed versions: publishing them, shortening their chains, giving them back.
 *
 * Owns:    the mapping table, the lists of page ids that have a chain, the retired versions.
 * Threads: readers go through views; everything here is under the core's follow_lock.
 *
 * A page is dirty when its newest version is not what the newest checkpoint has of it: a delta, a whole
 * page, or a page id freed since. Log commits make pages dirty, a checkpoint places them all.
 */
#ifndef QS_CACHE_CACHE_H
#define QS_CACHE_CACHE_H

#include "cache/map.h"
#include "cache/retire.h"

struct cache {
    struct map map;
    struct retire retire; /* unlinked versions */
    pageid_t *dirty;      /* page ids that are dirty, each once */
    size_t dirty_count;
    size_t dirty_capacity;
    pageid_t *chained; /* page ids placed since their chain began; some may be dirty again */
    size_t chained_count;
    size_t chained_capacity;
    txnid_t trimmed_for;  /* oldest live snapshot when all of them were last looked at */
    size_t trimmed_count; /* how many were left then */
};

/* Snapshots in use, as a scan of the reader slots found them; no order. */
struct live {
    const txnid_t *snapshot;
    size_t count;
    txnid_t
        visible; /* newest visible transaction, looked at before the scan: who begins later has a
                        snapshot at least as new */
};

/* Whether a live snapshot lies in [from, end). */
static inline bool qs_live_any(struct live live, txnid_t from, txnid_t end)
{
    for (size_t i = 0; i < live.count; i++)
        if (live.snapshot[i] >= from && live.snapshot[i] < end)
            return true;
    return false;
}

int qs_cache_open(struct cache *cache, struct store *store, const struct array_root *map);
void qs_cache_close(struct cache *cache);

/* A page's new state: placed in the file by a checkpoint, or a version of a log commit's. */
struct placement {
    pageid_t pid;
    struct version *own; /* log commit: the new version, whose memory is handed over when it is
                              published; checkpoint: NULL */
    uint64_t word;       /* checkpoint: map word, that is a file page, or MAP_WORD_FREE and the next
                              free page id */
    struct version *fresh; /* checkpoint: cache's, the version that will stand for it */
    struct version
        *bottom; /* cache's: the one for what was there before, where there is no chain */
};

/* Allocates what publishing by transaction `txn` needs, so that it cannot fail. Before it, `fresh`
 * and `bottom` are NULL; pages' entries are loaded. Takes nothing back on failure (ENOMEM): call
 * qs_cache_forget(). */
int qs_cache_prepare(struct cache *cache, struct placement *placement, size_t count, txnid_t txn);
/* Frees what was prepared and will not be published. */
void qs_cache_forget(struct placement *placement, size_t count);

/* Links the pages' new state, made by transaction `txn`, in front of the old; chains are shortened where
 * no `live` snapshot falls. Readers see nothing new until the visible transaction is raised. Cannot fail
 * after qs_cache_prepare(). A checkpoint places every dirty page at once, and calls
 * qs_cache_placed() then. */
void qs_cache_publish(struct cache *cache, struct placement *placement, size_t count, txnid_t txn,
                      struct live live);
void qs_cache_placed(struct cache *cache);

/* Collapses chains nobody needs and frees what is retired. `newest`: the newest transaction that was
 * published. */
void qs_cache_trim(struct cache *cache, txnid_t newest, struct live live);

#endif
