/* test_fixed.c - fixed pages against a sorted array. */
#include "page/fixed.h"
#include "store/scratch_store.h"

enum { ROUNDS = 6000, ITEM_BYTES_MAX = 40 };

static uint64_t random_state;
static enum key_order order;
static size_t each; /* bytes of an item */

static unsigned below(unsigned limit)
{
    return (unsigned)(scratch_random(&random_state) % limit);
}

static int compare(const void *a, const void *b)
{
    return qs_key_compare(order, a, each, b, each);
}

/* Few different items, so that many are met again. */
static void random_item(uint8_t *item)
{
    for (size_t i = 0; i < each; i++)
        item[i] = (uint8_t)(i < 3 || i + 3 > each ? below(11) : 7);
}

static void expect_same(const struct page *page, const uint8_t *items, unsigned count)
{
    cr_assert(qs_page_check(page, order, true));
    cr_assert(page->count == count && qs_page_used(page) == count * each);
    cr_assert(memcmp(qs_fixed_item(page, 0), items, count * each) == 0);
}

static void run(void)
{
    _Alignas(8) uint8_t space[QS_PAGE_BYTES];
    static uint8_t items[QS_PAGE_BYTES];
    struct page *page = (struct page *)space;
    unsigned count = 0, capacity = qs_fixed_capacity(each);
    qs_fixed_build(page, order, each, NULL, 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint8_t item[ITEM_BYTES_MAX];
        bool found;
        random_item(item);
        unsigned i = qs_fixed_search(page, order, item, each, &found);
        cr_assert(i <= count && (i == count || compare(item, items + i * each) <= 0));
        cr_assert(i == 0 || compare(item, items + (i - 1) * each) > 0);
        cr_assert(found == (i < count && compare(item, items + i * each) == 0));
        if (!found && count < capacity && round / 1000 % 2 == 0) {
            qs_fixed_insert(page, i, item, 1);
            memmove(items + (i + 1) * each, items + i * each, (count - i) * each);
            memcpy(items + i * each, item, each);
            count++;
        } else if (count > 0) {
            i = below(count);
            qs_fixed_remove(page, i);
            memmove(items + i * each, items + (i + 1) * each, (count - i - 1) * each);
            count--;
        }
        if (round % 50 == 0)
            expect_same(page, items, count);
    }
}

Test(fixed, against_a_sorted_array)
{
    random_state = scratch_seed(1);
    for (order = ORDER_BYTES; order <= ORDER_INTEGER; order++)
        for (each = 1; each <= ITEM_BYTES_MAX; each = each < 9 ? each + 1 : each * 2)
            run();
}

Test(fixed, damage_is_found)
{
    _Alignas(8) uint8_t space[QS_PAGE_BYTES];
    struct page *page = (struct page *)space;
    qs_fixed_build(page, ORDER_BYTES, 2, "aabbcc", 3);
    cr_assert(qs_page_check(page, ORDER_BYTES, true));
    page->item_size = 0;
    cr_assert(!qs_page_check(page, ORDER_BYTES, false));
    page->item_size = 2;
    page->count = (QS_PAGE_BYTES - PAGE_HEADER_BYTES) / 2 + 1;
    cr_assert(!qs_page_check(page, ORDER_BYTES, false));
    page->count = 3;
    space[PAGE_HEADER_BYTES] = 'z';
    cr_assert(qs_page_check(page, ORDER_BYTES, false) && !qs_page_check(page, ORDER_BYTES, true));
}
