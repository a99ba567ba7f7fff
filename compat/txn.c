/* txn.c - transactions: begin and end, reset and renew, and what goes with them: handles opened,
 * cursors, the chain of nested transactions.
 *
 * Owns:       struct MDB_txn.
 * Life:       a write transaction lives until commit or abort; a read transaction may be reset (its
 *             engine transaction gives the snapshot up, no handle is valid) and renewed in between.
 * Invariants: T1 handles_seen == 0 while TXN_FINISHED, so every handle is invalid then, as in LMDB.
 *             T2 only write transactions have a list of cursors; those of read transactions belong
 *                to the program and may be closed by it at any time, from any thread.
 * Locks:      none of its own; beginning and ending without opened handles takes none here.
 */
#include "txn.h"

#include "cursor.h"
#include "errors.h"

#include "quickstep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What LMDB answers before it tries to nest, but for what it cannot nest (README.md). */
static int check_nesting(const MDB_txn *parent)
{
    if (parent->state & TXN_RDONLY)
        return EINVAL;
    return qs_compat_txn_blocked(parent) ? MDB_BAD_TXN : 0;
}

/* Takes the parent's state of the handle table, or the newest, in which nothing has been checked. */
static void see_handles(MDB_txn *txn)
{
    const MDB_txn *parent = txn->parent;

    if (parent != NULL) {
        txn->handles_seen = parent->handles_seen;
        memcpy(txn->checked, parent->checked, sizeof txn->checked);
        txn->main_flags = parent->main_flags;
        return;
    }
    /* acquire; pairs with the release of publish() in handles.c */
    txn->handles_seen = atomic_load_explicit(&txn->env->handles.epoch, memory_order_acquire);
    memset(txn->checked, 0, sizeof txn->checked);
    txn->main_flags = 0;
}

static void attach_child(MDB_txn *parent, MDB_txn *child)
{
    parent->child = child;
    parent->state |= TXN_HAS_CHILD;
    if (!(child->state & TXN_RDONLY))
        qs_compat_cursors_act_in(parent, child);
}

/* A transaction object around the engine's; `begun->qs` has just begun. */
static void init(MDB_txn *begun, MDB_env *env, MDB_txn *parent, bool read_only)
{
    begun->env = env;
    begun->state = read_only ? TXN_RDONLY : 0;
    begun->opened = NULL;
    begun->cursors = NULL;
    begun->parent = parent;
    begun->child = NULL;
    begun->round = 0;
    begun->id = qs_txn_id(begun->qs);
    see_handles(begun);
    if (parent != NULL)
        attach_child(parent, begun);
}

int mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned int flags, MDB_txn **txn)
{
    bool read_only = (flags & MDB_RDONLY) != 0;
    MDB_txn *begun;
    int rc;

    if (env == NULL || txn == NULL || env->qs == NULL)
        return EINVAL;
    qs_compat_listen(env);
    if ((env->flags & MDB_RDONLY) && !read_only)
        return EACCES;
    if (parent != NULL) {
        rc = check_nesting(parent);
        if (rc != 0)
            return rc;
    }
    begun = malloc(sizeof *begun);
    if (begun == NULL)
        return ENOMEM;
    rc = qs_txn_begin(env->qs, parent != NULL ? parent->qs : NULL, read_only ? QS_RDONLY : 0,
                      &begun->qs);
    if (rc != 0) {
        free(begun);
        return qs_compat_error(rc);
    }
    init(begun, env, parent, read_only);
    *txn = begun;
    return MDB_SUCCESS;
}

MDB_env *mdb_txn_env(MDB_txn *txn)
{
    return txn != NULL ? txn->env : NULL;
}

size_t mdb_txn_id(MDB_txn *txn)
{
    return txn != NULL ? txn->id : 0;
}

/* Gives the handles opened in a nested transaction to its parent, which may have opened some too.
 */
static void pass_handles(MDB_txn *txn)
{
    MDB_txn *parent = txn->parent;

    if (parent->opened == NULL) {
        parent->opened = txn->opened;
        return;
    }
    for (size_t i = 0; i < txn->env->handles.count; i++) {
        if (txn->opened[i] != 0)
            parent->opened[i] = txn->opened[i];
    }
    free(txn->opened);
}

static void end_handles(MDB_txn *txn, bool commit)
{
    if (txn->opened == NULL)
        return;
    if (commit && txn->parent != NULL) {
        pass_handles(txn);
    } else {
        qs_compat_handles_release(&txn->env->handles, txn->opened, commit);
        free(txn->opened);
    }
    txn->opened = NULL;
}

/* After the engine's transaction has gone, whichever way. */
static void end(MDB_txn *txn, bool commit)
{
    end_handles(txn, commit);
    qs_compat_cursors_free(txn);
    if (txn->parent != NULL) {
        if (commit &&
            !(txn->state &
              TXN_RDONLY)) { /* trees the child removed are to be checked again, for D1 of dbi.c */
            txn->parent->main_flags = txn->main_flags;
            memcpy(txn->parent->checked, txn->checked, sizeof txn->checked);
        }
        if (!(txn->state & TXN_RDONLY))
            qs_compat_cursors_act_in(txn->parent, txn->parent);
        txn->parent->child = NULL;
        txn->parent->state &= ~(unsigned)TXN_HAS_CHILD;
    }
    free(txn);
}

/* Of a transaction without a child. */
static void abort_alone(MDB_txn *txn)
{
    qs_txn_abort(txn->qs);
    end(txn, false);
}

int mdb_txn_commit(MDB_txn *txn)
{
    int rc = 0;

    if (txn == NULL)
        return EINVAL;
    if (txn->state & TXN_HAS_CHILD) {
        rc = mdb_txn_commit(txn->child);
        if (rc != 0) { /* the child has ended all the same */
            abort_alone(txn);
            return rc;
        }
    }
    if (txn->state & TXN_FINISHED) /* a reset one has nothing to commit; its slot is given back */
        qs_txn_abort(txn->qs);
    else
        rc = qs_txn_commit(txn->qs);
    if (rc == QS_E_BAD_TXN && txn->parent != NULL)
        qs_txn_fail(txn->parent->qs);
    end(txn, rc == 0);
    return qs_compat_error(rc);
}

void mdb_txn_abort(MDB_txn *txn)
{
    if (txn == NULL)
        return;
    if (txn->state & TXN_HAS_CHILD)
        mdb_txn_abort(txn->child);
    abort_alone(txn);
}

void mdb_txn_reset(MDB_txn *txn)
{
    if (txn == NULL || (txn->state & (TXN_RDONLY | TXN_FINISHED)) != TXN_RDONLY)
        return;
    end_handles(txn, false);
    qs_txn_reset(txn->qs);
    txn->state |= TXN_FINISHED;
    txn->handles_seen = 0;
}

int mdb_txn_renew(MDB_txn *txn)
{
    int rc;

    if (txn == NULL || !(txn->state & TXN_FINISHED))
        return EINVAL;
    qs_compat_listen(txn->env);
    rc = qs_txn_renew(txn->qs);
    if (rc != 0)
        return qs_compat_error(rc);
    txn->state &= ~(unsigned)TXN_FINISHED;
    txn->id = qs_txn_id(txn->qs);
    txn->round++;
    see_handles(txn);
    return MDB_SUCCESS;
}
