/* content.c - keys, values and the comparison of a content with an environment.
 *
 * Owns:       the pool that values are cut from.
 * Invariants: C1 keys of one tree differ: their index is in the bytes that decide the order.
 * Locks:      none; one thread.
 */
#include "crash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POOL_STEPS 65536u /* different places where values begin */

const char *const crash_tree_names[CRASH_TREES] = {NULL, "integers", "reverse", "plain"};
static uint8_t *pool; /* POOL_STEPS + CRASH_VALUE_BYTES random bytes */

/* ---- numbers --------------------------------------------------------------------------------- */

uint64_t crash_hash(uint64_t input)
{
    uint64_t z = input + 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t crash_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    return crash_hash(*state);
}

unsigned crash_below(uint64_t *state, unsigned limit)
{
    return (unsigned)((crash_random(state) >> 32) * limit >> 32);
}

/* ---- keys and values ------------------------------------------------------------------------- */

void crash_make_pool(void)
{
    uint64_t state = 11;

    pool = malloc(POOL_STEPS + CRASH_VALUE_BYTES);
    if (pool == NULL)
        abort();
    for (size_t i = 0; i < POOL_STEPS + CRASH_VALUE_BYTES; i += sizeof state) {
        uint64_t word = crash_random(&state);
        memcpy(pool + i, &word, sizeof word);
    }
}

struct qs_val crash_key(const struct crash_shape *shape, unsigned tree, unsigned index,
                        uint8_t *buffer)
{
    uint64_t hash = crash_hash((uint64_t)tree * CRASH_KEYS + index);
    unsigned room = shape->key_bytes_max > 8 ? shape->key_bytes_max - 8 : 1;
    unsigned size = 8 + (unsigned)(hash % room);

    if (tree == 1) {
        uint64_t number = hash >> hash % 40 << 8 | index;

        memcpy(buffer, &number, sizeof number);
        return (struct qs_val){sizeof number, buffer};
    }
    memset(buffer, (int)(hash & 7), size);
    /* C1: the ends differ, and with them both orders. */
    buffer[0] = buffer[size - 1] = (uint8_t)index;
    buffer[1] = buffer[size - 2] = (uint8_t)(hash >> 8);
    return (struct qs_val){size, buffer};
}

struct qs_val crash_value(const struct crash_shape *shape, uint32_t number)
{
    uint64_t hash = crash_hash(number);
    uint64_t limit = shape->value_bytes_max;

    if (number >= CRASH_LARGE && number < CRASH_BULKY)
        return (struct qs_val){4000 + hash % 12000, pool + (hash >> 16) % POOL_STEPS};
    if (number >= CRASH_BULKY)
        return (struct qs_val){CRASH_VALUE_BYTES / 2 + hash % (CRASH_VALUE_BYTES / 2), pool};
    if (hash % 100 < shape->large_percent)
        limit = CRASH_VALUE_BYTES >> (hash >> 8) % 5;
    return (struct qs_val){(size_t)((hash >> 32) % (limit + 1)), pool + (hash >> 16) % POOL_STEPS};
}

/* ---- comparing ------------------------------------------------------------------------------- */

static int differs(char *sentence, unsigned tree, const char *what, uint64_t number)
{
    snprintf(sentence, CRASH_SENTENCE_BYTES, "tree %u: %s %llu", tree, what,
             (unsigned long long)number);
    return QS_E_KEYEXIST;
}

static int compare_keys(struct qs_txn *txn, struct qs_tree *handle, unsigned tree,
                        const struct crash_shape *shape, const uint32_t *values, char *sentence)
{
    uint8_t buffer[512];

    for (unsigned i = 0; i < CRASH_KEYS; i++) {
        struct qs_val key = crash_key(shape, tree, i, buffer);
        struct qs_val want = crash_value(shape, values[i]);
        struct qs_val got;
        int rc = qs_get(txn, handle, &key, &got);

        if (rc != 0 && rc != QS_E_NOTFOUND)
            return rc;
        if (rc != 0 && values[i] != 0)
            return differs(sentence, tree, "lacks key", i);
        if (rc == 0 && values[i] == 0)
            return differs(sentence, tree, "should not have key", i);
        if (rc == 0 && (got.size != want.size || memcmp(got.data, want.data, got.size) != 0))
            return differs(sentence, tree, "has another value of key", i);
    }
    return 0;
}

/* Counts by a cursor, which meets every leaf. */
static int count_items(struct qs_txn *txn, struct qs_tree *handle, uint64_t *count)
{
    struct qs_cursor *cursor;
    struct qs_val key, value;
    int rc = qs_cursor_open(txn, handle, &cursor);

    *count = 0;
    if (rc != 0)
        return rc;
    rc = qs_cursor_get(cursor, &key, &value, QS_FIRST);
    while (rc == 0) {
        ++*count;
        rc = qs_cursor_get(cursor, &key, &value, QS_NEXT);
    }
    qs_cursor_close(cursor);
    return rc == QS_E_NOTFOUND ? 0 : rc;
}

static int compare_count(struct qs_txn *txn, struct qs_tree *handle, unsigned tree,
                         const struct crash_content *content, char *sentence)
{
    struct qs_stat stat;
    uint64_t want = 0, found;
    int rc = qs_tree_stat(txn, handle, &stat);

    if (rc == 0)
        rc = count_items(txn, handle, &found);
    if (rc != 0)
        return rc;
    for (unsigned i = 0; i < CRASH_KEYS; i++)
        want += content->value[tree][i] != 0;
    for (unsigned i = 1; tree == 0 && i < CRASH_TREES; i++)
        want += content->exists[i];
    if (stat.entries != want)
        return differs(sentence, tree, "counts entries:", stat.entries);
    return found != want ? differs(sentence, tree, "a cursor finds items:", found) : 0;
}

int crash_compare(struct qs_txn *txn, const struct crash_shape *shape,
                  const struct crash_content *content, char *sentence)
{
    struct qs_tree *handle;
    int rc = 0;

    for (unsigned tree = 0; tree < CRASH_TREES && rc == 0; tree++) {
        rc = qs_tree_open(txn, crash_tree_names[tree], 0, &handle);
        if (rc == QS_E_NOTFOUND && !content->exists[tree]) {
            rc = 0;
            continue;
        }
        if (rc == QS_E_NOTFOUND)
            return differs(sentence, tree, "does not exist", 0);
        if (rc == 0 && !content->exists[tree])
            return differs(sentence, tree, "should not exist", 0);
        if (rc == 0)
            rc = compare_count(txn, handle, tree, content, sentence);
        if (rc == 0)
            rc = compare_keys(txn, handle, tree, shape, content->value[tree], sentence);
    }
    return rc;
}

int crash_compare_env(struct qs_env *env, const struct crash_shape *shape,
                      const struct crash_content *content, char *sentence)
{
    struct qs_txn *txn;
    int rc = qs_txn_begin(env, NULL, QS_RDONLY, &txn);

    if (rc != 0)
        return rc;
    rc = crash_compare(txn, shape, content, sentence);
    qs_txn_abort(txn);
    return rc;
}
