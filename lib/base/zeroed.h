/* zeroed.h - blocks of zeros, for what is made and dropped in every transaction.
 *
 * glibc's calloc() goes past the thread's cache of small blocks, and free() then finds that full: some 250
 * instructions a block instead of 50.
 */
#ifndef QS_BASE_ZEROED_H
#define QS_BASE_ZEROED_H

#include <stdlib.h>
#include <string.h>

#define ZEROED_SMALL 1024u

/* To be given to free(); NULL when there is no memory. */
static inline void *qs_zeroed(size_t size)
{
    if (size > ZEROED_SMALL)
        return calloc(1, size);
    void *memory = malloc(size);
    /* Else the compiler makes a calloc() of the two. Without an output, in which an analyzer of leaks
     * would lose sight of the block. */
    __asm__ volatile("" : : "r"(memory) : "memory");
    return memory != NULL ? memset(memory, 0, size) : NULL;
}

#endif
