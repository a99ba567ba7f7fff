/* vector.h - growable arrays: room for one more element, in a malloc'ed block. */
#ifndef QS_BASE_VECTOR_H
#define QS_BASE_VECTOR_H

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

/* Makes sure that *data, an array of elements of `element_size` bytes with room for *capacity of
 * them, has room for `count`. Grows by doubling. 0 or ENOMEM (nothing changed). */
static inline int qs_vector_reserve(void **data, size_t *capacity, size_t count,
                                    size_t element_size)
{
    if (count <= *capacity)
        return 0;
    size_t wanted = *capacity != 0 ? *capacity * 2 : 16;
    while (wanted < count)
        wanted *= 2;
    void *grown = realloc(*data, wanted * element_size);
    if (grown == NULL)
        return ENOMEM;
    *data = grown;
    *capacity = wanted;
    return 0;
}

#endif
