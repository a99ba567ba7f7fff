/* test_search.c - the vector search, its portable twin and a plain loop agree everywhere. */
#include "page/model.h"
#include "page/search.h"

#include <criterion/criterion.h>

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = load32(a), y = load32(b);
    return (x > y) - (x < y);
}

static unsigned plain_below(const uint8_t *la, unsigned count, uint32_t target)
{
    unsigned i = 0;
    while (i < count && load32(la + 4 * (size_t)i) < target)
        i++;
    return i;
}

static void check_target(const uint8_t *la, unsigned count, uint32_t target)
{
    unsigned expected = plain_below(la, count, target);
    cr_assert_eq(search_below(la, count, target), expected, "count %u target %u", count, target);
    cr_assert_eq(search_below_portable(la, count, target), expected);
}

static void check_count(struct random_state *random, unsigned count, unsigned shift)
{
    uint8_t *bytes = malloc(4 * (size_t)count + 1);
    uint8_t *la = bytes + 1; /* any alignment */

    for (unsigned i = 0; i < count; i++)
        store32(la + 4 * (size_t)i, (uint32_t)random_next(random) >> shift);
    if (count > 1 && random_below(random, 2)) {
        store32(la, UINT32_MAX);
        store32(la + 4, 0);
    }
    qsort(la, count, 4, compare_numbers);
    check_target(la, count, 0);
    check_target(la, count, UINT32_MAX);
    for (unsigned i = 0; i < count; i++) {
        uint32_t number = load32(la + 4 * (size_t)i);
        check_target(la, count, number);
        check_target(la, count, number + 1);
        check_target(la, count, number - 1);
    }
    free(bytes);
}

Test(search, equal_to_twin)
{
    struct random_state random = random_seeded("search");

    for (unsigned count = 0; count < 420; count++)
        for (unsigned shift = 0; shift < 32; shift += count < 130 ? 5 : 15)
            check_count(&random, count, shift);
}

/* What a damaged page holds: the answer is of no use, but must be an index. */
Test(search, unsorted_stays_in_range)
{
    struct random_state random = random_seeded("search unsorted");
    uint8_t la[4 * 400];

    for (int round = 0; round < 20000; round++) {
        unsigned count = random_below(&random, 401);
        for (unsigned i = 0; i < count; i++)
            store32(la + 4 * (size_t)i, (uint32_t)random_next(&random));
        uint32_t target = (uint32_t)random_next(&random);
        cr_assert_leq(search_below(la, count, target), count);
        cr_assert_leq(search_below_portable(la, count, target), count);
    }
}
