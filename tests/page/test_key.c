/* test_key.c - the orders of keys agree with their definition by normalized strings. */
#include "page/model.h"

#include <criterion/criterion.h>

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

static void check_pair(enum key_order order, const uint8_t *a, size_t a_size, const uint8_t *b,
                       size_t b_size)
{
    uint8_t x[QS_KEY_MAX + 1], y[QS_KEY_MAX + 1];
    size_t x_size = normalize(order, a, a_size, x);
    size_t y_size = normalize(order, b, b_size, y);
    int expected = sign(model_compare(order, a, a_size, b, b_size));
    size_t common = 0;

    while (common < x_size && common < y_size && x[common] == y[common])
        common++;
    cr_assert_eq(sign(qs_key_compare(order, a, a_size, b, b_size)), expected);
    cr_assert_eq(sign(qs_key_compare(order, b, b_size, a, a_size)), -expected);
    cr_assert_eq(qs_key_common(order, a, a_size, b, b_size), common);
    for (size_t skip = 0; skip <= x_size + 5; skip++) {
        uint32_t number = 0;
        for (size_t i = skip; i < skip + 4; i++)
            number = number << 8 | (i < x_size ? x[i] : 0);
        cr_assert_eq(qs_key_lookahead(order, a, a_size, skip), number);
        if (skip <= common && number < qs_key_lookahead(order, b, b_size, skip))
            cr_assert_lt(expected, 0);
    }
}

static void check_separator(enum key_order order, const uint8_t *left, size_t left_size,
                            const uint8_t *right, size_t right_size)
{
    const void *separator;
    size_t size;

    if (model_compare(order, left, left_size, right, right_size) >= 0)
        return;
    qs_key_separator(order, left, left_size, right, right_size, &separator, &size);
    cr_assert(size >= 1 && size <= right_size);
    cr_assert((const uint8_t *)separator >= right &&
              (const uint8_t *)separator + size <= right + right_size);
    cr_assert_lt(model_compare(order, left, left_size, separator, size), 0);
    cr_assert_leq(model_compare(order, separator, size, right, right_size), 0);
    if (order == ORDER_INTEGER) {
        cr_assert_eq(size, right_size);
    } else if (size > 1) {
        const uint8_t *shorter = (const uint8_t *)separator + (order == ORDER_REVERSE);
        cr_assert_leq(model_compare(order, shorter, size - 1, left, left_size), 0);
    }
}

Test(key, properties)
{
    struct random_state random = random_seeded("key properties");

    for (int round = 0; round < 3000; round++) {
        struct key_style style = style_random(&random, (enum key_order)(round % 3));
        uint8_t a_buffer[QS_KEY_MAX], b_buffer[QS_KEY_MAX];
        unsigned a_size = key_random(&random, &style, a_buffer);
        unsigned b_size = key_random(&random, &style, b_buffer);
        assert(a_size > 0 && b_size > 0);
        /* Of exactly their sizes, so that a sanitizer sees every byte too many. */
        uint8_t *a = malloc(a_size), *b = malloc(b_size);
        memcpy(a, a_buffer, a_size);
        memcpy(b, b_buffer, b_size);
        check_pair(style.order, a, a_size, b, b_size);
        check_pair(style.order, a, a_size, a, a_size);
        check_separator(style.order, a, a_size, b, b_size);
        check_separator(style.order, b, b_size, a, a_size);
        free(a);
        free(b);
    }
}

Test(key, integers_are_numbers)
{
    struct random_state random = random_seeded("key integers");

    for (int round = 0; round < 10000; round++) {
        uint64_t a = random_next(&random) >> random_below(&random, 64);
        uint64_t b = random_next(&random) >> random_below(&random, 64);
        uint32_t c = (uint32_t)a, d = (uint32_t)b;
        cr_assert_eq(sign(qs_key_compare(ORDER_INTEGER, &a, 8, &b, 8)), (a > b) - (a < b));
        cr_assert_eq(sign(qs_key_compare(ORDER_INTEGER, &c, 4, &d, 4)), (c > d) - (c < d));
        cr_assert_lt(qs_key_compare(ORDER_INTEGER, &c, 4, &a, 8), 0);
    }
}

Test(key, empty_and_prefix)
{
    cr_assert_eq(qs_key_compare(ORDER_BYTES, "", 0, "", 0), 0);
    cr_assert_lt(qs_key_compare(ORDER_BYTES, "", 0, "a", 1), 0);
    cr_assert_lt(qs_key_compare(ORDER_BYTES, "ab", 2, "ab\0", 3), 0);
    cr_assert_lt(qs_key_compare(ORDER_REVERSE, "ab", 2, "\0ab", 3), 0);
    cr_assert_lt(qs_key_compare(ORDER_REVERSE, "za", 2, "ab", 2), 0);
    cr_assert_eq(qs_key_lookahead(ORDER_BYTES, "abcdef", 6, 1), 0x62636465);
    cr_assert_eq(qs_key_lookahead(ORDER_BYTES, "abcdef", 6, 4), 0x65660000);
}
