/* test_check.c - bytes of unknown origin: judged without a read too far, and safe once accepted. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* qsort_r() */
#endif
#include "page/find.h"
#include "page/model.h"

#include <criterion/criterion.h>

static uint8_t scratch[QS_PAGE_BYTES];
static volatile unsigned sink; /* keeps reads that nobody looks at */

static void read_all(const void *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        sink += ((const uint8_t *)data)[i];
}

static void exercise_leaf(struct random_state *random, struct page *page,
                          const struct key_style *style)
{
    uint8_t key[QS_KEY_MAX];
    struct entry entry;
    bool found;

    for (int round = 0; round < 8; round++) {
        unsigned size = key_random(random, style, key);
        unsigned i = qs_leaf_search(page, style->order, key, size, &found);
        cr_assert_leq(i, page->count);
        if (leaf_find(page, style->order, key, size, &entry))
            read_all(entry.value, entry.value_size);
        entry = (struct entry){key, scratch, (uint16_t)size, (uint16_t)random_below(random, 40), 0};
        if (!found)
            qs_leaf_insert(page, style->order, i, &entry, scratch);
        if (page->count == 0)
            return;
        i = random_below(random, page->count);
        qs_leaf_entry(page, i, &entry);
        read_all(entry.key, entry.key_size);
        read_all(entry.value, entry.value_size);
        memcpy(key, entry.key, entry.key_size);
        entry.key = key;
        entry.value = scratch;
        entry.value_size = (uint16_t)random_below(random, 100);
        entry.flags =
            0; /* a flipped one may say that the value is a set, which these bytes are not */
        qs_leaf_replace(page, style->order, i, &entry, scratch);
        qs_leaf_remove(page, random_below(random, page->count));
    }
}

static void exercise_inner(struct random_state *random, struct page *page,
                           const struct key_style *style)
{
    uint8_t key[QS_KEY_MAX];
    struct separator separator;

    for (int round = 0; round < 8 && page->count > 0; round++) {
        unsigned size = key_random(random, style, key);
        unsigned i = qs_inner_search(page, style->order, key, size);
        cr_assert_lt(i, page->count);
        separator = (struct separator){key, (uint16_t)size, 7};
        qs_inner_insert(page, style->order, i + 1, &separator, scratch);
        i = random_below(random, page->count);
        qs_inner_separator(page, i, &separator);
        read_all(separator.key, separator.key_size);
        if (i > 0)
            qs_inner_rekey(page, style->order, i, key, size, scratch);
        qs_inner_remove(page, random_below(random, page->count));
    }
}

/* Whatever passes the check, shallow or deep, must bear every function; after edits it still
 * passes, as each leaves memory safety intact. */
static bool judge(struct random_state *random, const uint8_t *bytes, const struct key_style *style)
{
    struct page *page = malloc(QS_PAGE_BYTES);
    struct page *copy = malloc(QS_PAGE_BYTES);

    memcpy(page, bytes, QS_PAGE_BYTES);
    bool deep = qs_page_check(page, style->order, true);
    bool shallow = qs_page_check(page, style->order, false);
    cr_assert(shallow || !deep);
    if (shallow) {
        qs_page_copy(copy, QS_PAGE_BYTES, page);
        cr_assert(qs_page_check(copy, style->order, false));
        if (page->kind == PAGE_LEAF)
            exercise_leaf(random, page, style);
        else
            exercise_inner(random, page, style);
        cr_assert(page->count == 0 || qs_page_check(page, style->order, false));
    }
    free(copy);
    free(page);
    return shallow;
}

Test(check, random_bytes)
{
    struct random_state random = random_seeded("check random bytes");
    uint64_t bytes[QS_PAGE_BYTES / 8];

    for (int round = 0; round < 20000; round++) {
        struct key_style style = style_random(&random, (enum key_order)(round % 3));
        for (unsigned i = 0; i < QS_PAGE_BYTES / 8; i++)
            bytes[i] = random_next(&random);
        struct page *page = (struct page *)bytes;
        page->kind = (uint8_t)(1 + round % 2);
        page->level = page->kind == PAGE_INNER;
        if (round % 4 < 2) { /* a header that comes closer to one */
            page->count = (uint16_t)random_below(&random, 20);
            page->size = QS_PAGE_BYTES;
            page->heap = (uint16_t)(4096 - 2 * random_below(&random, 1000));
            page->prefix = page->fence = 0;
        }
        judge(&random, (uint8_t *)bytes, &style);
    }
}

static int compare_separators(const void *a, const void *b, void *order)
{
    const struct separator *x = a, *y = b;
    return qs_key_compare(*(enum key_order *)order, x->key, x->key_size, y->key, y->key_size);
}

/* A good page of random keys. */
static void make_page(struct random_state *random, struct page *page, const struct key_style *style,
                      bool inner)
{
    static uint8_t keys[300][QS_KEY_MAX];
    static uint8_t values[64];
    struct separator separators[300];
    struct entry entries[300];
    enum key_order order = style->order;
    unsigned wanted = 1 + random_below(random, 300);
    unsigned count = 0;
    size_t used = PAGE_HEADER_BYTES;

    for (unsigned i = 0; i < wanted; i++) {
        unsigned size = key_random(random, style, keys[i]);
        separators[i] = (struct separator){keys[i], (uint16_t)size, i};
    }
    qsort_r(separators, wanted, sizeof separators[0], compare_separators, &order);
    for (unsigned i = 0; i < wanted; i++) {
        if (count > 0 && compare_separators(&separators[count - 1], &separators[i], &order) == 0)
            continue;
        size_t bytes = inner ? qs_separator_bytes(separators[i].key_size)
                             : qs_entry_bytes(separators[i].key_size, sizeof values);
        if (used + bytes > QS_PAGE_BYTES)
            break;
        used += bytes;
        separators[count] = separators[i];
        entries[count++] = (struct entry){separators[i].key, values, separators[i].key_size,
                                          (uint16_t)random_below(random, sizeof values), 0};
    }
    if (inner)
        qs_inner_build(page, QS_PAGE_BYTES, order, 1, separators, count, 0);
    else
        qs_leaf_build(page, QS_PAGE_BYTES, order, entries, count, 0);
    cr_assert(qs_page_check(page, order, true));
}

Test(check, flipped_bits)
{
    struct random_state random = random_seeded("check flipped bits");
    unsigned accepted = 0;

    for (int round = 0; round < 300; round++) {
        uint64_t good[QS_PAGE_BYTES / 8], bad[QS_PAGE_BYTES / 8];
        struct key_style style = style_random(&random, (enum key_order)(round % 3));
        make_page(&random, (struct page *)good, &style, round % 2);
        unsigned slots = PAGE_HEADER_BYTES + 10u * ((struct page *)good)->count;
        for (int flip = 0; flip < 100; flip++) {
            memcpy(bad, good, sizeof bad);
            unsigned range = flip % 2 ? QS_PAGE_BYTES : slots < QS_PAGE_BYTES ? slots : 4096;
            for (unsigned n = 1 + random_below(&random, 3); n > 0; n--)
                ((uint8_t *)bad)[random_below(&random, range)] ^=
                    (uint8_t)(1u << random_below(&random, 8));
            accepted += judge(&random, (uint8_t *)bad, &style);
        }
    }
    cr_assert_gt(accepted, 1000, "the test must reach what lies behind the check");
}

Test(check, seal_finds_every_flip)
{
    struct random_state random = random_seeded("check seal");
    uint64_t bytes[QS_PAGE_BYTES / 8];
    struct page *page = (struct page *)bytes;
    struct key_style style = style_random(&random, ORDER_BYTES);

    make_page(&random, page, &style, false);
    qs_page_seal(page);
    cr_assert(qs_page_verify(page));
    for (unsigned bit = 0; bit < 8 * QS_PAGE_BYTES; bit++) {
        ((uint8_t *)bytes)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_not(qs_page_verify(page));
        ((uint8_t *)bytes)[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    cr_assert(qs_page_verify(page));
}

Test(check, rejects)
{
    uint64_t bytes[QS_PAGE_BYTES / 8];
    struct page *page = (struct page *)bytes;
    struct entry entries[2] = {{"aa", "v", 2, 1, 0}, {"ab", "v", 2, 1, 0}};

    qs_leaf_build(page, QS_PAGE_BYTES, ORDER_BYTES, entries, 2, 0);
    cr_assert(qs_page_check(page, ORDER_BYTES, true));
    uint16_t *off = (uint16_t *)((uint8_t *)bytes + PAGE_HEADER_BYTES + 8);
    uint16_t first = off[0];
    off[0] = off[1]; /* two entries, one record */
    cr_assert_not(qs_page_check(page, ORDER_BYTES, false));
    off[0] = first;
    page->garbage = 2;
    cr_assert_not(qs_page_check(page, ORDER_BYTES, false));
    page->garbage = 0;
    page->level = 1;
    cr_assert_not(qs_page_check(page, ORDER_BYTES, false));
    page->level = 0;
    ((uint8_t *)bytes)[PAGE_HEADER_BYTES] ^= 1; /* la */
    cr_assert(qs_page_check(page, ORDER_BYTES, false));
    cr_assert_not(qs_page_check(page, ORDER_BYTES, true));
}
