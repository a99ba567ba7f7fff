/* cache.h - committed versions: publishing them, shortening their chains, giving them back.
 *
 * Owns:    the mapping table, the list of page ids that have a chain, the retired versions.
 * Threads: readers go through views; everything here is under the writer mutex.
 */
#ifndef QS_CACHE_CACHE_H
#define QS_CACHE_CACHE_H

#include "cache/map.h"
#include "cache/retire.h"

struct cache {
    struct map map;
    struct retire retire; /* unlinked versions */
    pageid_t *chained;    /* page ids whose head is not NULL */
    size_t chained_count;
    size_t chained_capacity;
    txnid_t trimmed_for;  /* oldest live snapshot when all chains were last looked at */
    size_t trimmed_count; /* chains looked at then */
};

/* Snapshots in use, as a scan of the reader slots found them; no order. */
struct live {
    const txnid_t *snapshot;
    size_t count;
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

/* A page's place after a checkpoint. */
struct placement {
    pageid_t pid;
    uint64_t word;         /* new map word: file page, or MAP_WORD_FREE and the next free page id */
    struct version *fresh; /* cache's: the version that will stand for it */
    struct version
        *bottom; /* cache's: the one for what was there before, where there is no chain */
};

/* Allocates what publishing by transaction `txn` needs, so that it cannot fail. Before it, `fresh`
 * and `bottom` are NULL; pages' entries are loaded. Takes nothing back on failure (ENOMEM): call
 * qs_cache_forget(). */
int qs_cache_prepare(struct cache *cache, struct placement *placement, size_t count, txnid_t txn);
/* Frees what was prepared and will not be published. */
void qs_cache_forget(struct placement *placement, size_t count);

/* Links the pages' new state, made by transaction `txn` and already durable as promised, in front
 * of the old; chains are shortened where no `live` snapshot falls. Readers see nothing new until
 * the visible transaction is raised. Cannot fail after qs_cache_prepare(). */
void qs_cache_publish(struct cache *cache, struct placement *placement, size_t count, txnid_t txn,
                      struct live live);

/* After `visible` was raised to `txn` and the slots were scanned again: collapses chains nobody
 * needs and frees what is retired. */
void qs_cache_trim(struct cache *cache, txnid_t txn, struct live live);

#endif
