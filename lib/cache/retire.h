/* retire.h - memory that was unlinked and is freed when nobody can be looking at it any more.
 *
 * Invariant: R1 an item unlinked when transaction `stamp` was the newest visible one is freed only
 *            when every live reader began later, that is, has a snapshot > stamp. Whoever frees has
 *            scanned the reader slots after the unlinking, behind a seq_cst fence.
 * Threads:   under the core's follow_lock.
 */
#ifndef QS_CACHE_RETIRE_H
#define QS_CACHE_RETIRE_H

#include "base/types.h"

struct retired {
    void *memory;  /* what to free */
    txnid_t stamp; /* R1 */
};

struct retire {
    void (*free_item)(void *memory); /* gives one item back */
    struct retired *item;            /* in order of stamp, from `first` on */
    size_t first;                    /* items before are gone */
    size_t count;                    /* end of the items */
    size_t capacity;                 /* room in `item` */
};

void qs_retire_init(struct retire *retire, void (*free_item)(void *memory));
/* Frees all items and the list: nobody is looking. */
void qs_retire_close(struct retire *retire);
/* Takes an unlinked item. When there is no memory to remember it, it leaks until the process ends.
 */
void qs_retire_add(struct retire *retire, void *memory, txnid_t stamp);
/* Frees items with stamp < `oldest`, the oldest live snapshot (QS_TXNID_NONE: no reader is live).
 */
void qs_retire_run(struct retire *retire, txnid_t oldest);

#endif
