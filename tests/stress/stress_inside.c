/* stress_inside.c - threads that follow a link, mark the time, and fence nothing, against one that unlinks and
 * spoils what they may look at.
 *
 * Owns:       nodes that hang on one link each; the newest is whole, those unlinked are spoilt after a look.
 * Invariants: T1 who is inside never finds a spoilt node. T2 all that is unlinked is spoilt in the end.
 * Locks:      none.
 *
 * Twice: with membarrier() where the kernel has it, and with readers that fence. QS_STRESS_SECONDS says how
 * long each time (2). A plain program, so that ThreadSanitizer can run it. Exit status: 0, or 1 with the
 * finding on standard error.
 */
#define _GNU_SOURCE /* mkdtemp() */

#include "cache/retire.h"
#include "readers/inside.h"
#include "readers/lockfile.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LINKS = 4, READERS = 3, COLD_LINES = 1 << 20, COLD_STORES = 6 };

struct node {
    uint64_t whole; /* 1; spoilt: 0. Plain, as what versions hold is */
};

static _Atomic(struct node *) links[LINKS];
static struct lockfile *lockfile;
static atomic_bool stop;
static atomic_ulong failures, looks, unlinked, freed;

static void free_node(void *memory)
{
    ((struct node *)memory)->whole = 0;
    atomic_fetch_add_explicit(&freed, 1, memory_order_relaxed);
    free(memory);
}

static void *read_links(void *context)
{
    struct reader *slot;
    volatile uint64_t *cold = calloc(COLD_LINES * 8, sizeof *cold);
    (void)context;
    if (cold == NULL || qs_reader_acquire(lockfile, &slot) != 0)
        abort();
    for (uint64_t i = 1; !atomic_load_explicit(&stop, memory_order_relaxed); i++) {
        /* Stores that miss the caches keep those behind them from being seen for a while. */
        for (unsigned k = 0; k < COLD_STORES; k++)
            cold[(i * COLD_STORES + k) * 2654435761u % COLD_LINES * 8] = (uint8_t)i;
        qs_inside_enter(&slot->inside);
        const struct node *node = atomic_load_explicit(&links[i % LINKS], memory_order_acquire);
        for (unsigned again = 0; again < 20; again++)
            if (((const volatile struct node *)node)->whole != 1)
                atomic_fetch_add(&failures, 1);
        qs_inside_leave(&slot->inside);
    }
    free((void *)cold);
    qs_reader_release(lockfile, slot);
    return NULL;
}

static struct node *new_node(void)
{
    struct node *node = malloc(sizeof *node);
    if (node == NULL)
        abort();
    node->whole = 1;
    return node;
}

static void look(struct retire *retire)
{
    uint64_t now, oldest;
    qs_inside_look(lockfile, &now, &oldest);
    qs_retire_run(retire, now, oldest);
    atomic_fetch_add(&looks, 1);
}

static bool before(const struct timespec *end)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec < end->tv_sec || (now.tv_sec == end->tv_sec && now.tv_nsec < end->tv_nsec);
}

static void unlink_until(const struct timespec *end)
{
    struct retire retire;
    qs_retire_init(&retire, free_node);
    for (unsigned i = 1; i % 64 != 0 || before(end); i++) {
        struct node *fresh = new_node();
        qs_retire_add(&retire, atomic_load_explicit(&links[i % LINKS], memory_order_relaxed));
        /* release, and nothing between it and the look: a chain is shortened so, too */
        atomic_store_explicit(&links[i % LINKS], fresh, memory_order_release);
        look(&retire);
        atomic_fetch_add(&unlinked, 1);
    }
    atomic_store(&stop, true);
    while (retire.first < retire.count)
        look(&retire); /* T2 */
    qs_retire_close(&retire);
}

static void run(unsigned seconds)
{
    pthread_t thread[READERS];
    struct timespec end;
    atomic_store(&stop, false);
    for (unsigned i = 0; i < READERS; i++)
        if (pthread_create(&thread[i], NULL, read_links, NULL) != 0)
            abort();
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += seconds;
    unlink_until(&end);
    for (unsigned i = 0; i < READERS; i++)
        pthread_join(thread[i], NULL);
    printf("# %s: %lu looks, %lu unlinked, %lu freed\n",
           atomic_load(&qs_inside.fenced) ? "readers fence" : "membarrier", atomic_load(&looks),
           atomic_load(&unlinked), atomic_load(&freed));
}

int main(void)
{
    const char *seconds = getenv("QS_STRESS_SECONDS");
    unsigned each = seconds != NULL && atoi(seconds) > 0 ? (unsigned)atoi(seconds) : 2;
    if (qs_lockfile_private(READERS, &lockfile) != 0)
        return 1;
    for (unsigned i = 0; i < LINKS; i++)
        atomic_init(&links[i], new_node());
    run(each);
    atomic_store(&qs_inside.fenced, true); /* as where the kernel refuses */
    run(each);
    for (unsigned i = 0; i < LINKS; i++)
        free(atomic_load(&links[i]));
    qs_lockfile_close(lockfile, false);
    if (atomic_load(&failures) != 0 || atomic_load(&unlinked) != atomic_load(&freed)) {
        fprintf(stderr, "%lu looks at spoilt nodes, %lu of %lu freed\n", atomic_load(&failures),
                atomic_load(&freed), atomic_load(&unlinked));
        return 1;
    }
    return 0;
}
