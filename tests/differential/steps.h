/* steps.h - runs the steps of a program on a pair. */
#ifndef QS_TEST_DIFFERENTIAL_STEPS_H
#define QS_TEST_DIFFERENTIAL_STEPS_H

#include "pair.h"

/* Opens both environments and their main database. */
void steps_open(struct pair *pair);

/* Ends all cursors and transactions (the write one by commit or abort) and closes both. */
void steps_close(struct pair *pair, bool commit);

/* Runs one step, or skips it when the slots are not in the right state. */
void steps_run(struct pair *pair, const struct step *step);

/* The cursor steps of steps_run() (steps_cursor.c). */
void steps_run_cursor(struct pair *pair, const struct step *step);

/* The steps on transactions of steps_run(): begin, end, reset, renew (steps_txn.c). */
void steps_run_txn(struct pair *pair, const struct step *step);

/* Ends the write transaction, if there is one, with all that are nested in it. */
void steps_end_writer(struct pair *pair, enum step_code code);

/* The steps that change handles of steps_run(): open, close, drop (steps_handle.c). */
void steps_run_handle(struct pair *pair, const struct step *step);

/* True when the handle may be given to a call whose result is not an error. */
bool steps_handle_visible(const struct pair *pair, unsigned txn, unsigned db);

/* The transaction's new handles become everybody's (its parent's), or nobody's. */
void steps_settle_handles(struct pair *pair, unsigned txn, bool publish);

/* True when a reader has a snapshot. */
bool steps_reader_active(const struct pair *pair);

/* The call of a step, with slots, flags and number. */
struct call steps_call(const struct step *step, enum step_code code);

/* ---- keys and data (steps.c, steps_dup.c) ---------------------------------------------------- */

/* From the database's table of keys, of duplicates. */
MDB_val steps_key(const struct pair *pair, unsigned db, size_t index);
MDB_val steps_duplicate(const struct pair *pair, unsigned db, size_t index);
bool steps_has_duplicates(const struct pair *pair, unsigned db);

/* The step's key and data with what is wrong about them. */
void steps_set_key(const struct pair *pair, const struct step *step, struct call *call);
void steps_set_data(const struct pair *pair, const struct step *step, struct call *call);

/* Takes MDB_RESERVE away where it is undefined. */
void steps_limit_reserve(struct pair *pair, struct call *call);

/* A cursor call, and what it means for the positions; its code. */
int steps_cursor_get(struct pair *pair, const struct call *call, struct result *result);
void steps_cursor_put(struct pair *pair, struct call *call);

void steps_run_dcmp(struct pair *pair, const struct step *step);
void steps_run_put_multiple(struct pair *pair, const struct step *step);
void steps_run_read_multiple(struct pair *pair, const struct step *step);

/* ---- whole databases ------------------------------------------------------------------------- */

/* Opens every database for reading and compares all of them. */
void steps_verify_all(struct pair *pair);

#endif
