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

/* Opens every database for reading and compares all of them. */
void steps_verify_all(struct pair *pair);

#endif
