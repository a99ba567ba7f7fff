/* generate.c - generators of random programs; this one: plain databases.
 *
 * Owns:       the table of generators.
 * Invariants: G1 all randomness comes from the program's seed.
 * Locks:      none; one thread.
 *
 * Steps are made in bursts (a cursor is moved around for a while, a range is filled), because
 * independent random calls rarely meet in an interesting state.
 */
#include "generate.h"

#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

static const char *const db_names[DB_COUNT] = {NULL, "alpha", "beta", "g", "delta-delta", "E"};

/* ---- settings -------------------------------------------------------------------------------- */

size_t generate_key(enum key_pattern pattern, struct random *random, uint32_t index,
                    size_t prefix_size, uint8_t *bytes)
{
    size_t size;

    switch (pattern) {
    case KEYS_SHORT:
        size = 1 + random_below(random, 4);
        break;
    case KEYS_SEQUENTIAL:
        return (size_t)snprintf((char *)bytes, KEY_MAX, "key%06u", index);
    case KEYS_WORDS:
        size = (size_t)snprintf((char *)bytes, KEY_MAX, "%05uword", index * 7919 % 100000);
        for (size_t i = 5; i < size; i++) {
            bytes[i] ^= random_chance(random, 50) ? 0x20 : 0;
        }
        return size;
    case KEYS_LONG_PREFIX:
        memset(bytes, 'p', prefix_size);
        size = prefix_size + 1 + random_below(random, (uint32_t)(KEY_MAX - prefix_size));
        for (size_t i = prefix_size; i < size; i++) {
            bytes[i] = (uint8_t)random_below(random, 256);
        }
        return size;
    case KEYS_NEAR_EQUAL:
        memset(bytes, 'n', KEY_MAX);
        size = 1 + random_below(random, random_chance(random, 50) ? 24 : KEY_MAX);
        bytes[random_below(random, (uint32_t)size)] = (uint8_t)random_below(random, 256);
        return size;
    default:
        size = 1 + random_below(random, random_chance(random, 70) ? 40 : KEY_MAX);
        break;
    }
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)random_next(random);
    }
    return size;
}

static void make_byte_keys(struct program *program, struct random *random)
{
    enum key_pattern pattern = random_below(random, KEYS_PATTERN_COUNT);
    size_t prefix_size = random_below(random, KEY_MAX - 8);
    bool with_names = random_chance(random, 15);

    for (unsigned i = 0; i < DB_COUNT; i++) {
        pattern = program->key_order[i] == ORDER_FOLDED ? KEYS_WORDS : pattern;
    }

    for (size_t i = 0; i < program->key_count; i++) {
        uint8_t bytes[KEY_MAX + 1];
        size_t size = generate_key(pattern, random, (uint32_t)i, prefix_size, bytes);
        if (with_names && pattern != KEYS_WORDS && i < DB_NAMED_COUNT) {
            size = strlen(db_names[1 + i]);
            memcpy(bytes, db_names[1 + i], size);
        }
        uint8_t *data = program_allocate(program, size);
        memcpy(data, bytes, size);
        program->byte_keys[i] = (struct key_bytes){size, data};
    }
}

static void make_integer_keys(struct program *program, struct random *random)
{
    size_t size = random_chance(random, 50) ? 4 : 8;
    bool sequential = random_chance(random, 50);

    for (size_t i = 0; i < program->key_count; i++) {
        uint64_t number = sequential ? i : random_next(random) >> random_below(random, 64);
        uint32_t number32 = (uint32_t)number;
        uint8_t *data = program_allocate(program, size);
        memcpy(data, size == 4 ? (void *)&number32 : (void *)&number, size);
        program->integer_keys[i] = (struct key_bytes){size, data};
    }
}

unsigned generate_key_flags(struct random *random)
{
    uint32_t pick = random_below(random, 10);

    return pick < 5 ? 0 : pick < 8 ? MDB_INTEGERKEY : MDB_REVERSEKEY;
}

void generate_environment(struct program *program, struct random *random)
{
    static const unsigned extra_flags[] = {MDB_WRITEMAP,  MDB_MAPASYNC,   MDB_NORDAHEAD,
                                           MDB_NOMEMINIT, MDB_NOMETASYNC, MDB_NOLOCK};

    program->env_flags = MDB_NOSYNC | (random_chance(random, 80) ? MDB_NOTLS : 0);
    for (size_t i = 0; i < sizeof extra_flags / sizeof extra_flags[0]; i++) {
        program->env_flags |= random_chance(random, 8) ? extra_flags[i] : 0;
    }
    program->env_flags |= random_chance(random, 20) ? MDB_NOSUBDIR : 0;
    program->map_size = (size_t)1 << 30;
    program->max_readers = random_chance(random, 15) ? 2 : 0;
    program->max_dbs = random_chance(random, 90) ? 8 : random_below(random, 4);
}

void generate_databases(struct program *program, struct random *random, unsigned named_count)
{
    program->named_count = named_count;
    for (unsigned i = 1; i <= named_count; i++) {
        program->db_name[i] = db_names[i];
        program->db_flags[i] = generate_key_flags(random);
    }
    if (named_count == 0 || random_chance(random, 10)) {
        program->db_flags[DB_MAIN] = generate_key_flags(random);
    }
}

void generate_keys(struct program *program, struct random *random)
{
    static const unsigned key_counts[] = {4, 20, 100, 400, 2000};

    program->key_count = key_counts[random_below(random, 5)];
    program->byte_keys = calloc(program->key_count, sizeof *program->byte_keys);
    program->integer_keys = calloc(program->key_count, sizeof *program->integer_keys);
    if (program->byte_keys == NULL || program->integer_keys == NULL) {
        abort();
    }
    make_byte_keys(program, random);
    make_integer_keys(program, random);
}

void generate_plain_setting(struct program *program, struct random *random)
{
    generate_environment(program, random);
    generate_databases(program, random,
                       random_chance(random, 40) ? 0 : 1 + random_below(random, 3));
    generate_keys(program, random);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static uint32_t pick_size(struct writer *writer)
{
    struct random *random = writer->random;
    uint32_t pick = random_below(random, 1000);

    if (pick < 50) {
        return 0;
    }
    if (writer->value_profile == 0 || pick < 500) {
        return random_below(random, pick < 900 ? 33 : 300);
    }
    if (pick < 800 || writer->value_profile == 1) {
        return random_below(random, pick < 960 ? 2500 : 10000);
    }
    return random_below(random, pick < 990 ? 20000 : pick < 999 ? 100 << 10 : 1 << 20);
}

static unsigned pick_db(struct writer *writer)
{
    if (random_chance(writer->random, 1)) {
        return random_chance(writer->random, 50) ? DB_BAD : DB_FREE;
    }
    if (writer->program->named_count == 0 || random_chance(writer->random, writer->main_percent)) {
        return DB_MAIN;
    }
    return 1 + random_below(writer->random, writer->program->named_count);
}

/* Appends a step with everything random that any step may need; NULL when the list is full. */
struct step *generate_add(struct writer *writer, enum step_code code)
{
    struct random *random = writer->random;
    struct step *step;

    if (writer->used == writer->program->step_count) {
        return NULL;
    }
    step = &writer->program->steps[writer->used++];
    step->code = (uint8_t)code;
    step->txn = random_chance(random, 70) ? TXN_WRITE : (uint8_t)random_below(random, TXN_COUNT);
    step->cursor = (uint8_t)random_below(random, CURSOR_COUNT);
    step->db = (uint8_t)pick_db(writer);
    step->key = (uint16_t)random_below(random, (uint32_t)writer->program->key_count);
    step->data_size = pick_size(writer);
    step->data_at = random_below(random, POOL_SIZE - step->data_size);
    return step;
}

static uint32_t pick_put_flags(struct random *random)
{
    static const unsigned all[] = {MDB_NOOVERWRITE, MDB_NODUPDATA, MDB_RESERVE, MDB_APPEND,
                                   MDB_APPENDDUP};
    uint32_t flags = 0;

    if (random_chance(random, 50)) {
        return 0;
    }
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        flags |= random_chance(random, 25) ? all[i] : 0;
    }
    return flags;
}

static void add_txn_begin(struct writer *writer)
{
    struct step *step = generate_add(writer, STEP_TXN_BEGIN);

    if (step != NULL) {
        step->flags = step->txn == TXN_WRITE ? 0 : MDB_RDONLY;
    }
}

static void add_dbi_open(struct writer *writer, unsigned db, unsigned txn)
{
    struct step *step = generate_add(writer, STEP_DBI_OPEN);

    if (step == NULL) {
        return;
    }
    step->txn = (uint8_t)txn;
    step->db = (uint8_t)db;
    step->flags = db == DB_MAIN ? 0 : writer->program->db_flags[db];
    step->flags |= random_chance(writer->random, 75) ? MDB_CREATE : 0;
    if (random_chance(writer->random, 3)) {
        step->flags |= random_chance(writer->random, 50) ? 0x1 : 0x80;
    }
}

static void add_data_step(struct writer *writer)
{
    struct random *random = writer->random;
    uint32_t pick = random_below(random, 100);
    struct step *step = generate_add(writer, pick < 30   ? STEP_GET
                                             : pick < 70 ? STEP_PUT
                                                         : STEP_DEL);

    if (step == NULL) {
        return;
    }
    if (step->code == STEP_PUT) {
        step->flags = pick_put_flags(random);
    }
    if (step->code != STEP_GET && random_chance(random, 95)) {
        step->txn = TXN_WRITE;
    }
    step->number = (int)random_below(random, 4);
    if (random_chance(random, 3)) {
        step->twist = (uint8_t)(1 + random_below(random, TWIST_DATA_LONG));
    }
}

static void add_range(struct writer *writer)
{
    struct random *random = writer->random;
    struct step *step = generate_add(writer, random_chance(random, 60) ? STEP_FILL : STEP_CLEAR);

    if (step != NULL) {
        step->txn = TXN_WRITE;
        step->number = 1 + (int)random_below(random, random_chance(random, 80) ? 60 : 600);
        step->flags = random_chance(random, 20) ? pick_put_flags(random) : 0;
        step->data_size = step->data_size > 5000 ? 5000 : step->data_size;
    }
}

static void shape_cursor_get(struct writer *writer, struct step *step)
{
    static const uint8_t favourites[] = {
        MDB_FIRST,     MDB_LAST,        MDB_NEXT,       MDB_NEXT,      MDB_NEXT,
        MDB_PREV,      MDB_PREV,        MDB_SET,        MDB_SET_KEY,   MDB_SET_RANGE,
        MDB_SET_RANGE, MDB_GET_CURRENT, MDB_NEXT_NODUP, MDB_PREV_NODUP};
    static const uint8_t with_duplicates[] = {
        MDB_GET_BOTH,  MDB_GET_BOTH, MDB_GET_BOTH_RANGE, MDB_NEXT_DUP,   MDB_NEXT_DUP, MDB_PREV_DUP,
        MDB_FIRST_DUP, MDB_LAST_DUP, MDB_NEXT_NODUP,     MDB_PREV_NODUP, MDB_SET};
    struct random *random = writer->random;

    if (generate_has_duplicates(writer->program) && random_chance(random, 45)) {
        step->cursor_op = with_duplicates[random_below(random, sizeof with_duplicates)];
    } else if (random_chance(random, 80)) {
        step->cursor_op = favourites[random_below(random, sizeof favourites)];
    } else if (random_chance(random, 90)) {
        step->cursor_op = (int16_t)random_below(random, MDB_PREV_MULTIPLE + 1);
    } else {
        step->cursor_op = random_chance(random, 50) ? 19 : random_chance(random, 50) ? 99 : -1;
    }
    if (random_chance(random, 6)) {
        step->twist = (uint8_t)(1 + random_below(random, TWIST_DATA_LONG));
    }
}

static void add_cursor_step(struct writer *writer, unsigned cursor)
{
    struct random *random = writer->random;
    uint32_t pick = random_below(random, 100);

    if (generate_has_duplicates(writer->program) && random_chance(random, 12)) {
        generate_dup_step(writer, cursor);
        return;
    }
    enum step_code code = pick < 65   ? STEP_CURSOR_GET
                          : pick < 79 ? STEP_CURSOR_PUT
                          : pick < 84 ? STEP_CURSOR_PUT_CURRENT
                          : pick < 97 ? STEP_CURSOR_DEL
                          : pick < 98 ? STEP_CURSOR_COUNT
                                      : STEP_SCAN;
    struct step *step = generate_add(writer, code);

    if (step == NULL) {
        return;
    }
    step->cursor = (uint8_t)cursor;
    if (code == STEP_CURSOR_GET) {
        shape_cursor_get(writer, step);
    } else if (code == STEP_CURSOR_PUT) {
        step->flags = pick_put_flags(random);
        step->twist = random_chance(random, 3) ? (uint8_t)(1 + random_below(random, 3)) : 0;
    } else if (code == STEP_CURSOR_DEL) {
        step->flags = random_chance(random, 10) ? MDB_NODUPDATA : 0;
    } else if (code == STEP_CURSOR_PUT_CURRENT) {
        step->number = random_chance(random, 40); /* keep the size */
    } else if (code == STEP_SCAN) {
        static const uint8_t moves[] = {MDB_NEXT,       MDB_PREV,     MDB_NEXT,     MDB_PREV,
                                        MDB_NEXT_NODUP, MDB_NEXT_DUP, MDB_PREV_DUP, MDB_PREV_NODUP};
        step->cursor_op = moves[random_below(random, random_chance(random, 60) ? 4 : 8)];
        step->number = 1 + (int)random_below(random, 200);
    }
}

static void add_cursor_burst(struct writer *writer)
{
    struct random *random = writer->random;
    unsigned cursor = random_below(random, CURSOR_COUNT);
    unsigned other = random_below(random, CURSOR_COUNT);
    unsigned length = 2 + random_below(random, 14);

    struct step *step =
        generate_add(writer, random_chance(random, 90) ? STEP_CURSOR_OPEN : STEP_CURSOR_RENEW);

    if (step == NULL) {
        return;
    }
    step->cursor = (uint8_t)cursor;
    if (step->code == STEP_CURSOR_RENEW) {
        step->txn = (uint8_t)random_below(random, TXN_COUNT);
    }
    for (unsigned i = 0; i < length; i++) {
        uint32_t pick = random_below(random, 100);
        if (pick < 70) {
            add_cursor_step(writer, cursor);
        } else if (pick < 85) {
            add_cursor_step(writer, other);
        } else {
            add_data_step(writer);
        }
    }
    if (random_chance(random, 10) && (step = generate_add(writer, STEP_CURSOR_CLOSE)) != NULL) {
        step->cursor = (uint8_t)cursor;
    }
}

/* A reader lets its snapshot go, takes a new one, and so do cursors. */
static void add_renewal(struct writer *writer)
{
    struct random *random = writer->random;
    uint8_t txn = (uint8_t)(1 + random_below(random, TXN_COUNT - 1));
    static const uint8_t codes[] = {STEP_TXN_BEGIN, STEP_CURSOR_OPEN, STEP_CURSOR_OPEN,
                                    STEP_TXN_RESET};
    struct step *step;

    for (size_t i = 0; i < sizeof codes; i++) {
        step = generate_add(writer, codes[i]);
        if (step != NULL) {
            step->txn = txn;
        }
    }
    for (uint32_t i = random_below(random, 4); i > 0; i--) {
        add_cursor_step(writer, random_below(random, CURSOR_COUNT));
    }
    step = generate_add(writer, STEP_TXN_RENEW);
    if (step != NULL) {
        step->txn = txn;
    }
    for (unsigned cursor = 0; cursor < CURSOR_COUNT; cursor++) {
        step = random_chance(random, 50) ? generate_add(writer, STEP_CURSOR_RENEW) : NULL;
        if (step != NULL) {
            step->cursor = (uint8_t)cursor;
            step->txn = txn;
            add_cursor_step(writer, cursor);
        }
    }
}

static void add_transaction_step(struct writer *writer)
{
    static const uint8_t codes[] = {STEP_TXN_BEGIN,  STEP_TXN_BEGIN,  STEP_TXN_BEGIN,
                                    STEP_TXN_COMMIT, STEP_TXN_COMMIT, STEP_TXN_ABORT,
                                    STEP_TXN_RESET,  STEP_TXN_RENEW,  STEP_TXN_ID};
    struct random *random = writer->random;
    uint8_t code = codes[random_below(random, sizeof codes)];
    struct step *step;

    if (code == STEP_TXN_BEGIN) {
        add_txn_begin(writer);
        return;
    }
    if (code == STEP_TXN_RESET && random_chance(random, 80)) {
        add_renewal(writer);
        return;
    }
    step = generate_add(writer, code);
    if (step != NULL && code != STEP_TXN_COMMIT && random_chance(random, 60)) {
        step->txn = (uint8_t)random_below(random, TXN_COUNT);
    }
}

static void add_rare_step(struct writer *writer)
{
    static const uint8_t codes[] = {
        STEP_DROP,     STEP_DROP,     STEP_DBI_CLOSE, STEP_DBI_FLAGS,   STEP_STAT,
        STEP_STAT,     STEP_CMP,      STEP_CMP,       STEP_VERIFY,      STEP_VERIFY,
        STEP_ENV_INFO, STEP_ENV_INFO, STEP_COPY,      STEP_REOPEN,      STEP_ENV_SYNC,
        STEP_BAD_CALL, STEP_BAD_CALL, STEP_BAD_CALL,  STEP_DBI_OPEN,    STEP_DBI_OPEN,
        STEP_ASK,      STEP_ASK,      STEP_ASK,       STEP_READER_LIST,
    };
    struct random *random = writer->random;
    uint8_t code = codes[random_below(random, sizeof codes)];
    struct step *step;

    if (code == STEP_DBI_OPEN) {
        add_dbi_open(writer, random_below(random, 1 + writer->program->named_count),
                     random_chance(random, 70) ? TXN_WRITE : random_below(random, TXN_COUNT));
        return;
    }
    step = generate_add(writer, code);
    if (step == NULL) {
        return;
    }
    step->number = (int)random_below(random, 5040);
    if (code == STEP_DROP) {
        step->number = random_chance(random, 5) ? -1 : random_chance(random, 60) ? 0 : 1;
        step->number = random_chance(random, 3) ? 2 : step->number;
    } else if (code == STEP_COPY) {
        step->flags = random_chance(random, 50) ? MDB_CP_COMPACT : 0;
        step->flags |= random_chance(random, 30) ? 0x100 : 0; /* COPY_BY_FD */
    }
}

struct writer generate_begin(struct program *program, struct random *random)
{
    struct writer writer = {program, random, 0, 0, 0};

    writer.value_profile = random_chance(random, 55) ? 0 : random_chance(random, 80) ? 1 : 2;
    writer.main_percent = random_chance(random, 50) ? 15 : 0;
    return writer;
}

void generate_burst(struct writer *writer)
{
    struct random *random = writer->random;
    uint32_t pick = random_below(random, 100);

    if (writer->used == 0 || random_chance(random, 12)) {
        struct step *step = generate_add(writer, STEP_TXN_BEGIN);
        if (step != NULL) {
            step->txn = TXN_WRITE;
        }
        for (unsigned db = 1; db <= writer->program->named_count; db++) {
            add_dbi_open(writer, db, TXN_WRITE);
        }
    }
    if (pick < 40) {
        add_cursor_burst(writer);
    } else if (pick < 65) {
        add_data_step(writer);
    } else if (pick < 75) {
        add_range(writer);
    } else if (pick < 90) {
        add_transaction_step(writer);
    } else {
        add_rare_step(writer);
    }
}

static void plain_steps(struct program *program, struct random *random)
{
    struct writer writer = generate_begin(program, random);

    while (writer.used < program->step_count) {
        generate_burst(&writer);
    }
}

const struct generator generators[] = {
    {"plain", true, generate_plain_setting, plain_steps},
    {"nested", true, generate_nested_setting, generate_nested_steps},
    {"order", true, generate_order_setting, plain_steps},
    {"nested-order", true, generate_order_setting, generate_nested_steps},
    {"tiny", true, generate_tiny_setting, plain_steps},
    {"dup", true, generate_dup_setting, plain_steps},
    {"mixed", true, generate_mixed_setting, plain_steps},
    {"nested-dup", true, generate_nested_dup_setting, generate_nested_steps},
    {"order-dup", true, generate_order_dup_setting, plain_steps},
    {"nested-order-dup", true, generate_order_dup_setting, generate_nested_steps},
    {"tiny-dup", true, generate_tiny_dup_setting, plain_steps},
    {NULL, false, NULL, NULL},
};
