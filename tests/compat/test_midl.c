/* test_midl.c - the list functions that the library exports for the sake of its symbol list.
 *
 * Owns:       nothing; every test makes and frees its own lists.
 */
#include "midl.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static size_t *list_of(size_t count, const size_t *elements)
{
    size_t *ids = mdb_midl_alloc((int)count);

    cr_assert_not_null(ids);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(mdb_midl_append(&ids, elements[i]), 0);
    return ids;
}

static void expect_list(const size_t *ids, size_t count, const size_t *elements)
{
    cr_assert_eq(ids[0], count, "count is %zu, not %zu", ids[0], count);
    for (size_t i = 0; i < count; i++)
        cr_expect_eq(ids[i + 1], elements[i], "element %zu is %zu", i + 1, ids[i + 1]);
}

Test(midl, alloc_gives_an_empty_list_that_knows_its_room)
{
    size_t *ids = mdb_midl_alloc(7);

    cr_assert_not_null(ids);
    cr_expect_eq(ids[0], 0u);
    cr_expect_eq(ids[-1], 7u);
    mdb_midl_free(ids);
    mdb_midl_free(NULL);
    cr_expect_null(mdb_midl_alloc(-1));
}

Test(midl, search_finds_the_first_not_above)
{
    size_t *ids = list_of(4, (const size_t[]){90, 70, 50, 30});
    size_t *empty = mdb_midl_alloc(1);

    cr_expect_eq(mdb_midl_search(ids, 100), 1u);
    cr_expect_eq(mdb_midl_search(ids, 90), 1u);
    cr_expect_eq(mdb_midl_search(ids, 89), 2u);
    cr_expect_eq(mdb_midl_search(ids, 50), 3u);
    cr_expect_eq(mdb_midl_search(ids, 30), 4u);
    cr_expect_eq(mdb_midl_search(ids, 29), 5u, "none: behind the last");
    cr_expect_eq(mdb_midl_search(empty, 1), 1u);
    mdb_midl_free(ids);
    mdb_midl_free(empty);
}

Test(midl, appending_grows)
{
    size_t *ids = mdb_midl_alloc(0);

    for (size_t i = 0; i < 1000; i++) {
        cr_assert_eq(mdb_midl_append(&ids, i), 0);
        cr_assert_geq(ids[-1], ids[0]);
    }
    cr_expect_eq(ids[0], 1000u);
    cr_expect_eq(ids[1], 0u);
    cr_expect_eq(ids[1000], 999u);
    mdb_midl_free(ids);
}

Test(midl, need_makes_room_and_keeps_the_list)
{
    size_t *ids = list_of(2, (const size_t[]){5, 4});
    size_t *before;

    cr_assert_eq(mdb_midl_need(&ids, 500), 0);
    cr_expect_geq(ids[-1], 502u);
    expect_list(ids, 2, (const size_t[]){5, 4});
    before = ids;
    cr_assert_eq(mdb_midl_need(&ids, 500), 0);
    cr_expect_eq(ids, before, "there was room already");
    mdb_midl_free(ids);
}

Test(midl, append_list)
{
    size_t *ids = list_of(2, (const size_t[]){9, 8});
    size_t *other = list_of(3, (const size_t[]){7, 6, 5});

    cr_assert_eq(mdb_midl_append_list(&ids, other), 0);
    expect_list(ids, 5, (const size_t[]){9, 8, 7, 6, 5});
    expect_list(other, 3, (const size_t[]){7, 6, 5});
    cr_assert_eq(mdb_midl_append_list(&ids, ids), 0);
    expect_list(ids, 10, (const size_t[]){9, 8, 7, 6, 5, 9, 8, 7, 6, 5});
    mdb_midl_free(ids);
    mdb_midl_free(other);
}

Test(midl, append_range_descends)
{
    size_t *ids = list_of(1, (const size_t[]){100});

    cr_assert_eq(mdb_midl_append_range(&ids, 10, 4), 0);
    expect_list(ids, 5, (const size_t[]){100, 13, 12, 11, 10});
    cr_assert_eq(mdb_midl_append_range(&ids, 10, 0), 0);
    cr_expect_eq(ids[0], 5u);
    mdb_midl_free(ids);
}

Test(midl, xmerge_keeps_order)
{
    size_t *ids = list_of(4, (const size_t[]){40, 30, 20, 10});
    size_t *other = list_of(4, (const size_t[]){50, 30, 25, 5});
    size_t *empty = mdb_midl_alloc(1);

    cr_assert_eq(mdb_midl_need(&ids, 4), 0);
    mdb_midl_xmerge(ids, other);
    expect_list(ids, 8, (const size_t[]){50, 40, 30, 30, 25, 20, 10, 5});
    mdb_midl_xmerge(ids, empty);
    cr_expect_eq(ids[0], 8u);
    cr_assert_eq(mdb_midl_need(&empty, 4), 0);
    mdb_midl_xmerge(empty, other);
    expect_list(empty, 4, (const size_t[]){50, 30, 25, 5});
    mdb_midl_free(ids);
    mdb_midl_free(other);
    mdb_midl_free(empty);
}

Test(midl, sort_puts_the_largest_first)
{
    size_t *ids = list_of(6, (const size_t[]){3, (size_t)-1, 0, 7, 3, 5});
    size_t *empty = mdb_midl_alloc(1);

    mdb_midl_sort(ids);
    expect_list(ids, 6, (const size_t[]){(size_t)-1, 7, 5, 3, 3, 0});
    mdb_midl_sort(empty);
    cr_expect_eq(empty[0], 0u);
    mdb_midl_free(ids);
    mdb_midl_free(empty);
}

Test(midl, shrink_gives_only_the_excess_back)
{
    size_t *ids = list_of(3, (const size_t[]){3, 2, 1});

    mdb_midl_shrink(&ids);
    cr_expect_eq(ids[-1], 3u, "a small list stays as it is");
    cr_assert_eq(mdb_midl_need(&ids, 2 * MIDL_MAX), 0);
    mdb_midl_shrink(&ids);
    cr_expect_eq(ids[-1], MIDL_MAX);
    expect_list(ids, 3, (const size_t[]){3, 2, 1});
    cr_assert_eq(mdb_midl_append_range(&ids, 0, MIDL_MAX + 10), 0);
    mdb_midl_shrink(&ids);
    cr_expect_eq(ids[0], MIDL_MAX + 13, "no element is lost");
    cr_expect_geq(ids[-1], ids[0]);
    mdb_midl_free(ids);
}

Test(mid2l, insert_keeps_ascending_order)
{
    struct midl_pair pairs[8] = {{0, NULL}};
    int marks[4];

    cr_expect_eq(mdb_mid2l_search(pairs, 1), 1u);
    for (size_t i = 0; i < 4; i++) {
        struct midl_pair pair = {(const size_t[]){20, 40, 10, 30}[i], &marks[i]};

        cr_assert_eq(mdb_mid2l_insert(pairs, &pair), 0);
    }
    cr_assert_eq(pairs[0].id, 4u);
    for (size_t i = 1; i <= 4; i++)
        cr_expect_eq(pairs[i].id, 10 * i);
    cr_expect_eq(pairs[1].object, &marks[2], "what belongs to a number goes with it");
    cr_expect_eq(mdb_mid2l_search(pairs, 10), 1u);
    cr_expect_eq(mdb_mid2l_search(pairs, 11), 2u);
    cr_expect_eq(mdb_mid2l_search(pairs, 40), 4u);
    cr_expect_eq(mdb_mid2l_search(pairs, 41), 5u, "none: behind the last");
    cr_expect_eq(mdb_mid2l_insert(pairs, &(struct midl_pair){30, NULL}), MIDL_PAIR_EXISTS);
    cr_expect_eq(pairs[0].id, 4u);
}

Test(mid2l, append_does_not_look_at_order)
{
    struct midl_pair pairs[4] = {{0, NULL}};

    cr_assert_eq(mdb_mid2l_append(pairs, &(struct midl_pair){9, NULL}), 0);
    cr_assert_eq(mdb_mid2l_append(pairs, &(struct midl_pair){3, NULL}), 0);
    cr_expect_eq(pairs[0].id, 2u);
    cr_expect_eq(pairs[1].id, 9u);
    cr_expect_eq(pairs[2].id, 3u);
}

Test(mid2l, full_at_its_limit)
{
    struct midl_pair *pairs = calloc(MIDL_MAX + 1, sizeof *pairs);

    cr_assert_not_null(pairs);
    for (size_t i = 1; i <= MIDL_MAX; i++)
        cr_assert_eq(mdb_mid2l_append(pairs, &(struct midl_pair){i, NULL}), 0);
    cr_expect_eq(mdb_mid2l_append(pairs, &(struct midl_pair){0, NULL}), MIDL_PAIR_FULL);
    cr_expect_eq(mdb_mid2l_insert(pairs, &(struct midl_pair){0, NULL}), MIDL_PAIR_FULL);
    cr_expect_eq(pairs[0].id, MIDL_MAX);
    free(pairs);
}
