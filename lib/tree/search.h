/* search.h - finding the place of a key in a tree, whatever its order.
 *
 * In the built-in order that is path.h and leaf.h. Where a program has set a function, the place that the
 * built-in order gives is confirmed by asking that about the keys on both sides; where they do not agree,
 * and in custom order, the search goes by the function all the way. The function is asked about stored
 * keys only: separators are cut short, and no program has ever seen one (unless they are whole).
 * Threads: as those of paths.
 */
#ifndef QS_TREE_SEARCH_H
#define QS_TREE_SEARCH_H

#include "page/order.h"
#include "tree/path.h"

/* The first entry >= `key` by the order, in the leaf that takes the key; behind that leaf's last where there
 * is none. *equal: it is equal. The tree is not empty. */
int qs_search_asking(struct path *path, struct leaf_pos *pos, const struct view *view,
                     const struct tree_record *record, const struct order *order, const void *key,
                     size_t key_size, bool *equal);

static inline int qs_search(struct path *path, struct leaf_pos *pos, const struct view *view,
                            const struct tree_record *record, const struct order *order,
                            const void *key, size_t key_size, bool *equal)
{
    if (__builtin_expect(qs_order_asks(order), 0))
        return qs_search_asking(path, pos, view, record, order, key, key_size, equal);
    int rc = qs_path_find(path, view, record, order->built_in, PATH_KEY, key, key_size);
    if (rc == 0)
        *equal = qs_leaf_seek(pos, &path->image, order->built_in, key, key_size);
    return rc;
}

/* The entry with exactly this key, without asking the program where the order is not custom. Where there is
 * none: *equal is false and, unless the order is custom, the place is that of the first entry above. */
int qs_search_exact(struct path *path, struct leaf_pos *pos, const struct view *view,
                    const struct tree_record *record, const struct order *order, const void *key,
                    size_t key_size, bool *equal);

/* The last entry, and the place behind it; QS_E_NOTFOUND: the leaves are empty. */
int qs_search_end(struct path *path, struct leaf_pos *pos, const struct view *view,
                  const struct tree_record *record, enum key_order order, struct entry *last);

#endif
