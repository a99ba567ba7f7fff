/* test_array.c - persistent arrays against a plain one: random updates, every root ever made.
 *
 * Invariants: Q1 the array reads as the plain one. Q2 roots made before read as they did then. Q3
 * an update writes as many nodes as qs_array_touched() says, and releases each old one once.
 */
#define _GNU_SOURCE

#include "store/array.h"

#include "scratch_store.h"

#include <string.h>

enum { LEAVES = 600, CHANGED_MAX = 40, ROUNDS = 60, PAGES = 1 << 16 };

struct world {
    struct store *store;
    struct array_root root;
    uint64_t next_pgno;                   /* pages are never used again */
    uint64_t allocated;                   /* nodes, in this update */
    uint8_t released[PAGES];              /* times a page was released */
    uint64_t word[LEAVES * ARRAY_FANOUT]; /* the plain array */
};

static int allocate(void *context, uint64_t *pgno)
{
    struct world *world = context;
    *pgno = world->next_pgno++;
    world->allocated++;
    return 0;
}

static int release(void *context, uint64_t pgno, uint64_t born)
{
    struct world *world = context;
    (void)born;
    cr_assert(pgno < PAGES && world->released[pgno] == 0, "released twice");
    world->released[pgno] = 1;
    return 0;
}

static void fill(void *context, uint64_t leaf, uint64_t *words)
{
    struct world *world = context;
    memcpy(words, world->word + leaf * ARRAY_FANOUT, ARRAY_FANOUT * sizeof *words);
}

static void check_same(struct store *store, const struct array_root *root, const uint64_t *expected)
{
    static const uint64_t zeros[ARRAY_FANOUT];
    for (uint64_t leaf = 0; leaf < LEAVES; leaf++) {
        const uint64_t *words;
        cr_assert(qs_array_leaf(store, root, leaf, &words) == 0);
        cr_assert(memcmp(words != NULL ? words : zeros, expected + leaf * ARRAY_FANOUT,
                         sizeof zeros) == 0,
                  "leaf %llu", (unsigned long long)leaf);
    }
}

static int count_node(void *context, const struct array_node *node, uint64_t pgno, uint64_t leaf)
{
    uint32_t *nodes = context;
    (void)node, (void)pgno, (void)leaf;
    ++*nodes;
    return 0;
}

/* Leaves to change, ascending; the reach grows with the rounds, so that the array grows levels. */
static size_t pick_leaves(uint64_t *random, unsigned round, uint64_t leaves[CHANGED_MAX])
{
    uint64_t reach = round < 5 ? 1 : round < 20 ? 300 : LEAVES;
    size_t count = 0;
    for (uint64_t leaf = 0; leaf < reach && count < CHANGED_MAX; leaf++)
        if (reach == 1 || scratch_random(random) % reach < 20)
            leaves[count++] = leaf;
    return count;
}

static void update(struct world *world, const uint64_t *leaves, size_t count, uint64_t checkpoint)
{
    struct batch batch;
    qs_batch_init(&batch, world->store);
    struct array_update up = {&batch, checkpoint, 7, world, allocate, release, fill};
    uint64_t expected = qs_array_touched(&world->root, leaves, count);
    uint32_t nodes = 0;
    world->allocated = 0;
    cr_assert(qs_array_update(world->store, &world->root, leaves, count, &up) == 0);
    cr_assert(qs_batch_write(&batch) == 0);
    /* Not a page more, so that the next update writes beyond the map. */
    cr_assert(qs_store_map_reserve(world->store, world->next_pgno) == 0);
    cr_assert(world->allocated == expected, "Q3: %llu nodes written, not %llu",
              (unsigned long long)world->allocated, (unsigned long long)expected);
    cr_assert(qs_array_walk(world->store, &world->root, count_node, &nodes) == 0);
    cr_assert(nodes == world->root.nodes);
}

Test(array, against_a_plain_one)
{
    static struct world world;
    static uint64_t *before[ROUNDS];
    static struct array_root roots[ROUNDS];
    struct meta meta;
    uint64_t random = scratch_seed(1), leaves[CHANGED_MAX];
    world.store = scratch_store_open(&meta, META_PAGES);
    world.next_pgno = META_PAGES;
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t count = pick_leaves(&random, round, leaves);
        for (size_t i = 0; i < count; i++)
            for (unsigned n = 0; n < 5; n++)
                world.word[leaves[i] * ARRAY_FANOUT + scratch_random(&random) % ARRAY_FANOUT] =
                    scratch_random(&random) % 4 == 0 ? 0 : scratch_random(&random);
        update(&world, leaves, count, round + 2);
        check_same(world.store, &world.root, world.word);
        roots[round] = world.root;
        before[round] = memcpy(malloc(sizeof world.word), world.word, sizeof world.word);
    }
    for (unsigned round = 0; round < ROUNDS; round += 7)
        check_same(world.store, &roots[round], before[round]); /* Q2 */
    for (unsigned round = 0; round < ROUNDS; round++)
        free(before[round]);
    qs_store_close(world.store);
}

Test(array, damaged_nodes_are_found)
{
    static struct world world;
    struct meta meta;
    uint64_t leaves[2] = {0, 599}, seen = 0;
    const uint64_t *words;
    world.store = scratch_store_open(&meta, 64);
    world.next_pgno = META_PAGES;
    world.word[3] = world.word[599 * ARRAY_FANOUT] = 1;
    update(&world, leaves, 2, 2);
    for (uint64_t pgno = META_PAGES; pgno < world.next_pgno; pgno++) {
        uint8_t byte = 0x5a;
        struct io_write write = {(pgno << QS_PAGE_SHIFT) + 100, &byte, 1};
        cr_assert(world.store->io->write(world.store->file, &write, 1) == 0);
    }
    seen += qs_array_leaf(world.store, &world.root, 0, &words) != 0;
    seen += qs_array_leaf(world.store, &world.root, 599, &words) != 0;
    cr_assert(seen == 2);
    qs_store_close(world.store);
}
