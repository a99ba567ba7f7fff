/* test_million.c - a million random records of 16 and 100 bytes, in transactions of 10,000.
 *
 * Owns:       the records, which follow from their number.
 * Invariants: after reopening, every record is found by its key, and the cursor meets exactly all
 * of them in order; the file has no fault. Locks:      none; one thread.
 */
#define _GNU_SOURCE /* mkdtemp() */

#include "effort.h"

#include <quickstep.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RECORDS = 1000000, RECORDS_VALGRIND = 100000, RECORDS_PER_TXN = 10000, VALUE_BYTES = 100 };

static uint64_t records; /* RECORDS, or RECORDS_VALGRIND */

struct record_key {
    uint8_t bytes[16]; /* as stored */
};

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* mix() is a bijection, so no two records have the same key. */
static struct record_key key_of(uint64_t number)
{
    uint64_t words[2] = {mix(number + 1), mix(number * 3 + 7)};
    struct record_key key;

    memcpy(key.bytes, words, sizeof words);
    return key;
}

static void make_value(const struct record_key *key, uint8_t *value)
{
    uint64_t word;

    memcpy(&word, key->bytes, sizeof word);
    for (unsigned i = 0; i < VALUE_BYTES; i++) {
        value[i] = (uint8_t)(mix(word + i / 8) >> (i % 8 * 8));
    }
}

static int compare_keys(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct record_key));
}

static struct qs_env *open_environment(const char *data_path, const char *lock_path)
{
    struct qs_options options = {
        .data_path = data_path,
        .lock_path = lock_path,
        .mode = 0644,
        .map_size_bytes = (uint64_t)2 << 30,
    };
    struct qs_env *env = NULL;
    int rc = qs_env_open(&options, &env);

    cr_assert(rc == 0, "qs_env_open: %s", qs_strerror(rc));
    return env;
}

static void load(struct qs_env *env)
{
    uint8_t bytes[VALUE_BYTES];
    struct qs_txn *txn;
    struct qs_tree *tree;

    for (uint64_t first = 0; first < records; first += RECORDS_PER_TXN) {
        cr_assert(qs_txn_begin(env, NULL, 0, &txn) == 0);
        cr_assert(qs_tree_open(txn, NULL, 0, &tree) == 0);
        for (uint64_t i = first; i < first + RECORDS_PER_TXN; i++) {
            struct record_key key = key_of(i);
            struct qs_val name = {sizeof key, &key};
            struct qs_val value = {sizeof bytes, bytes};
            int rc;
            make_value(&key, bytes);
            rc = qs_put(txn, tree, &name, &value, 0);
            cr_assert(rc == 0, "put %llu: %s", (unsigned long long)i, qs_strerror(rc));
        }
        cr_assert(qs_txn_commit(txn) == 0);
    }
}

static void verify_by_key(struct qs_txn *txn, struct qs_tree *tree)
{
    uint8_t bytes[VALUE_BYTES];

    for (uint64_t i = 0; i < records; i++) {
        struct record_key key = key_of(i);
        struct qs_val name = {sizeof key, &key};
        struct qs_val value;
        int rc = qs_get(txn, tree, &name, &value);
        make_value(&key, bytes);
        cr_assert(rc == 0 && value.size == VALUE_BYTES &&
                      memcmp(value.data, bytes, VALUE_BYTES) == 0,
                  "get %llu: %s", (unsigned long long)i, qs_strerror(rc));
    }
}

static void verify_in_order(struct qs_txn *txn, struct qs_tree *tree)
{
    struct record_key *keys = malloc(records * sizeof *keys);
    struct qs_cursor *cursor;
    struct qs_val key;
    struct qs_val value;
    int rc;

    cr_assert(keys != NULL);
    for (uint64_t i = 0; i < records; i++) {
        keys[i] = key_of(i);
    }
    qsort(keys, records, sizeof *keys, compare_keys);
    cr_assert(qs_cursor_open(txn, tree, &cursor) == 0);
    for (uint64_t i = 0; i < records; i++) {
        rc = qs_cursor_get(cursor, &key, &value, QS_NEXT);
        cr_assert(rc == 0 && key.size == sizeof *keys &&
                      memcmp(key.data, &keys[i], sizeof *keys) == 0,
                  "record %llu in order: %s", (unsigned long long)i, qs_strerror(rc));
    }
    cr_assert(qs_cursor_get(cursor, &key, &value, QS_NEXT) == QS_E_NOTFOUND);
    qs_cursor_close(cursor);
    free(keys);
}

static void verify(struct qs_env *env)
{
    struct qs_txn *txn;
    struct qs_tree *tree;
    struct qs_stat stat;

    cr_assert(qs_txn_begin(env, NULL, QS_RDONLY, &txn) == 0);
    cr_assert(qs_tree_open(txn, NULL, 0, &tree) == 0);
    cr_assert(qs_tree_stat(txn, tree, &stat) == 0);
    cr_assert(stat.entries == records);
    verify_by_key(txn, tree);
    verify_in_order(txn, tree);
    qs_txn_abort(txn);
}

static void complain(void *context, const char *sentence)
{
    fprintf(stderr, "%s: %s\n", (const char *)context, sentence);
}

Test(million, puts_survive_reopening)
{
    char directory[] = "/tmp/qs-million-XXXXXX";
    char data_path[64];
    char lock_path[64];
    struct qs_check_report report;
    struct qs_env *env;

    records = effort(RECORDS, RECORDS_VALGRIND);
    cr_assert(mkdtemp(directory) != NULL);
    snprintf(data_path, sizeof data_path, "%s/data.mdb", directory);
    snprintf(lock_path, sizeof lock_path, "%s/lock.mdb", directory);
    env = open_environment(data_path, lock_path);
    load(env);
    qs_env_close(env);
    env = open_environment(data_path, lock_path);
    verify(env);
    qs_env_close(env);
    cr_assert(qs_check(data_path, complain, data_path, &report) == 0);
    cr_assert(report.faults == 0 && report.pages_lost == 0 && report.entries == records,
              "%llu faults, %llu pages lost, %llu entries", (unsigned long long)report.faults,
              (unsigned long long)report.pages_lost, (unsigned long long)report.entries);
    unlink(data_path);
    unlink(lock_path);
    rmdir(directory);
}
