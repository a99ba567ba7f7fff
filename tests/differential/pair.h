/* pair.h - two worlds that are given the same calls, and what must be known to compare them.
 *
 * The state kept here says which calls are defined in the real library and give a result that does
 * not depend on its page layout; all others are skipped (README.md lists them).
 */
#ifndef QS_TEST_DIFFERENTIAL_PAIR_H
#define QS_TEST_DIFFERENTIAL_PAIR_H

#include "world.h"

enum { HISTORY_COUNT = 30, REAL = 0, OURS = 1 };

enum txn_state { TXN_NONE, TXN_ACTIVE, TXN_RESET, TXN_PARENT };

struct known_txn {
    enum txn_state state; /* of the slot */
    unsigned epoch;       /* of the handles when it began */
    unsigned opened;      /* bit set of databases whose handles it opened, not yet published */
    bool removed;         /* nested: it dropped a database with its handle, so it must commit */
};

enum cursor_state {
    CURSOR_NONE,   /* free slot */
    CURSOR_LIVE,   /* usable */
    CURSOR_STALE,  /* its reader was reset: renew or close only */
    CURSOR_ORPHAN, /* its reader is gone: renew or close only */
    CURSOR_DEAD,   /* its handle was closed: close only */
};

/*   UNSET --first result--> ON --its item is deleted--> DELETED --no successor--> END
 *   any --layout decides--> MURKY --SET, FIRST, LAST, put--> ON */
enum cursor_position {
    POSITION_UNSET,   /* never positioned, or the database became empty */
    POSITION_ON,      /* on an item; its key may be known */
    POSITION_DELETED, /* on the successor of the deleted `key` */
    POSITION_END,     /* past the last item */
    POSITION_UNSURE,  /* on an item or past the last one */
    POSITION_MURKY,   /* the contract does not say */
};

struct known_cursor {
    enum cursor_state state;       /* of the slot */
    unsigned txn;                  /* slot */
    unsigned db;                   /* slot */
    unsigned level;                /* write: depth of the transaction it was opened in */
    enum cursor_position position; /* in the database */
    bool end_mark;                 /* it met the end and was not moved since */
    bool end_stale;                /* ... and the database was changed since */
    bool key_known;                /* `key` is meaningful */
    size_t key_size;               /* bytes */
    uint8_t key[KEY_MAX];          /* current, or deleted */
};

struct known_db {
    bool open;      /* the handle is valid for its owner, or for all */
    int owner;      /* transaction that opened it, -1 when published */
    unsigned flags; /* persistent ones */
};

/* A call as it is printed later, when its keys and data may be gone. */
struct past_call {
    struct call call; /* without the bytes of key and data */
    uint32_t step;    /* index */
    int rc;           /* of the real library */
    uint8_t key[16];  /* first bytes */
};

struct pair {
    const struct program *program;                      /* that is run */
    struct world world[2];                              /* REAL and OURS */
    struct known_txn txn[TXN_SLOTS];                    /* by slot */
    unsigned depth;                                     /* write transactions with a live child */
    struct known_cursor cursor[CURSOR_COUNT + 1];       /* by slot */
    struct known_cursor before[NEST_MAX][CURSOR_COUNT]; /* when the child of that depth began */
    struct known_db db[DB_COUNT];                       /* by slot */
    unsigned epoch;                                     /* grows when the set of handles changes */
    bool failed;                             /* stop: a mismatch, or nothing to compare with */
    bool inconclusive;                       /* ... the latter */
    const struct step *step;                 /* that is running */
    struct past_call history[HISTORY_COUNT]; /* last calls */
    uint64_t history_next;                   /* calls so far */
    bool quiet;                              /* print nothing */
};

/* A call with everything unset. */
struct call call_make(enum step_code code);

/* Gives both the call and compares; *real (may be NULL) is the real library's result. Returns its
 * code. Does nothing once the pair has failed. */
int pair_call(struct pair *pair, const struct call *call, struct result *real);

/* Reports a mismatch in words. */
void pair_fail(struct pair *pair, const char *what);

/* Compares everything that the transaction sees: every open database in both directions. */
void pair_verify(struct pair *pair, unsigned txn);

/* ---- positions (position.c) ------------------------------------------------------------------ */

/* To be told before a change of the database, after a deletion of `key` (NULL: which is not known),
 * and after each cursor call. `except` is the cursor that makes the change, or -1. */
void position_before_change(struct pair *pair, unsigned db, int except);
void position_after_delete(struct pair *pair, unsigned db, const MDB_val *key, int except);
void position_after_get(struct pair *pair, const struct call *call, const struct result *result);
void position_after_put(struct pair *pair, const struct call *call, const struct result *result);
void position_set_key(struct known_cursor *cursor, const MDB_val *key);

/* False when the result of the cursor operation is not to be compared. */
bool position_defines(const struct known_cursor *cursor, int cursor_op);

/* Key of the item that cursor_del would delete; false when that is not known. */
bool position_victim(struct pair *pair, const struct known_cursor *cursor, uint8_t *bytes,
                     MDB_val *key);

/* ---- programs (driver.c) --------------------------------------------------------------------- */

/* Runs the program in two new directories below `base`; true when nothing differed. Removes the
 * directories then, or always with `quiet`. */
bool driver_run(const struct program *program, const struct api apis[2], const char *base,
                bool quiet, uint64_t *calls);

/* Removes the directory with all that is in it, if it is there. */
void driver_remove(const char *base);

#endif
