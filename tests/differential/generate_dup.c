/* generate_dup.c - settings with MDB_DUPSORT, with orders of the program's own, with tiny maps.
 *
 * Owns:       the tables of duplicates.
 * Invariants: G1 of generate.c. G2 the duplicates of one database with MDB_DUPFIXED or
 *             MDB_INTEGERDUP have one size.
 * Locks:      none; one thread.
 */
#include "generate.h"

#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

bool generate_has_duplicates(const struct program *program)
{
    return program->value_count != 0;
}

/* ---- tables of duplicates -------------------------------------------------------------------- */

static void make_byte_values(struct program *program, struct random *random, unsigned db)
{
    bool fixed = (program->db_flags[db] & MDB_DUPFIXED) != 0;
    static const uint8_t sizes[] = {1, 2, 4, 8, 16, 20, 32, 64};
    size_t fixed_size = sizes[random_below(random, 8)];
    enum key_pattern pattern = random_below(random, KEYS_PATTERN_COUNT);
    size_t prefix_size = random_below(random, KEY_MAX - 8);

    if (program->data_order[db] == ORDER_FOLDED) {
        pattern = KEYS_WORDS;
        fixed_size = 9;
    }
    for (size_t i = 0; i < program->value_count; i++) {
        uint8_t bytes[KEY_MAX + 1] = {0};
        size_t size = generate_key(pattern, random, (uint32_t)i, prefix_size, bytes);
        size = fixed ? fixed_size : size;
        uint8_t *data = program_allocate(program, size);
        memcpy(data, bytes, size);
        program->values[db][i] = (struct key_bytes){size, data};
    }
}

static void make_integer_values(struct program *program, struct random *random, unsigned db)
{
    size_t size = random_chance(random, 50) ? 4 : 8;
    bool sequential = random_chance(random, 50);

    for (size_t i = 0; i < program->value_count; i++) {
        uint64_t number = sequential ? i : random_next(random) >> random_below(random, 64);
        uint32_t number32 = (uint32_t)number;
        uint8_t *data = program_allocate(program, size);
        memcpy(data, size == 4 ? (void *)&number32 : (void *)&number, size);
        program->values[db][i] = (struct key_bytes){size, data};
    }
}

static void make_values(struct program *program, struct random *random)
{
    static const unsigned counts[] = {3, 8, 8, 40, 300, 3000};

    program->value_count = counts[random_below(random, 6)];
    for (unsigned db = 0; db <= program->named_count; db++) {
        if (!(program->db_flags[db] & MDB_DUPSORT)) {
            continue;
        }
        program->values[db] = calloc(program->value_count, sizeof *program->values[db]);
        if (program->values[db] == NULL) {
            abort();
        }
        if (program->db_flags[db] & MDB_INTEGERDUP) {
            make_integer_values(program, random, db);
        } else {
            make_byte_values(program, random, db);
        }
    }
}

/* ---- settings -------------------------------------------------------------------------------- */

static unsigned pick_dup_flags(struct random *random)
{
    static const unsigned kinds[] = {
        0,
        0,
        MDB_DUPFIXED,
        MDB_DUPFIXED | MDB_INTEGERDUP,
        MDB_INTEGERDUP,
        MDB_REVERSEDUP,
        MDB_DUPFIXED | MDB_REVERSEDUP,
    };

    return MDB_DUPSORT | kinds[random_below(random, sizeof kinds / sizeof kinds[0])];
}

/* `percent` of the databases get duplicates, at least one does. */
static void add_duplicates(struct program *program, struct random *random, uint32_t percent)
{
    unsigned sure =
        program->named_count == 0 ? DB_MAIN : 1 + random_below(random, program->named_count);

    for (unsigned db = 1; db <= program->named_count; db++) {
        if (db == sure || random_chance(random, percent)) {
            program->db_flags[db] |= pick_dup_flags(random);
        }
    }
    if (program->named_count == 0) {
        program->db_flags[DB_MAIN] |= pick_dup_flags(random);
    }
}

/* The library's own order stays where numbers are compared; the main database's would order the
 * names of the others. */
static void add_orders(struct program *program, struct random *random)
{
    for (unsigned db = 0; db <= program->named_count; db++) {
        unsigned flags = program->db_flags[db];
        if (db == DB_MAIN && program->named_count != 0) {
            continue;
        }
        if (!(flags & MDB_INTEGERKEY)) {
            program->key_order[db] = (enum order)random_below(random, ORDER_COUNT);
        }
        if ((flags & MDB_DUPSORT) && !(flags & MDB_INTEGERDUP)) {
            program->data_order[db] = (enum order)random_below(random, ORDER_COUNT);
        }
    }
}

/* Readers pin what a writer frees, in both libraries until they end. */
static void make_tiny(struct program *program, struct random *random)
{
    program->map_size = (size_t)(24 + random_below(random, 200)) << 12;
    program->map_is_tiny = true;
    program->env_flags &= ~(unsigned)MDB_WRITEMAP;
}

static unsigned pick_named_count(struct random *random)
{
    return random_chance(random, 30) ? 0 : 1 + random_below(random, 2);
}

void generate_dup_setting(struct program *program, struct random *random)
{
    generate_environment(program, random);
    generate_databases(program, random, pick_named_count(random));
    add_duplicates(program, random, 80);
    generate_keys(program, random);
    make_values(program, random);
}

void generate_mixed_setting(struct program *program, struct random *random)
{
    generate_environment(program, random);
    generate_databases(program, random, 3 + random_below(random, DB_NAMED_COUNT - 2));
    program->max_dbs = random_chance(random, 90) ? 8 : 2 + random_below(random, 4);
    add_duplicates(program, random, 60);
    generate_keys(program, random);
    make_values(program, random);
}

void generate_nested_dup_setting(struct program *program, struct random *random)
{
    generate_dup_setting(program, random);
    if (random_chance(random, 90)) { /* it does not nest */
        program->env_flags &= ~(unsigned)MDB_WRITEMAP;
    }
}

void generate_order_setting(struct program *program, struct random *random)
{
    generate_environment(program, random);
    generate_databases(program, random, random_below(random, 3));
    add_orders(program, random);
    generate_keys(program, random);
}

void generate_order_dup_setting(struct program *program, struct random *random)
{
    generate_environment(program, random);
    generate_databases(program, random, random_below(random, 3));
    add_duplicates(program, random, 80);
    add_orders(program, random);
    generate_keys(program, random);
    make_values(program, random);
}

void generate_tiny_setting(struct program *program, struct random *random)
{
    generate_plain_setting(program, random);
    make_tiny(program, random);
}

void generate_tiny_dup_setting(struct program *program, struct random *random)
{
    generate_dup_setting(program, random);
    make_tiny(program, random);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static uint32_t pick_multiple_flags(struct random *random)
{
    uint32_t pick = random_below(random, 100);

    return pick < 70 ? 0 : pick < 80 ? MDB_NODUPDATA : pick < 90 ? MDB_APPENDDUP : MDB_NOOVERWRITE;
}

void generate_dup_step(struct writer *writer, unsigned cursor)
{
    static const uint8_t codes[] = {STEP_PUT_MULTIPLE,  STEP_PUT_MULTIPLE, STEP_READ_MULTIPLE,
                                    STEP_READ_MULTIPLE, STEP_CURSOR_COUNT, STEP_CURSOR_COUNT,
                                    STEP_CURSOR_COUNT,  STEP_DCMP};
    struct random *random = writer->random;
    struct step *step = generate_add(writer, codes[random_below(random, sizeof codes)]);

    if (step == NULL) {
        return;
    }
    step->cursor = (uint8_t)cursor;
    step->number = (int)random_below(random, random_chance(random, 70) ? 12 : 1500);
    if (step->code == STEP_PUT_MULTIPLE) {
        step->flags = pick_multiple_flags(random);
    }
}
