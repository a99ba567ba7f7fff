/* cursor.c - cursors: open, close, renew; get, put, delete and count at a position.
 *
 * Owns:       struct MDB_cursor. Positions are the engine's.
 * Invariants: C1 a cursor of a write transaction is in its list and freed with it; one of a read
 *                transaction is in no list and freed by the program alone.
 *             C2 cursor->qs is used only after ready(), which says that handle and tree are still
 *                what they were and the position belongs to the transaction's present snapshot.
 * Locks:      none. mdb_cursor_get() allocates nothing (but for a tree that came back).
 */
#include "cursor.h"

#include "api.h"
#include "errors.h"
#include "txn.h"
#include "values.h"

#include "quickstep.h"

#include <errno.h>
#include <stdlib.h>

static uint32_t generation_of(const struct handle *handle)
{
    return atomic_load_explicit(&handle->generation, memory_order_relaxed);
}

static void link_cursor(MDB_cursor *cursor)
{
    MDB_txn *txn = cursor->txn;

    cursor->next = txn->cursors;
    cursor->link = &txn->cursors;
    if (cursor->next != NULL)
        cursor->next->link = &cursor->next;
    txn->cursors = cursor;
}

static void unlink_cursor(MDB_cursor *cursor)
{
    *cursor->link = cursor->next;
    if (cursor->next != NULL)
        cursor->next->link = cursor->link;
    cursor->link = NULL;
}

void qs_compat_cursors_act_in(MDB_txn *ancestor, MDB_txn *txn)
{
    for (; ancestor != NULL; ancestor = ancestor->parent) {
        for (MDB_cursor *cursor = ancestor->cursors; cursor != NULL; cursor = cursor->next)
            cursor->txn = txn;
    }
}

void qs_compat_cursors_free(MDB_txn *txn)
{
    while (txn->cursors != NULL) {
        MDB_cursor *cursor = txn->cursors;

        txn->cursors = cursor->next;
        free(cursor);
    }
}

/* Ties the cursor to its handle as it is now, unpositioned. A tree that is gone or has become
 * another kind is no reason to fail: that comes out when the cursor is used, as in LMDB. */
static int attach(MDB_cursor *cursor)
{
    struct handle *handle = cursor->handle;
    MDB_txn *txn = cursor->txn;
    struct qs_tree *tree;
    int rc;

    cursor->generation = generation_of(handle);
    cursor->round = txn->round;
    rc = qs_compat_handle_use(txn, cursor->dbi, handle);
    cursor->tree_flags = qs_compat_handle_flags(txn, cursor->dbi, handle);
    tree = qs_compat_handle_tree(handle);
    if (cursor->qs != NULL && (rc != 0 || qs_cursor_tree(cursor->qs) != tree)) {
        qs_cursor_close(cursor->qs); /* the slot has been given to another tree meanwhile */
        cursor->qs = NULL;
    }
    if (rc != 0)
        return rc == QS_E_NOTFOUND || rc == QS_E_INCOMPATIBLE ? 0 : rc;
    if (cursor->qs != NULL)
        return qs_cursor_renew(txn->qs, cursor->qs);
    return qs_cursor_open(txn->qs, tree, &cursor->qs);
}

/* The common case: no child lives, and nothing has changed since the last use. */
static inline bool still_ready(const MDB_cursor *cursor)
{
    const MDB_txn *txn = cursor->txn;

    return (txn->state & TXN_BLOCKED) == 0 && cursor->qs != NULL && cursor->round == txn->round &&
           cursor->generation == generation_of(cursor->handle) &&
           qs_compat_handle_checked(txn, cursor->dbi);
}

/* Makes cursor->qs fit for use; an engine code, or MDB_BAD_DBI. */
static int ready(MDB_cursor *cursor)
{
    MDB_txn *txn = cursor->txn;
    int rc;

    if (cursor->generation != generation_of(cursor->handle))
        return MDB_BAD_DBI;
    rc = qs_compat_handle_use(txn, cursor->dbi, cursor->handle);
    if (rc != 0)
        return qs_compat_error(rc);
    /* An engine cursor opened now would end with the child that this cursor only works for. */
    if (cursor->qs == NULL && txn != cursor->home)
        return MDB_BAD_TXN;
    if (cursor->qs == NULL || cursor->round != txn->round)
        return qs_compat_error(attach(cursor));
    return 0;
}

int mdb_cursor_open(MDB_txn *txn, MDB_dbi dbi, MDB_cursor **cursor)
{
    bool free_list = dbi == COMPAT_DBI_FREE;
    struct handle *handle;
    MDB_cursor *opened;
    int rc;

    if (txn == NULL || cursor == NULL)
        return EINVAL;
    handle = qs_compat_handle_find(txn, free_list ? COMPAT_DBI_MAIN : dbi);
    if (handle == NULL)
        return EINVAL;
    if (qs_compat_txn_blocked(txn))
        return MDB_BAD_TXN;
    if (free_list && !(txn->state & TXN_RDONLY))
        return EINVAL;
    opened = calloc(1, sizeof *opened);
    if (opened == NULL)
        return ENOMEM;
    opened->txn = opened->home = txn;
    opened->dbi = dbi;
    if (!free_list) {
        opened->handle = handle;
        rc = attach(opened);
        if (rc != 0) {
            free(opened);
            return qs_compat_error(rc);
        }
    }
    if (!(txn->state & TXN_RDONLY))
        link_cursor(opened);
    *cursor = opened;
    return MDB_SUCCESS;
}

void mdb_cursor_close(MDB_cursor *cursor)
{
    if (cursor == NULL)
        return;
    if (cursor->link != NULL) {
        if (cursor->txn != cursor->home) /* it works for a child; LMDB leaves it, too */
            return;
        unlink_cursor(cursor);
    }
    if (cursor->qs != NULL)
        qs_cursor_close(cursor->qs);
    free(cursor);
}

int mdb_cursor_renew(MDB_txn *txn, MDB_cursor *cursor)
{
    MDB_dbi visible;

    if (txn == NULL || cursor == NULL)
        return EINVAL;
    visible = cursor->handle != NULL ? cursor->dbi : COMPAT_DBI_MAIN;
    if (qs_compat_handle_find(txn, visible) == NULL)
        return EINVAL;
    if (cursor->link != NULL || !(txn->state & TXN_RDONLY))
        return EINVAL;
    if (txn->state & TXN_BLOCKED)
        return MDB_BAD_TXN;
    cursor->txn = cursor->home = txn;
    return cursor->handle != NULL ? qs_compat_error(attach(cursor)) : MDB_SUCCESS;
}

MDB_txn *mdb_cursor_txn(MDB_cursor *cursor)
{
    return cursor != NULL ? cursor->txn : NULL;
}

MDB_dbi mdb_cursor_dbi(MDB_cursor *cursor)
{
    return cursor != NULL ? cursor->dbi : 0;
}

/* LMDB's free list, which tools walk to count free pages: a plain tree that is always empty. */
static int get_from_nothing(const MDB_val *key, const MDB_val *data, MDB_cursor_op op)
{
    switch (op) {
    case MDB_SET:
    case MDB_SET_KEY:
    case MDB_SET_RANGE:
        return key == NULL ? EINVAL : MDB_NOTFOUND;
    case MDB_FIRST_DUP:
    case MDB_LAST_DUP:
    case MDB_GET_CURRENT:
    case MDB_GET_MULTIPLE:
        return EINVAL;
    case MDB_GET_BOTH:
    case MDB_GET_BOTH_RANGE:
    case MDB_NEXT_MULTIPLE:
    case MDB_PREV_MULTIPLE:
        return data == NULL ? EINVAL : MDB_INCOMPATIBLE;
    default:
        return (unsigned)op > MDB_PREV_MULTIPLE ? EINVAL : MDB_NOTFOUND;
    }
}

/* A get by a cursor that must be looked at first. Out of line: the other needs no registers saved. */
__attribute__((noinline)) static int get_checked(MDB_cursor *cursor, MDB_val *key, MDB_val *data,
                                                 MDB_cursor_op op)
{
    int rc;

    if (cursor == NULL)
        return EINVAL;
    if (qs_compat_txn_blocked(cursor->txn))
        return MDB_BAD_TXN;
    if (cursor->handle == NULL)
        return get_from_nothing(key, data, op);
    rc = ready(cursor);
    if (rc != 0)
        return rc;
    return qs_compat_error(
        qs_cursor_get(cursor->qs, qs_compat_val(key), qs_compat_val(data), (enum qs_cursor_op)op));
}

int mdb_cursor_get(MDB_cursor *cursor, MDB_val *key, MDB_val *data, MDB_cursor_op op)
{
    /* That a transaction has failed the engine finds as well, and says so. */
    if (cursor == NULL || cursor->handle == NULL || !still_ready(cursor))
        return get_checked(cursor, key, data, op);
    return qs_compat_error(
        qs_cursor_get(cursor->qs, qs_compat_val(key), qs_compat_val(data), (enum qs_cursor_op)op));
}

/* What both ways of putting ask first, in LMDB's order; a code of LMDB's. */
static int ready_to_put(MDB_cursor *cursor, const MDB_val *key, const MDB_val *data)
{
    int rc;

    if (cursor->txn->state & TXN_RDONLY)
        return EACCES;
    if (qs_compat_txn_blocked(cursor->txn))
        return MDB_BAD_TXN;
    rc = qs_compat_put_sizes(cursor->tree_flags, key, data);
    if (rc != 0)
        return qs_compat_error(rc);
    return ready(cursor);
}

/* data[0] is the first of data[1].mv_size items. LMDB clears that count before it looks at anything. */
static int put_multiple(MDB_cursor *cursor, const MDB_val *key, MDB_val *data, unsigned flags)
{
    const unsigned needed = MDB_DUPSORT | MDB_DUPFIXED;
    size_t count = data[1].mv_size;
    int rc;

    data[1].mv_size = 0;
    if ((cursor->tree_flags & needed) != needed)
        return MDB_INCOMPATIBLE;
    rc = ready_to_put(cursor, key, data);
    if (rc != 0)
        return rc;
    rc = qs_cursor_put_multiple(cursor->qs, qs_compat_val_const(key), qs_compat_val(data), &count,
                                flags);
    data[1].mv_size = count;
    return qs_compat_error(rc);
}

int mdb_cursor_put(MDB_cursor *cursor, MDB_val *key, MDB_val *data, unsigned int flags)
{
    unsigned put_flags = qs_compat_put_flags(flags);
    int rc;

    if (cursor == NULL || key == NULL || data == NULL)
        return EINVAL;
    if (flags != MDB_CURRENT) /* with anything beside it, it means nothing */
        put_flags &= ~(unsigned)QS_CURRENT;
    if (flags & MDB_MULTIPLE)
        return put_multiple(cursor, key, data, put_flags);
    rc = ready_to_put(cursor, key, data);
    if (rc != 0)
        return rc;
    return qs_compat_error(
        qs_cursor_put(cursor->qs, qs_compat_val_const(key), qs_compat_val(data), put_flags));
}

int mdb_cursor_del(MDB_cursor *cursor, unsigned int flags)
{
    int rc;

    if (cursor == NULL)
        return EINVAL;
    if (cursor->txn->state & TXN_RDONLY)
        return EACCES;
    if (qs_compat_txn_blocked(cursor->txn))
        return MDB_BAD_TXN;
    rc = ready(cursor);
    if (rc != 0)
        return rc;
    return qs_compat_error(qs_cursor_del(cursor->qs, (flags & MDB_NODUPDATA) ? QS_NODUPDATA : 0));
}

int mdb_cursor_count(MDB_cursor *cursor, size_t *countp)
{
    int rc;

    if (cursor == NULL || countp == NULL)
        return EINVAL;
    if (cursor->handle == NULL || !(cursor->tree_flags & MDB_DUPSORT))
        return MDB_INCOMPATIBLE;
    if (qs_compat_txn_blocked(cursor->txn))
        return MDB_BAD_TXN;
    rc = ready(cursor);
    if (rc != 0)
        return rc;
    return qs_compat_error(qs_cursor_count(cursor->qs, countp));
}
