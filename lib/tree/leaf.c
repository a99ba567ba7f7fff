/* leaf.c - base and delta read as one sequence; see leaf.h.
 *
 * Invariant: L1 where `order` is 0, delta_i and base_i are of the same key; the entry before the
 * place is before it in both pages.
 */
#include "tree/leaf.h"

#include "base/error.h"

static unsigned delta_count(const struct image *image)
{
    return image->delta != NULL ? image->delta->count : 0;
}

/* Compares delta entry `d` with base entry `b`. */
static int compare_sides(const struct image *image, enum key_order order, unsigned d, unsigned b)
{
    struct entry delta, base;
    qs_leaf_entry(image->delta, d, &delta);
    qs_leaf_entry(image->base, b, &base);
    return qs_key_compare(order, delta.key, delta.key_size, base.key, base.key_size);
}

/* Decides which side the place's entry is on. */
static void settle(struct leaf_pos *pos, enum key_order order)
{
    bool has_delta = pos->delta_i < delta_count(&pos->image);
    bool has_base = pos->base_i < pos->image.base->count;
    if (!has_delta)
        pos->order = has_base ? 1 : LEAF_END;
    else if (!has_base)
        pos->order = -1;
    else {
        int c = compare_sides(&pos->image, order, pos->delta_i, pos->base_i);
        pos->order = (int8_t)((c > 0) - (c < 0));
    }
}

static bool on_tombstone(const struct leaf_pos *pos)
{
    struct entry entry;
    if (pos->order > 0)
        return false;
    qs_leaf_entry(pos->image.delta, pos->delta_i, &entry);
    return (entry.flags & ENTRY_TOMBSTONE) != 0;
}

static void step(struct leaf_pos *pos, enum key_order order)
{
    pos->base_i += pos->order >= 0;
    pos->delta_i += pos->order <= 0;
    settle(pos, order);
}

/* Settles, then passes over tombstones. */
static bool settle_live(struct leaf_pos *pos, enum key_order order)
{
    settle(pos, order);
    while (pos->order != LEAF_END && on_tombstone(pos))
        step(pos, order);
    return pos->order != LEAF_END;
}

bool qs_leaf_seek(struct leaf_pos *pos, const struct image *image, enum key_order order,
                  const void *key, size_t key_size)
{
    bool in_base, in_delta = false;
    pos->image = *image;
    pos->base_i = (uint16_t)(image->base->kind == PAGE_FIXED
                                 ? qs_fixed_search(image->base, order, key, key_size, &in_base)
                                 : qs_leaf_search(image->base, order, key, key_size, &in_base));
    pos->delta_i = 0;
    if (image->delta == NULL) {
        pos->order = pos->base_i < image->base->count ? 1 : LEAF_END;
        return in_base;
    }
    pos->delta_i = (uint16_t)qs_leaf_search(image->delta, order, key, key_size, &in_delta);
    settle(pos, order);
    bool equal = in_delta ? !on_tombstone(pos) : in_base;
    settle_live(pos, order);
    return equal;
}

bool qs_leaf_first(struct leaf_pos *pos, const struct image *image, enum key_order order)
{
    *pos = (struct leaf_pos){*image, 0, 0, 0};
    return settle_live(pos, order);
}

bool qs_leaf_last(struct leaf_pos *pos, const struct image *image, enum key_order order)
{
    *pos = (struct leaf_pos){*image, image->base->count, (uint16_t)delta_count(image), LEAF_END};
    return qs_leaf_prev(pos, order);
}

bool qs_leaf_next(struct leaf_pos *pos, enum key_order order)
{
    if (pos->image.delta == NULL) {
        pos->base_i++;
        pos->order = pos->base_i < pos->image.base->count ? 1 : LEAF_END;
        return pos->order != LEAF_END;
    }
    step(pos, order);
    return settle_live(pos, order);
}

bool qs_leaf_prev(struct leaf_pos *pos, enum key_order order)
{
    struct leaf_pos at = *pos;
    if (at.image.delta == NULL) {
        if (pos->base_i == 0)
            return false;
        pos->base_i--;
        pos->order = 1;
        return true;
    }
    do {
        if (at.base_i == 0 && at.delta_i == 0)
            return false;
        /* > 0: the entry before is the delta's, < 0 the base's, 0: both are of one key (L1) */
        int side = at.base_i == 0 ? 1
                   : at.delta_i == 0
                       ? -1
                       : compare_sides(&at.image, order, at.delta_i - 1u, at.base_i - 1u);
        at.delta_i -= side >= 0;
        at.base_i -= side <= 0;
        at.order = (int8_t)((side < 0) - (side > 0));
    } while (on_tombstone(&at));
    *pos = at;
    return true;
}

unsigned qs_leaf_collect(const struct image *image, enum key_order order, struct entry *entries)
{
    struct leaf_pos pos;
    unsigned n = 0;
    for (bool more = qs_leaf_first(&pos, image, order); more; more = qs_leaf_next(&pos, order))
        qs_leaf_get(&pos, &entries[n++]);
    return n;
}
