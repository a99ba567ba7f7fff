/* compare.c - order: mdb_cmp, mdb_dcmp, and the functions by which a program sets its own.
 *
 * Owns:       the default order of duplicates, for mdb_dcmp().
 * Invariants: a program's function belongs to the handle, for all transactions, at once; it goes
 * when the handle is opened anew. The engine calls it by way of compare_keys() and compare_dups(),
 * whose context is the handle.
 */
#include "api.h"
#include "errors.h"
#include "handles.h"
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

/* What a program's function is shown of a value that the engine reads through its own type. */
static MDB_val as_lmdb(const struct qs_val *value)
{
    return (MDB_val){value->size, (void *)(uintptr_t)value->data};
}

static int compare_keys(void *context, const struct qs_val *a, const struct qs_val *b)
{
    struct handle *handle = context;
    MDB_cmp_func *compare = atomic_load_explicit(&handle->compare, memory_order_relaxed);
    const MDB_val first = as_lmdb(a), second = as_lmdb(b);

    return compare != NULL ? compare(&first, &second) : 0; /* NULL: reset under a running search */
}

static int compare_dups(void *context, const struct qs_val *a, const struct qs_val *b)
{
    struct handle *handle = context;
    MDB_cmp_func *compare = atomic_load_explicit(&handle->dup_compare, memory_order_relaxed);
    const MDB_val first = as_lmdb(a), second = as_lmdb(b);

    return compare != NULL ? compare(&first, &second) : 0;
}

void qs_compat_handle_order(struct handle *handle, MDB_cmp_func *compare, MDB_cmp_func *dup_compare)
{
    struct qs_tree *tree = atomic_load_explicit(&handle->tree, memory_order_acquire);

    atomic_store_explicit(&handle->compare, compare, memory_order_relaxed);
    atomic_store_explicit(&handle->dup_compare, dup_compare, memory_order_relaxed);
    if (tree == NULL)
        return; /* main, before its first use: check_main() sets what is set by then */
    qs_tree_set_key_order(tree, compare != NULL ? compare_keys : NULL, handle);
    qs_tree_set_dup_order(tree, dup_compare != NULL ? compare_dups : NULL, handle);
}

int mdb_set_compare(MDB_txn *txn, MDB_dbi dbi, MDB_cmp_func *cmp)
{
    struct handle *handle = find(txn, dbi);

    if (handle == NULL)
        return EINVAL;
    qs_compat_handle_order(handle, cmp, handle->dup_compare);
    return MDB_SUCCESS;
}

int mdb_set_dupsort(MDB_txn *txn, MDB_dbi dbi, MDB_cmp_func *cmp)
{
    struct handle *handle = find(txn, dbi);

    if (handle == NULL)
        return EINVAL;
    qs_compat_handle_order(handle, handle->compare, cmp);
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
    MDB_cmp_func *compare = handle->compare;
    if (compare != NULL)
        return compare(a, b);
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
    MDB_cmp_func *compare = handle->dup_compare;
    if (compare != NULL)
        return compare(a, b);
    (void)qs_compat_handle_use(txn, dbi, handle); /* learns main's flags; what is known must do */
    flags = qs_compat_handle_flags(txn, dbi, handle);
    if (flags & MDB_INTEGERDUP)
        return compare_integers(a, b);
    if (flags & MDB_REVERSEDUP)
        return compare_reversed(a, b);
    return compare_bytes(a, b);
}
