/* store.h - the data file: its descriptor, its map, its meta pages.
 *
 * One struct store a file and process. Threads: qs_store_map(), qs_store_map_reserve(),
 * qs_store_reaches(), qs_store_read() and reading meta pages from any thread; everything else under the writer mutex or
 * at open and close.
 */
#ifndef QS_STORE_STORE_H
#define QS_STORE_STORE_H

#include "format/meta.h"
#include "os/io.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

/* A read-only map of the file from its start. Never changes; lives until the store is closed, so
 * whoever took it may go on using it when a larger one has taken its place. */
struct file_map {
    const uint8_t *base;    /* page n is at base + n * QS_PAGE_BYTES */
    uint64_t pages;         /* mapped; the file may be shorter (or longer) */
    struct file_map *older; /* the one it replaced */
};

struct store {
    const struct qs_io_ops *io; /* immutable */
    struct qs_io_file *file;    /* what is written through, by a descriptor of its own; NULL while
                                       the store is read-only */
    int fd;                     /* immutable: the descriptor it was opened with; users get it */
    bool read_only;             /* until qs_store_make_writable() */
    bool random_access;         /* immutable: advise the kernel so */
    bool no_holes;              /* the file system was asked for one, and has none (writer) */
    void *images;               /* the batch's buffer (writer), NULL before the first write */
    pthread_mutex_t map_lock;   /* held while a map is added (rank STORE, the lowest) */
    _Atomic(struct file_map *) map; /* newest map; release, pairs with acquire in qs_store_map() */
    _Atomic uint64_t file_pages;    /* pages the file was last seen to have (relaxed) */
};

/* Takes over `fd`, also on failure. Nothing is read. ENOMEM. */
int qs_store_open(int fd, const struct qs_io_ops *io, bool read_only, bool random_access,
                  struct store **store);
/* In a forked child, too: it only gives back what belongs to this process. */
void qs_store_close(struct store *store);

/* Takes over `fd`, a descriptor of the same file that writes; the old one stays open until close, and
 * stays the one handed out. Nobody writes yet. */
int qs_store_make_writable(struct store *store, int fd);

/* Makes sure that at least `pages` pages are mapped. errno of mmap(2). */
int qs_store_map_reserve(struct store *store, uint64_t pages);

static inline const struct file_map *qs_store_map(const struct store *store)
{
    return atomic_load_explicit(&store->map, memory_order_acquire);
}

/* True when the file has all of [pgno, pgno + pages) and the newest map covers it. */
bool qs_store_reaches(struct store *store, uint64_t pgno, uint64_t pages);

/* Pages that the file has now, the last perhaps in part; 0 when the system does not say. */
uint64_t qs_store_file_pages(struct store *store);

/* Bytes of a run of pages, mapped if need be; NULL when the file lacks some of them. */
const uint8_t *qs_store_run(struct store *store, uint64_t pgno, uint64_t pages);

/* Page `pgno` through the newest map, NULL when the file has no such page. Not verified. */
const void *qs_store_page(struct store *store, uint64_t pgno);

/* Whether a write failed for want of blocks. */
static inline bool qs_store_is_full(int rc)
{
    return rc == ENOSPC || rc == EDQUOT;
}

/* Reads bytes of the file, not through the map: QS_E_NOTFOUND when it has fewer, errno. */
int qs_store_read(struct store *store, uint64_t offset, void *bytes, size_t size);

/* Reads both meta pages and takes the newest valid one. *fresh: the file is empty (or two pages
 * of zeros: its creation was cut short) and `meta` was not filled. QS_E_INVALID, QS_E_VERSION_MISMATCH,
 * QS_E_CORRUPTED, errno. */
int qs_meta_read(struct store *store, struct meta *meta, bool *fresh);

/* The meta page of checkpoint `number`: QS_E_NOTFOUND when its page holds another, or nothing valid. */
int qs_meta_read_number(struct store *store, uint64_t number, struct meta *meta);

/* What a new database starts from. */
void qs_meta_init(struct meta *meta, uint64_t map_size_bytes, const uint64_t file_id[2]);

/* qs_meta_seal() sets the checksum; qs_meta_write() seals and writes to the page that the checkpoint
 * number says; qs_meta_create() writes both pages of a new file. Not flushed. */
void qs_meta_seal(struct meta *meta);
int qs_meta_write(struct store *store, struct meta *meta);
int qs_meta_create(struct store *store, struct meta *meta);

#endif
