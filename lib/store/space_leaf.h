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

/* Makes sure that `leaf[index]` exists and its words are loaded. */
int qs_space_leaf_load(struct space *space, uint64_t index);

/* Loads a leaf for changing: makes its shadow (S3). */
int qs_space_leaf_edit(struct space *space, uint64_t index, uint64_t **words);

/* Drops all shadows, going back to them first when `restore`. */
void qs_space_leaf_settle(struct space *space, bool restore);

/* The first page of the run of equal bits (set, if `used`) that ends at `end`, which is `end` itself when the
 * page before has the other. Bits from the high water on are clear. The run may go on below META_PAGES:
 * that is the least. */
int qs_space_run_start(struct space *space, uint64_t end, bool used, uint64_t *start);

#endif
