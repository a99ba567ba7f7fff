/* map.h - the mapping table: page id -> newest version, or the page in the file.
 *
 * Owns:    one entry of 16 bytes a page id, in chunks of a page that come into being at first need, so
 *          that who reads one key pays for few; entries are filled from the file's map array
 *          (format/array.h) when first asked for.
 * Entry:   `head` newest version (NULL: none in memory); `base` word as in format/array.h: page
 *          number, `free` and `verified` bits. base == 0: not loaded yet.
 * Rules:   M1 only the writer changes entries, but for the `verified` bit and the first load, which
 *             any thread may do (compare-and-swap from 0, every racer brings the same word).
 *          M2 a reader that found no head and took the base looks at head again (rule 1, §2): the
 *             writer links a head before it changes the base.
 *          M3 an entry that is not loaded is the same in every map array since the map was opened,
 *             whose writer loads what it changes. So each view loads from the array of its own
 *             checkpoint, whose nodes its reader slot keeps from being reused by any process (rule 5).
 *          M4 a page that two checkpoints in a row name for a page id is the same page: while the first
 *             named it nobody could write there. So what the map of the checkpoint before has found
 *             good need not be verified again.
 *          M5 a page that the checkpoint before did not name for a page id was written since, by a process
 *             that has, as this one, the file open: no power was cut in between, and no disk asked. It needs no
 *             verification, as those need none that a process wrote itself.
 * Threads: qs_map_entry() and qs_map_base_at() from any thread, the rest under follow_lock.
 */
#ifndef QS_CACHE_MAP_H
#define QS_CACHE_MAP_H

#include "cache/version.h"
#include "store/array.h"

struct map_entry {
    _Atomic(struct version *) head; /* newest version */
    _Atomic uint64_t base;          /* MAP_WORD_* */
};

#define MAP_CHUNK_SHIFT 8
#define MAP_CHUNK_ENTRIES (1u << MAP_CHUNK_SHIFT)
#define MAP_BLOCK_SHIFT 20
#define MAP_BLOCK_CHUNKS (1u << (MAP_BLOCK_SHIFT - MAP_CHUNK_SHIFT))
#define MAP_BLOCKS (1u << (32 - MAP_BLOCK_SHIFT))

struct map_block {
    _Atomic(struct map_entry *) chunk[MAP_BLOCK_CHUNKS]; /* each of MAP_CHUNK_ENTRIES */
};

#define MAP_RUN_SHIFT 22 /* file pages a chunk of run bits speaks for: 16 GiB of file */
#define MAP_RUN_CHUNKS (1u << 10)

struct map_table {
    _Atomic uint32_t users;     /* maps that look at it */
    _Atomic uint32_t chunk_end; /* chunks from here on do not exist */
    _Atomic(struct map_block *) block[MAP_BLOCKS];
};

struct map {
    struct store *store;                /* the file */
    struct version_pool versions;       /* memory of the heads and what is below them */
    struct array_root root;             /* the newest map array (writer) */
    bool behind;                        /* entries may say something older than that (writer) */
    _Atomic(struct map_block *) *block; /* of `table` */
    struct map_table *table;            /* the entries */
    struct map_table *before; /* those of the checkpoint before, whose heads are no more; or NULL */
    _Atomic(_Atomic uint64_t *) *runs; /* bit a file page: the large value that starts there was
                                           verified; in chunks, MAP_RUN_CHUNKS pointers */
    _Atomic uint32_t run_end;          /* chunks of `runs` from here on do not exist */
};

/* `before`, which may be NULL: the map of the checkpoint before (M4, M5), open. ENOMEM. */
int qs_map_open(struct map *map, struct store *store, const struct array_root *root,
                const struct map *before);
void qs_map_close(struct map *map);

/* Slow path of qs_map_entry(): makes what is missing. ENOMEM. */
int qs_map_chunk(struct map *map, pageid_t pid, struct map_entry **entry);

/* The entry of `pid`, NULL where it has not come into being. */
static inline struct map_entry *qs_map_find(const struct map *map, pageid_t pid)
{
    /* acquire, twice: pairs with the release in qs_map_chunk(); block and chunk are zeroed */
    struct map_block *block =
        atomic_load_explicit(&map->block[pid >> MAP_BLOCK_SHIFT], memory_order_acquire);
    if (__builtin_expect(block == NULL, 0))
        return NULL;
    struct map_entry *chunk = atomic_load_explicit(
        &block->chunk[pid >> MAP_CHUNK_SHIFT & (MAP_BLOCK_CHUNKS - 1)], memory_order_acquire);
    return __builtin_expect(chunk == NULL, 0) ? NULL : &chunk[pid & (MAP_CHUNK_ENTRIES - 1)];
}

/* The same, made where it is missing. ENOMEM. */
static inline int qs_map_entry(struct map *map, pageid_t pid, struct map_entry **entry)
{
    *entry = qs_map_find(map, pid);
    return __builtin_expect(*entry == NULL, 0) ? qs_map_chunk(map, pid, entry) : 0;
}

/* A checkpoint replaced the map array; `behind`: entries are going to be changed to it, up to qs_map_settled(). */
void qs_map_set_root(struct map *map, const struct array_root *root, bool behind);
void qs_map_settled(struct map *map);

/* Base word of `pid`, loaded from the map array `root` at first need (M3); QS_E_PAGE_NOTFOUND when
 * it was never handed out, QS_E_CORRUPTED, ENOMEM. */
int qs_map_base_at(struct map *map, const struct array_root *root, pageid_t pid, uint64_t *word);
/* As qs_map_base_at(), from the newest map array. */
int qs_map_base(struct map *map, pageid_t pid, uint64_t *word);
/* The same, also of an entry that is behind. */
int qs_map_newest(struct map *map, pageid_t pid, uint64_t *word);

/* Whether the large value that starts at file page `pgno` was verified; setting it. Losing a bit
 * (no memory for a chunk, a page beyond them) costs a repeated verification. */
bool qs_map_run_verified(const struct map *map, uint64_t pgno);
void qs_map_run_set(struct map *map, uint64_t pgno, bool verified);

#endif
