/* model.h - random keys of every order, and keys compared the slow and obvious way.
 *
 * A test takes its seed from seed_next(), which prints it; QS_SEED in the environment repeats one.
 */
#ifndef QS_TESTS_PAGE_MODEL_H
#define QS_TESTS_PAGE_MODEL_H

#include "page/page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define UNUSED_OK __attribute__((unused))

struct random_state {
    uint64_t state; /* never 0 */
};

static inline uint64_t random_next(struct random_state *random)
{
    random->state ^= random->state << 13;
    random->state ^= random->state >> 7;
    random->state ^= random->state << 17;
    return random->state * 0x2545f4914f6cdd1dull;
}

/* 0..limit-1. */
static inline unsigned random_below(struct random_state *random, unsigned limit)
{
    return (unsigned)((random_next(random) >> 32) * limit >> 32);
}

static UNUSED_OK struct random_state random_seeded(const char *test)
{
    const char *given = getenv("QS_SEED");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0)
                                  : (uint64_t)now.tv_sec * 1000000007u + (uint64_t)now.tv_nsec;
    printf("%s: QS_SEED=%llu\n", test, (unsigned long long)seed);
    fflush(stdout);
    struct random_state random = {seed * 2 + 1};
    for (int i = 0; i < 4; i++)
        random_next(&random);
    return random;
}

/* What the keys of one tree look like. */
struct key_style {
    enum key_order order;
    unsigned shared;            /* leading bytes (in the order's direction) all keys have */
    unsigned size_min;          /* bytes, shared ones included */
    unsigned size_max;          /* the same; == size_min for keys of one size */
    unsigned letters;           /* different bytes in use: few make ties */
    uint8_t letter_first;       /* 0: zero bytes occur */
    uint8_t prefix[QS_KEY_MAX]; /* the shared bytes */
};

static UNUSED_OK struct key_style style_random(struct random_state *random, enum key_order order)
{
    static const unsigned maxima[] = {1, 2, 4, 8, 16, 40, 120, QS_KEY_MAX};
    static const unsigned alphabets[] = {2, 3, 10, 256};
    struct key_style style = {.order = order};

    style.size_max = maxima[random_below(random, 8)];
    style.size_min = random_below(random, 2) ? style.size_max : 1;
    style.letters = alphabets[random_below(random, 4)];
    style.letter_first = random_below(random, 2) ? 0 : (uint8_t)random_below(random, 256);
    if (random_below(random, 2)) {
        style.shared = random_below(random, style.size_max);
        if (style.size_min <= style.shared)
            style.size_min = style.shared > 0 ? style.shared : 1;
    }
    for (unsigned i = 0; i < QS_KEY_MAX; i++)
        style.prefix[i] = (uint8_t)(style.letter_first + random_below(random, style.letters));
    return style;
}

/* How many normalized bytes all keys of a style share, at least. */
static UNUSED_OK unsigned style_fence_max(const struct key_style *style)
{
    if (style->order != ORDER_INTEGER)
        return style->shared;
    return style->size_min == style->size_max ? 1 + style->shared : 0;
}

static UNUSED_OK unsigned key_random(struct random_state *random, const struct key_style *style,
                                     uint8_t key[QS_KEY_MAX])
{
    unsigned size = style->size_min + random_below(random, style->size_max - style->size_min + 1);
    for (unsigned i = 0; i < size; i++) {
        uint8_t byte = i < style->shared
                           ? style->prefix[i]
                           : (uint8_t)(style->letter_first + random_below(random, style->letters));
        key[style->order == ORDER_BYTES ? i : size - 1 - i] = byte;
    }
    return size;
}

/* The normalized string of page/key.h, byte by byte as it is defined there. */
static UNUSED_OK size_t normalize(enum key_order order, const uint8_t *key, size_t size,
                                  uint8_t normal[QS_KEY_MAX + 1])
{
    size_t n = 0;
    if (order == ORDER_INTEGER)
        normal[n++] = size < 255 ? (uint8_t)size : 255;
    for (size_t i = 0; i < size; i++)
        normal[n++] = order == ORDER_BYTES ? key[i] : key[size - 1 - i];
    return n;
}

static UNUSED_OK int model_compare(enum key_order order, const uint8_t *a, size_t a_size,
                                   const uint8_t *b, size_t b_size)
{
    uint8_t x[QS_KEY_MAX + 1], y[QS_KEY_MAX + 1];
    size_t x_size = normalize(order, a, a_size, x);
    size_t y_size = normalize(order, b, b_size, y);
    int difference = memcmp(x, y, x_size < y_size ? x_size : y_size);
    return difference != 0 ? difference : (x_size > y_size) - (x_size < y_size);
}

#endif
