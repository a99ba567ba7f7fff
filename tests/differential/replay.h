/* replay.h - what the C programs need that the differential test prints when a comparison fails.
 *
 * One function a call, by slots as in world.h; each prints the call's line, its code and what it
 * gave, so that the outputs of two libraries can be compared by diff. Linked to liblmdb.
 */
#ifndef QS_TEST_DIFFERENTIAL_REPLAY_H
#define QS_TEST_DIFFERENTIAL_REPLAY_H

#include "compare.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPLAY static __attribute__((unused))
#define V(bytes, size) (&(MDB_val){size, (void *)(bytes)})
#define P(offset, size) (&(MDB_val){size, replay_pool() + (offset)})
#define NONE (&(MDB_val){0x5a5a5a, &replay_untouched})
#define CALL(name, ...) mdb_##name(__VA_ARGS__)

static char replay_untouched;
static char replay_directory[128], replay_path[192];
static MDB_env *replay_env;
static MDB_txn *replay_txn[16];
static unsigned replay_depth;
static MDB_cursor *replay_cursor[16];
static MDB_dbi replay_dbi[16];
static int replay_orders[16][2];
static size_t replay_map_size;
static unsigned replay_env_flags;
static unsigned replay_call;

enum { REPLAY_OUTER = 5, REPLAY_NEST = 3, REPLAY_FREE = 6 };

REPLAY uint8_t *replay_pool(void)
{
    static uint64_t pool[(4 << 20) / 8];
    uint64_t state = 42;

    for (size_t i = 0; pool[1] == 0 || (i > 0 && i < sizeof pool / 8); i++) {
        uint64_t z = state += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        pool[i] = z ^ (z >> 31);
    }
    return (uint8_t *)pool;
}

/* ---- printing -------------------------------------------------------------------------------- */

REPLAY void replay_bytes(const char *label, const MDB_val *value)
{
    uint64_t hash = 1469598103934665603u;

    printf(" %s(%zu)=", label, value->mv_size);
    for (size_t i = 0; i < value->mv_size; i++) {
        uint8_t byte = ((uint8_t *)value->mv_data)[i];
        hash = (hash ^ byte) * 1099511628211u;
        if (i < 24) {
            printf(isprint(byte) && byte != '\\' ? "%c" : "\\x%02x", byte);
        }
    }
    if (value->mv_size > 24) {
        printf("..%08x", (unsigned)(hash >> 32));
    }
}

REPLAY void replay_show(const char *name, int rc, const MDB_val *key, const MDB_val *key_before,
                        const MDB_val *data, const MDB_val *data_before)
{
    printf("%4u %-14s %d", ++replay_call, name, rc);
    if (key_before != NULL && memcmp(key, key_before, sizeof *key) != 0) {
        replay_bytes("key", key);
    }
    if (data_before != NULL && memcmp(data, data_before, sizeof *data) != 0) {
        replay_bytes("data", data);
    }
    printf("\n");
    fflush(stdout);
}

REPLAY void replay_number(const char *name, int rc, unsigned long long number)
{
    printf("%4u %-14s %d %llu\n", ++replay_call, name, rc, number);
    fflush(stdout);
}

/* ---- environment ----------------------------------------------------------------------------- */

REPLAY void orders(unsigned db, int key_order, int data_order)
{
    replay_orders[db][0] = key_order;
    replay_orders[db][1] = data_order;
}

REPLAY void env_open(unsigned flags, unsigned max_dbs, unsigned max_readers, size_t map_size)
{
    if (replay_directory[0] == '\0') {
        const char *base = getenv("TMPDIR");
        snprintf(replay_directory, sizeof replay_directory, "%s/replay-XXXXXX",
                 base != NULL ? base : "/tmp");
        if (mkdtemp(replay_directory) == NULL) {
            perror("mkdtemp");
            exit(2);
        }
    }
    snprintf(replay_path, sizeof replay_path, "%s%s", replay_directory,
             flags & MDB_NOSUBDIR ? "/file" : "");
    for (unsigned i = 0; i < 16; i++) {
        replay_dbi[i] = i == 0 ? 1 : i == REPLAY_FREE ? 0 : 77;
    }
    replay_map_size = map_size;
    replay_env_flags = flags;
    mdb_env_create(&replay_env);
    mdb_env_set_mapsize(replay_env, map_size);
    mdb_env_set_maxdbs(replay_env, max_dbs);
    if (max_readers != 0) {
        mdb_env_set_maxreaders(replay_env, max_readers);
    }
    replay_number("env_open", mdb_env_open(replay_env, replay_path, flags, 0644), 0);
}

REPLAY void env_close(void)
{
    mdb_env_close(replay_env);
}

REPLAY void env_info(void)
{
    MDB_envinfo info;
    MDB_stat stat;
    unsigned flags;
    int rc = mdb_env_info(replay_env, &info);

    mdb_env_stat(replay_env, &stat);
    mdb_env_get_flags(replay_env, &flags);
    printf("%4u env_info       %d mapsize %zu txnid %zu maxreaders %u numreaders %u flags %#x "
           "entries %zu\n",
           ++replay_call, rc, info.me_mapsize, info.me_last_txnid, info.me_maxreaders,
           info.me_numreaders, flags, stat.ms_entries);
}

REPLAY void env_sync(int force)
{
    replay_number("env_sync", mdb_env_sync(replay_env, force), 0);
}

REPLAY int replay_reader(const char *text, void *context)
{
    (void)context;
    printf("     | %s", text);
    return 1;
}

REPLAY void reader_list(void)
{
    replay_number("reader_list", mdb_reader_list(replay_env, replay_reader, NULL), 0);
}

/* ---- transactions ---------------------------------------------------------------------------- */

REPLAY void txn_begin(unsigned txn, unsigned flags)
{
    replay_number("txn_begin", mdb_txn_begin(replay_env, NULL, flags, &replay_txn[txn]), 0);
}

REPLAY void child_begin(unsigned txn, unsigned flags)
{
    MDB_txn *child = NULL;
    int rc = mdb_txn_begin(replay_env, replay_txn[txn], flags, &child);

    if (rc == 0) {
        replay_txn[REPLAY_OUTER + replay_depth++] = replay_txn[0];
        replay_txn[0] = child;
    }
    replay_number("child_begin", rc, child != NULL);
}

REPLAY void replay_leave(unsigned txn)
{
    unsigned level = txn >= REPLAY_OUTER ? txn - REPLAY_OUTER : replay_depth;

    if (txn != 0 && txn < REPLAY_OUTER) {
        replay_txn[txn] = NULL;
        return;
    }
    replay_txn[0] = level == 0 ? NULL : replay_txn[REPLAY_OUTER + level - 1];
    replay_depth = level == 0 ? 0 : level - 1;
}

REPLAY void txn_commit(unsigned txn)
{
    replay_number("txn_commit", mdb_txn_commit(replay_txn[txn]), 0);
    replay_leave(txn);
}

REPLAY void txn_abort(unsigned txn)
{
    mdb_txn_abort(replay_txn[txn]);
    replay_number("txn_abort", 0, 0);
    replay_leave(txn);
}

REPLAY void txn_reset(unsigned txn)
{
    mdb_txn_reset(replay_txn[txn]);
    replay_number("txn_reset", 0, 0);
}

REPLAY void txn_renew(unsigned txn)
{
    replay_number("txn_renew", mdb_txn_renew(replay_txn[txn]), 0);
}

REPLAY void txn_id(unsigned txn)
{
    replay_number("txn_id", 0, mdb_txn_id(replay_txn[txn]));
}

/* ---- databases ------------------------------------------------------------------------------- */

REPLAY void replay_set_orders(unsigned txn, unsigned db)
{
    if (replay_orders[db][0] != 0) {
        mdb_set_compare(replay_txn[txn], replay_dbi[db], compare_function(replay_orders[db][0]));
    }
    if (replay_orders[db][1] != 0) {
        mdb_set_dupsort(replay_txn[txn], replay_dbi[db], compare_function(replay_orders[db][1]));
    }
}

REPLAY void dbi_open(unsigned txn, unsigned db, const char *name, unsigned flags)
{
    MDB_dbi dbi = 77;
    int rc = mdb_dbi_open(replay_txn[txn], name, flags, &dbi);

    if (rc == 0) {
        for (unsigned i = 0; i < REPLAY_FREE; i++) {
            replay_dbi[i] = replay_dbi[i] == dbi ? 77 : replay_dbi[i];
        }
        replay_dbi[db] = dbi;
        replay_set_orders(txn, db);
    }
    replay_number("dbi_open", rc, dbi);
}

REPLAY void dbi_close(unsigned db)
{
    mdb_dbi_close(replay_env, replay_dbi[db]);
}

REPLAY void dbi_flags(unsigned txn, unsigned db)
{
    unsigned flags = 0;
    int rc = mdb_dbi_flags(replay_txn[txn], replay_dbi[db], &flags);

    replay_number("dbi_flags", rc, flags);
}

REPLAY void db_stat(unsigned txn, unsigned db)
{
    MDB_stat stat = {0};
    int rc = mdb_stat(replay_txn[txn], replay_dbi[db], &stat);

    replay_number("stat", rc, stat.ms_entries);
}

REPLAY void drop(unsigned txn, unsigned db, int del)
{
    replay_number("drop", mdb_drop(replay_txn[txn], replay_dbi[db], del), 0);
}

/* ---- data ------------------------------------------------------------------------------------ */

REPLAY void get(unsigned txn, unsigned db, MDB_val *key)
{
    MDB_val data = *NONE;
    int rc = mdb_get(replay_txn[txn], replay_dbi[db], key, &data);

    replay_show("get", rc, NULL, NULL, &data, NONE);
}

REPLAY void replay_fill(int rc, unsigned flags, const MDB_val *data, const void *bytes, size_t size)
{
    if (rc == 0 && (flags & MDB_RESERVE) && !(flags & MDB_MULTIPLE) && data->mv_size == size &&
        size != 0) {
        memcpy(data->mv_data, bytes, size);
    }
}

REPLAY void put(unsigned txn, unsigned db, MDB_val *key, MDB_val *data, unsigned flags)
{
    MDB_val pair[2] = {data == NULL ? *NONE : *data, {3, NULL}};
    int rc = mdb_put(replay_txn[txn], replay_dbi[db], key, data == NULL ? NULL : pair, flags);

    if (data != NULL) {
        replay_fill(rc, flags, pair, data->mv_data, data->mv_size);
    }
    replay_show("put", rc, NULL, NULL, pair, data);
}

REPLAY void del(unsigned txn, unsigned db, MDB_val *key, MDB_val *data)
{
    replay_number("del", mdb_del(replay_txn[txn], replay_dbi[db], key, data), 0);
}

REPLAY void cmp(unsigned txn, unsigned db, MDB_val *a, MDB_val *b)
{
    int order = mdb_cmp(replay_txn[txn], replay_dbi[db], a, b);

    replay_number("cmp", order < 0 ? -1 : order > 0, 0);
}

REPLAY void dcmp(unsigned txn, unsigned db, MDB_val *a, MDB_val *b)
{
    int order = mdb_dcmp(replay_txn[txn], replay_dbi[db], a, b);

    replay_number("dcmp", order < 0 ? -1 : order > 0, 0);
}

/* ---- cursors --------------------------------------------------------------------------------- */

REPLAY void cursor_open(unsigned cursor, unsigned txn, unsigned db)
{
    replay_number("cursor_open",
                  mdb_cursor_open(replay_txn[txn], replay_dbi[db], &replay_cursor[cursor]), 0);
}

REPLAY void cursor_close(unsigned cursor)
{
    mdb_cursor_close(replay_cursor[cursor]);
}

REPLAY void cursor_renew(unsigned cursor, unsigned txn)
{
    replay_number("cursor_renew", mdb_cursor_renew(replay_txn[txn], replay_cursor[cursor]), 0);
}

REPLAY int cursor_get(unsigned cursor, int op, MDB_val *key, MDB_val *data)
{
    MDB_val key_after = key == NULL ? *NONE : *key;
    MDB_val data_after = data == NULL ? *NONE : *data;
    int rc = mdb_cursor_get(replay_cursor[cursor], key == NULL ? NULL : &key_after,
                            data == NULL ? NULL : &data_after, (MDB_cursor_op)op);

    replay_show("cursor_get", rc, &key_after, key, &data_after, data);
    return rc;
}

REPLAY void cursor_put(unsigned cursor, MDB_val *key, MDB_val *data, unsigned flags, size_t count)
{
    MDB_val pair[2] = {*data, {count, NULL}};
    int rc = mdb_cursor_put(replay_cursor[cursor], key, pair, flags);

    replay_fill(rc, flags, pair, data->mv_data, data->mv_size);
    replay_show("cursor_put", rc, NULL, NULL, pair, data);
    if (flags & MDB_MULTIPLE) {
        replay_number("  count", 0, pair[1].mv_size);
    }
}

REPLAY void cursor_del(unsigned cursor, unsigned flags)
{
    replay_number("cursor_del", mdb_cursor_del(replay_cursor[cursor], flags), 0);
}

REPLAY void cursor_count(unsigned cursor)
{
    size_t count = 0;
    int rc = mdb_cursor_count(replay_cursor[cursor], &count);

    replay_number("cursor_count", rc, count);
}

REPLAY void read_multiple(unsigned cursor, int op)
{
    MDB_val data = {0, NULL};
    size_t size = 0;
    int rc = mdb_cursor_get(replay_cursor[cursor], NONE, &data, MDB_GET_MULTIPLE);

    while (rc == 0) {
        size += data.mv_size;
        rc = mdb_cursor_get(replay_cursor[cursor], NONE, &data, (MDB_cursor_op)op);
    }
    replay_number("read_multiple", rc, size);
}

/* Everything in a database, in both directions. */
REPLAY void walk(unsigned txn, unsigned db)
{
    int rc = mdb_cursor_open(replay_txn[txn], replay_dbi[db], &replay_cursor[15]);

    replay_number("walk", rc, db);
    if (rc == 0) {
        for (int op = MDB_FIRST; cursor_get(15, op, NONE, NONE) == 0; op = MDB_NEXT) {
        }
        for (int op = MDB_LAST; cursor_get(15, op, NONE, NONE) == 0; op = MDB_PREV) {
        }
        mdb_cursor_close(replay_cursor[15]);
    }
}

REPLAY void env_copy(const char *name, unsigned flags)
{
    char path[400];

    snprintf(path, sizeof path, "%s/%s", replay_directory, name);
    mkdir(path, 0755);
    if (replay_env_flags & MDB_NOSUBDIR) {
        strcat(path, "/file");
    }
    replay_number("env_copy", mdb_env_copy2(replay_env, path, flags & MDB_CP_COMPACT), 0);
}

/* An expression of wrong.h over the variables there. */
#define ASK(txn_slot, db_slot, cursor_slot, key_value, data_value, ...)                            \
    do {                                                                                           \
        MDB_env *env = replay_env;                                                                 \
        MDB_txn *txn = replay_txn[txn_slot];                                                       \
        MDB_dbi dbi = replay_dbi[db_slot];                                                         \
        MDB_cursor *cursor = replay_cursor[cursor_slot];                                           \
        MDB_val key = *key_value, data[2] = {*data_value, {3, NULL}};                              \
        const char *path = replay_path, *text = NULL;                                              \
        size_t count, grown = replay_map_size * 2;                                                 \
        unsigned flags = 0;                                                                        \
        int dead = 77, fd = -1;                                                                    \
        MDB_stat stat;                                                                             \
        (void)env, (void)txn, (void)dbi, (void)cursor, (void)key, (void)data, (void)path;          \
        (void)text, (void)count, (void)grown, (void)flags, (void)dead, (void)fd, (void)stat;       \
        replay_number("ask", 0, (unsigned long long)(__VA_ARGS__));                                \
    } while (0)

#endif
