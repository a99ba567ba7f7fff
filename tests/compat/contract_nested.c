/* contract_nested.c - situations of nested transactions, those included which the real library lacks.
 *
 * Owns:       nothing.
 * Invariants: a child that only reads is, on the real library, one that writes but is not asked to; a
 *             child with MDB_WRITEMAP, one without that flag.
 * Locks:      none.
 */
#include "contract.h"

#include <errno.h>
#include <string.h>

static unsigned reading_child(const struct context *now)
{
    return now->real ? 0 : MDB_RDONLY;
}

static MDB_env *filled(struct context *now, MDB_txn **txn, MDB_dbi *dbi)
{
    MDB_env *env = open_env(now, 0, 16 << 20);

    *txn = begin(now, env, NULL, 0);
    *dbi = open_dbi(now, *txn, "d", MDB_CREATE);
    must(now, "put", put(now, *txn, *dbi, "a", "committed"));
    must(now, "put", put(now, *txn, *dbi, "b", "to be deleted"));
    commit(now, *txn);
    *txn = begin(now, env, NULL, 0);
    return env;
}

/* Changes of the parent that nobody has committed. */
static void change(struct context *now, MDB_txn *txn, MDB_dbi dbi)
{
    char key[16], big[9000];

    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    must(now, "put", put(now, txn, dbi, "a", "changed"));
    must(now, "del", del(now, txn, dbi, "b"));
    must(now, "put", put(now, txn, dbi, "big", big));
    for (unsigned i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "k%03u", i);
        must(now, "put", put(now, txn, dbi, key, "of the parent"));
    }
}

static void reads_what_the_parent_has(struct context *now)
{
    MDB_txn *txn, *child;
    MDB_dbi dbi, made;
    MDB_env *env = filled(now, &txn, &dbi);
    MDB_val key = {8, (void *)(uintptr_t) "reserved"}, value = {5000, NULL};

    change(now, txn, dbi);
    made = open_dbi(now, txn, "made", MDB_CREATE | MDB_DUPSORT);
    must(now, "put", put(now, txn, made, "k", "2"));
    must(now, "put", put(now, txn, made, "k", "1"));
    must(now, "reserve", now->api->put(txn, dbi, &key, &value, MDB_RESERVE));
    memset(value.mv_data, 'r', 5000);
    child = begin(now, env, txn, reading_child(now));
    say_number(now, "id", (long long)now->api->txn_id(child));
    say_all(now, child, dbi);
    say_all(now, child, made);
    say_get(now, child, dbi, "a");
    say_get(now, child, dbi, "b");
    say_get(now, child, dbi, "reserved");
    say_get(now, child, open_dbi(now, child, "made", 0), "k");
    say_number(now, "environment", now->api->txn_env(child) == env);
    now->api->txn_abort(child);
    must(now, "put", put(now, txn, dbi, "c", "after the child"));
    say_all(now, txn, dbi);
    commit(now, txn);
    txn = begin(now, env, NULL, MDB_RDONLY);
    say_all(now, txn, dbi);
    now->api->txn_abort(txn);
    now->api->env_close(env);
}

static void refuses_to_write(struct context *now)
{
    MDB_txn *txn, *child, *more = NULL;
    MDB_dbi dbi, made;
    MDB_env *env = filled(now, &txn, &dbi);
    MDB_val key = {1, (void *)(uintptr_t) "a"}, value = {1, (void *)(uintptr_t) "v"};
    MDB_cursor *cursor;

    child = begin(now, env, txn, reading_child(now));
    cursor = open_cursor(now, child, dbi);
    say_cursor(now, cursor, MDB_FIRST, NULL);
    SAY_BEYOND(now, "put", put(now, child, dbi, "a", "1"), EACCES);
    SAY_BEYOND(now, "del", del(now, child, dbi, "a"), EACCES);
    SAY_BEYOND(now, "drop", now->api->drop(child, dbi, 1), EACCES);
    SAY_BEYOND(now, "create", now->api->dbi_open(child, "new", MDB_CREATE, &made), EACCES);
    SAY_BEYOND(now, "cursor put", now->api->cursor_put(cursor, &key, &value, 0), EACCES);
    SAY_BEYOND(now, "cursor del", now->api->cursor_del(cursor, 0), EACCES);
    SAY_BEYOND(now, "child", now->api->txn_begin(env, child, 0, &more), EINVAL);
    SAY_BEYOND(now, "reading child", now->api->txn_begin(env, child, MDB_RDONLY, &more), EINVAL);
    say_number(now, "none begun", more == NULL);
    if (!now->real)
        now->api->cursor_close(cursor);
    say(now, "commit", now->api->txn_commit(child));
    say_all(now, txn, dbi);
    now->api->txn_abort(txn);
    now->api->env_close(env);
}

/* Like a writing child, it leaves the parent nothing to do but end. */
static void the_parent_rests(struct context *now)
{
    MDB_txn *txn, *child, *more;
    MDB_dbi dbi;
    MDB_env *env = filled(now, &txn, &dbi);
    MDB_cursor *cursor = open_cursor(now, txn, dbi);
    MDB_val key = {1, (void *)(uintptr_t) "a"}, value = {0, NULL};
    unsigned flags = 9;

    change(now, txn, dbi);
    say_cursor(now, cursor, MDB_LAST, NULL);
    child = begin(now, env, txn, reading_child(now));
    say(now, "get", now->api->get(txn, dbi, &key, &value));
    say(now, "put", put(now, txn, dbi, "a", "1"));
    say(now, "del", del(now, txn, dbi, "a"));
    say(now, "drop", now->api->drop(txn, dbi, 0));
    say(now, "child", now->api->txn_begin(env, txn, 0, &more));
    say(now, "reading child", now->api->txn_begin(env, txn, MDB_RDONLY, &more));
    say(now, "flags", now->api->dbi_flags(txn, dbi, &flags));
    say_number(now, "flags", flags);
    SAY_BEYOND(now, "parent's cursor", now->api->cursor_get(cursor, &key, &value, MDB_GET_CURRENT),
               MDB_BAD_TXN);
    SAY_BEYOND(now, "parent's cursor, renewed", now->api->cursor_renew(child, cursor), EINVAL);
    now->api->txn_abort(child);
    say_cursor(now, cursor, MDB_GET_CURRENT, NULL);
    say_cursor(now, cursor, MDB_PREV, NULL);
    say(now, "commit", now->api->txn_commit(txn));
    now->api->env_close(env);
}

/* The ends of parents end their children, of both kinds and at any depth. */
static void ends_of_parents(struct context *now)
{
    for (unsigned round = 0; round < 4; round++) {
        MDB_txn *txn, *child, *grandchild;
        MDB_dbi dbi;
        MDB_env *env = filled(now, &txn, &dbi);
        change(now, txn, dbi);
        child = begin(now, env, txn, 0);
        must(now, "put", put(now, child, dbi, "c", "of the child"));
        grandchild = begin(now, env, child, reading_child(now));
        say_get(now, grandchild, dbi, "c");
        say_get(now, grandchild, dbi, "k123");
        if (round == 0)
            say(now, "commit the grandparent", now->api->txn_commit(txn));
        if (round == 1)
            now->api->txn_abort(txn);
        if (round == 2) {
            say(now, "commit the parent", now->api->txn_commit(child));
            say_all(now, txn, dbi);
            say(now, "commit", now->api->txn_commit(txn));
        }
        if (round == 3) {
            now->api->txn_abort(child);
            say_get(now, txn, dbi, "c");
            say(now, "commit", now->api->txn_commit(txn));
        }
        txn = begin(now, env, NULL, MDB_RDONLY);
        say_get(now, txn, dbi, "a");
        say_get(now, txn, dbi, "c");
        now->api->txn_abort(txn);
        now->api->env_close(env);
        remove("data.mdb");
        remove("lock.mdb");
    }
}

static int backwards(const MDB_val *a, const MDB_val *b)
{
    size_t size = a->mv_size < b->mv_size ? a->mv_size : b->mv_size;
    int order = memcmp(b->mv_data, a->mv_data, size);

    return order != 0 ? order : (b->mv_size > a->mv_size) - (b->mv_size < a->mv_size);
}

/* Pairs of which some keys have one value, some several, one so many that they are a tree. */
static void put_in_order(struct context *now, MDB_txn *txn, MDB_dbi dbi, unsigned from)
{
    char key[16], value[16];

    for (unsigned i = from; i < from + 400; i++) {
        snprintf(key, sizeof key, "k%03u", i * 7 % 100);
        snprintf(value, sizeof value, "v%05u", i * 31 % 1000);
        must(now, "put", put(now, txn, dbi, key, value));
        must(now, "put", put(now, txn, dbi, "k050", value));
    }
}

static void say_in_order(struct context *now, MDB_txn *txn, MDB_dbi dbi)
{
    MDB_cursor *cursor = open_cursor(now, txn, dbi);
    MDB_val key = {4, (void *)(uintptr_t) "k050"}, value = {6, (void *)(uintptr_t) "v00500"};

    say_all(now, txn, dbi);
    say_get(now, txn, dbi, "k050");
    say_get(now, txn, dbi, "k0505");
    say_cursor(now, cursor, MDB_SET_RANGE, "k0505");
    say_cursor(now, cursor, MDB_LAST, NULL);
    say_cursor(now, cursor, MDB_PREV_NODUP, NULL);
    say(now, "both", now->api->cursor_get(cursor, &key, &value, MDB_GET_BOTH_RANGE));
    say_bytes(now, "value", &value);
    say_cursor(now, cursor, MDB_PREV_DUP, NULL);
    now->api->cursor_close(cursor);
}

/* Reading children at two depths ask the program for its orders, as writing ones do. */
static void reads_in_the_programs_order(struct context *now)
{
    MDB_env *env = open_env(now, 0, 16 << 20);
    MDB_txn *txn = begin(now, env, NULL, 0), *child, *grandchild;
    MDB_dbi dbi = open_dbi(now, txn, "d", MDB_CREATE | MDB_DUPSORT);

    must(now, "order", now->api->set_compare(txn, dbi, backwards));
    must(now, "order of values", now->api->set_dupsort(txn, dbi, backwards));
    put_in_order(now, txn, dbi, 0);
    commit(now, txn);
    txn = begin(now, env, NULL, 0);
    put_in_order(now, txn, dbi, 400);
    child = begin(now, env, txn, reading_child(now));
    say_in_order(now, child, dbi);
    now->api->txn_abort(child);
    child = begin(now, env, txn, 0);
    must(now, "del", del(now, child, dbi, "k051"));
    put_in_order(now, child, dbi, 800);
    grandchild = begin(now, env, child, reading_child(now));
    say_in_order(now, grandchild, dbi);
    now->api->txn_abort(grandchild);
    now->api->txn_abort(child);
    say_in_order(now, txn, dbi);
    commit(now, txn);
    now->api->env_close(env);
}

/* What a program does with any reader: park it, take it up again, keep its cursor for the next. */
static void reset_and_renew(struct context *now)
{
    MDB_txn *txn, *child;
    MDB_dbi dbi;
    MDB_env *env = filled(now, &txn, &dbi);
    MDB_cursor *cursor;
    MDB_val key = {1, (void *)(uintptr_t) "a"}, value = {0, NULL};

    if (now->real) { /* nothing of this kind there */
        now->api->txn_abort(txn);
        now->api->env_close(env);
        return;
    }
    change(now, txn, dbi);
    child = begin(now, env, txn, MDB_RDONLY);
    cursor = open_cursor(now, child, dbi);
    must(now, "renew, not reset", now->api->txn_renew(child) != EINVAL);
    now->api->txn_reset(child);
    must(now, "get, reset", now->api->get(child, dbi, &key, &value) != EINVAL);
    must(now, "cursor, reset",
         now->api->cursor_get(cursor, &key, &value, MDB_FIRST) != MDB_BAD_TXN);
    must(now, "put of the parent", put(now, txn, dbi, "a", "1") != MDB_BAD_TXN);
    must(now, "renew", now->api->txn_renew(child));
    must(now, "get", now->api->get(child, dbi, &key, &value));
    must(now, "renew the cursor", now->api->cursor_renew(child, cursor));
    must(now, "first", now->api->cursor_get(cursor, &key, &value, MDB_FIRST));
    now->api->txn_reset(child);
    must(now, "commit, child reset", now->api->txn_commit(txn));
    txn = begin(now, env, NULL, MDB_RDONLY);
    must(now, "renew into a reader", now->api->cursor_renew(txn, cursor));
    must(now, "last", now->api->cursor_get(cursor, &key, &value, MDB_LAST));
    now->api->cursor_close(cursor);
    now->api->txn_abort(txn);
    now->api->env_close(env);
}

/* It takes no reader slot, and is one to nobody. */
static void beside_readers(struct context *now)
{
    MDB_env *env;
    MDB_txn *txn, *child, *reader;
    MDB_envinfo info;
    MDB_dbi dbi;

    must(now, "env_create", now->api->env_create(&env));
    must(now, "maxreaders", now->api->env_set_maxreaders(env, 1));
    must(now, "open", now->api->env_open(env, ".", 0, 0644));
    txn = begin(now, env, NULL, 0);
    dbi = open_dbi(now, txn, NULL, 0);
    must(now, "put", put(now, txn, dbi, "a", "1"));
    commit(now, txn);
    reader = begin(now, env, NULL, MDB_RDONLY);
    txn = begin(now, env, NULL, 0);
    must(now, "put", put(now, txn, dbi, "a", "2"));
    child = begin(now, env, txn, reading_child(now));
    say_get(now, child, dbi, "a");
    say_get(now, reader, dbi, "a");
    must(now, "info", now->api->env_info(env, &info));
    say_number(now, "readers", info.me_numreaders);
    now->api->txn_abort(child);
    commit(now, txn);
    say_get(now, reader, dbi, "a");
    now->api->txn_abort(reader);
    now->api->env_close(env);
}

/* Handles opened in a child: its commit gives them to the parent, its abort closes them. */
static void handles_of_children(struct context *now)
{
    for (unsigned round = 0; round < 2; round++) {
        MDB_env *env = open_env(now, 0, 0);
        MDB_txn *txn = begin(now, env, NULL, 0), *child;
        MDB_dbi dbi;
        unsigned flags;
        open_dbi(now, txn, "x", MDB_CREATE);
        commit(now, txn);
        now->api->env_close(env);
        env = open_env(now, 0, 0);
        txn = begin(now, env, NULL, 0);
        child = begin(now, env, txn, reading_child(now));
        dbi = open_dbi(now, child, "x", 0);
        say_number(now, "handle", dbi);
        if (round == 0)
            commit(now, child);
        else
            now->api->txn_abort(child);
        say(now, "in the parent", now->api->dbi_flags(txn, dbi, &flags));
        commit(now, txn);
        now->api->env_close(env);
    }
}

/* To any depth; every second level is given up. The same with MDB_WRITEMAP here, without it there. */
static void fifty_levels(struct context *now)
{
    for (unsigned round = 0; round < 2; round++) {
        MDB_env *env = open_env(now, round == 1 && !now->real ? MDB_WRITEMAP : 0, 4 << 20);
        MDB_txn *level[50];
        MDB_dbi dbi = 0;
        char key[16];
        for (unsigned i = 0; i < 50; i++) {
            level[i] = begin(now, env, i > 0 ? level[i - 1] : NULL, 0);
            dbi = i == 0 ? open_dbi(now, level[i], NULL, 0) : dbi;
            snprintf(key, sizeof key, "level %02u", i);
            must(now, "put", put(now, level[i], dbi, key, "there"));
            must(now, "put", put(now, level[i], dbi, "last", key));
        }
        for (unsigned i = 50; i-- > 0;) {
            if (i % 2 == 0)
                commit(now, level[i]);
            else
                now->api->txn_abort(level[i]);
        }
        MDB_txn *txn = begin(now, env, NULL, MDB_RDONLY);
        say_all(now, txn, dbi);
        now->api->txn_abort(txn);
        now->api->env_close(env);
        remove("data.mdb");
        remove("lock.mdb");
    }
}

static void cursors_of_parents(struct context *now)
{
    MDB_txn *txn, *child;
    MDB_dbi dbi;
    MDB_env *env = filled(now, &txn, &dbi);
    MDB_cursor *cursor = open_cursor(now, txn, dbi);

    say_cursor(now, cursor, MDB_FIRST, NULL);
    child = begin(now, env, txn, 0);
    say_number(now, "acts in the child", now->api->cursor_txn(cursor) == child);
    now->api->cursor_close(cursor); /* without effect while the child lives */
    say_cursor(now, cursor, MDB_NEXT, NULL);
    say(now, "an empty child", now->api->txn_commit(child));
    say_number(now, "acts in the parent", now->api->cursor_txn(cursor) == txn);
    say_cursor(now, cursor, MDB_GET_CURRENT, NULL);
    now->api->cursor_close(cursor);
    now->api->txn_abort(txn);
    now->api->env_close(env);
}

const struct situation contract_nested[] = {
    {"a reading child sees what its parent has", reads_what_the_parent_has},
    {"a reading child refuses to write", refuses_to_write},
    {"the parent of a reading child rests", the_parent_rests},
    {"ends of parents of reading children", ends_of_parents},
    {"reading children in the program's order", reads_in_the_programs_order},
    {"reset and renew of a reading child", reset_and_renew},
    {"a reading child beside readers", beside_readers},
    {"handles opened in reading children", handles_of_children},
    {"fifty levels", fifty_levels},
    {"cursors of parents", cursors_of_parents},
    {NULL, NULL},
};
