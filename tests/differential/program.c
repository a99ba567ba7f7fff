/* program.c - makes, frees and prints random programs.
 *
 * Owns:       the pool of value bytes, the names of steps.
 * Invariants: P1 a program depends on its generator, seed and step count only.
 * Locks:      none; one thread.
 */
#include "program.h"

#include <ctype.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

static const char *const step_names[STEP_CODE_COUNT] = {
    "txn_begin",     "child_begin",
    "txn_commit",    "txn_abort",
    "txn_reset",     "txn_renew",
    "txn_id",        "dbi_open",
    "dbi_close",     "dbi_flags",
    "stat",          "drop",
    "get",           "put",
    "del",           "cmp",
    "cursor_open",   "cursor_close",
    "cursor_renew",  "cursor_get",
    "cursor_put",    "cursor_put_current",
    "cursor_del",    "cursor_count",
    "dcmp",          "put_multiple",
    "read_multiple", "reader_list",
    "ask",           "fill",
    "clear",         "scan",
    "verify",        "env_copy",
    "reopen",        "env_info",
    "env_sync",      "bad_call",
};

static const char *const cursor_op_names[] = {
    "FIRST",         "FIRST_DUP",  "GET_BOTH",  "GET_BOTH_RANGE", "GET_CURRENT",
    "GET_MULTIPLE",  "LAST",       "LAST_DUP",  "NEXT",           "NEXT_DUP",
    "NEXT_MULTIPLE", "NEXT_NODUP", "PREV",      "PREV_DUP",       "PREV_NODUP",
    "SET",           "SET_KEY",    "SET_RANGE", "PREV_MULTIPLE",
};

static const char *const twist_names[] = {
    "",           " key=empty",     " key=too-long", " key=NULL",
    " data=NULL", " key=data=NULL", " data=empty",   " data=too-long",
};

uint64_t random_next(struct random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint32_t random_below(struct random *random, uint32_t limit)
{
    return (uint32_t)((random_next(random) >> 32) * limit >> 32);
}

bool random_chance(struct random *random, uint32_t percent)
{
    return random_below(random, 100) < percent;
}

const uint8_t *program_pool(void)
{
    static uint64_t *pool;

    if (pool == NULL) {
        struct random random = {42};
        pool = malloc(POOL_SIZE);
        for (size_t i = 0; pool != NULL && i < POOL_SIZE / sizeof *pool; i++) {
            pool[i] = random_next(&random);
        }
        if (pool == NULL) {
            abort();
        }
    }
    return (const uint8_t *)pool;
}

uint8_t *program_allocate(struct program *program, size_t size)
{
    uint8_t *data = program->arena + program->arena_used;

    size = (size + 7) & ~(size_t)7;
    if (program->arena_used + size > program->arena_size) {
        abort();
    }
    program->arena_used += size;
    return data;
}

struct program *program_make(const struct generator *generator, uint64_t seed, size_t step_count)
{
    struct random random = {seed};
    struct program *program = calloc(1, sizeof *program);

    if (program == NULL) {
        abort();
    }
    program->seed = seed;
    program->generator = generator->name;
    program->arena_size = 16 << 20;
    program->arena = malloc(program->arena_size);
    program->steps = calloc(step_count, sizeof *program->steps);
    program->step_count = step_count;
    if (program->arena == NULL || program->steps == NULL) {
        abort();
    }
    generator->setting(program, &random);
    generator->steps(program, &random);
    for (size_t i = 0; i < step_count; i++) {
        program->steps[i].index = (uint32_t)i;
    }
    return program;
}

void program_free(struct program *program)
{
    free(program->byte_keys);
    free(program->integer_keys);
    for (unsigned i = 0; i < DB_COUNT; i++) {
        free(program->values[i]);
    }
    free(program->steps);
    free(program->arena);
    free(program);
}

const char *program_step_name(enum step_code code)
{
    return step_names[code];
}

const char *program_cursor_op_name(int cursor_op)
{
    static char other[16];

    if (cursor_op >= 0 && cursor_op <= MDB_PREV_MULTIPLE) {
        return cursor_op_names[cursor_op];
    }
    snprintf(other, sizeof other, "op(%d)", cursor_op);
    return other;
}

void program_print_setting(FILE *out, const struct program *program)
{
    fprintf(out,
            "generator %s seed %llu: env flags %#x, maxdbs %u, maxreaders %u, %zu keys a table\n",
            program->generator, (unsigned long long)program->seed, program->env_flags,
            program->max_dbs, program->max_readers, program->key_count);
    for (unsigned i = 0; i <= program->named_count; i++) {
        fprintf(out, "  db %u: %s, flags %#x, orders %d %d\n", i,
                program->db_name[i] == NULL ? "(main)" : program->db_name[i], program->db_flags[i],
                (int)program->key_order[i], (int)program->data_order[i]);
    }
}

static void print_key(FILE *out, const struct program *program, unsigned index)
{
    const struct key_bytes *key = &program->byte_keys[index];

    fprintf(out, " key[%u]=\"", index);
    for (size_t i = 0; i < key->size && i < 12; i++) {
        fprintf(out, isprint(key->data[i]) ? "%c" : "\\x%02x", key->data[i]);
    }
    fprintf(out, "\"%s(%zu)", key->size > 12 ? ".." : "", key->size);
}

void program_print_step(FILE *out, const struct program *program, const struct step *step)
{
    fprintf(out, "%5u %-18s", step->index, step_names[step->code]);
    switch (step->code) {
    case STEP_CURSOR_OPEN:
    case STEP_CURSOR_RENEW:
        fprintf(out, " cursor=%u txn=%u db=%u", step->cursor, step->txn, step->db);
        break;
    case STEP_PUT_MULTIPLE:
    case STEP_READ_MULTIPLE:
        fprintf(out, " cursor=%u key %u, item %u on, %d items, flags=%#x", step->cursor, step->key,
                step->data_at, step->number, step->flags);
        break;
    case STEP_CURSOR_GET:
        fprintf(out, " cursor=%u %s", step->cursor, program_cursor_op_name(step->cursor_op));
        print_key(out, program, step->key);
        break;
    case STEP_CURSOR_PUT:
    case STEP_CURSOR_PUT_CURRENT:
        fprintf(out, " cursor=%u data=%u flags=%#x", step->cursor, step->data_size, step->flags);
        print_key(out, program, step->key);
        break;
    case STEP_CURSOR_CLOSE:
    case STEP_CURSOR_DEL:
    case STEP_CURSOR_COUNT:
    case STEP_SCAN:
        fprintf(out, " cursor=%u flags=%#x number=%d", step->cursor, step->flags, step->number);
        break;
    case STEP_GET:
    case STEP_DEL:
    case STEP_PUT:
    case STEP_CMP:
        fprintf(out, " txn=%u db=%u", step->txn, step->db);
        print_key(out, program, step->key);
        if (step->code == STEP_PUT) {
            fprintf(out, " data=%u flags=%#x", step->data_size, step->flags);
        }
        break;
    case STEP_FILL:
    case STEP_CLEAR:
        fprintf(out, " txn=%u db=%u from key %u, %d times, data=%u flags=%#x", step->txn, step->db,
                step->key, step->number, step->data_size, step->flags);
        break;
    default:
        fprintf(out, " txn=%u db=%u flags=%#x number=%d", step->txn, step->db, step->flags,
                step->number);
        break;
    }
    fprintf(out, "%s\n", twist_names[step->twist]);
}
