/* inside.c - epochs, the fence that all threads pass, and the look at their marks; see inside.h.
 *
 * Owns:       the process's epoch, and what is known of its membarrier().
 * Invariants: I1 readers fence as long as a look may rely on it: `fenced` is cleared once, after the
 *             first membarrier() that succeeded, and every look that goes on later had one.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* syscall() */
#endif

#include "readers/inside.h"
#include "readers/internal.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

struct inside_state qs_inside = {1, true};

static bool membarrier(int command)
{
    return syscall(SYS_membarrier, command, 0, 0) == 0;
}

/* Registering may take milliseconds, and most processes unlink nothing; so it is left to the first look. */
static void find_out(void)
{
    if (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) &&
        membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED))
        /* relaxed: a reader that sees it late fences once more than it needs to */
        atomic_store_explicit(&qs_inside.fenced, false, memory_order_relaxed);
}

void qs_inside_fence(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}

/* Makes all threads of this process pass a fence. False: it cannot be had now, and nothing is known. */
static bool fence_all(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_out);
    if (atomic_load_explicit(&qs_inside.fenced, memory_order_relaxed)) {
        qs_inside_fence(); /* the readers' are the other half */
        return true;
    }
    return membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) ||
           /* a forked child has what its parent found out, but may have to register itself */
           (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) &&
            membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED));
}

void qs_inside_look(struct lockfile *lockfile, uint64_t *now, uint64_t *oldest)
{
    *oldest = UINT64_MAX;
    /* release: who marks itself with the new epoch finds unlinked what was so before (acquire there) */
    *now = atomic_fetch_add(&qs_inside.epoch, 1);
    if (!fence_all()) {
        *oldest = 0;
        return;
    }
    /* Behind the fence: a slot not counted yet, or not owned, gets so by a compare-and-swap, which is a fence
     * before its first mark. */
    unsigned count = qs_reader_high_water(lockfile);
    for (unsigned i = 0; i < count; i++) {
        const struct reader *slot = &lockfile->slots[i];
        if (atomic_load(&slot->owner) != lockfile->self)
            continue;
        /* acquire: what was done inside was done before the memory is used again */
        uint64_t since = atomic_load_explicit(&slot->inside, memory_order_acquire);
        if (since != 0 && since < *oldest)
            *oldest = since;
    }
}
