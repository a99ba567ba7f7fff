/* dbi.c - tree handles as programs see them: open, close, flags, statistics, drop.
 *
 * Owns:       the rules of mdb_dbi_open(), whose checks come in LMDB's order.
 * Invariants: D1 once the bit of a handle is set in txn->checked, its tree exists in the
 * transaction and has the handle's flags; for the main tree, txn->main_flags are its flags. D2
 * flags that mdb_dbi_open(NULL) adds in a read transaction stand in txn->main_flags only, and are
 * gone with it. Locks:      handle_table.lock, inside handles.c.
 */
#include "api.h"
#include "env.h"
#include "errors.h"
#include "handles.h"
#include "txn.h"
#include "values.h"

#include "quickstep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int check_main(MDB_txn *txn, struct handle *handle)
{
    struct qs_tree *tree = qs_compat_handle_tree(handle);
    unsigned flags;
    int rc = 0;

    if (tree == NULL) {
        rc = qs_tree_open(txn->qs, NULL, 0, &tree);
        if (rc != 0)
            return rc;
        /* release; pairs with the acquire of qs_compat_handle_tree(). All threads store the same.
         */
        atomic_store_explicit(&handle->tree, tree, memory_order_release);
        qs_compat_handle_order(handle, handle->compare, handle->dup_compare);
    }
    rc = qs_tree_flags(txn->qs, tree, &flags);
    if (rc == 0)
        txn->main_flags |= flags;
    return rc;
}

int qs_compat_handle_check(MDB_txn *txn, MDB_dbi dbi, struct handle *handle)
{
    unsigned flags;
    int rc;

    if (dbi == COMPAT_DBI_MAIN) {
        rc = check_main(txn, handle);
    } else {
        rc = qs_tree_flags(txn->qs, qs_compat_handle_tree(handle), &flags);
        if (rc == 0 && flags != handle->flags)
            rc = QS_E_INCOMPATIBLE;
    }
    if (rc == 0 && dbi < TXN_CHECKED_WORDS * 64u)
        txn->checked[dbi / 64] |= UINT64_C(1) << (dbi % 64);
    return rc;
}

static int open_main(MDB_txn *txn, unsigned flags, MDB_dbi *dbi)
{
    struct handle *handle = &txn->env->handles.slot[COMPAT_DBI_MAIN];
    struct qs_tree *tree;
    unsigned added;
    int rc;

    rc = qs_compat_handle_use(txn, COMPAT_DBI_MAIN, handle);
    if (rc != 0)
        return qs_compat_error(rc);
    added = flags & COMPAT_TREE_FLAGS & ~txn->main_flags;
    if (added != 0 && !(txn->state & TXN_RDONLY)) {
        rc = qs_tree_open(txn->qs, NULL, added, &tree);
        if (rc != 0)
            return qs_compat_error(rc);
    }
    txn->main_flags |= added;
    /* LMDB resets main's, and only main's, at every open */
    qs_compat_handle_order(handle, NULL, NULL);
    *dbi = COMPAT_DBI_MAIN;
    return MDB_SUCCESS;
}

/* The handle of an open tree that is valid in `txn`, by name; 0 when there is none. */
static MDB_dbi find_by_name(const MDB_txn *txn, const char *name)
{
    struct handle_table *table = &txn->env->handles;
    size_t used = atomic_load_explicit(&table->used, memory_order_relaxed);

    for (size_t i = COMPAT_DBI_NAMED; i < used; i++) {
        struct handle *handle = qs_compat_handle_find(txn, (MDB_dbi)i);

        if (handle != NULL && strcmp(qs_tree_name(qs_compat_handle_tree(handle)), name) == 0)
            return (MDB_dbi)i;
    }
    return 0;
}

/* Finds the tree or creates it, with LMDB's checks in LMDB's order; its code. */
static int find_tree(MDB_txn *txn, const char *name, unsigned flags, struct qs_tree **tree)
{
    size_t name_bytes = strlen(name);
    bool create = (flags & MDB_CREATE) != 0;
    int rc;

    rc = qs_compat_handle_use(txn, COMPAT_DBI_MAIN, &txn->env->handles.slot[COMPAT_DBI_MAIN]);
    if (rc != 0)
        return qs_compat_error(rc);
    if (txn->main_flags & (MDB_DUPSORT | MDB_INTEGERKEY))
        return create ? MDB_INCOMPATIBLE : MDB_NOTFOUND;
    if (name_bytes == 0)
        return MDB_BAD_VALSIZE;
    rc = QS_E_NOTFOUND;
    if (name_bytes <= COMPAT_KEY_MAX)
        rc = qs_tree_open(txn->qs, name, 0, tree);
    if (rc != QS_E_NOTFOUND || !create)
        return qs_compat_error(rc);
    if (txn->state & TXN_RDONLY)
        return EACCES;
    if (name_bytes > COMPAT_KEY_MAX)
        return MDB_BAD_VALSIZE;
    return qs_compat_error(
        qs_tree_open(txn->qs, name, (flags & COMPAT_TREE_FLAGS) | QS_TREE_CREATE, tree));
}

/* Makes the tree's handle valid in `txn`, until the end decides about it. */
static int hold_handle(MDB_txn *txn, struct qs_tree *tree, MDB_dbi *dbi)
{
    struct handle_table *table = &txn->env->handles;
    uint32_t generation;
    unsigned flags;
    int rc;

    rc = qs_tree_flags(txn->qs, tree, &flags);
    if (rc != 0)
        return qs_compat_error(rc);
    if (txn->opened == NULL)
        txn->opened = calloc(table->count, sizeof *txn->opened);
    if (txn->opened == NULL)
        return ENOMEM;
    if (!qs_compat_handle_hold(table, tree, flags, dbi, &generation))
        return MDB_DBS_FULL;
    txn->opened[*dbi] = generation;
    qs_compat_handle_recheck(txn, *dbi);
    return MDB_SUCCESS;
}

int mdb_dbi_open(MDB_txn *txn, const char *name, unsigned int flags, MDB_dbi *dbi)
{
    struct qs_tree *tree = NULL;
    MDB_dbi found;
    int rc;

    if (txn == NULL || dbi == NULL || (flags & ~(unsigned)(COMPAT_TREE_FLAGS | MDB_CREATE)) != 0)
        return EINVAL;
    if (qs_compat_txn_blocked(txn))
        return MDB_BAD_TXN;
    if (name == NULL)
        return open_main(txn, flags, dbi);
    found = find_by_name(txn, name);
    if (found != 0) { /* the flags of an open handle's second open are not even looked at */
        *dbi = found;
        return MDB_SUCCESS;
    }
    if (!qs_compat_handles_room(&txn->env->handles, name))
        return MDB_DBS_FULL;
    rc = find_tree(txn, name, flags, &tree);
    if (rc == 0)
        rc = hold_handle(txn, tree, &found);
    if (rc == 0)
        *dbi = found;
    return rc;
}

void mdb_dbi_close(MDB_env *env, MDB_dbi dbi)
{
    if (env != NULL)
        qs_compat_handle_close(&env->handles, dbi);
}

int mdb_dbi_flags(MDB_txn *txn, MDB_dbi dbi, unsigned int *flags)
{
    struct handle *handle;

    if (txn == NULL || flags == NULL)
        return EINVAL;
    handle = qs_compat_handle_find(txn, dbi);
    if (handle == NULL)
        return EINVAL;
    if (dbi == COMPAT_DBI_MAIN) /* fails in a failed transaction; then what was known must do */
        (void)qs_compat_handle_use(txn, dbi, handle);
    *flags = qs_compat_handle_flags(txn, dbi, handle) & COMPAT_TREE_FLAGS;
    return MDB_SUCCESS;
}

int mdb_stat(MDB_txn *txn, MDB_dbi dbi, MDB_stat *stat)
{
    bool free_list = dbi == COMPAT_DBI_FREE;
    struct qs_stat counts = {0};
    struct handle *handle;
    int rc;

    if (txn == NULL || stat == NULL)
        return EINVAL;
    handle = qs_compat_handle_find(txn, free_list ? COMPAT_DBI_MAIN : dbi);
    if (handle == NULL)
        return EINVAL;
    if (qs_compat_txn_blocked(txn))
        return MDB_BAD_TXN;
    if (!free_list) {
        rc = qs_compat_handle_use(txn, dbi, handle);
        if (rc == 0 || rc == QS_E_INCOMPATIBLE)
            rc = qs_tree_stat(txn->qs, qs_compat_handle_tree(handle), &counts);
        if (rc != 0 && rc != QS_E_NOTFOUND) /* a tree deleted elsewhere: LMDB's call succeeds */
            return qs_compat_error(rc);
    }
    qs_compat_stat(stat, &counts);
    return MDB_SUCCESS;
}

/* Emptying a tree whose record is gone brings it back, empty; so LMDB's does. */
static int drop_missing(MDB_txn *txn, struct handle *handle, int del)
{
    struct qs_tree *tree;

    if (del)
        return QS_E_NOTFOUND;
    return qs_tree_open(txn->qs, qs_tree_name(qs_compat_handle_tree(handle)),
                        handle->flags | QS_TREE_CREATE, &tree);
}

int mdb_drop(MDB_txn *txn, MDB_dbi dbi, int del)
{
    struct handle *handle;
    int rc;

    if (txn == NULL || (unsigned)del > 1)
        return EINVAL;
    handle = qs_compat_handle_find(txn, dbi);
    if (handle == NULL)
        return EINVAL;
    if (txn->state & TXN_RDONLY)
        return EACCES;
    if (qs_compat_txn_blocked(txn))
        return MDB_BAD_TXN;
    rc = qs_compat_handle_use(txn, dbi, handle);
    if (rc == 0)
        rc = qs_tree_drop(txn->qs, qs_compat_handle_tree(handle), del != 0);
    else if (rc == QS_E_NOTFOUND)
        rc = drop_missing(txn, handle, del);
    if (rc != 0) {
        qs_txn_fail(txn->qs);
        return qs_compat_error(rc);
    }
    if (dbi == COMPAT_DBI_MAIN) /* the named trees have gone with their records */
        memset(txn->checked, 0, sizeof txn->checked);
    else if (del)
        qs_compat_handle_close(&txn->env->handles, dbi);
    return MDB_SUCCESS;
}
