/* compare.h - orders of keys and duplicates that a program may set.
 *
 * Used by the differential test and, through replay.h, by the C programs it prints.
 */
#ifndef QS_TEST_DIFFERENTIAL_COMPARE_H
#define QS_TEST_DIFFERENTIAL_COMPARE_H

#include <lmdb.h>
#include <string.h>

static inline int compare_bytes(const MDB_val *a, const MDB_val *b)
{
    size_t size = a->mv_size < b->mv_size ? a->mv_size : b->mv_size;
    int order = memcmp(a->mv_data, b->mv_data, size);

    return order != 0 ? order : a->mv_size < b->mv_size ? -1 : a->mv_size > b->mv_size;
}

static inline int compare_descending(const MDB_val *a, const MDB_val *b)
{
    return compare_bytes(b, a);
}

static inline int compare_length(const MDB_val *a, const MDB_val *b)
{
    return a->mv_size != b->mv_size ? (a->mv_size < b->mv_size ? -1 : 1) : compare_bytes(a, b);
}

static inline unsigned compare_fold(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

static inline int compare_folded(const MDB_val *a, const MDB_val *b)
{
    const unsigned char *left = a->mv_data;
    const unsigned char *right = b->mv_data;

    for (size_t i = 0; i < a->mv_size && i < b->mv_size; i++) {
        if (compare_fold(left[i]) != compare_fold(right[i])) {
            return compare_fold(left[i]) < compare_fold(right[i]) ? -1 : 1;
        }
    }
    return a->mv_size < b->mv_size ? -1 : a->mv_size > b->mv_size;
}

/* By enum order of program.h; NULL for the library's own. */
static inline MDB_cmp_func *compare_function(int order)
{
    static MDB_cmp_func *const functions[] = {NULL, compare_descending, compare_folded,
                                              compare_length};

    return functions[order];
}

#endif
