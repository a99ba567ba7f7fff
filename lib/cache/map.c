/* map.c - the mapping table; see map.h. */
#include "cache/map.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define FILL_ENTRIES 64u /* loaded together */
#define RUN_CHUNK_BYTES ((1u << MAP_RUN_SHIFT) / 8)

/* relaxed: the ends only bound what qs_map_close() looks at, when no thread is left */
static void raise(_Atomic uint32_t *end, uint32_t wanted)
{
    uint32_t now = atomic_load_explicit(end, memory_order_relaxed);
    while (now < wanted && !atomic_compare_exchange_weak_explicit(
                               end, &now, wanted, memory_order_relaxed, memory_order_relaxed)) {
    }
}

int qs_map_open(struct map *map, struct store *store, const struct array_root *root,
                const struct map *before)
{
    map->store = store;
    map->root = *root;
    map->behind = false;
    map->versions = (struct version_pool){.slabs = 0};
    map->table = calloc(1, sizeof *map->table);
    map->runs = calloc(MAP_RUN_CHUNKS, sizeof *map->runs);
    map->run_end = 0;
    map->before = NULL;
    if (map->table == NULL || map->runs == NULL) {
        free(map->table);
        free((void *)map->runs);
        map->table = NULL;
        return ENOMEM;
    }
    atomic_init(&map->table->users, 1);
    if (before != NULL) {
        map->before = before->table;
        atomic_fetch_add(&map->before->users, 1);
    }
    return 0;
}

/* The first `chunks` chunks of block `index`. */
static void free_block(const struct map_table *table, size_t index, size_t chunks)
{
    struct map_block *block = atomic_load_explicit(&table->block[index], memory_order_relaxed);
    for (size_t i = 0; block != NULL && i < chunks; i++)
        free(atomic_load_explicit(&block->chunk[i], memory_order_relaxed));
    free(block);
}

static void drop_table(struct map_table *table)
{
    if (table == NULL || atomic_fetch_sub(&table->users, 1) > 1)
        return;
    size_t chunks = atomic_load_explicit(&table->chunk_end, memory_order_relaxed);
    for (size_t i = 0; i * MAP_BLOCK_CHUNKS < chunks; i++) {
        size_t left = chunks - i * MAP_BLOCK_CHUNKS;
        free_block(table, i, left < MAP_BLOCK_CHUNKS ? left : MAP_BLOCK_CHUNKS);
    }
    free(table);
}

void qs_map_close(struct map *map)
{
    qs_version_pool_close(&map->versions);
    if (map->table == NULL)
        return;
    drop_table(map->table);
    drop_table(map->before);
    map->table = map->before = NULL;
    uint32_t run_end = atomic_load_explicit(&map->run_end, memory_order_relaxed);
    for (size_t i = 0; i < run_end; i++) {
        _Atomic uint64_t *bits = atomic_load_explicit(&map->runs[i], memory_order_relaxed);
        if (bits != NULL)
            munmap((void *)bits, RUN_CHUNK_BYTES);
    }
    free((void *)map->runs);
}

static struct map_block *need_block(struct map *map, pageid_t pid)
{
    _Atomic(struct map_block *) *slot = &map->table->block[pid >> MAP_BLOCK_SHIFT];
    struct map_block *found = atomic_load_explicit(slot, memory_order_acquire);
    if (found != NULL)
        return found;
    struct map_block *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL)
        return NULL;
    /* release: pairs with the acquire in qs_map_entry() */
    if (!atomic_compare_exchange_strong_explicit(slot, &found, fresh, memory_order_acq_rel,
                                                 memory_order_acquire)) {
        free(fresh);
        return found;
    }
    return fresh;
}

int qs_map_chunk(struct map *map, pageid_t pid, struct map_entry **entry)
{
    struct map_block *block = need_block(map, pid);
    struct map_chunk *chunk = calloc(1, sizeof *chunk), *expected = NULL;
    /* First, so that qs_map_close() looks at a block without chunks, too. */
    raise(&map->table->chunk_end, (pid >> MAP_CHUNK_SHIFT) + 1);
    if (block == NULL || chunk == NULL) {
        free(chunk);
        return ENOMEM;
    }
    /* release: as above */
    if (!atomic_compare_exchange_strong_explicit(
            &block->chunk[pid >> MAP_CHUNK_SHIFT & (MAP_BLOCK_CHUNKS - 1)], &expected, chunk,
            memory_order_acq_rel, memory_order_acquire)) {
        free(chunk);
        chunk = expected;
    }
    *entry = &chunk->entry[qs_map_index(pid)];
    return 0;
}

static _Atomic uint32_t *clean_of(const struct map *map, pageid_t pid)
{
    return &qs_map_chunk_of(map->table, pid)->clean[qs_map_index(pid)];
}

/* CLEAN_CLOSED where the page number is too large: the entry has room for it. */
static uint32_t clean_of_word(uint64_t word)
{
    uint64_t pgno = word & MAP_WORD_PGNO;
    bool fits = (word & MAP_WORD_FREE) == 0 && pgno <= UINT32_MAX - CLEAN_FIRST;
    return fits ? CLEAN_FIRST + (uint32_t)pgno : CLEAN_CLOSED;
}

void qs_map_found_clean(const struct map *map, pageid_t pid, uint64_t word)
{
    uint32_t unknown = CLEAN_UNKNOWN;
    /* relaxed: the page it names lies in the file, as that of a base word */
    atomic_compare_exchange_strong_explicit(clean_of(map, pid), &unknown, clean_of_word(word),
                                            memory_order_relaxed, memory_order_relaxed);
}

void qs_map_close_clean(const struct map *map, pageid_t pid)
{
    /* relaxed: who sees what is linked next has seen a transaction or a checkpoint become visible that is published
     * behind it (release), and so sees this too; to others it does not matter */
    atomic_store_explicit(clean_of(map, pid), CLEAN_CLOSED, memory_order_relaxed);
}

void qs_map_open_clean(const struct map *map, pageid_t pid, uint64_t word)
{
    /* release: as for a head taken away (cache.c) */
    atomic_store_explicit(clean_of(map, pid), clean_of_word(word), memory_order_release);
}

/* M4, M5: whether the page that `word` names is good for what the map before knows of it. */
static bool known_good(const struct map_table *before, pageid_t pid, uint64_t word)
{
    const struct map_chunk *chunk = qs_map_chunk_of(before, pid);
    if (chunk == NULL || (word & MAP_WORD_FREE) != 0)
        return false;
    /* relaxed: a word guards nothing but itself */
    uint64_t was =
        atomic_load_explicit(&chunk->entry[qs_map_index(pid)].base, memory_order_relaxed);
    return was != 0 && was != word; /* the same, verified; or another page */
}

/* Fills the entries of `pid` and its neighbours: all of the leaf would be a lot for who wants one. */
static int fill_entries(struct map *map, pageid_t pid, uint64_t leaf, const uint64_t *words)
{
    unsigned at = pid % ARRAY_FANOUT, first = at - at % FILL_ENTRIES;
    int rc = 0;
    for (unsigned i = first; i < first + FILL_ENTRIES && i < ARRAY_FANOUT; i++) {
        struct map_entry *entry;
        uint64_t expected = 0, word = words[i] & ~MAP_WORD_VERIFIED;
        if (word == 0 || leaf * ARRAY_FANOUT + i > UINT32_MAX)
            continue;
        pageid_t neighbour = (pageid_t)(leaf * ARRAY_FANOUT + i);
        rc = qs_map_entry(map, neighbour, &entry);
        if (rc != 0)
            return rc;
        if (map->before != NULL && known_good(map->before, neighbour, word))
            word |= MAP_WORD_VERIFIED;
        /* relaxed: the word guards nothing but itself; the page it names lies in the file (M1) */
        atomic_compare_exchange_strong_explicit(&entry->base, &expected, word, memory_order_relaxed,
                                                memory_order_relaxed);
        if ((word & MAP_WORD_VERIFIED) != 0)
            qs_map_found_clean(map, neighbour, word);
    }
    return rc;
}

/* Fills entries from the array leaf that holds `pid` where they are still 0. Afterwards the base of `pid`
 * is 0 only when that page id was not handed out. */
static int load(struct map *map, const struct array_root *root, pageid_t pid)
{
    uint64_t leaf = pid / ARRAY_FANOUT;
    struct array_node node;
    const uint64_t *words;
    int rc = qs_array_read(map->store, root, leaf, &node, &words);
    return rc == 0 && words != NULL ? fill_entries(map, pid, leaf, words) : rc;
}

void qs_map_set_root(struct map *map, const struct array_root *root, bool behind)
{
    map->root = *root;
    map->behind = behind;
}

void qs_map_settled(struct map *map)
{
    map->behind = false;
}

int qs_map_base_at(struct map *map, const struct array_root *root, pageid_t pid, uint64_t *word)
{
    struct map_entry *entry;
    int rc = qs_map_entry(map, pid, &entry);
    if (rc != 0)
        return rc;
    *word = atomic_load_explicit(&entry->base, memory_order_acquire);
    if (*word != 0)
        return 0;
    rc = load(map, root, pid);
    if (rc != 0)
        return rc;
    *word = atomic_load_explicit(&entry->base, memory_order_acquire);
    return *word != 0 ? 0 : QS_E_PAGE_NOTFOUND;
}

int qs_map_newest(struct map *map, pageid_t pid, uint64_t *word)
{
    const uint64_t *words;
    if (!map->behind)
        return qs_map_base(map, pid, word);
    int rc = qs_array_leaf(map->store, &map->root, pid / ARRAY_FANOUT, &words);
    *word = rc == 0 && words != NULL ? words[pid % ARRAY_FANOUT] : 0;
    return rc;
}

int qs_map_base(struct map *map, pageid_t pid, uint64_t *word)
{
    return qs_map_base_at(map, &map->root, pid, word);
}

bool qs_map_run_verified(const struct map *map, uint64_t pgno)
{
    uint64_t chunk = pgno >> MAP_RUN_SHIFT, bit = pgno & ((1u << MAP_RUN_SHIFT) - 1);
    if (chunk >= MAP_RUN_CHUNKS)
        return false;
    /* acquire: pairs with the release in run_chunk() */
    _Atomic uint64_t *bits = atomic_load_explicit(&map->runs[chunk], memory_order_acquire);
    /* relaxed: the bit only says that bytes which never change are good */
    return bits != NULL &&
           (atomic_load_explicit(&bits[bit / 64], memory_order_relaxed) >> (bit % 64) & 1) != 0;
}

static _Atomic uint64_t *run_chunk(struct map *map, uint64_t chunk)
{
    void *memory = mmap(NULL, RUN_CHUNK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    _Atomic uint64_t *expected = NULL, *bits = memory;
    /* release: the chunk is zeroed; pairs with the acquire in qs_map_run_verified() */
    if (!atomic_compare_exchange_strong_explicit(&map->runs[chunk], &expected, bits,
                                                 memory_order_acq_rel, memory_order_acquire)) {
        munmap((void *)bits, RUN_CHUNK_BYTES);
        return expected;
    }
    raise(&map->run_end, (uint32_t)chunk + 1);
    return bits;
}

void qs_map_run_set(struct map *map, uint64_t pgno, bool verified)
{
    uint64_t chunk = pgno >> MAP_RUN_SHIFT, bit = pgno & ((1u << MAP_RUN_SHIFT) - 1);
    if (chunk >= MAP_RUN_CHUNKS)
        return;
    _Atomic uint64_t *bits = atomic_load_explicit(&map->runs[chunk], memory_order_acquire);
    if (bits == NULL && verified)
        bits = run_chunk(map, chunk);
    if (bits == NULL)
        return;
    if (verified)
        atomic_fetch_or_explicit(&bits[bit / 64], 1ull << (bit % 64), memory_order_relaxed);
    else
        atomic_fetch_and_explicit(&bits[bit / 64], ~(1ull << (bit % 64)), memory_order_relaxed);
}
