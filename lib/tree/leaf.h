/* leaf.h - a leaf as a view sees it: base page and delta read as one ordered sequence. A fixed page
 * (page/fixed.h) has no delta; what looks keys up or collects entries is not for it.
 *
 * An entry of the delta stands for the base's entry of the same key (rule 3); tombstones hide it.
 * Threads: any; pages behind an image do not change while it is used.
 */
#ifndef QS_TREE_LEAF_H
#define QS_TREE_LEAF_H

#include "cache/view.h"
#include "page/fixed.h"

/* A place in the merged sequence: on a live entry, or at the end. */
struct leaf_pos {
    struct image image; /* the leaf */
    uint16_t base_i;    /* first base entry not before the place */
    uint16_t delta_i;   /* first delta entry not before it */
    int8_t order; /* which is the place's entry: < 0 the delta's, > 0 the base's, 0 both are of
                           one key and the delta's counts; LEAF_END: there is none */
};
#define LEAF_END 2

/* Puts `pos` on the first live entry with a key >= `key`; returns whether it is equal. */
bool qs_leaf_seek(struct leaf_pos *pos, const struct image *image, enum key_order order,
                  const void *key, size_t key_size);

/* On the first / last live entry; false (at the end) when there is none. */
bool qs_leaf_first(struct leaf_pos *pos, const struct image *image, enum key_order order);
bool qs_leaf_last(struct leaf_pos *pos, const struct image *image, enum key_order order);

/* One live entry on, or back; false when there is none: next is then at the end, prev unmoved. */
bool qs_leaf_next(struct leaf_pos *pos, enum key_order order);
bool qs_leaf_prev(struct leaf_pos *pos, enum key_order order);

static inline bool qs_leaf_at_end(const struct leaf_pos *pos)
{
    return pos->order == LEAF_END;
}

/* The entry at `pos`, which is not at the end. */
static inline void qs_leaf_get(const struct leaf_pos *pos, struct entry *entry)
{
    if (pos->order > 0 && pos->image.base->kind == PAGE_FIXED)
        qs_fixed_entry(pos->image.base, pos->base_i, entry);
    else if (pos->order > 0)
        qs_leaf_entry(pos->image.base, pos->base_i, entry);
    else
        qs_leaf_entry(pos->image.delta, pos->delta_i, entry);
}

/* Writes all live entries into `entries` (room for LEAF_ENTRIES_MAX); returns their number. */
unsigned qs_leaf_collect(const struct image *image, enum key_order order, struct entry *entries);

/* More entries than any leaf holds, mini-page and new entry included. */
#define LEAF_ENTRIES_MAX 512u

#endif
