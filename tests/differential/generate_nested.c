/* generate_nested.c - programs with nested transactions on plain databases.
 *
 * Owns:       nothing.
 * Invariants: G1 of generate.c.
 * Locks:      none; one thread.
 *
 * Steps on TXN_WRITE act in the innermost transaction, so that the bursts of plain programs serve
 * as the work in it. In between children begin and end, parents end with live children, and parents
 * are called though a child lives.
 */
#include "generate.h"

#include <lmdb.h>

void generate_nested_setting(struct program *program, struct random *random)
{
    generate_plain_setting(program, random);
    if (random_chance(random, 90)) { /* it does not nest */
        program->env_flags &= ~(unsigned)MDB_WRITEMAP;
    }
}

static void add_child(struct writer *writer)
{
    struct random *random = writer->random;
    struct step *step = generate_add(writer, STEP_CHILD_BEGIN);

    if (step == NULL) {
        return;
    }
    step->txn = TXN_WRITE;
    step->flags = 0;
    if (random_chance(random, 4)) {
        step->flags = MDB_RDONLY;
    } else if (random_chance(random, 6)) {
        step->txn = (uint8_t)random_below(random, TXN_SLOTS);
    }
    /* Handles that are opened in the child, or known to it. */
    for (uint32_t i = random_below(random, 3); i > 0 && writer->program->named_count > 0; i--) {
        unsigned db = 1 + random_below(random, writer->program->named_count);
        step = generate_add(writer, STEP_DBI_OPEN);
        if (step != NULL) {
            step->txn = TXN_WRITE;
            step->db = (uint8_t)db;
            step->flags = writer->program->db_flags[db] | MDB_CREATE;
        }
    }
}

/* Mostly the innermost one, else a parent with live children. */
static void add_end(struct writer *writer)
{
    struct random *random = writer->random;
    bool commit = random_chance(random, 55);
    struct step *step = generate_add(writer, commit ? STEP_TXN_COMMIT : STEP_TXN_ABORT);

    if (step != NULL) {
        step->txn = random_chance(random, 80)
                        ? TXN_WRITE
                        : (uint8_t)(TXN_OUTER + random_below(random, NEST_MAX));
    }
}

/* Something in a transaction that has a child. */
static void add_call_of_parent(struct writer *writer)
{
    static const uint8_t codes[] = {
        STEP_GET,  STEP_PUT,    STEP_DEL,       STEP_STAT,        STEP_DBI_OPEN,  STEP_CURSOR_OPEN,
        STEP_DROP, STEP_TXN_ID, STEP_DBI_FLAGS, STEP_CHILD_BEGIN, STEP_TXN_RESET, STEP_TXN_RENEW};
    struct random *random = writer->random;
    struct step *step = generate_add(writer, codes[random_below(random, sizeof codes)]);

    if (step != NULL) {
        step->txn = (uint8_t)(TXN_OUTER + random_below(random, NEST_MAX));
        step->flags = 0;
        step->number = step->code == STEP_DROP ? (int)random_below(random, 2) : step->number;
    }
}

void generate_nested_steps(struct program *program, struct random *random)
{
    struct writer writer = generate_begin(program, random);

    while (writer.used < program->step_count) {
        uint32_t pick = random_below(random, 100);
        if (writer.used > 0 && pick < 12) {
            add_child(&writer);
        } else if (writer.used > 0 && pick < 20) {
            add_end(&writer);
        } else if (writer.used > 0 && pick < 25) {
            add_call_of_parent(&writer);
        } else {
            generate_burst(&writer);
        }
    }
}
