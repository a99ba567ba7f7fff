/* txn.h - a transaction: a view, its trees' states, its cursors, and for a writer its changes.
 *
 *   read:   READY <-> RESET (renew)            write:   READY -> FAILED
 *                                              write:   READY <-> PARENT (a child lives) -> FAILED
 *   Both end in being freed, by the floor above, which owns slots, mutexes and the file.
 */
#ifndef QS_TXN_TXN_H
#define QS_TXN_TXN_H

#include "quickstep.h"
#include "tree/cursor.h"
#include "tree/writer.h"
#include "txn/redo.h"
#include "txn/replica.h"

enum txn_status { TXN_READY, TXN_RESET, TXN_FAILED, TXN_PARENT };

/* A tree as a write transaction has it. */
struct txn_tree {
    struct tree_state state; /* record, cursors */
    bool exists;             /* false: dropped in this transaction */
};

struct cursor_mark;

struct qs_txn {
    struct replica *replica; /* committed state it reads */
    struct names *names;     /* trees by name */
    struct view view;        /* read transactions that are not nested */
    struct writer *writer;   /* write transactions; NULL: a read one */
    txnid_t id;              /* snapshot, or number of this write transaction */
    uint64_t checkpoint;     /* read: the one its snapshot lies in */
    const struct ahead
        *ahead;         /* read: operations between `view`, which lies further back then, and its
                                   snapshot; NULL: there are none */
    uint64_t log_limit; /* read: position up to which the log has the snapshot */
    const struct tree_version *known; /* read: of the tree asked for last, as `view` has it and
                                         keeps it (C1); NULL unless READY and not behind */
    const struct tree_version *known_behind; /* read: the same, while `ahead` tells the rest */
    enum txn_status status;
    struct txn_tree **tree;     /* write: by tree index, NULL while not touched */
    size_t tree_count;          /* entries in `tree` */
    struct qs_cursor *cursors;  /* write: all cursors open in it */
    struct qs_txn *parent;      /* the write transaction it is nested in, or NULL */
    struct cursor_mark *marks;  /* nested: where the ancestors' cursors were (nested.c) */
    struct redo *redo;          /* write: what the log will say; NULL while the log is replayed */
    struct redo_mark redo_mark; /* nested: what its abort takes that back to */
    uint64_t map_size_bytes;    /* write: map size to be recorded, 0: it stays */
    struct qs_env *env;         /* for the floor above */
    void *slot;                 /* read: reader slot, for the floor above */
};

struct qs_cursor {
    struct cursor at;   /* the position */
    struct qs_txn *txn; /* transaction it acts in: where it was opened or renewed into, or
                                   that one's live descendant */
    struct qs_tree *tree;
    struct tree_order order; /* the tree's, in a read transaction */
    struct dup_pos *dup;     /* at.dup, where the tree has duplicates; kept for renewals */
    bool of_writer;          /* opened in a write transaction (which frees it) */
    struct qs_cursor *next;  /* in txn->cursors */
};

/* A reader nested in a writer has its parent's view itself, not a copy: what is not written yet is found
 * through the writer around it (tree/large.c). */
static inline const struct view *qs_txn_view(const struct qs_txn *txn)
{
    if (txn->writer != NULL)
        return &txn->writer->view;
    return txn->parent != NULL ? &txn->parent->writer->view : &txn->view;
}

/* Starts a zeroed transaction off as a reader of `snapshot` in `state` that marks itself in `inside` (NULL: under
 * follow_lock), or as a writer. */
void qs_txn_init_read(struct qs_txn *txn, struct replica *replica, struct names *names,
                      const struct replica_state *state, txnid_t snapshot,
                      _Atomic uint64_t *inside);
int qs_txn_init_write(struct qs_txn *txn, struct replica *replica, struct names *names,
                      struct space *space, const struct writer_base *base);
/* Frees what a transaction owns (not itself); write cursors included. */
void qs_txn_close(struct qs_txn *txn);

/* A write transaction's state of a tree, made at first touch: QS_E_NOTFOUND. */
int qs_txn_tree(struct qs_txn *txn, const struct qs_tree *tree, struct txn_tree **state);

/* The same for a tree that may not exist: its `exists` tells. */
int qs_txn_tree_slot(struct qs_txn *txn, const struct qs_tree *tree, struct txn_tree **state);

/* Record and order of a tree in any transaction: QS_E_NOTFOUND. Both stay where they are until the
 * transaction ends. In a read transaction the order asks nobody: see qs_txn_ask(). */
int qs_txn_record(struct qs_txn *txn, const struct qs_tree *tree, const struct tree_record **record,
                  const struct tree_order **order);

/* In a transaction that has `ahead`: the tree as the older view has it, the same throughout; NULL: more than records has
 * changed since. */
const struct tree_version *qs_txn_behind(struct qs_txn *txn, const struct qs_tree *tree);

/* As qs_txn_record() where only flags and order are asked for: the rest may be older than the snapshot. */
int qs_txn_kind(struct qs_txn *txn, const struct qs_tree *tree, const struct tree_record **record,
                const struct tree_order **order);

/* Brings a read transaction's view up to its snapshot, where that was left for later. Errors of following. */
int qs_txn_apply_ahead(struct qs_txn *txn);
static inline int qs_txn_catch_up(struct qs_txn *txn)
{
    return __builtin_expect(txn->ahead == NULL, 1) ? 0 : qs_txn_apply_ahead(txn);
}

/* Has an order ask the program. */
static inline void qs_txn_ask(struct tree_order *order, const struct qs_tree *tree)
{
    order->keys.program = &tree->program.keys;
    order->dups.program = &tree->program.dups;
}

/* After a change of a tree: has the transaction commit by checkpoint where a replay could not do it again.
 */
void qs_txn_note_order(struct qs_txn *txn, const struct txn_tree *state);

/* Notes the outcome of a change: an error that leaves the tree half changed fails the transaction.
 * Returns `rc`. */
int qs_txn_outcome(struct qs_txn *txn, int rc);

/* Before a commit: writes the changed trees' records into the main tree. */
int qs_txn_flush_catalog(struct qs_txn *txn);

/* A record's counts as the public API shows them. */
void qs_stat_of_record(const struct tree_record *record, struct qs_stat *stat);

#endif
