/* midl.c - the thirteen list functions that LMDB's library exports without declaring them.
 *
 * Owns:       nothing that lasts: lists belong to the caller.
 * Invariants: M1 the word before a list is the number of elements it has room for.
 *             M2 list[0] <= that number.
 * Source:     written from what the functions can be seen to do; see midl.h.
 */
#include "midl.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Words of an allocation that are not elements: the room, and the count. */
#define HEADER_WORDS 2u
#define GROWTH_PART 4u /* a list that must grow gets a quarter of its new size on top */

static size_t *room_of(size_t *ids)
{
    return ids - 1;
}

static size_t *allocate(size_t *old_words, size_t room)
{
    size_t *words;

    if (room > SIZE_MAX / sizeof *words - HEADER_WORDS)
        return NULL;
    words = realloc(old_words, (room + HEADER_WORDS) * sizeof *words);
    if (words == NULL)
        return NULL;
    words[0] = room;
    return words + 1;
}

unsigned mdb_midl_search(size_t *ids, size_t id)
{
    size_t low = 1;
    size_t high = ids[0] + 1; /* the answer lies in low..high */

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (ids[middle] <= id)
            high = middle;
        else
            low = middle + 1;
    }
    return (unsigned)low;
}

size_t *mdb_midl_alloc(int count_max)
{
    size_t *ids;

    if (count_max < 0)
        return NULL;
    ids = allocate(NULL, (size_t)count_max);
    if (ids != NULL)
        ids[0] = 0;
    return ids;
}

void mdb_midl_free(size_t *ids)
{
    if (ids != NULL)
        free(room_of(ids));
}

void mdb_midl_shrink(size_t **ids)
{
    size_t room = (*ids)[0] > MIDL_MAX ? (*ids)[0] : MIDL_MAX;
    size_t *shrunk;

    if (*room_of(*ids) <= room)
        return;
    shrunk = allocate(room_of(*ids), room);
    if (shrunk != NULL)
        *ids = shrunk;
}

int mdb_midl_need(size_t **ids, unsigned count)
{
    size_t needed = (*ids)[0] + count;
    size_t *grown;

    if (needed <= *room_of(*ids))
        return 0;
    grown = allocate(room_of(*ids), needed + needed / GROWTH_PART);
    if (grown == NULL)
        return ENOMEM;
    *ids = grown;
    return 0;
}

int mdb_midl_append(size_t **ids, size_t id)
{
    int rc = mdb_midl_need(ids, 1);

    if (rc == 0)
        (*ids)[++(*ids)[0]] = id;
    return rc;
}

int mdb_midl_append_list(size_t **ids, size_t *other)
{
    size_t count = other[0];
    bool self = other == *ids;
    int rc;

    if (count > UINT_MAX)
        return ENOMEM;
    rc = mdb_midl_need(ids, (unsigned)count);
    if (rc != 0)
        return rc;
    if (self)
        other = *ids; /* it may have moved */
    memcpy(*ids + (*ids)[0] + 1, other + 1, count * sizeof *other);
    (*ids)[0] += count;
    return 0;
}

int mdb_midl_append_range(size_t **ids, size_t id, unsigned count)
{
    int rc = mdb_midl_need(ids, count);
    size_t *list = *ids;

    if (rc != 0)
        return rc;
    for (unsigned i = count; i > 0; i--)
        list[++list[0]] = id + (i - 1);
    return 0;
}

/* From the small end, so that no element is overwritten before it was moved. */
void mdb_midl_xmerge(size_t *ids, size_t *other)
{
    size_t from = ids[0];
    size_t from_other = other[0];
    size_t to = from + from_other;

    ids[0] = to;
    while (from_other > 0) {
        if (from > 0 && ids[from] < other[from_other])
            ids[to--] = ids[from--];
        else
            ids[to--] = other[from_other--];
    }
}

static int larger_first(const void *a, const void *b)
{
    size_t left = *(const size_t *)a;
    size_t right = *(const size_t *)b;

    return (left < right) - (left > right);
}

void mdb_midl_sort(size_t *ids)
{
    qsort(ids + 1, ids[0], sizeof ids[0], larger_first);
}

unsigned mdb_mid2l_search(struct midl_pair *pairs, size_t id)
{
    size_t low = 1;
    size_t high = pairs[0].id + 1; /* the answer lies in low..high */

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (pairs[middle].id >= id)
            high = middle;
        else
            low = middle + 1;
    }
    return (unsigned)low;
}

int mdb_mid2l_insert(struct midl_pair *pairs, struct midl_pair *pair)
{
    size_t at = mdb_mid2l_search(pairs, pair->id);
    size_t count = pairs[0].id;

    if (at <= count && pairs[at].id == pair->id)
        return MIDL_PAIR_EXISTS;
    if (count >= MIDL_MAX)
        return MIDL_PAIR_FULL;
    memmove(&pairs[at + 1], &pairs[at], (count + 1 - at) * sizeof pairs[0]);
    pairs[at] = *pair;
    pairs[0].id++;
    return 0;
}

int mdb_mid2l_append(struct midl_pair *pairs, struct midl_pair *pair)
{
    if (pairs[0].id >= MIDL_MAX)
        return MIDL_PAIR_FULL;
    pairs[++pairs[0].id] = *pair;
    return 0;
}
