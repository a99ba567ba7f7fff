/* cache.c - committed versions; see cache.h.
 *
 * A chain is complete: it begins with the page as it was before (txn 0; nothing for a new page id),
 * and loses only what nobody can ask for. So readers never need the map entry's base word while there
 * is a head (M2).
 * Invariants: C1 a version v below a newer one n is unlinked only when no live reader sees v but not n,
 *             and none can come: n is visible, in a checkpoint that is in force.
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

int qs_cache_open(struct cache *cache, struct store *store, const struct array_root *map,
                  const struct map *before)
{
    memset(cache, 0, sizeof *cache);
    qs_retire_init(&cache->retire, free_version);
    return qs_map_open(&cache->map, store, map, before);
}

void qs_cache_close(struct cache *cache)
{
    qs_retire_close(&cache->retire);
    qs_map_close(&cache->map);
    free(cache->chained);
    free(cache->dirty);
    free(cache->placing);
    cache->chained = cache->dirty = cache->placing = NULL;
}

static struct version *version_of_word(struct cache *cache, uint64_t word)
{
    bool is_free = (word & MAP_WORD_FREE) != 0;
    struct version *v =
        qs_version_new(&cache->map.versions, is_free ? VERSION_UNUSED : VERSION_CLEAN, 0);
    if (v != NULL)
        v->base = is_free ? 0 : word & MAP_WORD_PGNO;
    return v;
}

/* A delta holds whatever was touched since the page below was written, so it says the same over any page
 * written since (rule 3). */
static struct version *delta_over(struct cache *cache, const struct version *from, uint64_t word)
{
    struct version *v = qs_version_new(&cache->map.versions, VERSION_DELTA, from->page_bytes);
    if (v == NULL)
        return NULL;
    v->base = word & MAP_WORD_PGNO;
    v->merged_bytes = from->merged_bytes;
    v->merged_count = from->merged_count;
    memcpy(v->page, from->page, from->page_bytes);
    return v;
}

/* What stands for a page that a checkpoint wrote as of transaction `as_of`. */
static int prepare_fresh(struct cache *cache, struct placement *place, const struct version *head,
                         txnid_t as_of)
{
    if (head == NULL || head->txn <= as_of)
        place->fresh = version_of_word(cache, place->word);
    else if (head->kind == VERSION_DELTA)
        place->fresh = delta_over(cache, head, place->word);
    else
        return 0; /* needs no page below */
    return place->fresh != NULL ? 0 : ENOMEM;
}

int qs_cache_prepare(struct cache *cache, struct placement *placement, size_t count, txnid_t as_of)
{
    int rc = qs_vector_reserve((void **)&cache->chained, &cache->chained_capacity,
                               cache->chained_count + count, sizeof *cache->chained);
    if (rc == 0) /* with those that qs_cache_not_placed() may bring back */
        rc = qs_vector_reserve((void **)&cache->dirty, &cache->dirty_capacity,
                               cache->dirty_count + count + cache->placing_count,
                               sizeof *cache->dirty);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct placement *place = &placement[i];
        struct map_entry *entry;
        rc = qs_map_entry(&cache->map, place->pid, &entry);
        if (rc != 0)
            break;
        uint64_t word = atomic_load_explicit(&entry->base, memory_order_relaxed);
        const struct version *head = atomic_load_explicit(&entry->head, memory_order_relaxed);
        if (place->own == NULL)
            rc = prepare_fresh(cache, place, head, as_of);
        if (rc == 0 && head == NULL && word != 0) {
            place->bottom = version_of_word(cache, word);
            rc = place->bottom != NULL ? 0 : ENOMEM;
        }
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

/* C1 for everything below `newer`. */
static void shorten(struct cache *cache, struct version *newer, struct live live)
{
    struct version *v;
    while ((v = atomic_load_explicit(&newer->older, memory_order_relaxed)) != NULL) {
        if (!qs_live_all_past(live, qs_version_stamp(v), qs_version_stamp(newer))) {
            newer = v;
            continue;
        }
        /* release: a reader that follows the link sees an initialised version (acquire in view.c)
         */
        atomic_store_explicit(&newer->older, atomic_load_explicit(&v->older, memory_order_relaxed),
                              memory_order_release);
        qs_retire_add(&cache->retire, v);
    }
}

static bool is_dirty(const struct version *head)
{
    return head != NULL && head->kind != VERSION_CLEAN && head->kind != VERSION_UNUSED;
}

/* Links `fresh` as the newest version; what is below is shortened. */
static void link_version(struct cache *cache, struct placement *place, struct map_entry *entry,
                         struct version *fresh, struct stamp stamp, struct live live)
{
    struct version *head = atomic_load_explicit(&entry->head, memory_order_relaxed);
    if (head == NULL) {
        head = place->bottom;
        qs_map_close_clean(&cache->map, place->pid);
    } else {
        shorten(cache, head, live);
    }
    fresh->txn = stamp.txn;
    fresh->checkpoint = stamp.checkpoint;
    atomic_store_explicit(&fresh->older, head, memory_order_relaxed);
    /* release, head before base: M2 */
    atomic_store_explicit(&entry->head, fresh, memory_order_release);
}

static void publish_one(struct cache *cache, struct placement *place, struct stamp stamp,
                        struct live live)
{
    struct map_entry *entry;
    int rc = qs_map_entry(&cache->map, place->pid, &entry);
    assert(rc == 0); /* its chunk exists since qs_cache_prepare() */
    (void)rc;
    const struct version *head = atomic_load_explicit(&entry->head, memory_order_relaxed);
    bool listed = is_dirty(head) && head->txn > cache->placing_as_of;
    struct version *fresh = place->own != NULL ? place->own : place->fresh;
    if (fresh != NULL)
        link_version(cache, place, entry, fresh, stamp, live);
    if (place->own == NULL) {
        uint64_t verified = (place->word & MAP_WORD_FREE) != 0 ? 0 : MAP_WORD_VERIFIED;
        atomic_store_explicit(&entry->base, place->word | verified, memory_order_release);
        if (fresh != NULL && !is_dirty(fresh)) {
            cache->chained[cache->chained_count++] = place->pid;
            cache->trim_left++;
        }
    } else if (!listed) {
        cache->dirty[cache->dirty_count++] = place->pid;
    }
    cache->linked += place->own != NULL;
    place->own = place->fresh = place->bottom = NULL;
}

void qs_cache_publish(struct cache *cache, struct placement *placement, size_t count,
                      struct stamp stamp, struct live live)
{
    for (size_t i = 0; i < count; i++)
        publish_one(cache, &placement[i], stamp, live);
}

int qs_cache_placing(struct cache *cache, txnid_t as_of)
{
    pageid_t *fresh = NULL;
    size_t capacity = 0;
    assert(cache->placing == NULL);
    int rc =
        qs_vector_reserve((void **)&fresh, &capacity, cache->dirty_count + 1, sizeof *cache->dirty);
    if (rc != 0)
        return rc;
    cache->placing = cache->dirty != NULL ? cache->dirty : fresh;
    cache->placing_count = cache->dirty_count;
    cache->placing_as_of = as_of;
    cache->trim_left =
        cache->chained_count; /* those dirty again leave before they are added anew */
    if (cache->dirty == NULL)
        return 0; /* nothing has ever been dirty */
    cache->dirty = fresh;
    cache->dirty_capacity = capacity;
    cache->dirty_count = 0;
    return 0;
}

void qs_cache_placed(struct cache *cache)
{
    free(cache->placing);
    cache->placing = NULL;
    cache->placing_count = 0;
    cache->placing_as_of = 0;
}

void qs_cache_not_placed(struct cache *cache)
{
    for (size_t i = 0; i < cache->placing_count; i++) {
        struct map_entry *entry;
        pageid_t pid = cache->placing[i];
        if (qs_map_entry(&cache->map, pid, &entry) != 0)
            continue; /* cannot be: a dirty page has an entry */
        /* What was changed since is listed again already. */
        const struct version *head = atomic_load_explicit(&entry->head, memory_order_relaxed);
        if (head->txn <= cache->placing_as_of)
            cache->dirty[cache->dirty_count++] = pid;
    }
    qs_cache_placed(cache);
}

struct version *qs_cache_version(struct cache *cache, pageid_t pid, txnid_t as_of)
{
    struct map_entry *entry;
    if (qs_map_entry(&cache->map, pid, &entry) != 0)
        return NULL;
    /* relaxed: only the writer links, and it is who asks */
    struct version *v = atomic_load_explicit(&entry->head, memory_order_relaxed);
    while (v != NULL && v->txn > as_of)
        v = atomic_load_explicit(&v->older, memory_order_relaxed);
    return v;
}

/* Shortens one chain; true when the list need not remember it: nothing is left of it and readers use
 * the map entry alone, or the page is dirty again, which the other list remembers. */
static bool collapse(struct cache *cache, pageid_t pid, struct stamp oldest, struct live live)
{
    struct map_entry *entry;
    if (qs_map_entry(&cache->map, pid, &entry) != 0)
        return false;
    struct version *head = atomic_load_explicit(&entry->head, memory_order_relaxed);
    if (head == NULL || is_dirty(head))
        return true;
    shorten(cache, head, live);
    if (!qs_stamp_seen(qs_version_stamp(head), oldest) ||
        atomic_load_explicit(&head->older, memory_order_relaxed) != NULL)
        return false;
    /* release: the base word it uncovers was stored before (publish_one) */
    atomic_store_explicit(&entry->head, NULL, memory_order_release);
    qs_map_open_clean(&cache->map, pid, atomic_load_explicit(&entry->base, memory_order_relaxed));
    qs_retire_add(&cache->retire, head);
    return true;
}

/* What everybody sees who reads now or later. */
static struct stamp oldest_of(struct live live)
{
    struct stamp oldest = live.newest;
    for (size_t i = 0; i < live.count; i++) {
        if (live.snapshot[i] < oldest.txn)
            oldest.txn = live.snapshot[i];
        if (live.checkpoint[i] < oldest.checkpoint)
            oldest.checkpoint = live.checkpoint[i];
    }
    return oldest;
}

void qs_cache_trim(struct cache *cache, struct live live, size_t most)
{
    struct stamp oldest = oldest_of(live);
    if (oldest.txn != cache->trim_for.txn || oldest.checkpoint != cache->trim_for.checkpoint)
        cache->trim_left = cache->chained_count;
    cache->trim_for = oldest;
    most += most < SIZE_MAX / 2 ? 2 * cache->linked : 0;
    cache->linked = 0;
    for (; most > 0 && cache->trim_left > 0; most--, cache->trim_left--) {
        if (cache->trim_at >= cache->chained_count)
            cache->trim_at = 0;
        pageid_t *pid = &cache->chained[cache->trim_at];
        if (collapse(cache, *pid, oldest, live))
            *pid = cache->chained[--cache->chained_count];
        else
            cache->trim_at++;
    }
}
