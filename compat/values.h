/* values.h - keys, values, operations and flags as they cross between LMDB's types and the
 * engine's.
 *
 * MDB_val and struct qs_val have one layout, so a caller's MDB_val is handed on as it stands and
 * the engine writes its results straight into it. Nothing here reads a value through both types:
 * the callers look at mv_size before the call, the engine at its own type inside it.
 */
#ifndef QS_COMPAT_VALUES_H
#define QS_COMPAT_VALUES_H

#include "api.h"

#include "quickstep.h"

#include <assert.h>
#include <stddef.h>

static_assert(sizeof(MDB_val) == sizeof(struct qs_val), "one layout");
static_assert(offsetof(MDB_val, mv_size) == offsetof(struct qs_val, size), "one layout");
static_assert(offsetof(MDB_val, mv_data) == offsetof(struct qs_val, data), "one layout");

static_assert((int)MDB_FIRST == (int)QS_FIRST, "same operations");
static_assert((int)MDB_FIRST_DUP == (int)QS_FIRST_DUP, "same operations");
static_assert((int)MDB_GET_BOTH == (int)QS_GET_BOTH, "same operations");
static_assert((int)MDB_GET_BOTH_RANGE == (int)QS_GET_BOTH_RANGE, "same operations");
static_assert((int)MDB_GET_CURRENT == (int)QS_GET_CURRENT, "same operations");
static_assert((int)MDB_GET_MULTIPLE == (int)QS_GET_MULTIPLE, "same operations");
static_assert((int)MDB_LAST == (int)QS_LAST, "same operations");
static_assert((int)MDB_LAST_DUP == (int)QS_LAST_DUP, "same operations");
static_assert((int)MDB_NEXT == (int)QS_NEXT, "same operations");
static_assert((int)MDB_NEXT_DUP == (int)QS_NEXT_DUP, "same operations");
static_assert((int)MDB_NEXT_MULTIPLE == (int)QS_NEXT_MULTIPLE, "same operations");
static_assert((int)MDB_NEXT_NODUP == (int)QS_NEXT_NODUP, "same operations");
static_assert((int)MDB_PREV == (int)QS_PREV, "same operations");
static_assert((int)MDB_PREV_DUP == (int)QS_PREV_DUP, "same operations");
static_assert((int)MDB_PREV_NODUP == (int)QS_PREV_NODUP, "same operations");
static_assert((int)MDB_SET == (int)QS_SET, "same operations");
static_assert((int)MDB_SET_KEY == (int)QS_SET_KEY, "same operations");
static_assert((int)MDB_SET_RANGE == (int)QS_SET_RANGE, "same operations");
static_assert((int)MDB_PREV_MULTIPLE == (int)QS_PREV_MULTIPLE, "same operations");

/* The persistent flags of a tree are the same bits in both, because they are stored. */
#define COMPAT_TREE_FLAGS                                                                          \
    (MDB_REVERSEKEY | MDB_DUPSORT | MDB_INTEGERKEY | MDB_DUPFIXED | MDB_INTEGERDUP | MDB_REVERSEDUP)

static_assert(MDB_REVERSEKEY == QS_REVERSEKEY && MDB_DUPSORT == QS_DUPSORT, "same bits");
static_assert(MDB_INTEGERKEY == QS_INTEGERKEY && MDB_DUPFIXED == QS_DUPFIXED, "same bits");
static_assert(MDB_INTEGERDUP == QS_INTEGERDUP && MDB_REVERSEDUP == QS_REVERSEDUP, "same bits");

/* The put flags stand in two runs of neighbouring bits that both sides keep in one order. */
#define COMPAT_PUT_SHIFT_LOW 4
#define COMPAT_PUT_SHIFT_HIGH 13

static_assert(MDB_NOOVERWRITE >> COMPAT_PUT_SHIFT_LOW == QS_NOOVERWRITE, "low run");
static_assert(MDB_NODUPDATA >> COMPAT_PUT_SHIFT_LOW == QS_NODUPDATA, "low run");
static_assert(MDB_CURRENT >> COMPAT_PUT_SHIFT_LOW == QS_CURRENT, "low run");
static_assert(MDB_RESERVE >> COMPAT_PUT_SHIFT_HIGH == QS_RESERVE, "high run");
static_assert(MDB_APPEND >> COMPAT_PUT_SHIFT_HIGH == QS_APPEND, "high run");
static_assert(MDB_APPENDDUP >> COMPAT_PUT_SHIFT_HIGH == QS_APPENDDUP, "high run");

/* The engine's put flags for LMDB's; bits that mean nothing to the engine fall out. */
static inline unsigned qs_compat_put_flags(unsigned flags)
{
    const unsigned low = QS_NOOVERWRITE | QS_NODUPDATA | QS_CURRENT;
    const unsigned high = QS_RESERVE | QS_APPEND | QS_APPENDDUP;

    return ((flags >> COMPAT_PUT_SHIFT_LOW) & low) | ((flags >> COMPAT_PUT_SHIFT_HIGH) & high);
}

/* A caller's value as the engine's type; NULL stays NULL. */
static inline struct qs_val *qs_compat_val(MDB_val *value)
{
    return (struct qs_val *)(void *)value;
}

static inline const struct qs_val *qs_compat_val_const(const MDB_val *value)
{
    return (const struct qs_val *)(const void *)value;
}

/* LMDB's limits for what is stored; an engine code. */
static inline int qs_compat_put_sizes(unsigned tree_flags, const MDB_val *key, const MDB_val *data)
{
    size_t value_max = (tree_flags & MDB_DUPSORT) ? COMPAT_KEY_MAX : COMPAT_VALUE_MAX;

    if (key->mv_size == 0 || key->mv_size > COMPAT_KEY_MAX || data->mv_size > value_max)
        return QS_E_BAD_VALSIZE;
    return 0;
}

/* Fills LMDB's statistics from the engine's. */
static inline void qs_compat_stat(MDB_stat *to, const struct qs_stat *from)
{
    to->ms_psize = COMPAT_PAGE_SIZE;
    to->ms_depth = from->depth;
    to->ms_branch_pages = from->branch_pages;
    to->ms_leaf_pages = from->leaf_pages;
    to->ms_overflow_pages = from->overflow_pages;
    to->ms_entries = from->entries;
}

#endif
