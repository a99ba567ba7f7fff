/* compare.c - order: mdb_cmp, mdb_dcmp, and the functions by which a program sets its own.
 *
 * Owns:       the default order of duplicates, for mdb_dcmp().
 * Invariants: a program's function belongs to the handle, for all transactions, at once; it goes
 * when the handle is opened anew. It answers mdb_cmp() and mdb_dcmp(); the engine does not order
 * trees by it yet (README.md).
 */
#include "api.h"
#include "errors.h"
#include "txn.h"
#include "values.h"

#include "quickstep.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static struct handle *find(const MDB_txn *txn, MDB_dbi dbi)
{
    return txn != NULL ? qs_compat_handle_find(txn, dbi) : NULL;
}

int mdb_set_compare(MDB_txn *txn, MDB_dbi dbi, MDB_cmp_func *cmp)
{
    struct handle *handle = find(txn, dbi);

    if (handle == NULL)
        return EINVAL;
    handle->compare = cmp;
    return MDB_SUCCESS;
}

int mdb_set_dupsort(MDB_txn *txn, MDB_dbi dbi, MDB_cmp_func *cmp)
{
    struct handle *handle = find(txn, dbi);

    if (handle == NULL)
        return EINVAL;
    handle->dup_compare = cmp;
    return MDB_SUCCESS;
}

int mdb_set_relfunc(MDB_txn *txn, MDB_dbi dbi, MDB_rel_func *rel)
{
    struct handle *handle = find(txn, dbi);

    if (handle == NULL)
        return EINVAL;
    handle->relocate = rel;
    return MDB_SUCCESS;
}

int mdb_set_relctx(MDB_txn *txn, MDB_dbi dbi, void *ctx)
{
    struct handle *handle = find(txn, dbi);

    if (handle == NULL)
        return EINVAL;
    handle->relocate_context = ctx;
    return MDB_SUCCESS;
}

int mdb_cmp(MDB_txn *txn, MDB_dbi dbi, const MDB_val *a, const MDB_val *b)
{
    struct handle *handle = find(txn, dbi);

    if (handle == NULL || a == NULL || b == NULL)
        return 0; /* LMDB has no answer for this, it crashes */
    if (handle->compare != NULL)
        return handle->compare(a, b);
    if (qs_compat_handle_use(txn, dbi, handle) != 0)
        return 0;
    return qs_compare(txn->qs, qs_compat_handle_tree(handle), qs_compat_val_const(a),
                      qs_compat_val_const(b));
}

static int order_of(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

static int compare_bytes(const MDB_val *a, const MDB_val *b)
{
    size_t common = a->mv_size < b->mv_size ? a->mv_size : b->mv_size;
    int order = common != 0 ? memcmp(a->mv_data, b->mv_data, common) : 0;

    return order != 0 ? order : order_of(a->mv_size, b->mv_size);
}

/* From the last byte to the first; what ends first is less. */
static int compare_reversed(const MDB_val *a, const MDB_val *b)
{
    const unsigned char *a_end = (const unsigned char *)a->mv_data + a->mv_size;
    const unsigned char *b_end = (const unsigned char *)b->mv_data + b->mv_size;
    size_t common = a->mv_size < b->mv_size ? a->mv_size : b->mv_size;

    for (size_t i = 1; i <= common; i++) {
        if (a_end[-(ptrdiff_t)i] != b_end[-(ptrdiff_t)i])
            return a_end[-(ptrdiff_t)i] < b_end[-(ptrdiff_t)i] ? -1 : 1;
    }
    return order_of(a->mv_size, b->mv_size);
}

/* Native unsigned integers of one size; on the little-endian machines this runs on, that is the
 * order from the last byte. Sizes that differ are ordered by size first. */
static int compare_integers(const MDB_val *a, const MDB_val *b)
{
    return a->mv_size != b->mv_size ? order_of(a->mv_size, b->mv_size) : compare_reversed(a, b);
}

int mdb_dcmp(MDB_txn *txn, MDB_dbi dbi, const MDB_val *a, const MDB_val *b)
{
    struct handle *handle = find(txn, dbi);
    unsigned flags;

    if (handle == NULL || a == NULL || b == NULL)
        return 0;
    if (handle->dup_compare != NULL)
        return handle->dup_compare(a, b);
    (void)qs_compat_handle_use(txn, dbi, handle); /* learns main's flags; what is known must do */
    flags = qs_compat_handle_flags(txn, dbi, handle);
    if (flags & MDB_INTEGERDUP)
        return compare_integers(a, b);
    if (flags & MDB_REVERSEDUP)
        return compare_reversed(a, b);
    return compare_bytes(a, b);
}
