/* test_inner.c - inner pages against a sorted array of separators. */
#include "page/model.h"

#include <criterion/criterion.h>

#define ITEMS_MAX 400

struct item {
    uint8_t key[QS_KEY_MAX]; /* its first key_size bytes; those of item 0 do not count */
    unsigned key_size;       /* bytes; 0 for item 0 */
    pageid_t pid;            /* child */
};

static struct item items[ITEMS_MAX]; /* the model */
static unsigned item_count;
static uint8_t scratch[QS_PAGE_BYTES];

/* Number of separators <= key: the child. */
static unsigned model_search(enum key_order order, const uint8_t *key, unsigned size)
{
    unsigned i = 1;
    while (i < item_count && model_compare(order, items[i].key, items[i].key_size, key, size) <= 0)
        i++;
    return i - 1;
}

static void check_page(const struct page *page, enum key_order order)
{
    size_t used = 0;

    cr_assert(qs_page_check(page, order, true));
    cr_assert_eq(page->count, item_count);
    for (unsigned i = 0; i < item_count; i++) {
        struct separator separator;
        qs_inner_separator(page, i, &separator);
        cr_assert_eq(separator.key_size, items[i].key_size);
        cr_assert_eq(memcmp(separator.key, items[i].key, items[i].key_size), 0);
        cr_assert_eq(separator.pid, items[i].pid);
        cr_assert_eq(qs_inner_child(page, i), items[i].pid);
        used += qs_separator_bytes(separator.key_size);
    }
    cr_assert_eq(qs_page_used(page), used);
}

static void step_insert(struct random_state *random, struct page *page,
                        const struct key_style *style)
{
    struct item item;
    uint8_t before[QS_PAGE_BYTES];

    item.key_size = key_random(random, style, item.key);
    item.pid = (pageid_t)random_next(random);
    unsigned child = model_search(style->order, item.key, item.key_size);
    cr_assert_eq(qs_inner_search(page, style->order, item.key, item.key_size), child);
    if (child > 0 && items[child].key_size == item.key_size &&
        memcmp(items[child].key, item.key, item.key_size) == 0) {
        items[child].pid = item.pid;
        qs_inner_set_child(page, child, item.pid);
        return;
    }
    struct separator separator = {item.key, (uint16_t)item.key_size, item.pid};
    size_t free_bytes = qs_page_free(page);
    memcpy(before, page, page->size);
    bool done = qs_inner_insert(page, style->order, child + 1, &separator, scratch);
    cr_assert_eq(done, qs_separator_bytes(item.key_size) <= free_bytes);
    if (!done) {
        cr_assert_eq(memcmp(before, page, page->size), 0);
        return;
    }
    memmove(&items[child + 2], &items[child + 1], (item_count - child - 1) * sizeof items[0]);
    items[child + 1] = item;
    item_count++;
}

static void step_remove(struct random_state *random, struct page *page)
{
    if (item_count <= 1)
        return;
    unsigned i = random_below(random, item_count);
    qs_inner_remove(page, i);
    item_count--;
    memmove(&items[i], &items[i + 1], (item_count - i) * sizeof items[0]);
    items[0].key_size = 0;
}

/* A separator that lies between its neighbours takes the place of one. */
static void step_rekey(struct random_state *random, struct page *page,
                       const struct key_style *style)
{
    uint8_t key[QS_KEY_MAX], before[QS_PAGE_BYTES];
    unsigned size = key_random(random, style, key);
    unsigned i = model_search(style->order, key, size);

    if (i == 0 || model_compare(style->order, items[i].key, items[i].key_size, key, size) == 0)
        return;
    size_t old = qs_separator_bytes(items[i].key_size);
    size_t free_bytes = qs_page_free(page);
    memcpy(before, page, page->size);
    bool done = qs_inner_rekey(page, style->order, i, key, size, scratch);
    cr_assert_eq(done, qs_separator_bytes(size) <= free_bytes + old);
    if (!done) {
        cr_assert_eq(memcmp(before, page, page->size), 0);
        return;
    }
    memcpy(items[i].key, key, size);
    items[i].key_size = size;
}

static struct page *step_rebuild(struct random_state *random, struct page *page,
                                 const struct key_style *style)
{
    static struct separator separators[ITEMS_MAX];
    unsigned size = page->size;
    struct page *new_page = malloc(size);

    if (random_below(random, 2)) {
        qs_page_copy(new_page, size, page);
    } else {
        for (unsigned i = 0; i < item_count; i++)
            separators[i] =
                (struct separator){items[i].key, (uint16_t)items[i].key_size, items[i].pid};
        separators[0].key_size = 3; /* must not count */
        unsigned fence = random_below(random, style_fence_max(style) + 1);
        qs_inner_build(new_page, size, style->order, 1, separators, item_count, fence);
        cr_assert_eq(new_page->fence, fence);
    }
    cr_assert_eq(new_page->garbage, 0);
    free(page);
    check_page(new_page, style->order);
    return new_page;
}

static void run_style(struct random_state *random, const struct key_style *style, unsigned size)
{
    struct page *page = malloc(size);
    unsigned inserts = 60 + random_below(random, 40); /* percent */

    item_count = 1;
    items[0].key_size = 0;
    items[0].pid = 77;
    struct separator first = {NULL, 0, 77};
    qs_inner_build(page, size, style->order, 1, &first, 1,
                   random_below(random, style_fence_max(style) + 1));
    for (int step = 0; step < 400; step++) {
        if (random_below(random, 100) < inserts)
            step_insert(random, page, style);
        else if (random_below(random, 2))
            step_remove(random, page);
        else
            step_rekey(random, page, style);
        cr_assert(qs_page_check(page, style->order, true));
        if (random_below(random, 40) == 0)
            page = step_rebuild(random, page, style);
    }
    check_page(page, style->order);
    for (unsigned i = 1; i < item_count; i++)
        cr_assert_eq(qs_inner_search(page, style->order, items[i].key, items[i].key_size), i);
    free(page);
}

Test(inner, model)
{
    struct random_state random = random_seeded("inner model");

    for (int round = 0; round < 240; round++) {
        struct key_style style = style_random(&random, (enum key_order)(round % 3));
        unsigned size = round % 2 ? QS_PAGE_BYTES : 64 + 2 * random_below(&random, 2017);
        run_style(&random, &style, size);
    }
}
