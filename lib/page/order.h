/* order.h - how the keys of a tree compare: as built in, or as a function of the program's says.
 *
 * As long as that function agrees with the built-in order the tree is stored as any other. At the first
 * disagreement it is marked custom (tree_record.h): from then on its keys are where the function wants
 * them, and searches compare whole keys, one by one. A process without the function then compares by the
 * built-in order: it finds what a binary search happens to find, as with LMDB.
 * Threads: any; a program that changes the function under others' feet gets what it asked for.
 */
#ifndef QS_PAGE_ORDER_H
#define QS_PAGE_ORDER_H

#include "page/key.h"
#include "page/page.h"
#include "page/set.h"
#include "quickstep.h"

#include <stdatomic.h>

/* A function of the program's, or none. */
struct comparator {
    _Atomic(qs_compare_function *) function; /* NULL: there is none */
    _Atomic(void *) context;                 /* handed to it; set before */
};

struct order {
    enum key_order built_in;          /* without a function, and as long as that agrees */
    bool custom;                      /* keys are not stored in that one */
    bool whole;                       /* with custom: separators are keys that were stored, uncut */
    const struct comparator *program; /* NULL: nobody is asked, as in a replay */
};

static inline qs_compare_function *qs_order_function(const struct order *order)
{
    /* acquire; pairs with the release of qs_tree_set_key_order(): its context is there */
    return order->program != NULL
               ? atomic_load_explicit(&order->program->function, memory_order_acquire)
               : NULL;
}

/* Whether a search has to compare keys as qs_order_compare() does. */
static inline bool qs_order_asks(const struct order *order)
{
    return order->custom || qs_order_function(order) != NULL;
}

/* What the pages of a tree say of their order. */
static inline enum key_order qs_order_stored(const struct order *order)
{
    return (enum key_order)(order->built_in | (order->custom ? PAGE_CUSTOM : 0));
}

/* Compares a key with one that is stored: < 0, 0, > 0. The caller's comes first, as in LMDB. */
int qs_order_compare(const struct order *order, const void *key, size_t key_size,
                     const void *stored, size_t stored_size);

/* One of `count` keys that lie somewhere. */
typedef int order_item(void *keys, unsigned i, struct qs_val *item);

/* First of keys first..count that is >= `key`, by halving, with as few comparisons and in the same
 * sequence as LMDB; *found tells whether it is equal. Errors are those of `item`. */
int qs_order_search(const struct order *order, order_item *item, void *keys, unsigned first,
                    unsigned count, const struct qs_val *key, unsigned *at, bool *found);

/* qs_set_search() in any order. */
unsigned qs_order_search_set(const struct order *order, const struct set *set,
                             const struct qs_val *item, bool *found);

/* Where exactly these bytes are in a set: as qs_set_search() where the order is not custom; else `count`
 * when they are not there. */
unsigned qs_order_find_set(const struct order *order, const struct set *set,
                           const struct qs_val *item, bool *found);

#endif
