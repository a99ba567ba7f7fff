/* test_set.c - small sets of duplicates against a sorted array, in every order, fixed and not; judging
 * bytes that are none.
 */
#include "page/set.h"
#include "store/scratch_store.h"

enum { ITEMS = 60, ITEM_BYTES = 24, ROUNDS = 4000, SET_BYTES = 4096 };

struct item {
    uint8_t bytes[ITEM_BYTES];
    size_t size;
};

static uint64_t random_state;
static enum key_order order;

static unsigned below(unsigned limit)
{
    return (unsigned)(scratch_random(&random_state) % limit);
}

static int compare(const struct item *a, const struct item *b)
{
    return qs_key_compare(order, a->bytes, a->size, b->bytes, b->size);
}

static struct item random_item(bool fixed, size_t size)
{
    struct item item = {.size = fixed ? size : 1 + below(ITEM_BYTES)};
    for (size_t i = 0; i < item.size; i++)
        item.bytes[i] = (uint8_t)below(4);
    return item;
}

/* The set is the array. */
static void expect_same(const uint8_t *value, size_t size, const struct item *items, unsigned count)
{
    struct set set;
    cr_assert(qs_set_check(value, size));
    qs_set_open(&set, value, size);
    cr_assert(set.count == count);
    for (unsigned i = 0; i < count; i++) {
        struct qs_val item = qs_set_item(&set, i);
        cr_assert(item.size == items[i].size);
        cr_assert(memcmp(item.data, items[i].bytes, item.size) == 0);
    }
}

static void run(bool fixed, size_t item_size)
{
    uint8_t value[2][SET_BYTES + 1]; /* one of them at odd addresses */
    struct item items[ITEMS], item = random_item(fixed, item_size);
    struct set set;
    unsigned count = 1, at = 0;
    items[0] = item;
    qs_set_of_one(&set, item.bytes, item.size);
    set.count = 0; /* a set of one is made by putting it into none */
    size_t size = qs_set_insert(value[0], &set, 0, (struct qs_val){item.size, item.bytes}, fixed);
    for (unsigned round = 0; round < ROUNDS; round++, at ^= 1) {
        uint8_t *from = value[at] + at, *to = value[at ^ 1] + (at ^ 1);
        bool found;
        item = random_item(fixed, item_size);
        qs_set_open(&set, from, size);
        unsigned i = qs_set_search(&set, order, item.bytes, item.size, &found);
        cr_assert(i <= count && (i == count || compare(&item, &items[i]) <= 0));
        cr_assert(i == 0 || compare(&item, &items[i - 1]) > 0);
        cr_assert(found == (i < count && compare(&item, &items[i]) == 0));
        if (!found && count < ITEMS && (count == 1 || round / 200 % 2 == 0)) {
            size_t grown = qs_set_grown(&set, item.size, fixed);
            size = qs_set_insert(to, &set, i, (struct qs_val){item.size, item.bytes}, fixed);
            cr_assert(size == grown);
            memmove(items + i + 1, items + i, (count - i) * sizeof *items);
            items[i] = item;
            count++;
        } else if (count > 1) {
            i = below(count);
            size = qs_set_remove(to, &set, i);
            memmove(items + i, items + i + 1, (count - i - 1) * sizeof *items);
            count--;
        } else {
            memmove(to, from, size);
        }
        expect_same(to, size, items, count);
    }
}

Test(set, against_a_sorted_array)
{
    random_state = scratch_seed(1);
    for (order = ORDER_BYTES; order <= ORDER_INTEGER; order++) {
        run(false, 0);
        for (size_t size = 3; size <= ITEM_BYTES; size++)
            run(true, size);
    }
}

Test(set, packed_from_entries_and_arrays)
{
    uint8_t value[256];
    const struct entry entries[2] = {{"a", "", 1, 0, 0}, {"bcd", "", 3, 0, 0}};
    const struct item items[2] = {{"a", 1}, {"bcd", 3}}, fixed[2] = {{"ab", 2}, {"cd", 2}};
    expect_same(value, qs_set_pack(value, entries, 2), items, 2);
    expect_same(value, qs_set_pack_fixed(value, 2, "abcd", 2), fixed, 2);
}

/* What passes the check can be read. */
Test(set, bytes_of_unknown_origin)
{
    random_state = scratch_seed(2);
    for (unsigned round = 0; round < 200000; round++) {
        size_t size = below(40);
        uint8_t *value = malloc(size + 1), sum = 0; /* exactly as large, for the sanitizer */
        for (size_t i = 0; i < size; i++)
            value[i] = (uint8_t)(below(3) == 0 ? below(256) : below(12));
        if (qs_set_check(value, size)) {
            struct set set;
            bool found;
            qs_set_open(&set, value, size);
            cr_assert(set.count >= 1);
            for (unsigned i = 0; i < set.count; i++) {
                struct qs_val item = qs_set_item(&set, i);
                cr_assert(item.size >= 1 && (const uint8_t *)item.data >= value);
                cr_assert((const uint8_t *)item.data + item.size <= value + size);
                sum = (uint8_t)(sum + *(const uint8_t *)item.data);
            }
            cr_assert(qs_set_search(&set, ORDER_BYTES, &sum, 1, &found) <= set.count);
        }
        free(value);
    }
}
