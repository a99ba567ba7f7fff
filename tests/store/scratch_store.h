/* scratch_store.h - a store on a file that is gone when it is closed, for tests of lib/store/. */
#ifndef TESTS_STORE_SCRATCH_STORE_H
#define TESTS_STORE_SCRATCH_STORE_H

#include "store/store.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline struct store *scratch_store_open(struct meta *meta, uint64_t map_pages)
{
    char path[] = "/tmp/qs-store-XXXXXX";
    const uint64_t file_id[2] = {1, 2};
    struct store *store;
    int fd = mkstemp(path);

    cr_assert(fd >= 0);
    unlink(path);
    cr_assert(qs_store_open(fd, &qs_io_posix, false, false, &store) == 0);
    qs_meta_init(meta, 1u << 20, file_id);
    cr_assert(qs_meta_create(store, meta) == 0);
    cr_assert(qs_store_map_reserve(store, map_pages) == 0);
    return store;
}

/* The test's seed: QS_SEED, or `usual`. Printed, so that a failure can be had again. */
static inline uint64_t scratch_seed(uint64_t usual)
{
    const char *text = getenv("QS_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : usual;

    printf("# seed %llu\n", (unsigned long long)seed);
    return seed;
}

static inline uint64_t scratch_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

#endif
