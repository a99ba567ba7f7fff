/* contract_txn.c - situations of transactions, handles and named databases.
 *
 * Owns:       nothing.
 * Invariants: none.
 * Locks:      none.
 */
#include "contract.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

static void nothing_to_end(struct context *now)
{
    say(now, "commit", now->api->txn_commit(NULL));
    say(now, "renew", now->api->txn_renew(NULL));
    now->api->txn_abort(NULL);
    now->api->txn_reset(NULL);
    now->api->env_close(NULL);
    now->api->cursor_close(NULL);
    say_number(now, "id", (long long)now->api->txn_id(NULL));
}

/* A reader's pointers outlive commits and a map that grows. */
static void pointers_of_readers(struct context *now)
{
    MDB_env *env = open_env(now, MDB_NOTLS, 8 << 20);
    MDB_txn *txn = begin(now, env, NULL, 0), *reader;
    MDB_dbi dbi = open_dbi(now, txn, NULL, 0);
    MDB_val key = {1, (void *)(uintptr_t) "a"}, value;
    char number[16];

    must(now, "put", put(now, txn, dbi, "a", "as it was"));
    commit(now, txn);
    reader = begin(now, env, NULL, MDB_RDONLY);
    must(now, "get", now->api->get(reader, dbi, &key, &value));
    for (unsigned i = 0; i < 200; i++) {
        txn = begin(now, env, NULL, 0);
        snprintf(number, sizeof number, "%u", i);
        must(now, "put", put(now, txn, dbi, "a", number));
        must(now, "put", put(now, txn, dbi, number, "beside"));
        commit(now, txn);
    }
    say_bytes(now, "value", &value);
    now->api->txn_abort(reader);
    say_bytes(now, "may be looked at even now, so do not crash", &(MDB_val){0, value.mv_data});
    now->api->env_close(env);
}

/* Pages that nothing has changed in this transaction are the source of its own puts. */
static void puts_of_what_was_read(struct context *now)
{
    MDB_env *env = open_env(now, 0, 8 << 20);
    MDB_txn *txn = begin(now, env, NULL, 0);
    MDB_dbi from = open_dbi(now, txn, "from", MDB_CREATE),
            to = open_dbi(now, txn, "to", MDB_CREATE);
    MDB_cursor *cursor;
    MDB_val key, value;
    char name[16], text[64];

    for (unsigned i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "key%u", i);
        snprintf(text, sizeof text, "the value of %u, not very short", i);
        must(now, "put", put(now, txn, from, name, text));
    }
    commit(now, txn);
    txn = begin(now, env, NULL, 0);
    cursor = open_cursor(now, txn, from);
    while (now->api->cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        must(now, "put", now->api->put(txn, to, &key, &value, 0));
        must(now, "put", now->api->put(txn, to, &value, &key, 0));
    }
    say_all(now, txn, to);
    commit(now, txn);
    now->api->env_close(env);
}

/* What numbers a commit, and what does not. */
static void numbers(struct context *now)
{
    MDB_env *env = open_env(now, 0, 0);
    MDB_envinfo info;
    MDB_txn *txn;
    MDB_dbi dbi, empty;

    for (unsigned step = 0; step < 8; step++) {
        txn = begin(now, env, NULL, 0);
        dbi = open_dbi(now, txn, NULL, 0);
        switch (step) {
        case 0: /* a main database that is empty already */
            must(now, "drop", now->api->drop(txn, dbi, 0));
            break;
        case 1:
            open_dbi(now, txn, "empty", MDB_CREATE);
            break;
        case 2:
            empty = open_dbi(now, txn, "empty", 0);
            must(now, "drop", now->api->drop(txn, empty, 0));
            break;
        case 3:
            empty = open_dbi(now, txn, "empty", 0);
            must(now, "drop", now->api->drop(txn, empty, 1));
            break;
        case 4:
            say(now, "missing", del(now, txn, dbi, "none"));
            break;
        case 5:
            must(now, "put", put(now, txn, dbi, "a", "1"));
            must(now, "del", del(now, txn, dbi, "a"));
            break;
        default:
            break;
        }
        say_number(now, "id", (long long)now->api->txn_id(txn));
        if (step == 7)
            now->api->txn_abort(txn);
        else
            commit(now, txn);
        must(now, "info", now->api->env_info(env, &info));
        say_number(now, "last", (long long)info.me_last_txnid);
    }
    now->api->env_close(env);
}

static void *commit_elsewhere(void *context)
{
    void **pair = context;
    struct context *now = pair[0];

    say(now, "commit in another thread", now->api->txn_commit(pair[1]));
    return NULL;
}

static void reader_ends_in_another_thread(struct context *now)
{
    MDB_env *env = open_env(now, MDB_NOTLS, 0);
    void *pair[] = {now, begin(now, env, NULL, MDB_RDONLY)};
    pthread_t thread;

    must(now, "thread", pthread_create(&thread, NULL, commit_elsewhere, pair));
    must(now, "join", pthread_join(thread, NULL));
    now->api->env_close(env);
}

/* ---- handles --------------------------------------------------------------------------------- */

/* The order in which mdb_dbi_open() looks at what it was given. */
static void order_of_open_checks(struct context *now)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi = 77;

    must(now, "env_create", now->api->env_create(&env));
    must(now, "open", now->api->env_open(env, ".", 0, 0644));
    txn = begin(now, env, NULL, 0);
    say(now, "no room, no name", now->api->dbi_open(txn, "", 0, &dbi));
    say(now, "no room, missing", now->api->dbi_open(txn, "none", 0, &dbi));
    say(now, "no room, unknown flag", now->api->dbi_open(txn, "none", 0x80000, &dbi));
    now->api->txn_abort(txn);
    now->api->env_close(env);
    env = open_env(now, 0, 1 << 20);
    txn = begin(now, env, NULL, 0);
    must(now, "main", now->api->dbi_open(txn, NULL, MDB_DUPSORT, &dbi));
    dbi = 77;
    say(now, "sorted main, no name", now->api->dbi_open(txn, "", 0, &dbi));
    say(now, "sorted main, no name, create", now->api->dbi_open(txn, "", MDB_CREATE, &dbi));
    now->api->txn_abort(txn);
    txn = begin(now, env, NULL, MDB_RDONLY);
    now->api->txn_reset(txn);
    say(now, "reset, unknown flag", now->api->dbi_open(txn, "x", 0x80000, &dbi));
    say(now, "reset", now->api->dbi_open(txn, "x", 0, &dbi));
    say_number(now, "untouched", dbi);
    now->api->txn_abort(txn);
    now->api->env_close(env);
}

static void names_of_any_bytes(struct context *now)
{
    static const char *const names[] = {" ", "\xff\x01", "\n", "a/b", "a", "a ", "\x01"};
    MDB_env *env = open_env(now, 0, 0);
    MDB_txn *txn = begin(now, env, NULL, 0);

    for (unsigned i = 0; i < 7; i++) {
        MDB_dbi dbi = open_dbi(now, txn, names[i], MDB_CREATE);
        say_number(now, "handle", dbi);
        must(now, "put", put(now, txn, dbi, "name", names[i]));
    }
    commit(now, txn);
    txn = begin(now, env, NULL, MDB_RDONLY);
    for (unsigned i = 0; i < 7; i++)
        say_get(now, txn, open_dbi(now, txn, names[i], 0), "name");
    now->api->txn_abort(txn);
    now->api->env_close(env);
}

/* The record of a named database is data to who reads the main one. */
static void records_of_databases(struct context *now)
{
    MDB_env *env = open_env(now, 0, 0);
    MDB_txn *txn = begin(now, env, NULL, 0);
    MDB_dbi dbi = open_dbi(now, txn, NULL, 0);
    MDB_val value = {0, NULL};

    open_dbi(now, txn, "empty", MDB_CREATE | MDB_DUPSORT | MDB_REVERSEKEY);
    must(now, "put", put(now, txn, open_dbi(now, txn, "one", MDB_CREATE), "k", "v"));
    say_get(now, txn, dbi, "empty");
    commit(now, txn);
    txn = begin(now, env, NULL, MDB_RDONLY);
    say_get(now, txn, dbi, "empty");
    must(now, "get", now->api->get(txn, dbi, &(MDB_val){3, (void *)(uintptr_t) "one"}, &value));
    say_number(now, "size", (long long)value.mv_size);
    value.mv_size = 8; /* pad, flags, depth */
    say_bytes(now, "one", &value);
    value.mv_data = (char *)value.mv_data + 32; /* entries */
    say_bytes(now, "one", &value);
    now->api->txn_abort(txn);
    now->api->env_close(env);
}

static void bad_handles(struct context *now)
{
    static const MDB_dbi bad[] = {0, 2, 3, 500, 0xffffffffu};
    MDB_env *env = open_env(now, 0, 0);
    MDB_txn *txn = begin(now, env, NULL, 0);
    MDB_cursor *cursor;
    MDB_stat stat;
    unsigned flags;

    open_dbi(now, txn, NULL, 0);
    for (unsigned i = 0; i < 5; i++) {
        say_number(now, "handle", bad[i]);
        say(now, "set_compare", now->api->set_compare(txn, bad[i], NULL));
        say(now, "set_dupsort", now->api->set_dupsort(txn, bad[i], NULL));
        say(now, "set_relfunc", now->api->set_relfunc(txn, bad[i], NULL));
        say(now, "set_relctx", now->api->set_relctx(txn, bad[i], NULL));
        say(now, "flags", now->api->dbi_flags(txn, bad[i], &flags));
        say(now, "cursor", now->api->cursor_open(txn, bad[i], &cursor));
        say(now, "drop", now->api->drop(txn, bad[i], 0));
        if (bad[i] != 0)
            say(now, "stat", now->api->stat(txn, bad[i], &stat));
        now->api->dbi_close(env, bad[i]);
    }
    say(now, "stat nowhere", now->api->stat(txn, 1, NULL));
    say(now, "stat of nothing", now->api->stat(NULL, 1, &stat));
    now->api->txn_abort(txn);
    now->api->env_close(env);
}

/* The cursors of a database that is dropped with its handle know. */
static void dropped_under_a_cursor(struct context *now)
{
    MDB_env *env = open_env(now, 0, 0);
    MDB_txn *txn = begin(now, env, NULL, 0);
    MDB_dbi dbi = open_dbi(now, txn, "x", MDB_CREATE);
    MDB_cursor *cursor = open_cursor(now, txn, dbi);
    MDB_val key = {0, NULL}, value = {0, NULL};

    must(now, "put", put(now, txn, dbi, "k", "v"));
    must(now, "drop", now->api->drop(txn, dbi, 1));
    say(now, "put", put(now, txn, dbi, "k", "v"));
    say(now, "get", now->api->cursor_get(cursor, &key, &value, MDB_FIRST));
    commit(now, txn);
    now->api->env_close(env);
}

const struct situation contract_txn[] = {
    {"ending what is NULL", nothing_to_end},
    {"pointers of readers", pointers_of_readers},
    {"puts of what was read", puts_of_what_was_read},
    {"numbers of transactions", numbers},
    {"a reader that ends in another thread", reader_ends_in_another_thread},
    {"the order of mdb_dbi_open's checks", order_of_open_checks},
    {"names of any bytes", names_of_any_bytes},
    {"records of databases", records_of_databases},
    {"handles that are none", bad_handles},
    {"a database dropped under a cursor", dropped_under_a_cursor},
    {NULL, NULL},
};
