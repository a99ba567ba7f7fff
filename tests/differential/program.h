/* program.h - a random program: its setting, its list of steps, and how they are written down.
 *
 * A program is made completely from a seed before it is run, so that any subset of its steps can be
 * run as well (shrinking). Steps name slots, not objects: a step whose slot is not in the right
 * state is skipped when it is run.
 */
#ifndef QS_TEST_DIFFERENTIAL_PROGRAM_H
#define QS_TEST_DIFFERENTIAL_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    TXN_WRITE = 0,         /* slot of the write transaction */
    TXN_COUNT = 5,         /* the others are for readers */
    NEST_MAX = 3,          /* nested transactions in each other */
    TXN_OUTER = TXN_COUNT, /* slots of write transactions with a live child, outermost
                              first; TXN_WRITE is the innermost */
    TXN_SLOTS = TXN_OUTER + NEST_MAX,
    CURSOR_COUNT = 8,              /* slots of cursors */
    DB_MAIN = 0,                   /* slot of the unnamed database */
    DB_NAMED_COUNT = 5,            /* named ones follow it */
    DB_COUNT = 1 + DB_NAMED_COUNT, /* slots that can be opened */
    DB_FREE = DB_COUNT,            /* stands for the library's own handle 0 */
    DB_BAD = DB_COUNT + 1,         /* stands for a handle that never exists */
    KEY_MAX = 511,                 /* longest key the libraries store */
    POOL_SIZE = 4 << 20,           /* random bytes that values are cut from */
};

enum step_code {
    STEP_TXN_BEGIN,
    STEP_CHILD_BEGIN,
    STEP_TXN_COMMIT,
    STEP_TXN_ABORT,
    STEP_TXN_RESET,
    STEP_TXN_RENEW,
    STEP_TXN_ID,
    STEP_DBI_OPEN,
    STEP_DBI_CLOSE,
    STEP_DBI_FLAGS,
    STEP_STAT,
    STEP_DROP,
    STEP_GET,
    STEP_PUT,
    STEP_DEL,
    STEP_CMP,
    STEP_CURSOR_OPEN,
    STEP_CURSOR_CLOSE,
    STEP_CURSOR_RENEW,
    STEP_CURSOR_GET,
    STEP_CURSOR_PUT,
    STEP_CURSOR_PUT_CURRENT,
    STEP_CURSOR_DEL,
    STEP_CURSOR_COUNT,
    STEP_DCMP,
    STEP_PUT_MULTIPLE,  /* `number` items of one key by one call */
    STEP_READ_MULTIPLE, /* all items of one key by chunks, forwards and back */
    STEP_READER_LIST,
    STEP_ASK,    /* the `number`-th kind of question or setting */
    STEP_FILL,   /* `number` puts of keys in table order */
    STEP_CLEAR,  /* `number` deletes of keys in table order */
    STEP_SCAN,   /* `number` moves of a cursor */
    STEP_VERIFY, /* everything the transaction sees, in both directions */
    STEP_COPY,
    STEP_REOPEN,
    STEP_ENV_INFO,
    STEP_ENV_SYNC,
    STEP_BAD_CALL, /* the `number`-th kind of wrong arguments */
    STEP_CODE_COUNT,
};

/* What is wrong with the key or data of a step. */
enum step_twist {
    TWIST_NONE,
    TWIST_KEY_EMPTY,
    TWIST_KEY_LONG, /* 512 bytes or more */
    TWIST_KEY_NULL,
    TWIST_DATA_NULL,
    TWIST_BOTH_NULL,
    TWIST_DATA_EMPTY,
    TWIST_DATA_LONG, /* longer than what MDB_DUPSORT allows */
};

/* How keys or duplicates are ordered by a function of the program's; compare.h has them. */
enum order {
    ORDER_DEFAULT, /* the library's */
    ORDER_DESCENDING,
    ORDER_FOLDED, /* letters of both cases are one */
    ORDER_LENGTH, /* shorter first */
    ORDER_COUNT,
};

struct step {
    uint8_t code;       /* enum step_code */
    uint8_t txn;        /* slot */
    uint8_t cursor;     /* slot */
    uint8_t db;         /* slot */
    uint8_t twist;      /* enum step_twist */
    int16_t cursor_op;  /* MDB_cursor_op, also bad ones */
    uint16_t key;       /* index in the key table */
    uint32_t flags;     /* of the call */
    uint32_t data_at;   /* offset in the pool */
    uint32_t data_size; /* bytes */
    int32_t number;     /* repetitions, variant, drop's last argument */
    uint32_t index;     /* position in the full program, for --only */
};

struct key_bytes {
    size_t size;         /* bytes */
    const uint8_t *data; /* in the program's arena, 8-byte aligned */
};

struct program {
    uint64_t seed;                      /* everything here follows from it and step_count */
    const char *generator;              /* name of what made it */
    unsigned env_flags;                 /* of every open */
    unsigned max_dbs;                   /* of every open */
    unsigned max_readers;               /* of every open, 0 = not set */
    size_t map_size;                    /* of every open */
    unsigned named_count;               /* named databases it uses */
    unsigned db_flags[DB_COUNT];        /* each database is created with */
    const char *db_name[DB_COUNT];      /* NULL for the main one */
    size_t key_count;                   /* in each table */
    struct key_bytes *byte_keys;        /* for databases without MDB_INTEGERKEY */
    struct key_bytes *integer_keys;     /* for the others; 4 or 8 bytes each */
    enum order key_order[DB_COUNT];     /* set after each open of the handle */
    enum order data_order[DB_COUNT];    /* of duplicates, likewise */
    size_t value_count;                 /* in each table of duplicates */
    struct key_bytes *values[DB_COUNT]; /* for databases with MDB_DUPSORT, else NULL */
    bool map_is_tiny;                   /* MDB_MAP_FULL is to be expected */
    struct step *steps;                 /* the list */
    size_t step_count;                  /* in the list */
    uint8_t *arena;                     /* memory of the keys */
    size_t arena_used;                  /* bytes of it */
    size_t arena_size;                  /* bytes of it */
};

struct random {
    uint64_t state; /* splitmix64 */
};

uint64_t random_next(struct random *random);
/* Uniform in 0 .. limit - 1. */
uint32_t random_below(struct random *random, uint32_t limit);
/* True in `percent` of 100 cases. */
bool random_chance(struct random *random, uint32_t percent);

/* A way to make programs. */
struct generator {
    const char *name;                                                /* for --generator */
    bool is_default;                                                 /* one of `all` */
    void (*setting)(struct program *program, struct random *random); /* flags, databases, sizes */
    void (*steps)(struct program *program, struct random *random);   /* fills program->steps */
};
extern const struct generator generators[]; /* ends with name == NULL */

/* The common pool of value bytes; the same in every run. */
const uint8_t *program_pool(void);

struct program *program_make(const struct generator *generator, uint64_t seed, size_t step_count);
void program_free(struct program *program);
/* 8-byte aligned room for a key of the program. */
uint8_t *program_allocate(struct program *program, size_t size);

const char *program_step_name(enum step_code code);
const char *program_cursor_op_name(int cursor_op);
void program_print_setting(FILE *out, const struct program *program);
void program_print_step(FILE *out, const struct program *program, const struct step *step);

#endif
