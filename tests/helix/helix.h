/* helix.h - a graph with vectors and full text in LMDB, as a graph database keeps it.
 *
 * Fourteen databases of all kinds hold nodes and edges, edges by either end, two indexes on a
 * property, vectors with their neighbour graph, and an inverted index. What must hold in every
 * snapshot is in helix_check(). The program uses the mdb_* functions alone.
 */
#ifndef QS_TEST_HELIX_H
#define QS_TEST_HELIX_H

#include <lmdb.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ID_SIZE = 16,
    USERS = 1000,
    VECTORS = 2000,
    DIMENSION = 64,
    EDGES_PER_USER = 40,
    LABELS = 4,
    ADJACENT_KEY = ID_SIZE + 4,      /* node, hash of the label */
    ADJACENT_DATA = 2 * ID_SIZE,     /* edge, other node */
    NEIGHBOUR_KEY = 2 * ID_SIZE + 8, /* node, level, neighbour */
    VECTOR_KEY = 2 + ID_SIZE + 8,    /* prefix, node, level */
    NEIGHBOURS = 16,                 /* of a vector on level 0, each way */
    TERMS_PER_USER = 8,
    TERMS = 500,
    POSTING = ID_SIZE + 4, /* document, frequency */
    TERM_MAX = 40,
};

/* Databases; the names and flags are in helix.c. */
enum helix_db {
    DB_NODES,
    DB_EDGES,
    DB_OUT,
    DB_IN,
    DB_INDEX,
    DB_UNIQUE,
    DB_VECTORS,
    DB_VECTOR_DATA,
    DB_NEIGHBOURS,
    DB_INVERTED,
    DB_REVERSE,
    DB_LENGTHS,
    DB_FREQUENCIES,
    DB_METADATA,
    DB_TOTAL,
};

struct helix {
    MDB_env *env;          /* open */
    MDB_dbi dbi[DB_TOTAL]; /* by enum helix_db */
};

struct random {
    uint64_t state; /* splitmix64 */
};

uint64_t random_next(struct random *random);
uint32_t random_below(struct random *random, uint32_t limit);
/* Few are wanted often (Zipf-like): 0 .. limit - 1. */
uint32_t random_skewed(struct random *random, uint32_t limit);

/* A finding ends the process with its place. */
#define EXPECT(condition)                                                                          \
    ((condition) ? (void)0 : helix_fail(__FILE__, __LINE__, __func__, #condition, 0))
#define EXPECT_RC(call, wanted)                                                                    \
    do {                                                                                           \
        int expect_rc_ = (call);                                                                   \
        if (expect_rc_ != (wanted)) {                                                              \
            helix_fail(__FILE__, __LINE__, __func__, #call, expect_rc_);                           \
        }                                                                                          \
    } while (0)
void helix_fail(const char *file, int line, const char *function, const char *what, int rc)
    __attribute__((noreturn));

/* ---- environments and identities (helix.c) --------------------------------------------------- */

void helix_open(struct helix *helix, const char *directory, unsigned flags);
void helix_close(struct helix *helix);
MDB_txn *helix_begin(const struct helix *helix, unsigned flags);
uint64_t helix_entries(const struct helix *helix, MDB_txn *txn, enum helix_db db);

/* Ordered by time, that is by number; of a user, a vector or an edge. */
void helix_id(uint8_t id[ID_SIZE], char kind, uint64_t number);
uint64_t helix_number(const void *id);
void helix_adjacent_key(uint8_t key[ADJACENT_KEY], const uint8_t node[ID_SIZE], unsigned label);
void helix_neighbour_key(uint8_t key[NEIGHBOUR_KEY], const uint8_t node[ID_SIZE],
                         const uint8_t other[ID_SIZE]);
void helix_vector_key(uint8_t key[VECTOR_KEY], const uint8_t node[ID_SIZE]);
size_t helix_term(char term[TERM_MAX], unsigned number);

/* ---- writing (write.c) ----------------------------------------------------------------------- */

/* Each is the work of one transaction. */
void helix_add_user(const struct helix *helix, MDB_txn *txn, unsigned user, struct random *random);
void helix_add_vector(const struct helix *helix, MDB_txn *txn, unsigned vector,
                      struct random *random);
void helix_add_edge(const struct helix *helix, MDB_txn *txn, uint64_t edge, struct random *random);
/* Another property of another size; nothing when the node is gone. */
void helix_update_user(const struct helix *helix, MDB_txn *txn, unsigned user,
                       struct random *random);
/* The node with its edges, index entries and terms. */
void helix_drop_user(const struct helix *helix, MDB_txn *txn, unsigned user);
/* The number of the next edge. */
uint64_t helix_next_edge(const struct helix *helix, MDB_txn *txn);

/* All of it: users and vectors one a transaction, edges in batches but for the last. */
void helix_load(const struct helix *helix);

/* ---- reading (read.c, check.c) --------------------------------------------------------------- */

/* One operation of the mix in a transaction of its own. */
void helix_read(const struct helix *helix, struct random *random);

/* Every invariant, in one snapshot. Returns the number of edges. */
uint64_t helix_check(const struct helix *helix, MDB_txn *txn);
uint64_t helix_check_now(const struct helix *helix);

/* ---- phases (phases.c, behaviours.c) --------------------------------------------------------- */

/* One writer beside readers; a reader with a snapshot of its own all the time. */
void helix_mixed(const struct helix *helix, unsigned operations);
/* A process of its own copies the environment while a writer goes on. */
void helix_backup(const char *directory, unsigned operations);
/* A writing process is killed, three times. */
void helix_crash(const char *directory);
/* What such a database relies on, call by call. */
void helix_behaviours(const struct helix *helix);

#endif
