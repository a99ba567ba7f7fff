/* test_cache.c - chains of versions against a table of what every snapshot must see.
 *
 * Owns:       the table: the file page of each page id as of each transaction.
 * Invariants: H1 a live snapshot sees of every page what was committed last up to it, however
 * chains are shortened and collapsed, and what was unlinked is freed. H2 without readers no chain is left,
 * and no version. No file page is ever read: each is a version's, or was written by publishing.
 */
#define _GNU_SOURCE

#include "cache/cache.h"
#include "cache/view.h"
#include "quickstep.h"
#include "store/scratch_store.h"

#include <string.h>

enum { PAGES = 60, TXNS = 1500, LIVE_MAX = 8 };

struct world {
    struct store *store;
    struct cache cache;
    txnid_t visible;
    txnid_t live[LIVE_MAX]; /* snapshots in use */
    uint64_t live_checkpoint[LIVE_MAX];
    size_t live_count;
    uint64_t word[TXNS + 1][PAGES + 1]; /* by transaction and page id; 0: not there */
    uint64_t random;
};

static struct live live_of(const struct world *world)
{
    return (struct live){
        world->live, world->live_checkpoint, world->live_count, {world->visible, 0}};
}

static void check_snapshot(struct world *world, txnid_t snapshot)
{
    const uint8_t *file = qs_store_map(world->store)->base;
    struct view view = {.map = &world->cache.map, .file = file, .snapshot = snapshot};
    for (pageid_t pid = 1; pid <= PAGES; pid++) {
        uint64_t word = world->word[snapshot][pid];
        struct image image;
        int rc = qs_view_image(&view, pid, &image);
        if (word == 0 || (word & MAP_WORD_FREE) != 0) {
            cr_assert(rc == QS_E_PAGE_NOTFOUND, "snapshot %llu, page id %u",
                      (unsigned long long)snapshot, pid);
            continue;
        }
        cr_assert(rc == 0 && image.delta == NULL);
        cr_assert((const uint8_t *)image.base == file + (word << QS_PAGE_SHIFT),
                  "snapshot %llu, page id %u", (unsigned long long)snapshot, pid);
    }
}

/* A transaction that moves or frees some pages. */
static void commit(struct world *world)
{
    struct placement place[PAGES];
    size_t count = 0;
    txnid_t txn = world->visible + 1;
    uint64_t share = 1 + scratch_random(&world->random) % 10;
    memcpy(world->word[txn], world->word[txn - 1], sizeof world->word[txn]);
    for (pageid_t pid = 1; pid <= PAGES; pid++) {
        if (scratch_random(&world->random) % 10 >= share)
            continue;
        bool is_free = world->word[txn][pid] != 0 && scratch_random(&world->random) % 6 == 0;
        uint64_t word = is_free ? MAP_WORD_FREE : META_PAGES + txn * PAGES + pid;
        place[count++] = (struct placement){.pid = pid, .word = word};
        world->word[txn][pid] = word;
    }
    cr_assert(qs_cache_prepare(&world->cache, place, count, QS_TXNID_NONE) == 0);
    if (scratch_random(&world->random) % 8 == 0) { /* the commit fails after all */
        qs_cache_forget(place, count);
        return;
    }
    qs_cache_publish(&world->cache, place, count, (struct stamp){txn, 0}, live_of(world));
    for (size_t i = 0; i < world->live_count; i++)
        check_snapshot(world, world->live[i]); /* before anybody may see the new one */
    world->visible = txn;
    if (scratch_random(&world->random) % 3 == 0 && world->live_count < LIVE_MAX)
        world->live[world->live_count++] = txn; /* begins just before the scan */
    qs_cache_trim(&world->cache, live_of(world), CACHE_TRIM_STEP);
    /* Nobody is inside; or somebody is, since before the last look or later. */
    uint64_t since = scratch_random(&world->random) % 3;
    qs_retire_run(&world->cache.retire, txn, since == 0 ? UINT64_MAX : txn - since);
}

/* Who took a base word long ago has found only now that the page is good. */
static void verify_late(struct world *world)
{
    pageid_t pid = 1 + (pageid_t)(scratch_random(&world->random) % PAGES);
    txnid_t then = scratch_random(&world->random) % (world->visible + 1);
    uint64_t word = world->word[then][pid];
    if (word != 0 && (word & MAP_WORD_FREE) == 0)
        qs_map_found_clean(&world->cache.map, pid, word);
}

static void readers_come_and_go(struct world *world)
{
    uint64_t kind = scratch_random(&world->random) % 6;
    if (kind < 2 && world->live_count < LIVE_MAX)
        world->live[world->live_count++] = world->visible;
    if (kind >= 2 && kind < 4 && world->live_count > 0) {
        size_t index = scratch_random(&world->random) % world->live_count;
        world->live[index] = world->live[--world->live_count];
    }
}

Test(cache, every_snapshot_keeps_what_it_saw)
{
    static struct world world;
    struct meta meta;
    world.random = scratch_seed(1);
    world.store = scratch_store_open(&meta, META_PAGES + (TXNS + 1) * (PAGES + 1));
    cr_assert(qs_cache_open(&world.cache, world.store, &meta.map, NULL) == 0);
    for (unsigned step = 0; step < TXNS; step++) {
        commit(&world);
        readers_come_and_go(&world);
        verify_late(&world);
        check_snapshot(&world, world.visible);
        for (size_t i = 0; i < world.live_count; i++)
            check_snapshot(&world, world.live[i]);
        if (step % 100 == 99)
            world.live_count = 0;
    }
    world.live_count = 0;
    for (unsigned i = 0; i < 2; i++)
        qs_cache_trim(&world.cache, live_of(&world), SIZE_MAX);
    qs_retire_run(&world.cache.retire, world.visible, UINT64_MAX);
    cr_assert(world.cache.chained_count == 0);
    cr_assert(world.cache.map.versions.count == 0);
    check_snapshot(&world, world.visible);
    qs_cache_close(&world.cache);
    qs_store_close(world.store);
}
