/* test_space.c - free space against a list of runs: who has what is known at every moment.
 *
 * Owns:       the runs a made-up user holds, the checkpoints made-up readers use.
 * Invariants: P1 what is allocated belongs to nobody: no run, no waiting run, no page of the bitmap
 * or the chain. P2 after a checkpoint exactly what somebody has is marked. P3 a rollback leaves
 * what was before. P4 a run that a reader's checkpoint includes is not reused.
 * P5 a hole is punched only where nobody has anything, and below the reach. P6 no page lies behind a
 * settled cut that nobody said he can move.
 */
#define _GNU_SOURCE

#include "store/space.h"
#include "store/space_cut.h"
#include "store/space_leaf.h"

#include "scratch_store.h"

#include <string.h>

enum { PAGES_MAX = 1 << 17, RUNS_MAX = 4000, READERS_MAX = 4, ROUNDS = 400 };

struct run {
    uint64_t pgno, pages, born;
};

struct world {
    struct store *store;
    struct meta meta;
    struct space space;
    struct run run[RUNS_MAX]; /* the user's, committed ones first */
    size_t run_count;
    uint64_t reader[READERS_MAX]; /* checkpoints in use */
    size_t reader_count;
    uint64_t random;
    uint8_t taken[PAGES_MAX]; /* pages somebody has, as of the last commit or allocation */
};

static void mark_taken(struct world *world, uint64_t pgno, uint64_t pages)
{
    for (uint64_t i = pgno; i < pgno + pages; i++) {
        cr_assert(i >= META_PAGES && i < PAGES_MAX);
        cr_assert(!world->taken[i], "page %llu has two owners", (unsigned long long)i);
        world->taken[i] = 1;
    }
}

static int mark_node(void *context, const struct array_node *node, uint64_t pgno, uint64_t leaf)
{
    (void)node, (void)leaf;
    mark_taken(context, pgno, 1);
    return 0;
}

/* Marks everything that somebody has, and so finds pages with two owners (P1). */
static uint64_t mark_all(struct world *world)
{
    uint64_t count = 0;
    memset(world->taken, 0, sizeof world->taken);
    for (size_t i = 0; i < world->run_count; i++)
        mark_taken(world, world->run[i].pgno, world->run[i].pages);
    for (size_t i = 0; i < world->space.wait_count; i++)
        mark_taken(world, world->space.wait[i].pgno, world->space.wait[i].pages);
    for (size_t i = 0; i < world->space.chain_count; i++)
        mark_taken(world, world->space.chain[i], 1);
    cr_assert(qs_array_walk(world->store, &world->space.root, mark_node, world) == 0);
    for (size_t i = 0; i < PAGES_MAX; i++)
        count += world->taken[i];
    return count;
}

/* P2, in the file's bitmap and in that of memory. */
static void check_bitmap(struct world *world)
{
    uint64_t marked = 0, have = mark_all(world);
    for (uint64_t leaf = 0; leaf * SPACE_LEAF_PAGES < PAGES_MAX; leaf++) {
        const uint64_t *words;
        cr_assert(qs_array_leaf(world->store, &world->space.root, leaf, &words) == 0);
        for (unsigned i = 0; words != NULL && i < ARRAY_FANOUT; i++)
            marked += (uint64_t)__builtin_popcountll(words[i]);
        if (words != NULL && leaf < world->space.leaf_count &&
            world->space.leaf[leaf].words != NULL)
            cr_assert(memcmp(words, world->space.leaf[leaf].words, ARRAY_FANOUT * sizeof *words) ==
                      0);
    }
    cr_assert(marked == have, "%llu pages are marked, %llu in use", (unsigned long long)marked,
              (unsigned long long)have);
}

static void allocate(struct world *world)
{
    uint64_t *random = &world->random, kind = scratch_random(random) % 10, pgno;
    uint64_t pages = kind < 6 ? 1 : 1 + scratch_random(random) % (kind < 9 ? 30 : 1500);
    uint64_t high_water = world->space.high_water;
    int rc = kind % 3 == 0   ? qs_space_allocate(&world->space, pages, &pgno)
             : kind % 3 == 1 ? qs_space_allocate_aligned(&world->space, pages, &pgno)
                             : qs_space_allocate_some(&world->space, pages, &pgno, &pages);
    cr_assert(rc == 0);
    if (kind % 3 == 1 && pgno >= high_water && pages <= 512) /* there was room */
        cr_assert(pgno % (pages & -pages) == 0);
    mark_taken(world, pgno, pages);
    world->run[world->run_count++] = (struct run){pgno, pages, world->meta.checkpoint + 1};
}

/* Gives back a run: at once when this transaction took it, else by a release. */
static void give_back(struct world *world, size_t index)
{
    struct run *run = &world->run[index];
    uint64_t coming = world->meta.checkpoint + 1;
    int rc = run->born == coming
                 ? qs_space_free(&world->space, run->pgno, run->pages)
                 : qs_space_release(&world->space, run->pgno, run->pages, run->born, coming);
    cr_assert(rc == 0);
    if (run->born == coming)
        memset(world->taken + run->pgno, 0, run->pages);
    *run = world->run[--world->run_count];
}

static void change(struct world *world)
{
    bool shrink = scratch_random(&world->random) % 2 == 0;
    for (uint64_t n = scratch_random(&world->random) % 60; n > 0; n--) {
        bool give = scratch_random(&world->random) % 10 < (shrink ? 7 : 4);
        if (give && world->run_count > 0)
            give_back(world, scratch_random(&world->random) % world->run_count);
        else if (world->run_count < RUNS_MAX && world->space.high_water < PAGES_MAX / 2)
            allocate(world);
    }
}

/* P5 */
static struct world *punched; /* whose file it is */
static uint64_t holes;        /* pages */

static int punch(struct qs_io_file *file, uint64_t offset, uint64_t size)
{
    (void)file;
    uint64_t pgno = offset >> QS_PAGE_SHIFT, end = (offset + size) >> QS_PAGE_SHIFT;
    cr_assert(pgno >= META_PAGES && end <= punched->space.reach);
    for (; pgno < end; pgno++, holes++)
        cr_assert(!punched->taken[pgno], "page %llu is in use", (unsigned long long)pgno);
    return 0;
}

static void punch_some(struct world *world)
{
    static struct qs_io_ops io;
    const struct qs_io_ops *plain = world->store->io;
    io = *plain;
    io.punch = punch;
    world->store->io = &io;
    punched = world;
    mark_all(world);
    for (unsigned i = 0; i < 20; i++)
        qs_space_punch(&world->space, 1, 4096);
    world->store->io = plain;
}

/* P6, with every second of the user's runs movable. */
static void find_cut(struct world *world)
{
    struct space_cut cut;
    uint64_t end = META_PAGES;
    mark_all(world);
    cr_assert(qs_space_cut_find(&world->space, 50, 10000, &cut) == 0);
    for (size_t i = 0; i < world->run_count; i++) {
        const struct run *run = &world->run[i];
        if (i % 2 == 0)
            qs_space_cut_movable(&cut, run->pgno, run->pages);
        else if (run->pgno + run->pages > end)
            end = run->pgno + run->pages;
    }
    cr_assert(qs_space_cut_account(&world->space, &cut) == 0);
    qs_space_cut_settle(&cut);
    cr_assert(cut.start >= end || cut.start == cut.end);
}

static void commit(struct world *world)
{
    struct batch batch;
    qs_batch_init(&batch, world->store);
    world->meta.checkpoint++;
    cr_assert(qs_space_checkpoint(&world->space, &batch, &world->meta,
                                  (struct loose_runs){NULL, 0}) == 0);
    cr_assert(qs_batch_write(&batch) == 0);
    cr_assert(qs_meta_write(world->store, &world->meta) == 0);
    qs_space_commit(&world->space, &world->meta);
    check_bitmap(world);
    punch_some(world);
    find_cut(world);
}

/* A transaction that comes to nothing (P3). */
static void try_and_roll_back(struct world *world)
{
    static struct run runs[RUNS_MAX];
    size_t count = world->run_count;
    uint64_t high_water = world->space.high_water, have = mark_all(world);
    memcpy(runs, world->run, count * sizeof *runs);
    change(world);
    qs_space_rollback(&world->space);
    memcpy(world->run, runs, count * sizeof *runs);
    world->run_count = count;
    cr_assert(world->space.high_water == high_water);
    cr_assert(mark_all(world) == have);
}

static bool includes(const struct pending_run *run, uint64_t checkpoint)
{
    return checkpoint >= run->born && checkpoint < run->freed;
}

/* P4: what waits for a reader goes on waiting; nothing else does. */
static void reclaim(struct world *world)
{
    struct space *space = &world->space;
    size_t expected = 0;
    for (size_t i = 0; i < space->wait_count; i++) {
        bool used = false;
        for (size_t r = 0; r < world->reader_count; r++)
            used = used || includes(&space->wait[i], world->reader[r]);
        expected += used;
    }
    cr_assert(qs_space_reclaim(space, world->meta.checkpoint, world->reader, world->reader_count) ==
              0);
    cr_assert(space->wait_count == expected);
}

static void readers_come_and_go(struct world *world)
{
    uint64_t kind = scratch_random(&world->random) % 8;
    if (kind == 0 && world->reader_count < READERS_MAX)
        world->reader[world->reader_count++] = world->meta.checkpoint;
    if (kind == 1 && world->reader_count > 0) {
        size_t index = scratch_random(&world->random) % world->reader_count;
        world->reader[index] = world->reader[--world->reader_count];
    }
}

static void reopen(struct world *world)
{
    qs_space_close(&world->space);
    cr_assert(qs_space_open(&world->space, world->store, &world->meta) == 0);
    check_bitmap(world);
}

Test(space, against_a_list_of_runs)
{
    static struct world world;
    world.random = scratch_seed(1);
    world.store = scratch_store_open(&world.meta, PAGES_MAX);
    cr_assert(qs_space_open(&world.space, world.store, &world.meta) == 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        reclaim(&world);
        qs_space_begin(&world.space);
        if (scratch_random(&world.random) % 5 == 0) {
            try_and_roll_back(&world);
        } else {
            mark_all(&world);
            change(&world);
            commit(&world);
        }
        readers_come_and_go(&world);
        if (scratch_random(&world.random) % 20 == 0)
            reopen(&world);
    }
    cr_assert(holes > 0);
    /* When all is given back, only the account itself is left. */
    world.reader_count = 0;
    for (unsigned i = 0; i < 3; i++) {
        reclaim(&world);
        qs_space_begin(&world.space);
        while (world.run_count > 0)
            give_back(&world, 0);
        commit(&world);
    }
    cr_assert(mark_all(&world) < 30);
    qs_space_close(&world.space);
    qs_store_close(world.store);
}
