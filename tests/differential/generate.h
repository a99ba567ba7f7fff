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

/* Patterns of keys and of duplicates that are byte strings. */
enum key_pattern {
    KEYS_RANDOM,
    KEYS_SHORT,
    KEYS_SEQUENTIAL,
    KEYS_LONG_PREFIX,
    KEYS_NEAR_EQUAL,
    KEYS_PATTERN_COUNT,
    KEYS_WORDS = KEYS_PATTERN_COUNT, /* none equal to another but for the case of letters */
};

/* One of them, at most KEY_MAX bytes; its size. */
size_t generate_key(enum key_pattern pattern, struct random *random, uint32_t index,
                    size_t prefix_size, uint8_t *bytes);

/* Environment, databases by their flags, keys. */
void generate_environment(struct program *program, struct random *random);
unsigned generate_key_flags(struct random *random);
void generate_databases(struct program *program, struct random *random, unsigned named_count);
void generate_keys(struct program *program, struct random *random);

void generate_plain_setting(struct program *program, struct random *random);

/* An empty list with its profile. */
struct writer generate_begin(struct program *program, struct random *random);

/* Appends a step with everything random that any step may need; NULL when the list is full. */
struct step *generate_add(struct writer *writer, enum step_code code);

/* Appends some steps on plain databases that belong together. */
void generate_burst(struct writer *writer);

/* Generators with duplicates, orders of the program's own, tiny maps (generate_dup.c). */
void generate_dup_setting(struct program *program, struct random *random);
void generate_mixed_setting(struct program *program, struct random *random);
void generate_nested_dup_setting(struct program *program, struct random *random);
void generate_order_setting(struct program *program, struct random *random);
void generate_order_dup_setting(struct program *program, struct random *random);
void generate_tiny_setting(struct program *program, struct random *random);
void generate_tiny_dup_setting(struct program *program, struct random *random);

/* The program has a database with duplicates. */
bool generate_has_duplicates(const struct program *program);
/* Appends a step that only makes sense with duplicates (generate_dup.c). */
void generate_dup_step(struct writer *writer, unsigned cursor);

/* Nested transactions (generate_nested.c). */
void generate_nested_setting(struct program *program, struct random *random);
void generate_nested_steps(struct program *program, struct random *random);

#endif
