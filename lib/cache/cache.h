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
    pageid_t *dirty; /* page ids that are dirty, each once, but for those in `placing` that have
                             not changed since */
    size_t dirty_count;
    size_t dirty_capacity;
    pageid_t *placing; /* page ids that a checkpoint under way writes, ascending; NULL: none is */
    size_t placing_count;
    txnid_t placing_as_of; /* the transaction it contains everything up to, or 0 */
    pageid_t *chained;     /* page ids placed since their chain began; some may be dirty again */
    size_t chained_count;
    size_t chained_capacity;
    size_t trim_at;        /* the next of them to be looked at */
    size_t trim_left;      /* so many, and nothing has changed for the others */
    struct stamp trim_for; /* what every reader saw when they were last looked at */
    size_t linked;         /* versions of commits, since then */
};

/* Snapshots that this process uses, and their checkpoints, as a scan of the reader slots found them; no order. */
struct live {
    const txnid_t *snapshot;
    const uint64_t *checkpoint;
    size_t count;
    struct stamp
        newest; /* visible transaction and checkpoint, looked at before the scan: who begins
                            later has both at least as new */
};

/* Whether everybody who reads now or later sees what is stamped `newer`, but for those who do not see
 * `older` either: then nobody needs that. */
static inline bool qs_live_all_past(struct live live, struct stamp older, struct stamp newer)
{
    if (!qs_stamp_seen(newer, live.newest))
        return false;
    for (size_t i = 0; i < live.count; i++) {
        struct stamp reader = {live.snapshot[i], live.checkpoint[i]};
        if (qs_stamp_seen(older, reader) && !qs_stamp_seen(newer, reader))
            return false;
    }
    return true;
}

/* `before`: as for qs_map_open(). */
int qs_cache_open(struct cache *cache, struct store *store, const struct array_root *map,
                  const struct map *before);
void qs_cache_close(struct cache *cache);

/* A page's new state: placed in the file by a checkpoint, or a version of a log commit's. */
struct placement {
    pageid_t pid;
    struct version *own; /* log commit: the new version, whose memory is handed over when it is
                              published; checkpoint: NULL */
    uint64_t word;       /* checkpoint: map word, that is a file page, or MAP_WORD_FREE and the next
                              free page id */
    struct version
        *fresh; /* checkpoint: cache's, the version that will stand for it; NULL: the page
                              has become another since */
    struct version
        *bottom; /* cache's: the one for what was there before, where there is no chain */
};

/* Allocates what publishing needs, so that it cannot fail. A checkpoint's placements hold the pages as
 * of transaction `as_of`: what changed later stays in memory, on the new file page. Before it, `fresh` and
 * `bottom` are NULL; pages' entries are loaded. Takes nothing back on failure (ENOMEM): call
 * qs_cache_forget(). */
int qs_cache_prepare(struct cache *cache, struct placement *placement, size_t count, txnid_t as_of);
/* Frees what was prepared and will not be published. */
void qs_cache_forget(struct placement *placement, size_t count);

/* Links the pages' new state, stamped `stamp`, in front of the old; chains are shortened where no `live`
 * reader needs them. Readers see nothing new until the visible transaction, or the checkpoint's number, is
 * raised. Cannot fail after qs_cache_prepare(). */
void qs_cache_publish(struct cache *cache, struct placement *placement, size_t count,
                      struct stamp stamp, struct live live);

/* A checkpoint places the pages that are dirty as of transaction `as_of`, the newest: they are listed in
 * `placing`, and what gets dirty from now on is the next one's. ENOMEM. */
int qs_cache_placing(struct cache *cache, txnid_t as_of);
/* It will not: its pages are dirty as before. */
void qs_cache_not_placed(struct cache *cache);
/* It has, and its pages are published. */
void qs_cache_placed(struct cache *cache);

/* The version of a dirty page that a checkpoint as of transaction `as_of` writes. */
struct version *qs_cache_version(struct cache *cache, pageid_t pid, txnid_t as_of);

/* Shortens and collapses chains that nobody needs, as far as it gets by looking at `most` of them, and at two
 * more for each version that a commit has linked since: so chains cannot pile up behind large commits. What is
 * unlinked waits in `retire`. */
#define CACHE_TRIM_STEP 32u
void qs_cache_trim(struct cache *cache, struct live live, size_t most);

#endif
