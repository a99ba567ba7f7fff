/* version.c - memory of versions: slabs of blocks of one size, in steps of 64 bytes.
 *
 *              first block taken            last block taken
 *   EMPTY  ----------------------> PARTIAL ------------------> FULL
 *     ^                             |   ^                       |
 *     +------ all given back -------+   +---- one given back ---+
 *
 * A slab lies at a multiple of its size, so a version knows its slab, and that its pool. Some empty slabs
 * are kept, the others go back to the system. In a debug build a slab holds one block and comes from
 * malloc(), so that sanitizers and valgrind see what becomes of every version.
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
#define SLABS_KEPT 0u
#define SLABS_KEPT_SHARE SIZE_MAX
#else
#define SLAB_BYTES (256u << 10)
#define SLAB_BLOCKS_MAX UINT32_MAX
#define SLABS_KEPT 4u       /* empty ones, */
#define SLABS_KEPT_SHARE 4u /* beside a quarter of all */
#endif
#define SLAB_HEADER 64u /* blocks begin here */

struct free_block {
    struct free_block *next;
};

struct version_slab {
    struct version_pool *pool;      /* whose it is */
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

static struct version_slab *allocate_slab(size_t block_bytes)
{
#ifdef QS_DEBUG
    void *memory;
    return posix_memalign(&memory, SLAB_BYTES, SLAB_HEADER + block_bytes) == 0 ? memory : NULL;
#else
    (void)block_bytes;
    /* Twice the size has a multiple of it in it; the rest is given back. Of two the upper one is kept: the
     * system maps downwards, and so the next slab joins it in one mapping. */
    size_t size = 2 * (size_t)SLAB_BYTES;
    uint8_t *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    size_t before = SLAB_BYTES - (uintptr_t)memory % SLAB_BYTES;
    munmap(memory, before);
    if (before != SLAB_BYTES)
        munmap(memory + before + SLAB_BYTES, SLAB_BYTES - before);
    return (struct version_slab *)(void *)(memory + before);
#endif
}

static void release_slab(struct version_slab *slab)
{
    slab->pool->slabs--;
#ifdef QS_DEBUG
    free(slab);
#else
    munmap(slab, SLAB_BYTES);
#endif
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

/* A slab with a block to be had, on its class's list. */
static struct version_slab *find_slab(struct version_pool *pool, uint32_t class)
{
    struct version_slab *slab = pool->partial[class];
    uint32_t block_bytes = (uint32_t)sizeof(struct version) + class * VERSION_CLASS_BYTES;
    if (slab != NULL)
        return slab;
    slab = pool->empty;
    if (slab != NULL) {
        unlink_slab(slab);
        pool->empties--;
    } else {
        slab = allocate_slab(block_bytes);
        if (slab == NULL)
            return NULL;
        pool->slabs++;
    }
    uint32_t blocks = (SLAB_BYTES - SLAB_HEADER) / block_bytes;
    *slab = (struct version_slab){.pool = pool,
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
    unlink_slab(slab);
    link_slab(slab, &pool->empty);
    pool->empties++;
    while (pool->empties > SLABS_KEPT + pool->slabs / SLABS_KEPT_SHARE) {
        slab = pool->empty;
        unlink_slab(slab);
        pool->empties--;
        release_slab(slab);
    }
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

static void release_list(struct version_slab *slab)
{
    while (slab != NULL) {
        struct version_slab *next = slab->next;
        release_slab(slab);
        slab = next;
    }
}

void qs_version_pool_close(struct version_pool *pool)
{
    for (size_t i = 0; i < VERSION_CLASSES; i++)
        release_list(pool->partial[i]);
    release_list(pool->full);
    release_list(pool->empty);
    *pool = (struct version_pool){.slabs = 0};
}
