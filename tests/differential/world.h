/* world.h - one library with its environment, transactions, cursors and handles in slots.
 *
 * A call is one API call in terms of slots; two worlds that are given the same calls must give the
 * same results.
 */
#ifndef QS_TEST_DIFFERENTIAL_WORLD_H
#define QS_TEST_DIFFERENTIAL_WORLD_H

#include "api.h"
#include "program.h"

enum {
    CURSOR_SCRATCH = CURSOR_COUNT, /* slot of whole-database walks */
    HELD_COUNT = 16,               /* results remembered for each reader */
    BAD_HANDLE = 77,               /* never the number of an open database */
    MANY_SIZE = 4 << 20,           /* bytes of one key's duplicates, at most */
    COPY_BY_FD = 0x100,            /* flag of world_copy(): mdb_env_copyfd2() */
};

struct call {
    enum step_code code; /* the primitive ones */
    unsigned txn;        /* slot; of a cursor call too */
    unsigned cursor;     /* slot */
    unsigned db;         /* slot */
    int cursor_op;       /* MDB_cursor_op */
    int number;          /* drop's argument, variant of a bad call, close: it stays open, items
                            of MDB_MULTIPLE */
    unsigned flags;      /* as given to the library */
    bool no_key;         /* pass NULL */
    bool no_data;        /* pass NULL */
    MDB_val key;         /* before the call */
    MDB_val data;        /* before the call */
    const char *name;    /* of a database */
};

struct result {
    int rc;              /* of the call */
    bool key_touched;    /* *key is not what it was */
    bool data_touched;   /* *data is not what it was */
    MDB_val key;         /* after the call */
    MDB_val data;        /* after the call */
    size_t number_count; /* of numbers */
    uint64_t numbers[6]; /* whatever else the call gives */
};

/* A result of a reader, to be found unchanged later. */
struct held {
    const uint8_t *data; /* where the library said it is */
    size_t size;         /* bytes */
    uint64_t hash;       /* of them */
};

struct world {
    const struct api *api;                   /* library */
    const struct program *program;           /* for its orders and sizes */
    char directory[200];                     /* of its files */
    char path[256];                          /* given to mdb_env_open() */
    char text[2048];                         /* of the list of readers */
    uint8_t *many;                           /* MANY_SIZE bytes for chunks that are joined */
    MDB_env *env;                            /* NULL when closed */
    MDB_txn *txn[TXN_SLOTS];                 /* by slot */
    unsigned depth;                          /* write transactions with a live child */
    MDB_cursor *cursor[CURSOR_COUNT + 1];    /* by slot */
    MDB_dbi dbi[DB_BAD + 1];                 /* by slot */
    struct held held[TXN_COUNT][HELD_COUNT]; /* by slot */
    unsigned held_next[TXN_COUNT];           /* where the next is put */
    uint64_t calls;                          /* made so far */
    MDB_assert_func *gave_up;                /* called when an assertion fails, NULL: abort() */
};

/* What out-parameters hold before a call that only writes them. */
MDB_val world_untouched(void);

/* Opens the environment in its directory; closes it again when that fails. */
int world_open(struct world *world, const struct program *program);
void world_close(struct world *world);

/* Copies the environment to `directory` (made by this function). */
int world_copy(struct world *world, const struct program *program, const char *directory,
               unsigned flags);

void world_call(struct world *world, const struct call *call, struct result *result);

/* All items of the cursor's key by MDB_GET_MULTIPLE and MDB_NEXT_MULTIPLE, joined, or by
 * MDB_PREV_MULTIPLE; where chunks end is the library's affair. The result has one code for all. */
void world_read_multiple(struct world *world, const struct call *call, struct result *result);

/* Calls with wrong arguments, questions (wrong.c): what the call's number stands for. */
uint64_t wrong_call(struct world *world, const struct call *call, MDB_val *data);
const char *wrong_text(const struct call *call);
bool wrong_needs_txn(const struct call *call);
bool wrong_needs_cursor(const struct call *call);

/* False when something a reader was given has changed. Forgets all of it. */
bool world_check_held(struct world *world, unsigned txn);

#endif
