/* writer.h - everything a change needs: a write transaction's own versions, page ids and limits.
 *
 * Owns:    own versions, page ids taken and given back, runs released, the reserved value.
 * Life:    made at begin from the newest state; at commit its versions are published and it is dropped;
 *          at abort it is just dropped.
 * Threads: the transaction's, under the writer mutex.
 */
#ifndef QS_TREE_WRITER_H
#define QS_TREE_WRITER_H

#include "cache/view.h"
#include "format/pending.h"
#include "store/recycle.h"
#include "store/space.h"
#include "tree/tree.h"

/* A large value whose bytes the user is still to fill (QS_RESERVE). */
struct reserve {
    void *bytes; /* NULL: there is none */
    void *ref;   /* its struct large_ref (unaligned), in an own version that does not move
                              before the next change, which settles it first */
    pgno_t pgno; /* its run */
    void *spent; /* the bytes before: input of the change that settled them may lie there */
};

struct writer {
    struct view view;        /* newest committed state plus `own` */
    struct own own;          /* versions made */
    struct store *store;     /* the file, for large values */
    struct space *space;     /* its free pages; NULL: nothing is allocated or freed there */
    struct recycle *recycle; /* runs that large values may take instead; NULL with `space` */
    uint64_t checkpoint;     /* number of the newest checkpoint */
    txnid_t txn;             /* its number */

    pageid_t next_pid;     /* page ids from here on were never handed out */
    pageid_t free_pid;     /* head of the chain of free page ids in the map, 0: none */
    uint64_t free_pids;    /* its length */
    const pageid_t *spare; /* page ids given back since the checkpoint; borrowed */
    size_t spare_count;    /* those not taken; from the end */
    pageid_t *freed;       /* page ids given back by this transaction and not taken again */
    size_t freed_count;
    size_t freed_capacity;

    uint64_t used_pages;  /* logical use with this transaction's changes */
    uint64_t limit_pages; /* the map size; a change that would pass it gives QS_E_MAP_FULL */

    struct pending_run *released; /* runs of large values no longer referred to; `freed`:
                                     RUN_FREED when the log record says so, else unset */
    size_t released_count;
    size_t released_capacity;

    struct pending_run *allocated; /* runs of large values this level allocated and has not freed;
                                      `born`: RUN_REUSED when it was recycled */
    size_t allocated_count;
    size_t allocated_capacity;
    size_t
        allocated_kept; /* the first of them: a record of the log refers to them already (replay) */
    bool gave_back;     /* a run that it allocated has been freed again */

    struct reserve reserve;
    bool changed; /* something visible changed */

    struct page scratch; /* start of 4 KiB of working space (scratch_rest follows) */
    uint8_t scratch_rest[QS_PAGE_BYTES - sizeof(struct page)];
    uint8_t input[QS_PAGE_BYTES];                  /* copies of inputs that lie in engine memory */
    struct entry entries[LEAF_ENTRIES_MAX];        /* a leaf taken apart */
    struct separator separators[LEAF_ENTRIES_MAX]; /* an inner page taken apart */
};

#define RUN_REUSED UINT64_MAX
#define RUN_FREED UINT64_MAX

/* What the newest transaction left, for the writer to start from. */
struct writer_base {
    pageid_t next_pid;
    pageid_t free_pid;
    uint64_t free_pids;
    const pageid_t *spare; /* stays where it is while the writer lives */
    size_t spare_count;
    uint64_t used_pages;
    uint64_t limit_pages;
    uint64_t checkpoint; /* number of the newest checkpoint */
    txnid_t txn;         /* number of the transaction to come */
};

/* `space` NULL: nothing is allocated or freed there, as when the log is replayed. */
void qs_writer_init(struct writer *writer, struct map *map, struct store *store,
                    struct space *space, const struct writer_base *base);
void qs_writer_free(struct writer *writer);

/* What was done so far is a transaction of the log, `txn`, done again; what follows will be the next. */
void qs_writer_committed(struct writer *writer, txnid_t txn);

/* A nested level: starts from the parent's state, with own versions over the parent's. */
void qs_writer_init_child(struct writer *child, const struct writer *parent);
/* Hands what the child did to its parent (the child is still to be freed). ENOMEM, QS_E_CORRUPTED:
 * the parent is half changed. */
int qs_writer_merge(struct writer *parent, struct writer *child);
/* Gives back what the child allocated. */
int qs_writer_drop(struct writer *child);

/* Takes a page id and counts its page: QS_E_MAP_FULL. */
int qs_writer_take_pid(struct writer *writer, pageid_t *pid);
/* Gives a page id back; its page is not in use from this transaction on. */
int qs_writer_give_pid(struct writer *writer, pageid_t pid);

/* The writer's own version of a leaf, made from the newest one when there is none yet; that is made whole
 * rather than a delta if `whole`, which only saves time. */
int qs_writer_leaf(struct writer *writer, pageid_t pid, bool whole, struct version **version);
/* The same for an inner page: always whole. */
int qs_writer_inner(struct writer *writer, pageid_t pid, struct page **page);
/* Puts a new whole page in place of whatever the page is; the caller builds it.
 * The page it replaces (own) is handed out through *replaced, to be freed with qs_version_free() when
 * nothing points into it any more. */
int qs_writer_replace(struct writer *writer, pageid_t pid, struct version **fresh,
                      struct version **replaced);

/* Image of an own version. */
void qs_writer_image(const struct writer *writer, const struct version *version,
                     struct image *image);

/* ---- large values (large.c) ---- */

/* Writes a value to a new run and fills *ref. `bytes` NULL: reserves it (the space handed out lies
 * in writer->reserve.bytes; the caller sets reserve.ref). */
int qs_large_write(struct writer *writer, const void *bytes, size_t size, struct large_ref *ref);
/* The same for a value that lies in the file already: it only counts. */
int qs_large_place(struct writer *writer, const struct large_ref *ref, bool reused);
/* A run on `allocated` goes back to where it came from. */
int qs_large_give_back(struct writer *writer, const struct pending_run *run);
/* The run of `ref` is no longer referred to. */
int qs_large_release(struct writer *writer, const struct large_ref *ref);
/* The same by pages, for runs on `released` of a level that has ended; counts nothing. */
int qs_large_release_run(struct writer *writer, const struct pending_run *run);
/* Takes over what the user filled in. To be called before every change and at commit. */
int qs_large_settle(struct writer *writer);
static inline uint64_t qs_large_pages(uint64_t size)
{
    return (size + QS_PAGE_BYTES - 1) >> QS_PAGE_SHIFT;
}
/* Verified bytes of a large value as a view sees them. */
int qs_large_read(const struct view *view, const struct large_ref *ref, const void **bytes);

#endif
