/* generate.h - what generators of programs share: the list being made, bursts of steps.
 */
#ifndef QS_TEST_DIFFERENTIAL_GENERATE_H
#define QS_TEST_DIFFERENTIAL_GENERATE_H

#include "program.h"

/* The list being made. */
struct writer {
    struct program *program; /* owner of the steps */
    struct random *random;   /* source of choices */
    size_t used;             /* steps made */
    unsigned value_profile;  /* 0 small, 1 mixed, 2 large */
    unsigned main_percent;   /* how often the main database is picked */
};

void generate_plain_setting(struct program *program, struct random *random);

/* An empty list with its profile. */
struct writer generate_begin(struct program *program, struct random *random);

/* Appends a step with everything random that any step may need; NULL when the list is full. */
struct step *generate_add(struct writer *writer, enum step_code code);

/* Appends some steps on plain databases that belong together. */
void generate_burst(struct writer *writer);

/* Nested transactions (generate_nested.c). */
void generate_nested_setting(struct program *program, struct random *random);
void generate_nested_steps(struct program *program, struct random *random);

#endif
