/* version.c - memory of versions: slabs of blocks of one size, in steps of 64 bytes.
 *
 *              first block taken            last block taken
 *   EMPTY  ----------------------> PARTIAL ------------------> FULL
 *     ^                             |   ^                       |
 *     +------ all given back -------+   +---- one given back ---+
 *
 * A slab lies at a multiple of its size, so a version knows its slab, and that its pool. Slabs come in arenas: the
 * first ones alone, those of a pool that grows eight together, in a huge page where the system has one. (Page by
 * page, at its first use, memory costs more than what is written there: half of the time of a load.) Some empty
 * slabs are kept; beyond, arenas of which nothing is in use go back to the system. In a debug build a slab holds
 * one block and comes from malloc(), so that sanitizers and valgrind see what becomes of every version.
 * The ring of the paper (section 4) would take this file's place behind the same functions.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#endif

#include "cache/version.h"

#include <stdlib.h>
#include <sys/mman.h>

#ifdef QS_DEBUG
#define SLAB_BYTES 8192u
#define SLAB_BLOCKS_MAX 1u
#define SLABS_SINGLE SIZE_MAX
#else
#define SLAB_BYTES (256u << 10)
#define SLAB_BLOCKS_MAX UINT32_MAX
#define SLABS_SINGLE 8u /* slabs of a small pool, an arena each */
#endif
#define ARENA_SLABS 8u  /* of a large one: 2 MiB */
#define SLAB_HEADER 64u /* blocks begin here */

struct free_block {
    struct free_block *next;
};

struct version_arena {
    struct version_arena *next;      /* in the pool's list */
    struct version_arena **previous; /* what points to it there */
    uint8_t *memory;                 /* its slabs, one behind the other */
    uint32_t slabs;                  /* how many */
    uint32_t empties;                /* of them on the pool's list of empty ones */
};

struct version_slab {
    struct version_pool *pool;      /* whose it is */
    struct version_arena *arena;    /* that it is part of */
    struct version_slab *next;      /* in the pool's list of its state */
    struct version_slab **previous; /* what points to it there */
    struct free_block *free;        /* blocks given back */
    uint32_t used;                  /* blocks handed out */
    uint32_t fresh;                 /* blocks from this number on were never handed out */
    uint32_t blocks;                /* there are */
    uint32_t block_bytes;           /* size of each */
    uint32_t class;                 /* index into pool->partial */
};
static_assert(sizeof(struct version_slab) <= SLAB_HEADER, "header of a slab");

/* Memory for `slabs` of them. In a debug build it ends with the block. */
static void *map_memory(size_t slabs, size_t block_bytes)
{
#ifdef QS_DEBUG
    void *memory;
    (void)slabs;
    return posix_memalign(&memory, SLAB_BYTES, SLAB_HEADER + block_bytes) == 0 ? memory : NULL;
#else
    (void)block_bytes;
    size_t size = slabs * SLAB_BYTES;
    /* Twice the size has a multiple of it in it; the rest is given back. Of two the upper one is kept: the
     * system maps downwards, and so the next one joins it in one mapping. */
    uint8_t *memory =
        mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    size_t before = size - (uintptr_t)memory % size;
    munmap(memory, before);
    if (before != size)
        munmap(memory + before + size, size - before);
    if (size > SLAB_BYTES)
        madvise(memory + before, size, MADV_HUGEPAGE); /* or else in pages, as ever */
    return memory + before;
#endif
}

static struct version_slab *slab_at(const struct version_arena *arena, uint32_t index)
{
    return (struct version_slab *)(void *)(arena->memory + (size_t)index * SLAB_BYTES);
}

static void link_slab(struct version_slab *slab, struct version_slab **list)
{
    slab->next = *list;
    slab->previous = list;
    if (slab->next != NULL)
        slab->next->previous = &slab->next;
    *list = slab;
}

static void unlink_slab(struct version_slab *slab)
{
    *slab->previous = slab->next;
    if (slab->next != NULL)
        slab->next->previous = slab->previous;
}

/* Its slabs become the pool's, empty ones. */
static struct version_arena *new_arena(struct version_pool *pool, size_t block_bytes)
{
    struct version_arena *arena = malloc(sizeof *arena);
    if (arena == NULL)
        return NULL;
    arena->slabs = pool->slabs < SLABS_SINGLE ? 1 : ARENA_SLABS;
    arena->empties = arena->slabs;
    arena->memory = map_memory(arena->slabs, block_bytes);
    if (arena->memory == NULL) {
        free(arena);
        return NULL;
    }
    arena->next = pool->arenas;
    arena->previous = &pool->arenas;
    if (arena->next != NULL)
        arena->next->previous = &arena->next;
    pool->arenas = arena;
    for (uint32_t i = arena->slabs; i-- > 0;) {
        struct version_slab *slab = slab_at(arena, i);
        slab->arena = arena;
        link_slab(slab, &pool->empty);
    }
    pool->slabs += arena->slabs;
    pool->empties += arena->slabs;
    return arena;
}

static void free_arena(struct version_arena *arena)
{
#ifdef QS_DEBUG
    free(arena->memory);
#else
    munmap(arena->memory, (size_t)arena->slabs * SLAB_BYTES);
#endif
    free(arena);
}

/* Nothing of it is in use. */
static void release_arena(struct version_pool *pool, struct version_arena *arena)
{
    for (uint32_t i = 0; i < arena->slabs; i++)
        unlink_slab(slab_at(arena, i));
    pool->slabs -= arena->slabs;
    pool->empties -= arena->slabs;
    *arena->previous = arena->next;
    if (arena->next != NULL)
        arena->next->previous = arena->previous;
    free_arena(arena);
}

/* A slab with a block to be had, on its class's list. */
static struct version_slab *find_slab(struct version_pool *pool, uint32_t class)
{
    struct version_slab *slab = pool->partial[class];
    uint32_t block_bytes = (uint32_t)sizeof(struct version) + class * VERSION_CLASS_BYTES;
    if (slab != NULL)
        return slab;
    if (pool->empty == NULL && new_arena(pool, block_bytes) == NULL)
        return NULL;
    slab = pool->empty;
    unlink_slab(slab);
    pool->empties--;
    slab->arena->empties--;
    uint32_t blocks = (SLAB_BYTES - SLAB_HEADER) / block_bytes;
    *slab = (struct version_slab){.pool = pool,
                                  .arena = slab->arena,
                                  .blocks = blocks < SLAB_BLOCKS_MAX ? blocks : SLAB_BLOCKS_MAX,
                                  .block_bytes = block_bytes,
                                  .class = class};
    link_slab(slab, &pool->partial[class]);
    return slab;
}

static void *take_block(struct version_slab *slab)
{
    struct free_block *block = slab->free;
    if (block != NULL)
        slab->free = block->next;
    else
        block = (struct free_block *)(void *)((uint8_t *)slab + SLAB_HEADER +
                                              (size_t)slab->fresh++ * slab->block_bytes);
    if (++slab->used == slab->blocks) {
        unlink_slab(slab);
        link_slab(slab, &slab->pool->full);
    }
    return block;
}

struct version *qs_version_new(struct version_pool *pool, enum version_kind kind, size_t page_bytes)
{
    uint32_t class = (uint32_t)((page_bytes + VERSION_CLASS_BYTES - 1) / VERSION_CLASS_BYTES);
    struct version_slab *slab = find_slab(pool, class);
    if (slab == NULL)
        return NULL;
    pool->count++;
    pool->bytes += slab->block_bytes;
    struct version *version = take_block(slab);
    atomic_init(&version->older, NULL);
    version->txn = 0;
    version->checkpoint = 0;
    version->base = 0;
    version->kind = (uint16_t)kind;
    version->page_bytes = (uint16_t)(class * VERSION_CLASS_BYTES);
    version->merged_bytes = 0;
    version->merged_count = 0;
    return version;
}

/* Nothing of a slab is in use any more. */
static void retire_slab(struct version_slab *slab)
{
    struct version_pool *pool = slab->pool;
    struct version_arena *arena = slab->arena;
    unlink_slab(slab);
    link_slab(slab, &pool->empty);
    pool->empties++;
    arena->empties++;
    if (pool->empties > VERSION_SLABS_KEPT && arena->empties == arena->slabs)
        release_arena(pool, arena);
}

void qs_version_free(struct version *version)
{
    if (version == NULL)
        return;
    struct version_slab *slab =
        (struct version_slab *)((uintptr_t)version & ~(uintptr_t)(SLAB_BYTES - 1));
    struct version_pool *pool = slab->pool;
    struct free_block *block = (struct free_block *)(void *)version;
    pool->count--;
    pool->bytes -= slab->block_bytes;
    if (slab->used == slab->blocks) {
        unlink_slab(slab);
        link_slab(slab, &pool->partial[slab->class]);
    }
    block->next = slab->free;
    slab->free = block;
    if (--slab->used == 0)
        retire_slab(slab);
}

void qs_version_pool_close(struct version_pool *pool)
{
    struct version_arena *arena = pool->arenas;
    while (arena != NULL) {
        struct version_arena *next = arena->next;
        free_arena(arena);
        arena = next;
    }
    *pool = (struct version_pool){.slabs = 0};
}
