/* cursor.h - struct MDB_cursor: an engine cursor, the handle it was opened with, its transaction.
 */
#ifndef QS_COMPAT_CURSOR_H
#define QS_COMPAT_CURSOR_H

#include "api.h"
#include "handles.h"
#include "txn.h"

#include "quickstep.h"

#include <stdint.h>

struct MDB_cursor {
    struct qs_cursor *qs;  /* NULL on LMDB's free list, and until a stale tree is there again */
    MDB_txn *txn;          /* transaction it acts in: its own, or that one's live descendant;
                              dangling when a read transaction has ended */
    MDB_txn *home;         /* transaction it was opened in */
    struct handle *handle; /* slot of `dbi`; NULL on LMDB's free list */
    MDB_dbi dbi;           /* constant */
    uint32_t generation;   /* of the slot when opened: tells that the handle was closed since */
    uint32_t round;        /* of the transaction when positioned */
    unsigned tree_flags;   /* of the tree when opened */
    MDB_cursor *next;      /* in the write transaction's list */
    MDB_cursor **link;     /* what points at it there; NULL: cursor of a read transaction */
};

/* A nested transaction begins, or has ended: its ancestors' cursors act in `txn` from now on. */
void qs_compat_cursors_act_in(MDB_txn *ancestor, MDB_txn *txn);

/* Frees the cursors of a write transaction that has ended; the engine has freed its own. */
void qs_compat_cursors_free(MDB_txn *txn);

#endif
