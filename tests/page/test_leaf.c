/* test_leaf.c - leaves against a sorted array: every edit, every page size, every order. */
#include "page/find.h"
#include "page/model.h"

#include <criterion/criterion.h>

#define ITEMS_MAX 700

struct item {
    unsigned key_size;               /* bytes */
    unsigned value_size;             /* bytes */
    uint8_t key[QS_KEY_MAX];         /* its first key_size bytes */
    uint8_t value[ENTRY_INLINE_MAX]; /* its first value_size bytes */
    uint8_t flags;                   /* enum entry_flag */
};

static struct item items[ITEMS_MAX]; /* the model: what the page should hold, in order */
static unsigned item_count;
static uint8_t scratch[QS_PAGE_BYTES];

static struct entry entry_of(const struct item *item)
{
    return (struct entry){item->key, item->value, (uint16_t)item->key_size,
                          (uint16_t)item->value_size, item->flags};
}

static unsigned model_search(enum key_order order, const uint8_t *key, unsigned size, bool *found)
{
    *found = false;
    for (unsigned i = 0; i < item_count; i++) {
        int difference = model_compare(order, key, size, items[i].key, items[i].key_size);
        *found = difference == 0;
        if (difference <= 0)
            return i;
    }
    return item_count;
}

static void check_search(const struct page *page, enum key_order order, const uint8_t *key,
                         unsigned size)
{
    bool found, expected_found;
    unsigned expected = model_search(order, key, size, &expected_found);
    struct entry entry;
    cr_assert_eq(qs_leaf_search(page, order, key, size, &found), expected);
    cr_assert_eq(found, expected_found);
    cr_assert_eq(leaf_find(page, order, key, size, &entry), expected_found);
    if (!expected_found)
        return;
    cr_assert_eq(entry.key_size, size);
    cr_assert_eq(memcmp(entry.key, key, size), 0);
    cr_assert_eq(entry.value_size, items[expected].value_size);
    cr_assert_eq(memcmp(entry.value, items[expected].value, entry.value_size), 0);
    cr_assert_eq(entry.flags, items[expected].flags);
}

static void check_page(const struct page *page, enum key_order order)
{
    size_t used = 0;

    cr_assert(qs_page_check(page, order, true));
    cr_assert_eq(page->count, item_count);
    for (unsigned i = 0; i < item_count; i++) {
        struct entry entry;
        qs_leaf_entry(page, i, &entry);
        cr_assert_eq(entry.key_size, items[i].key_size);
        cr_assert_eq(entry.value_size, items[i].value_size);
        cr_assert_eq(entry.flags, items[i].flags);
        cr_assert_eq(memcmp(entry.key, items[i].key, entry.key_size), 0);
        cr_assert_eq(memcmp(entry.value, items[i].value, entry.value_size), 0);
        used += qs_entry_bytes(entry.key_size, entry.value_size);
    }
    cr_assert_eq(qs_page_used(page), used);
    cr_assert_eq(qs_page_free(page), page->size - PAGE_HEADER_BYTES - used);
}

static void item_set_value(struct random_state *random, struct item *item)
{
    static const unsigned maxima[] = {1, 8, 100, ENTRY_INLINE_MAX};
    unsigned max = maxima[random_below(random, 4)];

    if (max > ENTRY_INLINE_MAX - item->key_size)
        max = ENTRY_INLINE_MAX - item->key_size;
    item->flags = (uint8_t)(random_below(random, 4) == 0 ? ENTRY_TREE : 0);
    item->value_size = random_below(random, max + 1);
    for (unsigned i = 0; i < item->value_size; i++)
        item->value[i] = (uint8_t)random_next(random);
    if (random_below(random, 8) == 0) {
        item->flags = ENTRY_TOMBSTONE;
        item->value_size = 0;
    }
}

static void step_insert(struct random_state *random, struct page *page,
                        const struct key_style *style)
{
    static struct item item;
    uint8_t before[QS_PAGE_BYTES];
    bool found;

    item.key_size = key_random(random, style, item.key);
    item_set_value(random, &item);
    check_search(page, style->order, item.key, item.key_size);
    unsigned i = model_search(style->order, item.key, item.key_size, &found);
    struct entry entry = entry_of(&item);
    size_t bytes = qs_entry_bytes(item.key_size, item.value_size);
    size_t free_bytes = qs_page_free(page);
    memcpy(before, page, page->size);
    if (found) {
        size_t old = qs_entry_bytes(items[i].key_size, items[i].value_size);
        bool done = qs_leaf_replace(page, style->order, i, &entry, scratch);
        cr_assert_eq(done, bytes <= free_bytes + old);
        if (done)
            items[i] = item;
        else
            cr_assert_eq(memcmp(before, page, page->size), 0);
        return;
    }
    bool done = qs_leaf_insert(page, style->order, i, &entry, scratch);
    cr_assert_eq(done, bytes <= free_bytes);
    if (!done) {
        cr_assert_eq(memcmp(before, page, page->size), 0);
        return;
    }
    memmove(&items[i + 1], &items[i], (item_count - i) * sizeof items[0]);
    items[i] = item;
    item_count++;
}

static void step_remove(struct random_state *random, struct page *page)
{
    if (item_count == 0)
        return;
    unsigned i = random_below(random, item_count);
    qs_leaf_remove(page, i);
    item_count--;
    memmove(&items[i], &items[i + 1], (item_count - i) * sizeof items[0]);
}

/* The model as a newly built page of some size that holds it; the old one is freed. */
static struct page *step_rebuild(struct random_state *random, struct page *page,
                                 const struct key_style *style, unsigned size)
{
    static struct entry entries[ITEMS_MAX];
    size_t used = PAGE_HEADER_BYTES + qs_page_used(page);
    unsigned new_size = (unsigned)used + random_below(random, size - (unsigned)used + 1);
    struct page *new_page = malloc(new_size);

    if (random_below(random, 2)) {
        qs_page_copy(new_page, new_size, page);
        cr_assert_eq(new_page->fence, page->fence);
    } else {
        for (unsigned i = 0; i < item_count; i++)
            entries[i] = entry_of(&items[i]);
        unsigned fence = random_below(random, style_fence_max(style) + 1);
        qs_leaf_build(new_page, new_size, style->order, entries, item_count, fence);
        cr_assert_eq(new_page->fence, fence);
    }
    cr_assert_eq(new_page->garbage, 0);
    check_page(new_page, style->order);
    free(page);
    page = malloc(size);
    qs_page_copy(page, size, new_page);
    free(new_page);
    check_page(page, style->order);
    return page;
}

static void run_style(struct random_state *random, const struct key_style *style, unsigned size)
{
    struct page *page = malloc(size);
    unsigned inserts = 50 + random_below(random, 50); /* percent */

    item_count = 0;
    qs_page_init(page, PAGE_LEAF, 0, size);
    page->prefix = page->fence = (uint16_t)random_below(random, style_fence_max(style) + 1);
    for (int step = 0; step < 150; step++) {
        if (random_below(random, 100) < inserts)
            step_insert(random, page, style);
        else
            step_remove(random, page);
        cr_assert(qs_page_check(page, style->order, true));
        if (random_below(random, 30) == 0)
            page = step_rebuild(random, page, style, size);
        if (random_below(random, 10) == 0)
            check_page(page, style->order);
    }
    check_page(page, style->order);
    for (unsigned i = 0; i < item_count; i++)
        check_search(page, style->order, items[i].key, items[i].key_size);
    while (item_count > 0)
        step_remove(random, page);
    check_page(page, style->order);
    cr_assert_eq(qs_page_free(page), page->size - PAGE_HEADER_BYTES);
    free(page);
}

Test(leaf, model)
{
    struct random_state random = random_seeded("leaf model");

    for (int round = 0; round < 450; round++) {
        struct key_style style = style_random(&random, (enum key_order)(round % 3));
        unsigned size = round % 2 ? QS_PAGE_BYTES : 64 + random_below(&random, 4033);
        run_style(&random, &style, size);
    }
}

/* Keys that do not share the page's prefix, or end within it, are found to be outside. */
Test(leaf, strangers)
{
    static const char *const keys[] = {"user0001", "user0002", "user0017", "user0018x"};
    static const struct {
        const char *key;
        unsigned place;
    } strangers[] = {{"user", 0},      {"a", 0},        {"zebra", 4}, {"user00", 0},  {"usher", 4},
                     {"user00012", 1}, {"user0016", 2}, {"user1", 4}, {"user0018", 3}};
    struct entry entries[4];
    uint64_t bytes[QS_PAGE_BYTES / 8];
    struct page *page = (struct page *)bytes;
    bool found;

    for (unsigned i = 0; i < 4; i++)
        entries[i] = (struct entry){keys[i], "v", (uint16_t)strlen(keys[i]), 1, 0};
    qs_leaf_build(page, QS_PAGE_BYTES, ORDER_BYTES, entries, 4, 0);
    cr_assert_eq(page->prefix, 6);
    for (unsigned i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        const char *key = strangers[i].key;
        cr_assert_eq(qs_leaf_search(page, ORDER_BYTES, key, strlen(key), &found),
                     strangers[i].place, "%s", key);
        cr_assert_not(found);
        cr_assert_not(leaf_find(page, ORDER_BYTES, (const uint8_t *)key, strlen(key), &entries[0]));
    }
}

/* A page that fits its entries to the byte takes them all, in any order of arrival. */
Test(leaf, two_largest_fit)
{
    static uint8_t value[ENTRY_INLINE_MAX];
    uint64_t bytes[QS_PAGE_BYTES / 8];
    struct page *page = (struct page *)bytes;
    struct entry entry = {"b", value, 1, ENTRY_INLINE_MAX - 1, 0};

    qs_page_init(page, PAGE_LEAF, 0, QS_PAGE_BYTES);
    cr_assert(qs_leaf_insert(page, ORDER_BYTES, 0, &entry, scratch));
    entry.key = "a";
    cr_assert(qs_leaf_insert(page, ORDER_BYTES, 0, &entry, scratch));
    cr_assert_eq(qs_page_free(page), 0);
    cr_assert(qs_page_check(page, ORDER_BYTES, true));
    entry.value_size = 0;
    cr_assert_not(qs_leaf_insert(page, ORDER_BYTES, 0, &entry, scratch));
}

/* A value that grows at any offset, while there is room. */
Test(leaf, values_grow_in_place)
{
    _Alignas(8) uint8_t space[512];
    struct page *page = (struct page *)space;
    const struct entry first = {"a", "one", 1, 3, 0}, second = {"b", "2468", 1, 4, 0};
    struct entry entry;
    qs_leaf_build(page, sizeof space, ORDER_BYTES, (const struct entry[]){first, second}, 2, 0);
    cr_assert(!qs_leaf_grow(page, 0, 0, "x", 1)); /* odd */
    cr_assert(qs_leaf_grow(page, 1, 4, "//", 2));
    cr_assert(qs_leaf_grow(page, 0, 3, "!?", 2));
    cr_assert(qs_leaf_grow(page, 0, 0, "<<", 2));
    cr_assert(qs_leaf_grow(page, 0, 4, "--", 2));
    qs_leaf_entry(page, 0, &entry);
    cr_assert(entry.value_size == 9 && memcmp(entry.value, "<<on--e!?", 9) == 0);
    qs_leaf_entry(page, 1, &entry);
    cr_assert(entry.value_size == 6 && memcmp(entry.value, "2468//", 6) == 0);
    while (qs_leaf_grow(page, 0, 2, "..", 2))
        cr_assert(qs_page_check(page, ORDER_BYTES, true));
    cr_assert(qs_page_free(page) < 2 && qs_page_check(page, ORDER_BYTES, true));
}
