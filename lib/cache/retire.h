/* retire.h - memory that was unlinked and is freed when nobody can be looking at it any more.
 *
 * Invariant: R1 an item is freed only after a look that began when it was unlinked (qs_inside_look()) and
 *            found nobody inside since an epoch before that look's. Snapshots do not matter: what one sees
 *            is not unlinked (C1).
 * Threads:   under the core's follow_lock.
 */
#ifndef QS_CACHE_RETIRE_H
#define QS_CACHE_RETIRE_H

#include "base/types.h"

struct retired {
    void *memory;   /* what to free */
    uint64_t epoch; /* that ended after it was unlinked; set by the look that ended it (R1) */
};

struct retire {
    void (*free_item)(void *memory); /* gives one item back */
    struct retired *item;            /* in the order they were unlinked, from `first` on */
    size_t first;                    /* items before are gone */
    size_t sealed;                   /* items before have an epoch */
    size_t count;                    /* end of the items */
    size_t capacity;                 /* room in `item` */
};

void qs_retire_init(struct retire *retire, void (*free_item)(void *memory));
/* Frees all items and the list: nobody is looking. */
void qs_retire_close(struct retire *retire);
/* Takes an unlinked item. When there is no memory to remember it, it leaks until the replica ends. */
void qs_retire_add(struct retire *retire, void *memory);
/* Items unlinked since the last look. */
static inline size_t qs_retire_fresh(const struct retire *retire)
{
    return retire->count - retire->sealed;
}
/* After a look that ended epoch `now`, all items having been unlinked before it: frees those unlinked
 * before the epoch `oldest`, since which somebody is inside. */
void qs_retire_run(struct retire *retire, uint64_t now, uint64_t oldest);

#endif
