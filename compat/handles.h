/* handles.h - the table of tree handles (MDB_dbi) of one environment.
 *
 * A handle is an index: 0 LMDB's free list, 1 the main tree, named trees from 2, lowest free slot
 * first. A slot is free, held by the transactions that opened it, or published (and perhaps held as
 * well):
 *
 *     free --open--> held --commit--> published --close, drop--> free
 *                     +----abort, reset, close, drop-------------> free
 *
 * Publishing stamps a slot with the next number of the table's epoch. A transaction notes the epoch
 * when it begins and sees what was stamped up to then: so beginning one costs the same whatever the
 * number of handles, and looking a handle up takes no lock. What a transaction opened itself stands
 * in its own list (txn.h) with the slot's generation, which changes whenever a slot is freed; a
 * stale entry of such a list, or an old cursor, therefore never meets the slot's next user.
 *
 * Invariants: H1 a slot is in use exactly when published != 0 or holders > 0.
 *             H2 two slots in use never name one tree.
 *             H3 published <= epoch for every slot.
 */
#ifndef QS_COMPAT_HANDLES_H
#define QS_COMPAT_HANDLES_H

#include "api.h"

#include "quickstep.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct handle {
    _Atomic(struct qs_tree *) tree; /* stays when the slot is freed; main's: NULL until first use */
    _Atomic uint64_t published;     /* epoch it was published at; 0: not. Written under the lock */
    _Atomic uint32_t generation;    /* of the slot's use; never 0 in use. Written under the lock */
    uint32_t holders;               /* transactions that opened it; under the lock */
    unsigned flags;                 /* the tree's flags when it was opened; constant while in use */
    _Atomic(MDB_cmp_func *) compare;     /* order of keys set by the program, or NULL */
    _Atomic(MDB_cmp_func *) dup_compare; /* order of duplicates set by the program, or NULL */
    MDB_rel_func *relocate;              /* kept and never called, as in LMDB */
    void *relocate_context;              /* kept for it */
};

struct handle_table {
    struct handle *slot;    /* count of them; NULL before the environment is open */
    size_t count;           /* named trees allowed, and two; constant */
    _Atomic size_t used;    /* slots from here on were never used; bounds the searches by name */
    _Atomic uint64_t epoch; /* stamp of the newest published handle; 1 after init (main) */
    pthread_mutex_t lock;   /* slots' state changes; never held across an engine call */
};

/* Has keys and duplicates of a handle's tree compared by these functions, NULL: by its flags (compare.c).
 */
void qs_compat_handle_order(struct handle *handle, MDB_cmp_func *compare,
                            MDB_cmp_func *dup_compare);

/* The same for all, before the environment closes: another one may have the file open. */
void qs_compat_handles_forget_orders(struct handle_table *table);

/* Makes a table for `named_max` named trees. ENOMEM. */
int qs_compat_handles_init(struct handle_table *table, size_t named_max);
void qs_compat_handles_free(struct handle_table *table);

/* True when a handle for `name` could be given out: a slot has it already, or one is free. */
bool qs_compat_handles_room(struct handle_table *table, const char *name);

/* Gives the slot of `tree` one more holder, taking the lowest free one (with the given flags and no
 * comparators) when none has it. False when all are taken. */
bool qs_compat_handle_hold(struct handle_table *table, struct qs_tree *tree, unsigned flags,
                           MDB_dbi *dbi, uint32_t *generation);

/* Ends the holds of a transaction: `opened` has a generation (0: none) for every slot. With
 * `publish` the slots become everybody's, else those that nobody else holds become free. */
void qs_compat_handles_release(struct handle_table *table, const uint32_t *opened, bool publish);

/* Frees the slot at once, for everybody; nothing for a free one, the main tree or no slot at all.
 */
void qs_compat_handle_close(struct handle_table *table, MDB_dbi dbi);

#endif
