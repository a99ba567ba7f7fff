/* map.h - the mapping table: page id -> newest version, or the page in the file.
 *
 * Owns:    one entry of 16 bytes a page id, and 4 bytes beside it, in chunks that come into being at first
 *          need, so that who reads one key pays for few; entries are filled from the file's map array
 *          (format/array.h) when first asked for.
 * Entry:   `head` newest version (NULL: none in memory); `base` word as in format/array.h: page
 *          number, `free` and `verified` bits. base == 0: not loaded yet.
 * Clean:   `clean` says in 4 bytes what most reads need: the file page, found good, of a page id that has no
 *          version. A table of those stays in the processor's cache where one of entries would not.
 * Rules:   M1 only the writer changes entries, but for the `verified` bit and the first load, which
 *             any thread may do (compare-and-swap from 0, every racer brings the same word).
 *          M2 a reader that found no head and took the base looks at head again (rule 1, §2): the
 *             writer links a head before it changes the base. Or it takes `clean`, which says both at once: the
 *             writer closes that before it links a first head, and stores the new page there once it has taken
 *             the last one away. Who has verified a base puts it there only where it is still CLEAN_UNKNOWN, which
 *             it never becomes again: until then there was no head, and the base is the first one.
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

/* Values of `clean`: from CLEAN_FIRST on a file page, plus that. */
#define CLEAN_UNKNOWN 0u /* the entry tells */
#define CLEAN_CLOSED 1u  /* so it does, and only the writer changes this */
#define CLEAN_FIRST 2u

struct map_chunk {
    _Atomic uint32_t clean[MAP_CHUNK_ENTRIES];
    struct map_entry entry[MAP_CHUNK_ENTRIES];
};

struct map_block {
    _Atomic(struct map_chunk *) chunk[MAP_BLOCK_CHUNKS];
};

#define MAP_RUN_SHIFT 22 /* file pages a chunk of run bits speaks for: 16 GiB of file */
#define MAP_RUN_CHUNKS (1u << 10)

struct map_table {
    _Atomic uint32_t users;     /* maps that look at it */
    _Atomic uint32_t chunk_end; /* chunks from here on do not exist */
    _Atomic(struct map_block *) block[MAP_BLOCKS];
};

struct map {
    struct store *store;          /* the file */
    struct version_pool versions; /* memory of the heads and what is below them */
    struct array_root root;       /* the newest map array (writer) */
    bool behind;                  /* entries may say something older than that (writer) */
    struct map_table *table;      /* the entries */
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

/* The chunk that `pid` is in, NULL where it has not come into being. */
static inline struct map_chunk *qs_map_chunk_of(const struct map_table *table, pageid_t pid)
{
    /* acquire, twice: pairs with the release in qs_map_chunk(); block and chunk are zeroed */
    const struct map_block *block =
        atomic_load_explicit(&table->block[pid >> MAP_BLOCK_SHIFT], memory_order_acquire);
    if (__builtin_expect(block == NULL, 0))
        return NULL;
    return atomic_load_explicit(&block->chunk[pid >> MAP_CHUNK_SHIFT & (MAP_BLOCK_CHUNKS - 1)],
                                memory_order_acquire);
}

/* Where in it. */
static inline unsigned qs_map_index(pageid_t pid)
{
    return pid & (MAP_CHUNK_ENTRIES - 1);
}

/* The entry of `pid`, made where it is missing. ENOMEM. */
static inline int qs_map_entry(struct map *map, pageid_t pid, struct map_entry **entry)
{
    struct map_chunk *chunk = qs_map_chunk_of(map->table, pid);
    *entry = chunk != NULL ? &chunk->entry[qs_map_index(pid)] : NULL;
    return __builtin_expect(*entry == NULL, 0) ? qs_map_chunk(map, pid, entry) : 0;
}

/* The base word of `pid`, which has a chunk, was found to be good, or comes from one who knows: gets need no longer
 * ask its entry, unless the writer has closed it. Any thread. */
void qs_map_found_clean(const struct map *map, pageid_t pid, uint64_t word);
/* The writer is about to link a first head to an entry; has taken the last one away from it (M2). */
void qs_map_close_clean(const struct map *map, pageid_t pid);
void qs_map_open_clean(const struct map *map, pageid_t pid, uint64_t word);

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
