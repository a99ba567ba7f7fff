/* test_full_map.c - an environment whose map is full loses nothing and stays usable.
 *
 * Owns:       the records, which follow from their number.
 * Invariants: F1 a transaction that met the full map leaves nothing behind, all others everything.
 *             F2 records can be deleted in a full map, and their space is used again.
 * Locks:      none; one thread.
 */
#define _GNU_SOURCE /* mkdtemp() */

#include "scratch_dir.h"

#include <quickstep.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FULL_MAP_BYTES = 1 << 20, FULL_VALUE_BYTES = 200 };

static int open_environment(uint64_t map_size_bytes, unsigned flags, struct qs_env **env)
{
    struct qs_options options = {
        .data_path = data_path,
        .lock_path = lock_path,
        .flags = flags,
        .mode = 0644,
        .map_size_bytes = map_size_bytes,
    };

    return qs_env_open(&options, env);
}

static size_t make_key(unsigned number, char *bytes)
{
    return (size_t)snprintf(bytes, 16, "k%06u", number);
}

static void set_up(void)
{
    make_directory("full-map");
}

static void tear_down(void)
{
    remove_directory();
}

static void complain(void *context, const char *sentence)
{
    fprintf(stderr, "%s: %s\n", (const char *)context, sentence);
}

/* Puts records [first, last) in one transaction; the error, and then nothing of it stays. */
static int put_range(struct qs_env *env, unsigned first, unsigned last)
{
    static const uint8_t bytes[FULL_VALUE_BYTES] = {1, 2, 3};
    struct qs_txn *txn;
    struct qs_tree *tree;
    int rc = qs_txn_begin(env, NULL, 0, &txn);

    cr_assert(rc == 0, "qs_txn_begin: %s", qs_strerror(rc));
    rc = qs_tree_open(txn, NULL, 0, &tree);
    for (unsigned i = first; i < last && rc == 0; i++) {
        char name[16];
        struct qs_val key = {make_key(i, name), name};
        struct qs_val value = {sizeof bytes, bytes};
        rc = qs_put(txn, tree, &key, &value, 0);
    }
    if (rc == QS_E_MAP_FULL) {
        char name[16];
        struct qs_val key = {make_key(first, name), name};
        struct qs_val value;
        cr_assert(qs_txn_failed(txn));
        cr_assert(qs_get(txn, tree, &key, &value) == QS_E_BAD_TXN);
        cr_assert(qs_txn_commit(txn) == QS_E_BAD_TXN);
    } else if (rc == 0) {
        rc = qs_txn_commit(txn);
    } else {
        qs_txn_abort(txn);
    }
    return rc;
}

static void expect_range(struct qs_env *env, unsigned first, unsigned last)
{
    struct qs_txn *txn;
    struct qs_tree *tree;
    struct qs_stat stat;
    struct qs_val value;

    cr_assert(qs_txn_begin(env, NULL, QS_RDONLY, &txn) == 0);
    cr_assert(qs_tree_open(txn, NULL, 0, &tree) == 0);
    cr_assert(qs_tree_stat(txn, tree, &stat) == 0);
    cr_assert(stat.entries == last - first, "%llu entries instead of %u",
              (unsigned long long)stat.entries, last - first);
    for (unsigned i = first; i < last; i++) {
        char name[16];
        struct qs_val key = {make_key(i, name), name};
        cr_assert(qs_get(txn, tree, &key, &value) == 0 && value.size == FULL_VALUE_BYTES,
                  "record %u is lost", i);
    }
    qs_txn_abort(txn);
}

static void delete_range(struct qs_env *env, unsigned first, unsigned last)
{
    struct qs_txn *txn;
    struct qs_tree *tree;
    int rc;

    cr_assert(qs_txn_begin(env, NULL, 0, &txn) == 0);
    cr_assert(qs_tree_open(txn, NULL, 0, &tree) == 0);
    for (unsigned i = first; i < last; i++) {
        char name[16];
        struct qs_val key = {make_key(i, name), name};
        rc = qs_del(txn, tree, &key, NULL);
        cr_assert(rc == 0, "delete %u in a full map: %s", i, qs_strerror(rc));
    }
    rc = qs_txn_commit(txn);
    cr_assert(rc == 0, "commit of deletes in a full map: %s", qs_strerror(rc));
}

static void expect_clean(unsigned entries)
{
    struct qs_check_report report;
    struct qs_stat stat;
    struct qs_env *env;

    cr_assert(qs_check(data_path, complain, data_path, &report) == 0);
    cr_assert(report.faults == 0 && report.pages_lost == 0, "%llu faults, %llu pages lost",
              (unsigned long long)report.faults, (unsigned long long)report.pages_lost);
    cr_assert(open_environment(FULL_MAP_BYTES, 0, &env) == 0);
    cr_assert(qs_env_stat(env, &stat) == 0);
    cr_assert(stat.entries == entries, "%llu entries", (unsigned long long)stat.entries);
    qs_env_close(env);
}

/* Fills the map by transactions of `batch` records; how many are in. */
static unsigned fill(struct qs_env *env, unsigned batch)
{
    unsigned count = 0;
    int rc = 0;

    while (rc == 0) {
        rc = put_range(env, count, count + batch);
        count += rc == 0 ? batch : 0;
        cr_assert(count < 100000, "a map of %u bytes never gets full", FULL_MAP_BYTES);
    }
    cr_assert(rc == QS_E_MAP_FULL, "the full map gives %s", qs_strerror(rc));
    return count;
}

static void run_full(unsigned batch)
{
    struct qs_env *env;
    unsigned count;

    cr_assert(open_environment(FULL_MAP_BYTES, QS_NOSYNC, &env) == 0);
    count = fill(env, batch);
    cr_assert(count >= 1000, "the map was full at %u records", count);
    expect_range(env, 0, count);
    for (unsigned round = 0; round < 20; round++) {
        delete_range(env, 0, 10);
        expect_range(env, 10, count);
        cr_assert(put_range(env, 0, 10) == 0, "no space for what was just deleted");
    }
    expect_range(env, 0, count);
    cr_assert(qs_env_set_map_size(env, 2 * FULL_MAP_BYTES) == 0);
    cr_assert(put_range(env, count, count + batch) == 0);
    qs_env_close(env);
    expect_clean(count + batch);
    cr_assert(open_environment(0, 0, &env) == 0);
    expect_range(env, 0, count + batch);
    qs_env_close(env);
}

Test(full_map, small_transactions, .init = set_up, .fini = tear_down)
{
    run_full(10);
}

Test(full_map, large_transactions, .init = set_up, .fini = tear_down)
{
    run_full(700);
}

Test(full_map, one_large_value, .init = set_up, .fini = tear_down)
{
    static uint8_t bytes[FULL_MAP_BYTES];
    struct qs_env *env;
    struct qs_txn *txn;
    struct qs_tree *tree;
    struct qs_val key = {1, "x"};
    struct qs_val value = {sizeof bytes, bytes};

    cr_assert(open_environment(FULL_MAP_BYTES, QS_NOSYNC, &env) == 0);
    cr_assert(put_range(env, 0, 100) == 0);
    cr_assert(qs_txn_begin(env, NULL, 0, &txn) == 0);
    cr_assert(qs_tree_open(txn, NULL, 0, &tree) == 0);
    cr_assert(qs_put(txn, tree, &key, &value, 0) == QS_E_MAP_FULL);
    qs_txn_abort(txn);
    expect_range(env, 0, 100);
    cr_assert(put_range(env, 100, 200) == 0);
    qs_env_close(env);
    expect_clean(200);
}
