/* test_map.c - what a mapping table takes over from the one of the checkpoint before (M4, M5).
 *
 * Owns: two map arrays in one file, and a map over each. No page that their words name is ever read.
 */
#define _GNU_SOURCE

#include "cache/map.h"
#include "quickstep.h"
#include "store/scratch_store.h"

#include <string.h>

enum { FIRST_NODE = META_PAGES, MAP_PAGES = 64 };

/* Page ids, by what becomes of them between the two checkpoints. */
enum {
    STAYS_VERIFIED = 1,
    STAYS_UNVERIFIED,
    MOVES,
    MOVES_FROM_UNVERIFIED,
    MOVES_UNLOADED,
    IS_FREED,
    COMES,      /* was free */
    IS_NEW,     /* was never handed out */
    IS_UNKNOWN, /* so that its neighbours are loaded, and itself is not in the second array */
    IDS
};

struct arrays {
    struct store *store;
    uint64_t next_pgno;
    const uint64_t *word; /* to be written, IDS of them */
};

static int allocate(void *context, uint64_t *pgno)
{
    struct arrays *arrays = context;
    *pgno = arrays->next_pgno++;
    return 0;
}

static int release(void *context, uint64_t pgno, uint64_t born)
{
    (void)context, (void)pgno, (void)born;
    return 0;
}

static void fill(void *context, uint64_t leaf, uint64_t *words)
{
    const struct arrays *arrays = context;
    (void)leaf;
    memcpy(words, arrays->word, IDS * sizeof *words);
}

static struct array_root write_array(struct arrays *arrays, const uint64_t word[IDS],
                                     uint64_t checkpoint)
{
    struct array_root root = {0};
    struct batch batch;
    uint64_t leaf = 0;
    arrays->word = word;
    qs_batch_init(&batch, arrays->store);
    struct array_update update = {&batch, checkpoint, 0, arrays, allocate, release, fill};
    cr_assert(qs_array_update(arrays->store, &root, &leaf, 1, &update) == 0);
    cr_assert(qs_batch_write(&batch) == 0);
    return root;
}

static void verify(struct map *map, pageid_t pid)
{
    struct map_entry *entry;
    cr_assert(qs_map_entry(map, pid, &entry) == 0);
    atomic_fetch_or(&entry->base, MAP_WORD_VERIFIED);
}

static void forget(struct map *map, pageid_t pid)
{
    struct map_entry *entry;
    cr_assert(qs_map_entry(map, pid, &entry) == 0);
    atomic_store(&entry->base, 0);
}

static uint32_t clean_of(const struct map *map, pageid_t pid)
{
    return atomic_load(&qs_map_chunk_of(map->table, pid)->clean[qs_map_index(pid)]);
}

static uint64_t base_of(struct map *map, pageid_t pid)
{
    uint64_t word;
    cr_assert(qs_map_base(map, pid, &word) == 0);
    return word;
}

Test(map, knows_pages_by_the_checkpoint_before)
{
    static const uint64_t before_word[IDS] = {
        [STAYS_VERIFIED] = 40,        [STAYS_UNVERIFIED] = 41, [MOVES] = 42,
        [MOVES_FROM_UNVERIFIED] = 43, [MOVES_UNLOADED] = 44,   [IS_FREED] = 45,
        [COMES] = MAP_WORD_FREE,      [IS_UNKNOWN] = 46,
    };
    static const uint64_t word[IDS] = {
        [STAYS_VERIFIED] = 40, [STAYS_UNVERIFIED] = 41,
        [MOVES] = 52,          [MOVES_FROM_UNVERIFIED] = 53,
        [MOVES_UNLOADED] = 54, [IS_FREED] = MAP_WORD_FREE,
        [COMES] = 55,          [IS_NEW] = 56,
    };
    static const uint64_t expected[IDS] = {
        [STAYS_VERIFIED] = 40 | MAP_WORD_VERIFIED,
        [STAYS_UNVERIFIED] = 41,
        [MOVES] = 52 | MAP_WORD_VERIFIED,
        [MOVES_FROM_UNVERIFIED] = 53 | MAP_WORD_VERIFIED,
        [MOVES_UNLOADED] = 54,
        [IS_FREED] = MAP_WORD_FREE,
        [COMES] = 55 | MAP_WORD_VERIFIED,
        [IS_NEW] = 56,
    };
    struct meta meta;
    struct arrays arrays = {.store = scratch_store_open(&meta, MAP_PAGES), .next_pgno = FIRST_NODE};
    struct array_root before_root = write_array(&arrays, before_word, 2);
    struct array_root root = write_array(&arrays, word, 3);
    struct map before, map;
    cr_assert(qs_map_open(&before, arrays.store, &before_root, NULL) == 0);
    cr_assert(base_of(&before, MOVES) == 42, "nothing is good without a map before");
    verify(&before, STAYS_VERIFIED);
    verify(&before, MOVES);
    forget(&before, MOVES_UNLOADED);

    cr_assert(qs_map_open(&map, arrays.store, &root, &before) == 0);
    qs_map_close(&before); /* its table is kept */
    for (pageid_t pid = STAYS_VERIFIED; pid < IS_UNKNOWN; pid++)
        cr_assert(base_of(&map, pid) == expected[pid], "page id %u: %llx", pid,
                  (unsigned long long)base_of(&map, pid));
    cr_assert(clean_of(&map, STAYS_VERIFIED) == CLEAN_FIRST + 40);
    cr_assert(clean_of(&map, STAYS_UNVERIFIED) == CLEAN_UNKNOWN);
    cr_assert(clean_of(&map, IS_FREED) == CLEAN_UNKNOWN);
    uint64_t none;
    cr_assert(qs_map_base(&map, IS_UNKNOWN, &none) == QS_E_PAGE_NOTFOUND);
    qs_map_close(&map);
    qs_store_close(arrays.store);
}

Test(map, clean_pages_are_told_of_in_four_bytes)
{
    static const uint64_t word[IDS] = {[MOVES] = 42};
    struct meta meta;
    struct arrays arrays = {.store = scratch_store_open(&meta, MAP_PAGES), .next_pgno = FIRST_NODE};
    struct array_root root = write_array(&arrays, word, 2);
    struct map map;
    cr_assert(qs_map_open(&map, arrays.store, &root, NULL) == 0);
    cr_assert(base_of(&map, MOVES) == 42);
    cr_assert(clean_of(&map, MOVES) == CLEAN_UNKNOWN, "not verified");
    qs_map_found_clean(&map, MOVES, 42);
    cr_assert(clean_of(&map, MOVES) == CLEAN_FIRST + 42);
    qs_map_close_clean(&map, MOVES);
    qs_map_found_clean(&map, MOVES, 42);
    cr_assert(clean_of(&map, MOVES) == CLEAN_CLOSED, "only the writer opens it");
    qs_map_open_clean(&map, MOVES, 43 | MAP_WORD_VERIFIED);
    cr_assert(clean_of(&map, MOVES) == CLEAN_FIRST + 43);
    qs_map_open_clean(&map, MOVES, MAP_WORD_FREE | 7);
    cr_assert(clean_of(&map, MOVES) == CLEAN_CLOSED);
    qs_map_open_clean(&map, MOVES, UINT32_MAX - CLEAN_FIRST);
    cr_assert(clean_of(&map, MOVES) == UINT32_MAX);
    qs_map_open_clean(&map, MOVES, UINT32_MAX - CLEAN_FIRST + 1ull);
    cr_assert(clean_of(&map, MOVES) == CLEAN_CLOSED, "too large: the entry tells");
    qs_map_close(&map);
    qs_store_close(arrays.store);
}
