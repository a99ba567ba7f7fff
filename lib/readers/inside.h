/* inside.h - which threads of this process are looking at memory that others may unlink (engine rule 4).
 *
 * A reader is inside while it follows links; what it comes out with belongs to its snapshot, which keeps that
 * (C1). It marks the time with a store to a word of its own, and fences nothing: who reclaims makes all
 * threads of the process pass a fence, by membarrier(), once for many items. Time is the epoch, which each
 * look for those inside begins anew:
 *
 *   reader                            who reclaims
 *     word = epoch                      unlink items
 *     follow links                      epoch e -> e + 1
 *     word = 0                          membarrier
 *                                       free the items unless a word is in 1..e
 *
 * A reader whose word the look misses comes to its links after the membarrier, and does not find the items;
 * one that marked itself with e + 1 had seen them unlinked.
 * Threads: marks are a slot's, for whose transaction it is; the rest is any thread's.
 */
#ifndef QS_READERS_INSIDE_H
#define QS_READERS_INSIDE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lockfile;

struct inside_state {
    _Atomic uint64_t epoch; /* begins at 1 and grows */
    _Atomic bool
        fenced; /* readers have to fence: there is no membarrier(), or none was needed yet */
};
extern struct inside_state qs_inside; /* of this process */

void qs_inside_fence(void);

/* `word` NULL: somebody who keeps others from unlinking meanwhile. */
static inline void qs_inside_enter(_Atomic uint64_t *word)
{
    if (word == NULL)
        return;
    /* acquire: what was unlinked in an earlier epoch is not found any more */
    uint64_t epoch = atomic_load_explicit(&qs_inside.epoch, memory_order_acquire);
    /* release: what was done inside before was done; pairs with the look */
    atomic_store_explicit(word, epoch, memory_order_release);
    if (atomic_load_explicit(&qs_inside.fenced, memory_order_relaxed))
        qs_inside_fence();
    atomic_signal_fence(memory_order_seq_cst); /* the compiler moves no load up past the store */
}

static inline void qs_inside_leave(_Atomic uint64_t *word)
{
    /* release: what was done inside was done; pairs with the look */
    if (word != NULL)
        atomic_store_explicit(word, 0, memory_order_release);
}

/* Begins a new epoch and looks who is inside: *now is the epoch that ended, whose items and all before may be
 * freed once nobody is inside since it or longer; *oldest the oldest that somebody is inside since,
 * UINT64_MAX when nobody is. All of this process's threads that use `lockfile` count. */
void qs_inside_look(struct lockfile *lockfile, uint64_t *now, uint64_t *oldest);

#endif
