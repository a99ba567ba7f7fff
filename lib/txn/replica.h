/* replica.h - a process's private picture of the database: committed pages and committed trees.
 *
 * It starts from a checkpoint and follows the log; when another process has made a checkpoint, a fresh
 * one is started and the old lives until its readers have ended. A tree's state is a chain of versions
 * like a page's: the newest with txn <= snapshot counts; below the last lies what the main tree's record
 * says. Threads: readers use what is atomic; the rest is under the core's follow_lock, and what a writer
 * changes under the writer mutex as well.
 */
#ifndef QS_TXN_REPLICA_H
#define QS_TXN_REPLICA_H

#include "cache/cache.h"
#include "cache/view.h"
#include "format/meta.h"
#include "format/pending.h"
#include "log/log.h"
#include "store/recycle.h"
#include "tree/tree.h"
#include "txn/ahead.h"
#include "txn/names.h"

struct tree_version {
    _Atomic(struct tree_version *) older; /* the version before, NULL: there is none */
    txnid_t txn;                          /* transaction that made it */
    struct tree_record record;            /* valid when it exists */
    struct tree_order order;              /* from the record's flags; asks nobody */
    bool exists;                          /* false: created later, or dropped */
    uint32_t index;                       /* the tree's */
};

/* What the newest transaction left, beside pages and trees: where the next writer starts. */
struct latest {
    txnid_t txn;             /* its number */
    pageid_t next_pid;       /* as in the meta page, but now */
    pageid_t free_pid;       /* the same */
    uint64_t free_pids;      /* the same */
    uint64_t used_pages;     /* the same */
    uint64_t map_size_bytes; /* the same */
    pageid_t *freed;         /* page ids given back since the checkpoint and not taken again */
    size_t freed_count;
    size_t freed_capacity;
    size_t freed_least;           /* fewest of them since a checkpoint under way began: those it has
                                     chained, and nobody took since */
    uint64_t released_pages;      /* pages of `released` */
    struct pending_run *released; /* runs of large values released since; `freed` unset */
    size_t released_count;
    size_t released_capacity;
    struct pending_run *runs; /* runs of large values that log records since refer to */
    size_t runs_count;
    size_t runs_capacity;
    struct pending_run *taken; /* runs set aside by a checkpoint under way, or one given up */
    size_t taken_count;
    size_t taken_capacity;
    struct recycle recycle; /* runs of large values that the log alone has used */
    uint64_t reused;        /* how many of them were taken by others, whose records were followed */
};

#define TREE_CHUNK 256u

struct replica {
    struct cache cache;   /* pages */
    struct retire retire; /* tree versions unlinked */
    struct store *store;  /* the file */
    _Atomic(_Atomic(struct tree_version *) *) head[TREES_MAX / TREE_CHUNK]; /* trees by index */
    _Atomic uint64_t sequence;   /* odd while the five below change; a reader that found it even and
                                    unchanged has values that belong together */
    _Atomic uint64_t checkpoint; /* newest checkpoint in it */
    _Atomic txnid_t txn;         /* newest transaction in that */
    _Atomic uint64_t map_pgno;   /* its map array */
    _Atomic uint32_t map_levels; /* of that array */
    _Atomic bool linking; /* not all that it wrote is linked: who begins may get pages of the one
                                    before as well */
    _Atomic uint64_t used_pages; /* logical use by the newest transaction */
    _Atomic txnid_t applied;     /* newest transaction whose changes are linked */
    txnid_t linked_txn;          /* newest transaction for which pages of it were linked */
    struct meta meta;            /* of that checkpoint */
    struct log log;              /* since that checkpoint; ends where `applied` does */
    struct latest latest;
    _Atomic(struct ahead *) ahead; /* operations beyond `applied`; NULL: nobody needed any */
    int (*catch_up)(void *core, struct replica *replica, txnid_t snapshot, uint64_t limit);
    void *
        core; /* for `catch_up`, which applies the log up to `limit` if `snapshot` is not applied */
    _Atomic uint64_t users; /* transactions that use it */
    struct replica *next;   /* in the core's list */
    bool retired;           /* contents given back (under the core's lock) */
};

/* `reuse` (may be NULL): an emptied replica whose struct to use. On failure it stays as it is. `before` (may be
 * NULL): the replica of some checkpoint before, which is not empty. */
int qs_replica_open(struct store *store, const struct meta *meta, struct replica *reuse,
                    const struct replica *before, struct replica **replica);
/* Gives back the contents, keeping the struct: late comers may still look at `users`. */
void qs_replica_empty(struct replica *replica);
void qs_replica_free(struct replica *replica);

/* Lets go of operations that are applied, all of them, where many have gathered. `behind` readers of this process
 * may still use them. The reader slots were scanned after the last call. */
void qs_replica_renew_ahead(struct replica *replica, unsigned behind);

/* What a reader begins from: consistent values, and `sequence` to check again when they have been
 * published. */
struct replica_state {
    uint64_t sequence;
    uint64_t checkpoint;
    bool linking;          /* uses the checkpoint before as well */
    txnid_t txn;           /* who uses the checkpoint sees at least this */
    struct array_root map; /* `nodes` not filled in */
};
void qs_replica_state(struct replica *replica, struct replica_state *state);
/* A checkpoint is complete: readers may use it, and see the transaction it ends with. Everything it brings
 * has been linked. The log begins anew. */
void qs_replica_advance(struct replica *replica, const struct meta *meta);

/* How much of what is listed in `latest` a checkpoint of an earlier transaction contains. */
struct passed {
    size_t released; /* entries, from the first on */
    size_t runs;
};
/* The same for a checkpoint as of an earlier transaction: the log goes on, from its anchor. All that is
 * linked is visible; what the checkpoint brings is going to be linked, up to qs_replica_linked(). */
void qs_replica_pass(struct replica *replica, const struct meta *meta, const struct passed *passed);

/* All that the checkpoint brought is linked, and visible. */
void qs_replica_linked(struct replica *replica);

/* A LOG_TAKEN record, without its header: the runs are in use. QS_E_CORRUPTED, ENOMEM. */
int qs_replica_take(struct replica *replica, const void *payload, size_t size);

/* Makes room for what a write transaction leaves, so that qs_replica_leave() cannot fail. ENOMEM. */
int qs_replica_make_room(struct replica *replica, const struct writer *writer);
/* A transaction of the log has been linked: the next one starts from what it left. */
void qs_replica_leave(struct replica *replica, const struct writer *writer,
                      uint64_t map_size_bytes);

/* The state of a tree for a snapshot, loaded from the main tree at first need; a tree that does not
 * exist gives QS_E_NOTFOUND (and *version NULL). Any thread. */
int qs_replica_tree(struct replica *replica, const struct view *view, const struct qs_tree *tree,
                    const struct tree_version **version);

/* A tree's new state, for qs_replica_publish(). */
struct tree_change {
    const struct qs_tree *tree;
    struct tree_version *fresh;  /* to be linked */
    struct tree_version *bottom; /* what was before, for a tree that has no chain */
};

/* Allocates what publishing needs. ENOMEM (call qs_replica_forget()). */
int qs_replica_prepare(struct replica *replica, struct tree_change *change,
                       const struct tree_record *record, bool exists, txnid_t txn);
void qs_replica_forget(struct tree_change *change);
/* Links it in front of the chain, and shortens that where no `live` snapshot falls. */
void qs_replica_publish(struct replica *replica, struct tree_change *change, struct live live);

#endif
