/* contract_data.c - situations of keys, values and cursors that are about memory rather than content.
 *
 * Owns:       nothing.
 * Invariants: content is the differential programs' business (tests/differential).
 * Locks:      none.
 */
#include "contract.h"

#include <stdlib.h>
#include <string.h>

/* Reads leave what they were given alone, unless they succeed. */
static void what_a_get_touches(struct context *now)
{
    MDB_env *env = open_env(now, 0, 0);
    MDB_txn *txn = begin(now, env, NULL, 0);
    MDB_dbi dbi = open_dbi(now, txn, NULL, 0);
    char name[] = "key";
    MDB_val key = {3, name}, value = {99, name};

    say(now, "missing", now->api->get(txn, dbi, &key, &value));
    say_number(now, "untouched",
               key.mv_data == name && value.mv_data == name && value.mv_size == 99);
    value = (MDB_val){0, NULL};
    say(now, "put of nothing", now->api->put(txn, dbi, &key, &value, 0));
    say(now, "there", now->api->get(txn, dbi, &key, &value));
    say_number(now, "key untouched", key.mv_data == name);
    say_number(now, "empty, and somewhere", value.mv_size == 0 && value.mv_data != NULL);
    now->api->txn_abort(txn);
    now->api->env_close(env);
}

/* Large values are contiguous, and aligned for what programs put there. */
static void large_values(struct context *now)
{
    static const size_t sizes[] = {4080, 4081, 8192, 100001, 5 << 20};
    MDB_env *env = open_env(now, 0, 64 << 20);
    unsigned char *bytes = malloc(5 << 20);

    for (size_t i = 0; i < 5 << 20; i++)
        bytes[i] = (unsigned char)(i * 31 + i / 255);
    for (unsigned i = 0; i < 5; i++) {
        MDB_txn *txn = begin(now, env, NULL, 0);
        MDB_dbi dbi = open_dbi(now, txn, NULL, 0);
        MDB_val key = {1, &"abcde"[i]}, value = {sizes[i], bytes};
        must(now, "put", now->api->put(txn, dbi, &key, &value, 0));
        commit(now, txn);
        txn = begin(now, env, NULL, MDB_RDONLY);
        must(now, "get", now->api->get(txn, dbi, &key, &value));
        say_number(now, "the same",
                   value.mv_size == sizes[i] && memcmp(value.mv_data, bytes, sizes[i]) == 0);
        say_number(now, "aligned to 16", (uintptr_t)value.mv_data % 16 == 0);
        now->api->txn_abort(txn);
    }
    now->api->env_close(env);
    free(bytes);
}

/* Duplicates of one size lie one behind the other. */
static void fixed_duplicates_in_memory(struct context *now)
{
    MDB_env *env = open_env(now, 0, 0);
    MDB_txn *txn = begin(now, env, NULL, 0);
    MDB_dbi dbi = open_dbi(now, txn, "d", MDB_CREATE | MDB_DUPSORT | MDB_DUPFIXED);
    MDB_cursor *cursor = open_cursor(now, txn, dbi);
    MDB_val key = {1, (void *)(uintptr_t) "k"}, value;
    char *before = NULL;

    for (unsigned i = 0; i < 50; i++) {
        unsigned char item[4] = {0, 0, 0, (unsigned char)(i * 3)};
        value = (MDB_val){4, item};
        must(now, "put", now->api->put(txn, dbi, &key, &value, 0));
    }
    must(now, "set", now->api->cursor_get(cursor, &key, &value, MDB_SET));
    do {
        if (before != NULL)
            say_number(now, "step", (char *)value.mv_data - before);
        before = value.mv_data;
    } while (now->api->cursor_get(cursor, &key, &value, MDB_NEXT_DUP) == 0);
    now->api->txn_abort(txn);
    now->api->env_close(env);
}

/* Programs search for the greatest key that is not above another. */
static void less_or_equal(struct context *now)
{
    MDB_env *env = open_env(now, 0, 8 << 20);
    MDB_txn *txn = begin(now, env, NULL, 0);
    MDB_dbi dbi = open_dbi(now, txn, NULL, 0);
    MDB_cursor *cursor = open_cursor(now, txn, dbi);
    char text[16];

    for (unsigned i = 10; i < 2000; i += 10) {
        snprintf(text, sizeof text, "%05u", i);
        must(now, "put", put(now, txn, dbi, text, text));
    }
    for (unsigned i = 0; i < 2100; i += 7) {
        MDB_val key, value;
        int rc;
        snprintf(text, sizeof text, "%05u", i);
        key = (MDB_val){5, text};
        rc = now->api->cursor_get(cursor, &key, &value, MDB_SET_RANGE);
        if (rc == MDB_NOTFOUND)
            rc = now->api->cursor_get(cursor, &key, &value, MDB_LAST);
        else if (memcmp(key.mv_data, text, 5) != 0)
            rc = now->api->cursor_get(cursor, &key, &value, MDB_PREV);
        say(now, text, rc);
        if (rc == 0)
            say_bytes(now, "found", &key);
    }
    now->api->txn_abort(txn);
    now->api->env_close(env);
}

/* A step that fails leaves the cursor where it was, and a step behind the end finds what is added there. */
static void steps_over_the_ends(struct context *now)
{
    MDB_env *env = open_env(now, 0, 0);
    MDB_txn *txn = begin(now, env, NULL, 0);
    MDB_dbi dbi = open_dbi(now, txn, NULL, 0);
    MDB_cursor *cursor = open_cursor(now, txn, dbi);

    must(now, "put", put(now, txn, dbi, "b", "1"));
    must(now, "put", put(now, txn, dbi, "c", "2"));
    say_cursor(now, cursor, MDB_LAST, NULL);
    say_cursor(now, cursor, MDB_NEXT, NULL);
    say_cursor(now, cursor, MDB_GET_CURRENT, NULL);
    must(now, "put", put(now, txn, dbi, "d", "3"));
    say_cursor(now, cursor, MDB_NEXT, NULL);
    say_cursor(now, cursor, MDB_FIRST, NULL);
    say_cursor(now, cursor, MDB_PREV, NULL);
    must(now, "put", put(now, txn, dbi, "a", "0"));
    say_cursor(now, cursor, MDB_GET_CURRENT, NULL);
    say_cursor(now, cursor, MDB_PREV, NULL);
    say_cursor(now, cursor, MDB_SET_RANGE, "bb");
    say_cursor(now, cursor, (MDB_cursor_op)19, NULL);
    say_cursor(now, cursor, MDB_GET_CURRENT, NULL);
    now->api->txn_abort(txn);
    now->api->env_close(env);
}

/* The mark of a deleted duplicate goes with its value being asked for, not with the key. Found by the random
 * programs (generator mixed, seed 1795904920338). */
static void mark_of_a_deleted_duplicate(struct context *now)
{
    for (unsigned round = 0; round < 3; round++) {
        MDB_env *env = open_env(now, 0, 0);
        MDB_txn *txn = begin(now, env, NULL, 0);
        MDB_dbi dbi = open_dbi(now, txn, "d", MDB_CREATE | MDB_DUPSORT);
        MDB_cursor *cursor = open_cursor(now, txn, dbi);
        MDB_val key, value;
        must(now, "put", put(now, txn, dbi, "k", "1"));
        must(now, "put", put(now, txn, dbi, "k", "2"));
        must(now, "put", put(now, txn, dbi, "l", "3"));
        say_cursor(now, cursor, MDB_FIRST, NULL);
        must(now, "del", now->api->cursor_del(cursor, 0));
        say(now, "current",
            now->api->cursor_get(cursor, round == 1 ? NULL : &key, round == 2 ? &value : NULL,
                                 MDB_GET_CURRENT));
        say_cursor(now, cursor, MDB_NEXT, NULL);
        say_cursor(now, cursor, MDB_NEXT, NULL);
        now->api->txn_abort(txn);
        now->api->env_close(env);
    }
}

/* The cursors of readers are the program's, whatever becomes of their transaction. */
static void cursors_of_readers(struct context *now)
{
    MDB_env *env = open_env(now, 0, 0);
    MDB_txn *txn = begin(now, env, NULL, 0), *reader;
    MDB_dbi dbi = open_dbi(now, txn, NULL, 0);
    MDB_cursor *cursor, *of_writer;

    must(now, "put", put(now, txn, dbi, "a", "1"));
    commit(now, txn);
    reader = begin(now, env, NULL, MDB_RDONLY);
    cursor = open_cursor(now, reader, dbi);
    say_cursor(now, cursor, MDB_FIRST, NULL);
    now->api->txn_reset(reader);
    say_cursor(now, cursor, MDB_GET_CURRENT, NULL);
    say(now, "renew the cursor first", now->api->cursor_renew(reader, cursor));
    say(now, "renew", now->api->txn_renew(reader));
    say(now, "renew the cursor", now->api->cursor_renew(reader, cursor));
    say_cursor(now, cursor, MDB_GET_CURRENT, NULL);
    say_cursor(now, cursor, MDB_NEXT, NULL);
    commit(now, reader);
    txn = begin(now, env, NULL, 0);
    of_writer = open_cursor(now, txn, dbi);
    say(now, "into a writer", now->api->cursor_renew(txn, cursor));
    say(now, "a writer's", now->api->cursor_renew(txn, of_writer));
    say_number(now, "its transaction", now->api->cursor_txn(of_writer) == txn);
    say_number(now, "its database", now->api->cursor_dbi(of_writer));
    now->api->cursor_close(of_writer);
    now->api->txn_abort(txn);
    now->api->cursor_close(cursor);
    now->api->env_close(env);
}

const struct situation contract_data[] = {
    {"what a get touches", what_a_get_touches},
    {"large values in memory", large_values},
    {"fixed duplicates in memory", fixed_duplicates_in_memory},
    {"less or equal", less_or_equal},
    {"steps over the ends", steps_over_the_ends},
    {"the mark of a deleted duplicate", mark_of_a_deleted_duplicate},
    {"cursors of readers", cursors_of_readers},
    {NULL, NULL},
};
