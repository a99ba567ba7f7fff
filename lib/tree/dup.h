/* dup.h - the duplicates of a key: what an entry of a QS_DUPSORT tree holds, and its changes.
 *
 *      put of a second value        no room in the record          few are left
 *   one ---------------------> small ---------------------> large -------------> small
 *    ^ first put, QS_CURRENT     | the last one goes           |
 *    +----------- (key) ---------+-------- all of the key -----+---> the entry is removed
 *
 *   one     no flag         the value itself
 *   small   ENTRY_SET       packed in the value (page/set.h); may shrink to a set of one, as LMDB's do,
 *                           whose cursors can tell the two apart
 *   large   ENTRY_SET_TREE  a tree of its own, whose record is the value and whose keys are the
 *                           duplicates; leaves are fixed pages in a QS_DUPFIXED tree
 *
 * The number of duplicates stands in the set, or in its tree's record: known without a walk.
 */
#ifndef QS_TREE_DUP_H
#define QS_TREE_DUP_H

#include "page/set.h"
#include "tree/place.h"
#include "tree/tree.h"

/* Order of a tree's duplicates. */
enum key_order qs_dup_order(unsigned flags);

/* How many an entry holds. */
uint64_t qs_dup_count(const struct entry *entry);

/* The first one. */
int qs_dup_value(const struct view *view, const struct entry *entry, struct qs_val *value);

/* An entry without ENTRY_SET_TREE, as a set. */
static inline void qs_dup_set(struct set *set, const struct entry *entry)
{
    if ((entry->flags & ENTRY_SET) != 0)
        qs_set_open(set, entry->value, entry->value_size);
    else
        qs_set_of_one(set, entry->value, entry->value_size);
}

/* The order of a large set: that of its owner's duplicates, with marks of its own. */
void qs_dup_orders(struct tree_order *order, const struct tree_order *owner,
                   const struct tree_record *record);

/* Starts the state of a large set off from its owner's entry. */
void qs_dup_open(struct tree_state *sub, const struct tree_state *tree, const struct entry *entry);

/* ---- changes: parts of qs_tree_put() and qs_tree_delete() ---- */

/* Whether a put of a key that has the entry `old` is about duplicates. */
static inline bool qs_dup_adds(const struct tree_state *tree, const struct put *put,
                               const struct entry *old)
{
    if ((tree->record.flags & QS_DUPSORT) == 0)
        return false;
    return (put->flags & QS_CURRENT) == 0 || (old->flags & ENTRY_DUPS) != 0;
}

/* Another value for the key that got the last one: the set is known (dup_again.c). False, nothing done,
 * where anything is unusual. */
bool qs_dup_again(struct writer *writer, struct tree_state *tree, struct put *put);
/* Notes for it the set that got a value: `pid` is the last leaf of a large one, where the value went, or
 * insert_pid for a small one of items of one size. */
void qs_dup_remember(struct writer *writer, struct tree_state *tree, const struct put *put,
                     pageid_t pid);

/* Adds a value to a key that exists. */
int qs_dup_add(struct writer *writer, struct tree_state *tree, struct key_place *place,
               struct put *put);

/* Removes one value of several: QS_E_NOTFOUND. *rest false, nothing done: it is the only one. */
int qs_dup_remove(struct writer *writer, struct tree_state *tree, struct key_place *place,
                  const struct del *del, bool *rest);

/* Gives back the pages of a large set. */
int qs_dup_release(struct writer *writer, const struct entry *entry);

/* ---- large sets of items of one size (dup_fixed.c) ---- */

/* Makes the set's first leaf of `count` items, which lie one behind the other. */
int qs_fixed_plant(struct writer *writer, struct tree_state *sub, size_t item_size,
                   const void *items, unsigned count);

/* QS_E_KEYEXIST when it is there or, with `append`, not above all others. *last: it is new and none follows
 * it. */
int qs_fixed_put(struct writer *writer, struct tree_state *sub, const struct qs_val *item,
                 bool append, bool *last);

/* Removes the item at its place. */
int qs_fixed_remove_at(struct writer *writer, struct tree_state *sub, struct key_place *place);

#endif
