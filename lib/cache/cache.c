/* cache.c - committed versions; see cache.h.
 *
 * A chain is complete: it begins with the page as it was before (txn 0; nothing for a new page id),
 * and loses only what nobody can ask for. So readers never need the map entry's base word while there
 * is a head (M2).
 * Invariants: C1 a version v below a newer one n is unlinked only when no live snapshot lies in
 *             [v.txn, n.txn) and n.txn is visible, so that none can come.
 */
#include "cache/cache.h"

#include "base/vector.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static void free_version(void *memory)
{
    qs_version_free(memory);
}

int qs_cache_open(struct cache *cache, struct store *store, const struct array_root *map)
{
    memset(cache, 0, sizeof *cache);
    qs_retire_init(&cache->retire, free_version);
    return qs_map_open(&cache->map, store, map);
}

void qs_cache_close(struct cache *cache)
{
    qs_retire_close(&cache->retire);
    qs_map_close(&cache->map);
    free(cache->chained);
    free(cache->dirty);
    cache->chained = cache->dirty = NULL;
}

static struct version *version_of_word(uint64_t word, txnid_t txn)
{
    bool is_free = (word & MAP_WORD_FREE) != 0;
    struct version *v = qs_version_new(is_free ? VERSION_UNUSED : VERSION_CLEAN, 0);
    if (v != NULL) {
        v->txn = txn;
        v->base = is_free ? 0 : word & MAP_WORD_PGNO;
    }
    return v;
}

int qs_cache_prepare(struct cache *cache, struct placement *placement, size_t count, txnid_t txn)
{
    int rc = qs_vector_reserve((void **)&cache->chained, &cache->chained_capacity,
                               cache->chained_count + count, sizeof *cache->chained);
    if (rc == 0)
        rc = qs_vector_reserve((void **)&cache->dirty, &cache->dirty_capacity,
                               cache->dirty_count + count, sizeof *cache->dirty);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct placement *place = &placement[i];
        struct map_entry *entry;
        rc = qs_map_entry(&cache->map, place->pid, &entry);
        if (rc != 0)
            break;
        uint64_t word = atomic_load_explicit(&entry->base, memory_order_relaxed);
        bool has_chain = atomic_load_explicit(&entry->head, memory_order_relaxed) != NULL;
        if (place->own == NULL)
            place->fresh = version_of_word(place->word, txn);
        place->bottom = has_chain || word == 0 ? NULL : version_of_word(word, 0);
        if ((place->own == NULL && place->fresh == NULL) ||
            (place->bottom == NULL && !has_chain && word != 0))
            rc = ENOMEM;
    }
    return rc;
}

void qs_cache_forget(struct placement *placement, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        qs_version_free(placement[i].fresh);
        qs_version_free(placement[i].bottom);
        placement[i].fresh = placement[i].bottom = NULL;
    }
}

/* C1 for everything below `newer`; `newest` stamps what is unlinked. */
static void shorten(struct cache *cache, struct version *newer, txnid_t newest, struct live live)
{
    struct version *v;
    while ((v = atomic_load_explicit(&newer->older, memory_order_relaxed)) != NULL) {
        if (newer->txn > live.visible || qs_live_any(live, v->txn, newer->txn)) {
            newer = v;
            continue;
        }
        /* release: a reader that follows the link sees an initialised version (acquire in view.c)
         */
        atomic_store_explicit(&newer->older, atomic_load_explicit(&v->older, memory_order_relaxed),
                              memory_order_release);
        qs_retire_add(&cache->retire, v, newest);
    }
}

static bool is_dirty(const struct version *head)
{
    return head != NULL && head->kind != VERSION_CLEAN && head->kind != VERSION_UNUSED;
}

static void publish_one(struct cache *cache, struct placement *place, txnid_t txn, struct live live)
{
    struct map_entry *entry;
    int rc = qs_map_entry(&cache->map, place->pid, &entry);
    assert(rc == 0); /* its chunk exists since qs_cache_prepare() */
    (void)rc;
    struct version *head = atomic_load_explicit(&entry->head, memory_order_relaxed);
    bool was_dirty = is_dirty(head);
    if (head == NULL)
        head = place->bottom;
    else
        shorten(cache, head, txn, live);
    struct version *fresh = place->own != NULL ? place->own : place->fresh;
    fresh->txn = txn;
    atomic_store_explicit(&fresh->older, head, memory_order_relaxed);
    if (place->pid >= cache->map.head_end)
        cache->map.head_end = place->pid + 1;
    /* release, head before base: M2 */
    atomic_store_explicit(&entry->head, fresh, memory_order_release);
    if (place->own == NULL) {
        uint64_t verified = (place->word & MAP_WORD_FREE) != 0 ? 0 : MAP_WORD_VERIFIED;
        atomic_store_explicit(&entry->base, place->word | verified, memory_order_release);
        cache->chained[cache->chained_count++] = place->pid;
    } else if (!was_dirty) {
        cache->dirty[cache->dirty_count++] = place->pid;
    }
    place->own = place->fresh = place->bottom = NULL;
}

void qs_cache_publish(struct cache *cache, struct placement *placement, size_t count, txnid_t txn,
                      struct live live)
{
    for (size_t i = 0; i < count; i++)
        publish_one(cache, &placement[i], txn, live);
}

void qs_cache_placed(struct cache *cache)
{
    cache->dirty_count = 0;
    cache->trimmed_count = 0;
}

/* Shortens one chain; true when the list need not remember it: nothing is left of it and readers use
 * the map entry alone, or the page is dirty again, which the other list remembers. */
static bool collapse(struct cache *cache, pageid_t pid, txnid_t newest, txnid_t oldest,
                     struct live live)
{
    struct map_entry *entry;
    if (qs_map_entry(&cache->map, pid, &entry) != 0)
        return false;
    struct version *head = atomic_load_explicit(&entry->head, memory_order_relaxed);
    if (head == NULL || is_dirty(head))
        return true;
    shorten(cache, head, newest, live);
    if (oldest < head->txn || live.visible < head->txn ||
        atomic_load_explicit(&head->older, memory_order_relaxed) != NULL)
        return false;
    /* release: the base word it uncovers was stored before (publish_one) */
    atomic_store_explicit(&entry->head, NULL, memory_order_release);
    qs_retire_add(&cache->retire, head, newest);
    return true;
}

static txnid_t oldest_of(struct live live)
{
    txnid_t oldest = QS_TXNID_NONE;
    for (size_t i = 0; i < live.count; i++)
        if (live.snapshot[i] < oldest)
            oldest = live.snapshot[i];
    return oldest;
}

void qs_cache_trim(struct cache *cache, txnid_t newest, struct live live)
{
    txnid_t oldest = oldest_of(live);
    /* First, since the scan behind `live` came after these were unlinked (R1), but before what is
     * unlinked below. */
    qs_retire_run(&cache->retire, oldest);
    size_t from = oldest == cache->trimmed_for ? cache->trimmed_count : 0;
    size_t kept = from;
    for (size_t i = from; i < cache->chained_count; i++)
        if (!collapse(cache, cache->chained[i], newest, oldest, live))
            cache->chained[kept++] = cache->chained[i];
    cache->chained_count = kept;
    cache->trimmed_for = oldest;
    cache->trimmed_count = kept;
}
