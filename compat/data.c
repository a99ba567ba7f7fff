/* data.c - get, put and delete by key.
 *
 * Owns:       LMDB's order of argument checks for the three; the work is the engine's.
 * Invariants: a program's MDB_val is handed on as it stands, so results appear in it only when the
 *             engine writes them: on success, and on MDB_KEYEXIST of MDB_NOOVERWRITE.
 * Locks:      none, no allocation.
 */
#include "api.h"
#include "errors.h"
#include "txn.h"
#include "values.h"

#include "quickstep.h"

#include <errno.h>

#define PUT_FLAGS (MDB_NOOVERWRITE | MDB_NODUPDATA | MDB_RESERVE | MDB_APPEND | MDB_APPENDDUP)

int mdb_get(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data)
{
    struct handle *handle;
    int rc;

    if (txn == NULL || key == NULL || data == NULL)
        return EINVAL;
    handle = qs_compat_handle_find(txn, dbi);
    if (handle == NULL)
        return EINVAL;
    if (txn->state & TXN_BLOCKED)
        return MDB_BAD_TXN;
    rc = qs_compat_handle_use(txn, dbi, handle);
    if (rc == 0)
        rc = qs_get(txn->qs, qs_compat_handle_tree(handle), qs_compat_val_const(key),
                    qs_compat_val(data));
    return qs_compat_error(rc);
}

int mdb_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned int flags)
{
    struct handle *handle;
    int rc;

    if (txn == NULL || key == NULL || data == NULL)
        return EINVAL;
    handle = qs_compat_handle_find(txn, dbi);
    if (handle == NULL || (flags & ~(unsigned)PUT_FLAGS) != 0)
        return EINVAL;
    if (txn->state & TXN_RDONLY)
        return EACCES;
    if (qs_compat_txn_blocked(txn))
        return MDB_BAD_TXN;
    rc = qs_compat_handle_use(txn, dbi, handle);
    if (rc == 0)
        rc = qs_compat_put_sizes(qs_compat_handle_flags(txn, dbi, handle), key, data);
    if (rc == 0)
        rc = qs_put(txn->qs, qs_compat_handle_tree(handle), qs_compat_val_const(key),
                    qs_compat_val(data), qs_compat_put_flags(flags));
    return qs_compat_error(rc);
}

int mdb_del(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data)
{
    struct handle *handle;
    int rc;

    if (txn == NULL || key == NULL)
        return EINVAL;
    handle = qs_compat_handle_find(txn, dbi);
    if (handle == NULL)
        return EINVAL;
    if (txn->state & TXN_RDONLY)
        return EACCES;
    if (qs_compat_txn_blocked(txn))
        return MDB_BAD_TXN;
    if (key->mv_size == 0)
        return MDB_BAD_VALSIZE;
    rc = qs_compat_handle_use(txn, dbi, handle);
    if (rc == 0 && key->mv_size > COMPAT_KEY_MAX)
        rc = QS_E_NOTFOUND;
    if (rc == 0 && !(qs_compat_handle_flags(txn, dbi, handle) & MDB_DUPSORT))
        data = NULL; /* a plain tree's delete does not look at it, whatever it holds */
    if (rc == 0)
        rc = qs_del(txn->qs, qs_compat_handle_tree(handle), qs_compat_val_const(key),
                    qs_compat_val_const(data));
    return qs_compat_error(rc);
}
