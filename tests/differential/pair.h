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
    bool key_gone;                 /* DELETED: the key with all its duplicates */
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
    uint64_t aborted_dbis; /* bit set of handle numbers that aborted write transactions gave out */
    bool failed;           /* stop: a mismatch, or nothing to compare with */
    bool inconclusive;     /* ... the latter */
    const struct step *step;                 /* that is running */
    struct past_call history[HISTORY_COUNT]; /* last calls */
    uint64_t history_next;                   /* calls so far */
    bool quiet;                              /* print nothing */
    bool full;                               /* MDB_MAP_FULL came: the writer must abort */
    bool both_full;                          /* ... from both libraries */
    FILE *script;                            /* where calls are written down as C, or NULL */
};

/* A call with everything unset. */
struct call call_make(enum step_code code);

/* Gives both the call and compares; *real (may be NULL) is the real library's result. Returns its
 * code. Does nothing once the pair has failed. */
int pair_call(struct pair *pair, const struct call *call, struct result *real);

/* Writes a call down as C (emit.c); a walk through a database; the beginning and the end. */
void emit_call(const struct pair *pair, const struct call *call);
void emit_walk(const struct pair *pair, unsigned txn, unsigned db);
void emit_open(const struct pair *pair);
void emit_close(const struct pair *pair);
void emit_copy(const struct pair *pair, unsigned number, unsigned flags);
void emit_begin(const struct pair *pair);
void emit_end(const struct pair *pair);

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
bool position_defines(struct pair *pair, const struct known_cursor *cursor, int cursor_op);

/* Key of the item that cursor_del would delete; false when that is not known. */
bool position_victim(struct pair *pair, const struct known_cursor *cursor, uint8_t *bytes,
                     MDB_val *key);

/* What the real library says, by a cursor of its own: a code of MDB_FIRST (key NULL) or
 * MDB_SET_RANGE, which changes *key. */
int position_ask_real(struct pair *pair, unsigned txn, unsigned db, MDB_val *key);

/* The key compares equal to the cursor's. */
bool position_has_key(const struct pair *pair, const struct known_cursor *cursor,
                      const MDB_val *key);

/* ---- positions in databases with MDB_DUPSORT (position_dup.c) -------------------------------- */

bool position_dup_defines(struct pair *pair, const struct known_cursor *cursor, int cursor_op);
/* Another cursor may be among the duplicates of this one's key: the real library does not survive
 * some deletions there. */
bool position_dup_shared(struct pair *pair, unsigned index);
/* mdb_cursor_count() is defined. */
bool position_dup_counts(struct pair *pair, const struct known_cursor *cursor);
/* A put that was refused changed the items of its key for the cursors on them. */
bool position_dup_remakes(const struct call *call, int rc);
/* Somebody else put or deleted items of `key` (NULL: which is not known). */
void position_dup_after_change(struct pair *pair, unsigned db, const MDB_val *key, bool key_gone,
                               int except);

/* The cursor has deleted its item: with the last key the real library marks it as at the end. */
void position_dup_after_delete(struct pair *pair, struct known_cursor *cursor);
void position_dup_after_get(struct pair *pair, const struct call *call,
                            const struct result *result);
void position_dup_after_put(struct pair *pair, const struct call *call,
                            const struct result *result);

/* Duplicates of the key in the real library, and the first; 0 when it is not there. */
size_t position_dup_first(struct pair *pair, unsigned txn, unsigned db, const MDB_val *key,
                          MDB_val *data);
size_t position_dup_count(struct pair *pair, unsigned txn, unsigned db, const MDB_val *key);

/* ---- programs (driver.c) --------------------------------------------------------------------- */

/* Runs the program in two new directories below `base`; true when nothing differed. Removes the
 * directories then, or always with `quiet`. Writes the calls down as C in `script`, if given. */
bool driver_run(const struct program *program, const struct api apis[2], const char *base,
                bool quiet, FILE *script, uint64_t *calls);

/* Removes the directory with all that is in it, if it is there. */
void driver_remove(const char *base);

#endif
