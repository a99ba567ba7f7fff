/* place.h - where a key stands or would stand in a tree, and what a change does there.
 *
 * The steps that puts, deletes and sets of duplicates have in common: find, then store or remove one
 * entry. Nothing here looks at flags or counts entries. A place is good until the tree changes, and
 * used up by storing and removing.
 */
#ifndef QS_TREE_PLACE_H
#define QS_TREE_PLACE_H

#include "tree/path.h"
#include "tree/tree.h"

struct key_place {
    struct path path;    /* to the leaf of the key */
    struct leaf_pos pos; /* first live entry there >= key */
    struct entry old;    /* the key's entry, when it exists */
    bool exists;         /* there is one */
};

/* Finds the place of a key in a tree that is not empty: as the tree's order says, or that of exactly this
 * key (search.h). */
int qs_place_find(const struct view *view, const struct tree_state *tree, const void *key,
                  size_t key_size, struct key_place *place);
int qs_place_find_exact(const struct view *view, const struct tree_state *tree, const void *key,
                        size_t key_size, struct key_place *place);

/* The place behind all keys; *last is the last of them, with key_size 0 where there is none. */
int qs_place_find_end(const struct view *view, const struct tree_state *tree,
                      struct key_place *place, struct entry *last);

/* Before a key is stored at its place: where the built-in order would have it elsewhere, the tree is marked
 * custom. */
int qs_place_ask_order(const struct view *view, struct tree_state *tree,
                       const struct key_place *place, const void *key, size_t key_size);
static inline int qs_place_check_order(const struct view *view, struct tree_state *tree,
                                       const struct key_place *place, const void *key,
                                       size_t key_size)
{
    if (__builtin_expect(!qs_order_asks(&tree->order.keys), 1))
        return 0;
    return qs_place_ask_order(view, tree, place, key, key_size);
}

/* Whether every key of the tree is less than the one the place was found for, which does not exist. */
int qs_place_is_last(const struct writer *writer, const struct tree_state *tree,
                     const struct key_place *place, bool *last);

/* Whether no key of its leaf, nor a leaf, is before it. */
bool qs_place_is_first(const struct key_place *place, enum key_order order);

/* Stores an entry of the place's key (in custom order: any that is equal), instead of the old one if there
 * is one. Its bytes may lie
 * anywhere; `entry` is left pointing to where they still are. */
int qs_place_store(struct writer *writer, struct tree_state *tree, struct key_place *place,
                   struct entry *entry);

/* Removes the old entry; what little is left of the leaf is merged with a neighbour. */
int qs_place_remove(struct writer *writer, struct tree_state *tree, struct key_place *place);

/* Removes the old entry with all it has: cursors, value, counts (delete.c). */
int qs_key_remove(struct writer *writer, struct tree_state *tree, struct key_place *place);

/* After a store that made the entry smaller: the same for its leaf. */
int qs_place_shrunk(struct writer *writer, struct tree_state *tree, struct key_place *place);

#endif
