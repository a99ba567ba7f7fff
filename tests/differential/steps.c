/* steps.c - turns steps into calls, and keeps out those whose result is undefined.
 *
 * Owns:       the dispatch of steps; those on data and on the environment.
 * Invariants: T1 no step makes the real library do something undefined (README.md, "Not compared").
 * Locks:      none; one thread.
 */
#include "steps.h"

#include <string.h>

struct call steps_call(const struct step *step, enum step_code code)
{
    struct call call = call_make(code);

    call.txn = step->txn;
    call.db = step->db;
    call.cursor = step->cursor;
    call.cursor_op = step->cursor_op;
    call.flags = step->flags;
    call.number = step->number;
    return call;
}

/* ---- keys and data --------------------------------------------------------------------------- */

static bool has_integer_keys(const struct pair *pair, unsigned db)
{
    unsigned flags;

    if (db >= DB_COUNT) {
        return false;
    }
    flags = pair->db[db].open ? pair->db[db].flags : pair->program->db_flags[db];
    return (flags & MDB_INTEGERKEY) != 0;
}

MDB_val steps_key(const struct pair *pair, unsigned db, size_t index)
{
    const struct program *program = pair->program;
    const struct key_bytes *table =
        has_integer_keys(pair, db) ? program->integer_keys : program->byte_keys;
    const struct key_bytes *key = &table[index % program->key_count];

    return (MDB_val){key->size, (void *)key->data};
}

void steps_set_key(const struct pair *pair, const struct step *step, struct call *call)
{
    call->key = steps_key(pair, call->db, step->key);
    switch (step->twist) {
    case TWIST_KEY_EMPTY:
        call->key.mv_size = 0;
        break;
    case TWIST_KEY_LONG:
        if (!has_integer_keys(pair, call->db)) {
            call->key = (MDB_val){KEY_MAX + 1 + step->key % 1000, (void *)program_pool()};
        }
        break;
    case TWIST_KEY_NULL:
        call->no_key = true;
        break;
    case TWIST_DATA_NULL:
        call->no_data = true;
        break;
    case TWIST_BOTH_NULL:
        call->no_key = true;
        call->no_data = true;
        break;
    default:
        break;
    }
}

/* ---- data ------------------------------------------------------------------------------------ */

static void change(struct pair *pair, struct call *call)
{
    struct result result;
    bool is_write = call->txn == TXN_WRITE;

    if (is_write) {
        position_before_change(pair, call->db, -1);
    }
    steps_limit_reserve(pair, call);
    int rc = pair_call(pair, call, &result);
    bool duplicates = steps_has_duplicates(pair, call->db);
    if (!is_write || !(rc == 0 || (duplicates && position_dup_remakes(call, rc)))) {
        return;
    }
    if (duplicates) {
        position_dup_after_change(pair, call->db, &call->key,
                                  call->code == STEP_DEL && call->no_data, -1);
    } else if (call->code == STEP_DEL) {
        position_after_delete(pair, call->db, &call->key, -1);
    }
}

static void run_data(struct pair *pair, const struct step *step)
{
    struct call call = steps_call(step, step->code);

    if (pair->txn[step->txn].state == TXN_NONE) {
        return;
    }
    steps_set_key(pair, step, &call);
    if (step->code == STEP_PUT) {
        steps_set_data(pair, step, &call);
        call.data.mv_data = call.data.mv_size == 0 && step->key % 2 ? NULL : call.data.mv_data;
    } else if (step->code == STEP_DEL) {
        call.no_data = call.no_data || step->number % 2 == 0;
        if (steps_has_duplicates(pair, step->db)) {
            steps_set_data(pair, step, &call);
        }
    }
    if (step->code == STEP_GET) {
        pair_call(pair, &call, NULL);
    } else {
        change(pair, &call);
    }
}

/* Successive keys; in databases with duplicates, by an odd offset, successive items of one key. */
static void run_range(struct pair *pair, const struct step *step)
{
    struct call call = steps_call(step, step->code == STEP_FILL ? STEP_PUT : STEP_DEL);
    bool duplicates = steps_has_duplicates(pair, step->db);
    bool one_key = duplicates && step->data_at % 4 != 0;

    if (pair->txn[step->txn].state == TXN_NONE) {
        return;
    }
    for (int i = 0; i < step->number && !pair->failed && !pair->full; i++) {
        call.flags = step->flags;
        call.key = steps_key(pair, step->db, step->key + (one_key ? 0 : (size_t)i));
        call.data = world_untouched();
        call.no_data = step->code == STEP_CLEAR && !one_key;
        if (duplicates) {
            call.data = steps_duplicate(pair, step->db, step->data_at + (size_t)i);
        } else if (step->code == STEP_FILL) {
            steps_set_data(pair, step, &call);
            call.data.mv_data = (uint8_t *)call.data.mv_data - (step->data_at > 4096 ? i : 0);
        }
        change(pair, &call);
    }
}

static void run_cmp(struct pair *pair, const struct step *step)
{
    struct call call = steps_call(step, STEP_CMP);

    if (pair->txn[step->txn].state == TXN_ACTIVE &&
        steps_handle_visible(pair, step->txn, step->db)) {
        call.key = steps_key(pair, step->db, step->key);
        call.data = steps_key(pair, step->db, step->data_at);
        pair_call(pair, &call, NULL);
    }
}

/* ---- steps within steps ---------------------------------------------------------------------- */

static void run_step(struct pair *pair, struct step *step, enum step_code code)
{
    step->code = (uint8_t)code;
    steps_run(pair, step);
}

/* ---- the environment ------------------------------------------------------------------------- */

void steps_open(struct pair *pair)
{
    int rc;
    struct step step = {.txn = TXN_WRITE, .db = DB_MAIN};
    struct call call = steps_call(&step, STEP_DBI_OPEN);
    struct result result;

    emit_open(pair);
    rc = world_open(&pair->world[REAL], pair->program);
    memset(pair->txn, 0, sizeof pair->txn);
    pair->depth = 0;
    memset(pair->db, 0, sizeof pair->db);
    if (rc != world_open(&pair->world[OURS], pair->program) || rc != 0) {
        pair_fail(pair, "mdb_env_open failed or differs");
        return;
    }
    run_step(pair, &step, STEP_TXN_BEGIN);
    call.flags = pair->program->db_flags[DB_MAIN];
    pair_call(pair, &call, NULL);
    call.code = STEP_DBI_FLAGS;
    pair_call(pair, &call, &result);
    pair->db[DB_MAIN] = (struct known_db){true, -1, (unsigned)result.numbers[0]};
    run_step(pair, &step, STEP_TXN_COMMIT);
}

void steps_close(struct pair *pair, bool commit)
{
    for (unsigned i = 0; i < CURSOR_COUNT; i++) {
        struct call call = call_make(STEP_CURSOR_CLOSE);
        call.cursor = i;
        bool lent = pair->cursor[i].txn == TXN_WRITE && pair->cursor[i].level < pair->depth;
        if (pair->cursor[i].state != CURSOR_NONE && !lent) {
            pair_call(pair, &call, NULL);
            pair->cursor[i].state = CURSOR_NONE;
        }
    }
    steps_end_writer(pair, commit ? STEP_TXN_COMMIT : STEP_TXN_ABORT);
    for (unsigned i = 0; i < TXN_COUNT; i++) {
        struct step step = {.txn = (uint8_t)i};
        run_step(pair, &step, commit ? STEP_TXN_COMMIT : STEP_TXN_ABORT);
    }
    emit_close(pair);
    if (!pair->failed) {
        world_close(&pair->world[REAL]);
        world_close(&pair->world[OURS]);
    }
}

void steps_verify_all(struct pair *pair)
{
    struct step step = {.txn = 1};
    struct call info = call_make(STEP_ENV_INFO);

    pair_call(pair, &info, NULL);
    run_step(pair, &step, STEP_TXN_BEGIN);
    for (unsigned db = 0; db <= pair->program->named_count; db++) {
        step.db = (uint8_t)db;
        run_step(pair, &step, STEP_DBI_OPEN);
    }
    if (pair->txn[1].state == TXN_ACTIVE) {
        pair_verify(pair, 1);
        run_step(pair, &step, STEP_TXN_COMMIT);
    }
}

static void verify_copy(const struct pair *pair, struct pair *copy)
{
    memset(copy->cursor, 0, sizeof copy->cursor);
    steps_open(copy);
    if (!copy->failed) {
        steps_verify_all(copy);
        steps_close(copy, true);
    }
    copy->world[REAL].calls += pair->world[REAL].calls;
}

static void run_copy(struct pair *pair, const struct step *step)
{
    static struct pair copy;
    int rc[2];

    if (!(step->flags & MDB_CP_COMPACT) && pair->txn[TXN_WRITE].state != TXN_NONE) {
        return;
    }
    copy = *pair;
    copy.script = NULL;
    emit_copy(pair, step->index, step->flags);
    for (int i = REAL; i <= OURS; i++) {
        snprintf(copy.world[i].directory, sizeof copy.world[i].directory, "%.150s/copy%u",
                 pair->world[i].directory, step->index);
        rc[i] = world_copy(&pair->world[i], pair->program, copy.world[i].directory, step->flags);
    }
    if (rc[REAL] != rc[OURS]) {
        fprintf(stderr, "env_copy: real %d, ours %d\n", rc[REAL], rc[OURS]);
        pair_fail(pair, "mdb_env_copy2 differs");
    } else if (rc[REAL] == 0) {
        verify_copy(pair, &copy);
        pair->failed = copy.failed;
        pair->inconclusive = copy.inconclusive;
        pair->world[REAL].calls = copy.world[REAL].calls;
    }
}

static bool any_txn(const struct pair *pair)
{
    for (unsigned i = 0; i < TXN_SLOTS; i++) {
        if (pair->txn[i].state != TXN_NONE) {
            return true;
        }
    }
    return false;
}

/* Wrong arguments, and questions. */
static void run_by_number(struct pair *pair, const struct step *step)
{
    struct call call = steps_call(step, step->code);
    const struct known_cursor *cursor = &pair->cursor[step->cursor];

    call.key = steps_key(pair, step->db, step->key);
    steps_set_data(pair, step, &call);
    if (wrong_needs_txn(&call) && pair->txn[step->txn].state == TXN_NONE) {
        return;
    }
    if (wrong_needs_cursor(&call)) {
        call.txn = cursor->txn;
        if (cursor->state != CURSOR_LIVE || pair->txn[cursor->txn].state != TXN_ACTIVE) {
            return;
        }
    } else if (strstr(wrong_text(&call), "set_mapsize") != NULL && any_txn(pair)) {
        return;
    }
    pair_call(pair, &call, NULL);
}

static void run_simple(struct pair *pair, const struct step *step)
{
    struct call call = steps_call(step, step->code);
    bool needs_txn = step->code != STEP_ENV_INFO && step->code != STEP_ENV_SYNC &&
                     step->code != STEP_READER_LIST;

    if (step->db == DB_FREE && step->code == STEP_STAT) {
        return;
    }
    call.number = step->number % 2;
    if (!needs_txn || pair->txn[step->txn].state != TXN_NONE) {
        pair_call(pair, &call, NULL);
    }
}

/* A handle that a child dropped is still its parent's in the real library, until the child ends. */
static bool is_murky(const struct pair *pair, const struct step *step)
{
    bool removed = pair->txn[TXN_WRITE].removed;

    for (unsigned i = 0; i < NEST_MAX; i++) {
        removed = removed || pair->txn[TXN_OUTER + i].removed;
    }
    return removed && step->txn >= TXN_OUTER && step->code != STEP_TXN_COMMIT &&
           step->code != STEP_TXN_ABORT;
}

static void run_one(struct pair *pair, const struct step *step)
{
    if (is_murky(pair, step)) {
        return;
    }
    switch (step->code) {
    case STEP_TXN_BEGIN:
    case STEP_CHILD_BEGIN:
    case STEP_TXN_COMMIT:
    case STEP_TXN_ABORT:
    case STEP_TXN_RESET:
    case STEP_TXN_RENEW:
        steps_run_txn(pair, step);
        break;
    case STEP_DBI_OPEN:
    case STEP_DBI_CLOSE:
    case STEP_DROP:
        steps_run_handle(pair, step);
        break;
    case STEP_GET:
    case STEP_PUT:
    case STEP_DEL:
        run_data(pair, step);
        break;
    case STEP_FILL:
    case STEP_CLEAR:
        run_range(pair, step);
        break;
    case STEP_CMP:
        run_cmp(pair, step);
        break;
    case STEP_VERIFY:
        if (pair->txn[step->txn].state != TXN_NONE) {
            pair_verify(pair, step->txn);
        }
        break;
    case STEP_COPY:
        run_copy(pair, step);
        break;
    case STEP_REOPEN:
        steps_close(pair, step->number % 2);
        if (!pair->failed) {
            steps_open(pair);
        }
        break;
    case STEP_BAD_CALL:
    case STEP_ASK:
        run_by_number(pair, step);
        break;
    case STEP_DCMP:
        steps_run_dcmp(pair, step);
        break;
    case STEP_READER_LIST:
    case STEP_TXN_ID:
    case STEP_DBI_FLAGS:
    case STEP_STAT:
    case STEP_ENV_INFO:
    case STEP_ENV_SYNC:
        run_simple(pair, step);
        break;
    default:
        steps_run_cursor(pair, step);
        break;
    }
}

/* A library has no room left, which comes early or late by its layout: both give up what the
 * transaction did, and hold the same again. When both had none, both refuse everything until then. */
static void settle_full_map(struct pair *pair, bool commit)
{
    static const enum step_code refused[] = {STEP_GET,  STEP_PUT,         STEP_DEL,
                                             STEP_STAT, STEP_CURSOR_OPEN, STEP_TXN_ID};
    struct step step = {.txn = TXN_WRITE, .db = DB_MAIN, .cursor = CURSOR_SCRATCH};

    pair->full = false;
    for (size_t i = 0; pair->both_full && i < sizeof refused / sizeof refused[0]; i++) {
        struct call call = steps_call(&step, refused[i]);
        call.key = steps_key(pair, DB_MAIN, i);
        call.data = steps_has_duplicates(pair, DB_MAIN) ? steps_duplicate(pair, DB_MAIN, i)
                                                        : (MDB_val){3, (void *)program_pool()};
        pair_call(pair, &call, NULL);
    }
    steps_end_writer(pair, pair->both_full && commit ? STEP_TXN_COMMIT : STEP_TXN_ABORT);
}

void steps_run(struct pair *pair, const struct step *step)
{
    run_one(pair, step);
    if (pair->full) {
        settle_full_map(pair, step->index % 2 != 0);
    }
}
