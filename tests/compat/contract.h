/* contract.h - situations in which the real library and ours must answer the same.
 *
 * A situation is a function that calls a library and writes down what it saw. It runs once on each, in a
 * process and an empty directory (the current one) of its own; the two transcripts must be equal.
 */
#ifndef QS_TEST_CONTRACT_H
#define QS_TEST_CONTRACT_H

#include "differential/api.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct context {
    const struct api *api; /* the library that is asked */
    FILE *out;             /* the transcript */
    bool real;             /* it is the real library */
};

struct situation {
    const char *name;                 /* what a report calls it */
    void (*run)(struct context *now); /* NULL ends a list */
};

/* One list a file. */
extern const struct situation contract_open[], contract_env[], contract_copy[], contract_txn[],
    contract_nested[], contract_data[];

/* Writes `what` and the code down. */
void say(struct context *now, const char *what, int rc);
void say_number(struct context *now, const char *what, long long number);
void say_bytes(struct context *now, const char *what, const MDB_val *val);

/* A call that the real library cannot do: what ours must answer stands in for its answer. */
#define SAY_BEYOND(now, what, call, expected) say((now), (what), (now)->real ? (expected) : (call))

/* Ends the process, unsuccessfully, when `rc` is not 0. */
void must(struct context *now, const char *what, int rc);

/* False under valgrind, which has most of them for itself; the situation is left out then. */
bool addresses_are_free(struct context *now);

/* An environment in the current directory with room for named databases; map size 0: the default. */
MDB_env *open_env(struct context *now, unsigned flags, size_t map_bytes);

/* The same as one call: its code; *env is closed again when it is not 0. */
int try_open(struct context *now, const char *path, unsigned flags, size_t map_bytes,
             MDB_env **env);

MDB_txn *begin(struct context *now, MDB_env *env, MDB_txn *parent, unsigned flags);
void commit(struct context *now, MDB_txn *txn);
MDB_dbi open_dbi(struct context *now, MDB_txn *txn, const char *name, unsigned flags);
MDB_cursor *open_cursor(struct context *now, MDB_txn *txn, MDB_dbi dbi);

int put(struct context *now, MDB_txn *txn, MDB_dbi dbi, const char *key, const char *value);
int del(struct context *now, MDB_txn *txn, MDB_dbi dbi, const char *key);

/* Writes down code and value of a mdb_get(). */
void say_get(struct context *now, MDB_txn *txn, MDB_dbi dbi, const char *key);
/* Code, key and value of a mdb_cursor_get(); `key` may be NULL. */
void say_cursor(struct context *now, MDB_cursor *cursor, MDB_cursor_op op, const char *key);
/* All pairs of a database, by a cursor of its own, forwards; and their number as mdb_stat() has it. */
void say_all(struct context *now, MDB_txn *txn, MDB_dbi dbi);

/* Opens, puts one pair into the main database in a transaction of its own, closes. */
void make_file(struct context *now, const char *path, unsigned flags);

#endif
