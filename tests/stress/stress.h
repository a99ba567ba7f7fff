/* stress.h - what the stress programs share: random numbers, and a finding that ends the run. */
#ifndef QS_TESTS_STRESS_H
#define QS_TESTS_STRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

static atomic_bool stop;     /* all threads of the process look at it */
static atomic_uint failures; /* findings of this process */

#define FAIL(...)                                                                                  \
    do {                                                                                           \
        fprintf(stderr, "pid %d: ", (int)getpid());                                                \
        fprintf(stderr, __VA_ARGS__);                                                              \
        fputc('\n', stderr);                                                                       \
        atomic_fetch_add(&failures, 1);                                                            \
        atomic_store(&stop, true);                                                                 \
    } while (0)

static inline uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

#endif
