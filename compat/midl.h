/* midl.h - LMDB's lists of numbers: exported by its library though no header of it declares them.
 *
 * Nothing in here uses them; they exist so that the library's symbols are LMDB's.
 *
 * An id list is an array of numbers in descending order: [0] is the count, [-1] how many there is
 * room for. A pair list is in ascending order, element 0 holding the count.
 */
#ifndef QS_COMPAT_MIDL_H
#define QS_COMPAT_MIDL_H

#include <stddef.h>

#define MIDL_MAX 131071u /* most pairs in a list; list allocations above this can be shrunk */

enum midl_pair_error {
    MIDL_PAIR_EXISTS = -1, /* the number is in the list */
    MIDL_PAIR_FULL = -2,   /* the list has MIDL_MAX pairs */
};

struct midl_pair {
    size_t id;    /* element 0: the count */
    void *object; /* what belongs to the number */
};

#pragma GCC visibility push(default)

/* Index (from 1) of the first element <= `id`; count + 1 when there is none. */
unsigned mdb_midl_search(size_t *ids, size_t id);

/* An empty list with room for `count_max`; NULL without memory. */
size_t *mdb_midl_alloc(int count_max);
void mdb_midl_free(size_t *ids);

/* Gives memory beyond MIDL_MAX elements back, as far as they are unused. */
void mdb_midl_shrink(size_t **ids);

/* Makes room for `count` more; 0 or ENOMEM. The list may move, here and below. */
int mdb_midl_need(size_t **ids, unsigned count);

/* Append without sorting: one number; a whole list; `id` + `count` - 1 down to `id`. */
int mdb_midl_append(size_t **ids, size_t id);
int mdb_midl_append_list(size_t **ids, size_t *other);
int mdb_midl_append_range(size_t **ids, size_t id, unsigned count);

/* Merges the sorted `other` into the sorted `ids`, which must have room. */
void mdb_midl_xmerge(size_t *ids, size_t *other);

/* Sorts, largest first. */
void mdb_midl_sort(size_t *ids);

/* Index (from 1) of the first pair >= `id`; count + 1 when there is none. */
unsigned mdb_mid2l_search(struct midl_pair *pairs, size_t id);

/* Adds in order; adds at the end, order being the caller's business. 0 or enum midl_pair_error. */
int mdb_mid2l_insert(struct midl_pair *pairs, struct midl_pair *pair);
int mdb_mid2l_append(struct midl_pair *pairs, struct midl_pair *pair);

#pragma GCC visibility pop

#endif
