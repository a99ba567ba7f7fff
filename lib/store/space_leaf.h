/* space_leaf.h - one leaf of the free-space bitmap in memory; shared by space.c and space_write.c. */
#ifndef QS_STORE_SPACE_LEAF_H
#define QS_STORE_SPACE_LEAF_H

#include "store/space.h"

#define SPACE_LEAF_PAGES (ARRAY_FANOUT * 64ull) /* file pages a leaf speaks for */

struct space_leaf {
    uint64_t *words;   /* ARRAY_FANOUT words, NULL while not loaded */
    uint64_t *shadow;  /* the words at qs_space_begin(), NULL when unchanged since */
    bool dirty;        /* differs from the newest checkpoint's */
    bool dirty_before; /* `dirty` at qs_space_begin(); valid with a shadow */
};

/* Drops all shadows, going back to them first when `restore`. */
void qs_space_leaf_settle(struct space *space, bool restore);

#endif
