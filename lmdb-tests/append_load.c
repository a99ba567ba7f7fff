/* append_load.c - loads lines in the order in which they come, as newer releases' `mdb_load -a` does.
 *
 * usage: append_load ENVIRONMENT keys|dups|fixed|agree < lines of KEY=VALUE
 * keys:  MDB_APPEND, with a function that finds every key greater than any other.
 * dups:  MDB_APPENDDUP, with such a function for the duplicates of each key; fixed: MDB_DUPFIXED too.
 * agree: MDB_APPEND in the library's own order; what it refuses is told.
 */
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int greater(const MDB_val *a, const MDB_val *b)
{
    (void)a;
    (void)b;
    return 1;
}

static void check(int rc, const char *what)
{
    if (rc == MDB_SUCCESS)
        return;
    fprintf(stderr, "%s: %s\n", what, mdb_strerror(rc));
    exit(1);
}

/* Opens the database that the mode is about, and sets its order. */
static MDB_dbi open_database(MDB_txn *txn, const char *mode)
{
    MDB_dbi dbi;
    unsigned flags = MDB_CREATE;

    if (strcmp(mode, "dups") == 0 || strcmp(mode, "fixed") == 0)
        flags |= MDB_DUPSORT | (mode[0] == 'f' ? MDB_DUPFIXED : 0);
    check(mdb_dbi_open(txn, mode, flags, &dbi), "mdb_dbi_open");
    if (strcmp(mode, "keys") == 0)
        check(mdb_set_compare(txn, dbi, greater), "mdb_set_compare");
    if ((flags & MDB_DUPSORT) != 0)
        check(mdb_set_dupsort(txn, dbi, greater), "mdb_set_dupsort");
    return dbi;
}

int main(int argc, char **argv)
{
    char line[1024];
    unsigned put_flags, refused = 0;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_cursor *cursor;

    if (argc != 3)
        return 2;
    put_flags = argv[2][0] == 'd' || argv[2][0] == 'f' ? MDB_APPENDDUP : MDB_APPEND;
    check(mdb_env_create(&env), "mdb_env_create");
    check(mdb_env_set_maxdbs(env, 4), "mdb_env_set_maxdbs");
    check(mdb_env_set_mapsize(env, 64u << 20), "mdb_env_set_mapsize");
    check(mdb_env_open(env, argv[1], MDB_NOSYNC, 0644), "mdb_env_open");
    check(mdb_txn_begin(env, NULL, 0, &txn), "mdb_txn_begin");
    dbi = open_database(txn, argv[2]);
    check(mdb_cursor_open(txn, dbi, &cursor), "mdb_cursor_open");
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *value = strchr(line, '=');
        MDB_val key, data;
        int rc;

        if (value == NULL)
            return 2;
        *value++ = '\0';
        key = (MDB_val){strlen(line), line};
        data = (MDB_val){strcspn(value, "\n"), value};
        rc = mdb_cursor_put(cursor, &key, &data, put_flags);
        if (rc == MDB_KEYEXIST)
            refused++;
        else
            check(rc, "mdb_cursor_put");
    }
    mdb_cursor_close(cursor);
    check(mdb_txn_commit(txn), "mdb_txn_commit");
    printf("%u refused\n", refused);
    mdb_env_close(env);
    return 0;
}
