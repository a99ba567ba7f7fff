/* txn.h - struct MDB_txn, and what a transaction may see of the handle table.
 */
#ifndef QS_COMPAT_TXN_H
#define QS_COMPAT_TXN_H

#include "api.h"
#include "env.h"
#include "handles.h"

#include "quickstep.h"

#include <stdbool.h>
#include <stdint.h>

enum txn_state { /* bits; that a transaction is in error is the engine's to know */
                 TXN_RDONLY = 0x1,    /* a read transaction */
                 TXN_FINISHED = 0x2,  /* read transaction that was reset */
                 TXN_HAS_CHILD = 0x4, /* a nested transaction lives */
};
#define TXN_BLOCKED (TXN_FINISHED | TXN_HAS_CHILD)

#define TXN_CHECKED_WORDS 4 /* 64 handles a word; handles beyond are checked at every use */

struct MDB_txn {
    struct qs_txn *qs;                   /* the engine's transaction */
    MDB_env *env;                        /* constant */
    uint64_t handles_seen;               /* handles published up to this epoch are visible */
    unsigned state;                      /* enum txn_state */
    unsigned main_flags;                 /* of the main tree, once checked; see dbi.c */
    uint64_t checked[TXN_CHECKED_WORDS]; /* handles whose tree was found to be what they say */
    uint32_t *opened;                    /* generation of each handle opened here, or NULL */
    MDB_cursor *cursors;                 /* of a write transaction; freed with it */
    MDB_txn *parent;                     /* NULL: top level */
    MDB_txn *child;                      /* while TXN_HAS_CHILD */
    size_t id;                           /* kept, because it outlives a reset */
    uint32_t round;                      /* counts renewals: older cursor positions are void */
};

/* True when the handle was opened in `txn` or one of its parents. */
static inline bool qs_compat_handle_opened(const MDB_txn *txn, MDB_dbi dbi, uint32_t generation)
{
    if (generation == 0) /* a slot that was never used; the lists have 0 for it as well */
        return false;
    for (; txn != NULL; txn = txn->parent) {
        if (txn->opened != NULL && txn->opened[dbi] == generation)
            return true;
    }
    return false;
}

/* The slot behind a handle that is valid in `txn` (main and named trees), else NULL. */
static inline struct handle *qs_compat_handle_find(const MDB_txn *txn, MDB_dbi dbi)
{
    struct handle *handle;
    uint64_t published;

    if (dbi == COMPAT_DBI_FREE || dbi >= txn->env->handles.count)
        return NULL;
    handle = &txn->env->handles.slot[dbi];
    /* relaxed: a stamp this transaction may see was made before it read the epoch (acquire). */
    published = atomic_load_explicit(&handle->published, memory_order_relaxed);
    if (published != 0 && published <= txn->handles_seen)
        return handle;
    if (txn->state & TXN_FINISHED)
        return NULL;
    return qs_compat_handle_opened(txn, dbi,
                                   atomic_load_explicit(&handle->generation, memory_order_relaxed))
               ? handle
               : NULL;
}

/* First use of a handle in a transaction: finds the main tree's object and flags, or makes sure
 * that a named tree exists and still has the flags of its handle. QS_E_NOTFOUND (deleted
 * elsewhere), QS_E_INCOMPATIBLE (recreated with other flags), QS_E_BAD_TXN, ... */
int qs_compat_handle_check(MDB_txn *txn, MDB_dbi dbi, struct handle *handle);

static inline bool qs_compat_handle_checked(const MDB_txn *txn, MDB_dbi dbi)
{
    return dbi < TXN_CHECKED_WORDS * 64u && (txn->checked[dbi / 64] >> (dbi % 64) & 1u);
}

/* To be called before `handle->tree` is used; an engine code. */
static inline int qs_compat_handle_use(MDB_txn *txn, MDB_dbi dbi, struct handle *handle)
{
    return qs_compat_handle_checked(txn, dbi) ? 0 : qs_compat_handle_check(txn, dbi, handle);
}

/* Makes the next use check again. */
static inline void qs_compat_handle_recheck(MDB_txn *txn, MDB_dbi dbi)
{
    if (dbi < TXN_CHECKED_WORDS * 64u)
        txn->checked[dbi / 64] &= ~(UINT64_C(1) << (dbi % 64));
}

static inline struct qs_tree *qs_compat_handle_tree(struct handle *handle)
{
    return atomic_load_explicit(&handle->tree, memory_order_acquire); /* pairs with its release */
}

/* Flags of a handle that was checked in `txn`. */
static inline unsigned qs_compat_handle_flags(const MDB_txn *txn, MDB_dbi dbi,
                                              const struct handle *handle)
{
    return dbi == COMPAT_DBI_MAIN ? txn->main_flags : handle->flags;
}

/* True when everything but ending the transaction is MDB_BAD_TXN. */
static inline bool qs_compat_txn_blocked(const MDB_txn *txn)
{
    return (txn->state & TXN_BLOCKED) != 0 || qs_txn_failed(txn->qs);
}

#endif
