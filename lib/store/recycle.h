/* recycle.h - page runs for large values that no checkpoint knows of: used and released by the log alone.
 *
 * Owns:    the list of those runs, and where in the log each run of a large value was placed.
 * Threads: under the writer mutex, and follow_lock for what a replica leaves.
 * Life of a run: placed by a record -> released by another, which says so (LOG_OP_FREED) -> listed here ->
 * taken for a new value -> placed by that one's record. All the while it is in use to free space; the next
 * checkpoint releases what is listed.
 * Invariants: Y1 a run is taken only when no reader can see what lies there, and no state refers to it that
 *             a power cut may have to go back to: the record that released it is durable, or the one that placed
 *             it is not and will not be without the other.
 */
#ifndef QS_STORE_RECYCLE_H
#define QS_STORE_RECYCLE_H

#include "base/types.h"
#include "format/pending.h"

struct recycled {
    uint64_t pgno;   /* first page */
    uint64_t pages;  /* length, 0: nothing is left of it */
    uint64_t born;   /* checkpoint in whose time it was placed, or an earlier one */
    uint64_t placed; /* log position: what placed it does not stand before */
    uint64_t freed;  /* log position: what released it ends at or before */
    txnid_t txn;     /* that released it, or a later one */
    bool back;       /* of those taken: given back by the transaction that took it */
};

struct placed_run {
    uint64_t pgno;     /* first page, 0: the slot is empty */
    uint64_t position; /* as `placed` above */
};

struct recycle {
    struct recycled *run; /* run[first..count), the longest released first */
    size_t first, count, capacity;
    uint64_t pages;        /* of them all */
    size_t added;          /* since neighbours were last made one */
    struct recycled *took; /* by the transaction that runs */
    size_t took_count, took_capacity;
    struct placed_run *placed; /* open addressing by page, at most half full */
    size_t placed_count, placed_capacity;
    uint64_t anchor;   /* log position where the newest checkpoint's log begins */
    uint64_t position; /* that the log was followed to */

    /* what the transaction that runs may take (Y1) */
    bool open;        /* anything */
    bool settled;     /* no flush was under way, and none will make one record durable alone */
    uint64_t durable; /* log position */
    txnid_t oldest;   /* snapshot in use, or to come into use */
};

/* A new log, from `anchor` on: the list is empty. */
void qs_recycle_reset(struct recycle *recycle, uint64_t anchor);
void qs_recycle_free(struct recycle *recycle);

/* Makes room for so many calls of the next three together, which then cannot fail. ENOMEM. */
int qs_recycle_make_room(struct recycle *recycle, size_t runs);
/* A record places a value there. `earliest`: where one has been placed before, that is remembered. */
void qs_recycle_placed(struct recycle *recycle, uint64_t pgno, uint64_t position, bool earliest);
/* It was taken from the list, by whoever wrote the record that is followed. */
void qs_recycle_cut(struct recycle *recycle, uint64_t pgno, uint64_t pages);
/* A record releases it. False: a checkpoint knows of it, so that it is not for this list. */
bool qs_recycle_add(struct recycle *recycle, const struct pending_run *run, uint64_t freed,
                    txnid_t txn);
/* Whether a record placed a value there, behind the newest checkpoint. */
bool qs_recycle_knows(const struct recycle *recycle, uint64_t pgno);

/* A checkpoint that contains transactions up to `txn` has released what they left here; its log begins at
 * `anchor`. */
void qs_recycle_pass(struct recycle *recycle, txnid_t txn, uint64_t anchor);

/* Takes a run of `pages`, if there is one. */
bool qs_recycle_take(struct recycle *recycle, uint64_t pages, uint64_t *pgno);
/* The transaction has no use for the run it took at `pgno`. */
void qs_recycle_back(struct recycle *recycle, uint64_t pgno);
/* Before it commits: what it gave back is listed again. */
void qs_recycle_settle(struct recycle *recycle);
/* It has ended. */
void qs_recycle_end(struct recycle *recycle, bool committed);

#endif
