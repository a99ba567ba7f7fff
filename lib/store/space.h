/* space.h - which pages of the file are free, and which wait to be (rule 5).
 *
 * Owns:    the free-space bitmap in memory, the list of runs that wait, the high-water mark.
 * Threads: all under the writer mutex.
 * Life of a page: free -> allocated by a transaction -> (checkpoint) in use -> released by a
 * checkpoint: waits -> free, when that checkpoint is durable and no reader's view includes the page.
 * Everything since qs_space_begin() can be taken back by qs_space_rollback().
 */
#ifndef QS_STORE_SPACE_H
#define QS_STORE_SPACE_H

#include "format/pending.h"
#include "store/array.h"

struct space_leaf;

struct space {
    struct store *store;
    struct array_root root;   /* the bitmap of the newest checkpoint */
    uint64_t high_water;      /* no page from here on is in use */
    uint64_t reach;           /* most pages ever in use: a longer file was made so by its user */
    uint64_t punch_end;       /* where the next look for runs to punch begins, downwards */
    struct space_leaf *leaf;  /* leaves of the bitmap, loaded on demand */
    size_t leaf_count;        /* entries in `leaf` */
    size_t shadow_count;      /* those with a shadow */
    uint64_t low;             /* no page below is free; the meta pages never are */
    uint64_t run_missing;     /* no free run of this many pages or more below the high water */
    struct pending_run *wait; /* runs that wait, in order of release */
    size_t wait_count;
    size_t wait_capacity;
    uint64_t *chain; /* pages of the newest checkpoint's pending chain */
    size_t chain_count;
    size_t chain_capacity;
    uint64_t chain_born; /* checkpoint that wrote the chain */
    bool denied; /* there were no blocks for a page that was allocated; who reads it clears it */

    /* what qs_space_rollback() goes back to */
    size_t wait_mark;         /* wait_count at begin */
    uint64_t high_water_mark; /* high_water at begin */
};

/* Reads where the checkpoint in `meta` keeps its free space: the chain is read, the bitmap on demand. */
int qs_space_open(struct space *space, struct store *store, const struct meta *meta);
void qs_space_close(struct space *space);

/* Starts a write transaction's changes. */
void qs_space_begin(struct space *space);
void qs_space_rollback(struct space *space);

/* Finds `count` consecutive pages. Extends the high water when there is no such run; the file itself
 * grows when it is written. ENOMEM, QS_E_CORRUPTED. */
int qs_space_allocate(struct space *space, uint64_t count, uint64_t *pgno);
/* The same, aligned as `count` is, where there is room for that: for large values. */
int qs_space_allocate_aligned(struct space *space, uint64_t count, uint64_t *pgno);

/* The first free run, at most `most` pages of it: *count of them. */
int qs_space_allocate_some(struct space *space, uint64_t most, uint64_t *pgno, uint64_t *count);

/* Gives back pages that this transaction allocated. */
int qs_space_free(struct space *space, uint64_t pgno, uint64_t count);

/* Pages that checkpoint `freed` will not refer to any more, and `born` was the first to. */
int qs_space_release(struct space *space, uint64_t pgno, uint64_t count, uint64_t born,
                     uint64_t freed);

/* A run that a record of the log refers to is in use, whatever the checkpoint says: it was free then, or
 * waited. */
int qs_space_claim(struct space *space, uint64_t pgno, uint64_t count);

/* Makes waiting runs free that were released by a checkpoint up to `durable` and that none of the
 * `used` checkpoints includes. Not between begin and commit or rollback. */
int qs_space_reclaim(struct space *space, uint64_t durable, const uint64_t *used,
                     size_t used_count);

/* Gives free pages back to the file system, as far as they are more than a writer may soon want, and at most
 * `most` of them: false when there is nothing to be had, true when another call may find more. `used_pages` is
 * about how many pages the newest state has. Called when all is allocated that a checkpoint needs. Never fails: then
 * the pages stay with the file. */
bool qs_space_punch(struct space *space, uint64_t used_pages, uint64_t most);

/* Writes bitmap and chain of checkpoint `meta->checkpoint` into `batch` and fills meta's fields
 * (bitmap, pending, pending_pages, high_water, reach_pages). `loose` are runs in use that the checkpoint knows nothing of:
 * to who starts from it they wait, until the log says what they are. Nothing may be allocated or
 * released after it. */
struct loose_runs {
    const struct pending_run *run;
    size_t count;
};
int qs_space_checkpoint(struct space *space, struct batch *batch, struct meta *meta,
                        struct loose_runs loose);

/* The checkpoint is in force: what began with qs_space_begin() stands. */
void qs_space_commit(struct space *space, const struct meta *meta);

#endif
