/* steps.c - turns steps into calls, and keeps out those whose result is undefined.
 *
 * Owns:       the known state of transactions and handles.
 * Invariants: T1 no step makes the real library do something undefined (README.md, "Not compared").
 *             T2 at most one transaction has handles that are not published, and it began after the
 *                last change to the set of handles.
 * Locks:      none; one thread.
 */
#include "steps.h"

#include <string.h>

static struct call call_for(const struct step *step, enum step_code code)
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

static MDB_val table_key(const struct pair *pair, unsigned db, size_t index)
{
    const struct program *program = pair->program;
    const struct key_bytes *table =
        has_integer_keys(pair, db) ? program->integer_keys : program->byte_keys;
    const struct key_bytes *key = &table[index % program->key_count];

    return (MDB_val){key->size, (void *)key->data};
}

static void set_key(const struct pair *pair, const struct step *step, struct call *call)
{
    call->key = table_key(pair, call->db, step->key);
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

static void set_data(const struct step *step, struct call *call)
{
    call->data.mv_size = step->data_size;
    call->data.mv_data = (void *)(program_pool() + step->data_at);
}

/* ---- handles --------------------------------------------------------------------------------- */

static void kill_cursors(struct pair *pair, unsigned db)
{
    for (unsigned i = 0; i < CURSOR_COUNT; i++) {
        if (pair->cursor[i].state != CURSOR_NONE && pair->cursor[i].db == db) {
            pair->cursor[i].state = CURSOR_DEAD;
        }
    }
}

static void forget_handle(struct pair *pair, unsigned db)
{
    pair->db[db].open = false;
    pair->epoch++;
    kill_cursors(pair, db);
}

/* The transaction's new handles become everybody's, or nobody's. */
static void settle_handles(struct pair *pair, unsigned txn, bool publish)
{
    for (unsigned db = 0; db < DB_COUNT; db++) {
        if (!(pair->txn[txn].opened >> db & 1)) {
            continue;
        }
        if (publish) {
            pair->db[db].owner = -1;
            pair->epoch++;
        } else {
            forget_handle(pair, db);
        }
    }
    pair->txn[txn].opened = 0;
}

static bool may_open_handle(const struct pair *pair, unsigned txn)
{
    for (unsigned i = 0; i < TXN_COUNT; i++) {
        if (i != txn && pair->txn[i].opened != 0) {
            return false;
        }
    }
    return pair->txn[txn].state == TXN_RESET || pair->txn[txn].epoch == pair->epoch;
}

static bool handle_visible(const struct pair *pair, unsigned txn, unsigned db)
{
    return db < DB_COUNT && pair->db[db].open &&
           (pair->db[db].owner == (int)txn ||
            (pair->db[db].owner < 0 && pair->txn[txn].epoch == pair->epoch));
}

static void run_dbi_open(struct pair *pair, const struct step *step)
{
    struct call call = call_for(step, STEP_DBI_OPEN);
    struct known_db *db = &pair->db[step->db];
    bool known;

    if (pair->txn[step->txn].state == TXN_NONE || step->db > pair->program->named_count ||
        !may_open_handle(pair, step->txn)) {
        return;
    }
    known = handle_visible(pair, step->txn, step->db);
    call.name = pair->program->db_name[step->db];
    if (call.name == NULL) {
        call.flags &= MDB_CREATE | 0x81;
    }
    if (pair_call(pair, &call, NULL) != 0 || pair->failed || known) {
        return;
    }
    *db = (struct known_db){true, (int)step->txn, 0};
    pair->txn[step->txn].opened |= 1u << step->db;
    for (unsigned i = 0; i < DB_COUNT; i++) {
        if (i != step->db && pair->world[REAL].dbi[i] == BAD_HANDLE) {
            pair->db[i].open = false;
        }
    }
    call.code = STEP_DBI_FLAGS;
    if (pair_call(pair, &call, NULL) == 0 && !pair->failed) {
        api_enter(pair->world[REAL].api);
        pair->world[REAL].api->dbi_flags(pair->world[REAL].txn[step->txn],
                                         pair->world[REAL].dbi[step->db], &db->flags);
    }
}

static void run_dbi_close(struct pair *pair, const struct step *step)
{
    struct call call = call_for(step, STEP_DBI_CLOSE);

    for (unsigned i = 0; i < TXN_COUNT; i++) {
        if (pair->txn[i].state != TXN_NONE) {
            return;
        }
    }
    pair_call(pair, &call, NULL);
    if (step->db != DB_MAIN && step->db < DB_COUNT) {
        forget_handle(pair, step->db);
    }
}

static bool reader_active(const struct pair *pair)
{
    for (unsigned i = 0; i < TXN_COUNT; i++) {
        if (i != TXN_WRITE && pair->txn[i].state == TXN_ACTIVE) {
            return true;
        }
    }
    return false;
}

static void run_drop(struct pair *pair, const struct step *step)
{
    struct call call = call_for(step, STEP_DROP);
    bool removes = step->number == 1 && step->db != DB_MAIN;

    if (pair->txn[step->txn].state == TXN_NONE || (removes && reader_active(pair)) ||
        (step->db == DB_MAIN && pair->program->named_count != 0)) {
        return;
    }
    if (pair_call(pair, &call, NULL) != 0) {
        return;
    }
    for (unsigned i = 0; i < CURSOR_COUNT; i++) {
        struct known_cursor *cursor = &pair->cursor[i];
        if (cursor->state == CURSOR_LIVE && cursor->txn == step->txn && cursor->db == step->db) {
            cursor->position = POSITION_UNSET;
            cursor->end_mark = true;
        }
    }
    if (removes) {
        forget_handle(pair, step->db);
        pair->txn[step->txn].opened &= ~(1u << step->db);
        pair->txn[step->txn].epoch = pair->epoch;
    }
}

/* ---- transactions ---------------------------------------------------------------------------- */

/* With MDB_NOLOCK a writer does not know of readers; keeping them apart is up to the program. */
static bool must_wait(const struct pair *pair, unsigned txn)
{
    bool writing = pair->txn[TXN_WRITE].state != TXN_NONE;

    return (pair->program->env_flags & MDB_NOLOCK) != 0 &&
           (txn == TXN_WRITE ? reader_active(pair) : writing);
}

static void run_txn_begin(struct pair *pair, const struct step *step)
{
    struct call call = call_for(step, STEP_TXN_BEGIN);

    if (pair->txn[step->txn].state != TXN_NONE || must_wait(pair, step->txn)) {
        return;
    }
    call.flags = step->txn == TXN_WRITE ? 0 : MDB_RDONLY;
    if (pair_call(pair, &call, NULL) == 0) {
        pair->txn[step->txn] = (struct known_txn){TXN_ACTIVE, pair->epoch, 0};
        call.code = STEP_TXN_ID;
        pair_call(pair, &call, NULL);
    }
}

static void check_held(struct pair *pair, unsigned txn)
{
    if (!world_check_held(&pair->world[REAL], txn) && !pair->failed) {
        pair_fail(pair, "the real library changed what a reader was given");
    }
    if (!world_check_held(&pair->world[OURS], txn) && !pair->failed) {
        pair_fail(pair, "our library changed what a reader was given");
    }
}

/* Write cursors are freed with their transaction; a reader's are kept for renewal. */
static void leave_cursors(struct pair *pair, unsigned txn, enum cursor_state state)
{
    for (unsigned i = 0; i < CURSOR_COUNT; i++) {
        struct known_cursor *cursor = &pair->cursor[i];
        if (cursor->state == CURSOR_NONE || cursor->txn != txn) {
            continue;
        }
        if (txn == TXN_WRITE) {
            cursor->state = CURSOR_NONE;
            pair->world[REAL].cursor[i] = NULL;
            pair->world[OURS].cursor[i] = NULL;
        } else if (cursor->state == CURSOR_LIVE || cursor->state == CURSOR_STALE) {
            cursor->state = state;
        }
    }
}

static void run_txn_end(struct pair *pair, const struct step *step)
{
    struct call call = call_for(step, step->code);
    int rc;

    if (pair->txn[step->txn].state == TXN_NONE) {
        return;
    }
    if (pair->txn[step->txn].state == TXN_ACTIVE && step->txn != TXN_WRITE) {
        check_held(pair, step->txn);
    }
    rc = pair_call(pair, &call, NULL);
    leave_cursors(pair, step->txn, CURSOR_ORPHAN);
    settle_handles(pair, step->txn, step->code == STEP_TXN_COMMIT && rc == 0);
    pair->txn[step->txn].state = TXN_NONE;
}

static void run_txn_reset(struct pair *pair, const struct step *step)
{
    struct call call = call_for(step, STEP_TXN_RESET);

    if (pair->txn[step->txn].state == TXN_NONE) {
        return;
    }
    if (step->txn != TXN_WRITE && pair->txn[step->txn].state == TXN_ACTIVE) {
        check_held(pair, step->txn);
    }
    pair_call(pair, &call, NULL);
    if (step->txn != TXN_WRITE) {
        leave_cursors(pair, step->txn, CURSOR_STALE);
        settle_handles(pair, step->txn, false);
        pair->txn[step->txn].state = TXN_RESET;
    }
}

static void run_txn_renew(struct pair *pair, const struct step *step)
{
    struct call call = call_for(step, STEP_TXN_RENEW);

    if (pair->txn[step->txn].state == TXN_NONE || must_wait(pair, step->txn)) {
        return;
    }
    if (pair_call(pair, &call, NULL) == 0) {
        pair->txn[step->txn] = (struct known_txn){TXN_ACTIVE, pair->epoch, 0};
        call.code = STEP_TXN_ID;
        pair_call(pair, &call, NULL);
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
    if (pair_call(pair, call, &result) == 0 && is_write && call->code == STEP_DEL) {
        position_after_delete(pair, call->db, &call->key, -1);
    }
}

static void run_data(struct pair *pair, const struct step *step)
{
    struct call call = call_for(step, step->code);

    if (pair->txn[step->txn].state == TXN_NONE) {
        return;
    }
    set_key(pair, step, &call);
    if (step->code == STEP_PUT) {
        set_data(step, &call);
        call.data.mv_data = step->data_size == 0 && step->key % 2 ? NULL : call.data.mv_data;
    } else if (step->code == STEP_DEL) {
        call.no_data = step->key % 2;
    }
    if (step->code == STEP_GET) {
        pair_call(pair, &call, NULL);
    } else {
        change(pair, &call);
    }
}

static void run_range(struct pair *pair, const struct step *step)
{
    struct call call = call_for(step, step->code == STEP_FILL ? STEP_PUT : STEP_DEL);

    if (pair->txn[step->txn].state == TXN_NONE) {
        return;
    }
    for (int i = 0; i < step->number && !pair->failed; i++) {
        call.key = table_key(pair, step->db, step->key + (size_t)i);
        call.data = world_untouched();
        call.no_data = step->code == STEP_CLEAR;
        if (step->code == STEP_FILL) {
            set_data(step, &call);
            call.data.mv_data = (uint8_t *)call.data.mv_data - (step->data_at > 4096 ? i : 0);
        }
        change(pair, &call);
    }
}

static void run_cmp(struct pair *pair, const struct step *step)
{
    struct call call = call_for(step, STEP_CMP);

    if (pair->txn[step->txn].state == TXN_ACTIVE && handle_visible(pair, step->txn, step->db)) {
        call.key = table_key(pair, step->db, step->key);
        call.data = table_key(pair, step->db, step->data_at);
        pair_call(pair, &call, NULL);
    }
}

/* ---- the environment ------------------------------------------------------------------------- */

void steps_open(struct pair *pair)
{
    int rc = world_open(&pair->world[REAL], pair->program);
    struct step step = {.txn = TXN_WRITE, .db = DB_MAIN, .code = STEP_TXN_COMMIT};
    struct call call = call_for(&step, STEP_DBI_OPEN);
    struct result result;

    memset(pair->txn, 0, sizeof pair->txn);
    memset(pair->db, 0, sizeof pair->db);
    if (rc != world_open(&pair->world[OURS], pair->program) || rc != 0) {
        pair_fail(pair, "mdb_env_open failed or differs");
        return;
    }
    run_txn_begin(pair, &step);
    call.flags = pair->program->db_flags[DB_MAIN];
    pair_call(pair, &call, NULL);
    call.code = STEP_DBI_FLAGS;
    pair_call(pair, &call, &result);
    pair->db[DB_MAIN] = (struct known_db){true, -1, (unsigned)result.numbers[0]};
    run_txn_end(pair, &step);
}

void steps_close(struct pair *pair, bool commit)
{
    for (unsigned i = 0; i < CURSOR_COUNT; i++) {
        struct call call = call_make(STEP_CURSOR_CLOSE);
        call.cursor = i;
        if (pair->cursor[i].state != CURSOR_NONE) {
            pair_call(pair, &call, NULL);
            pair->cursor[i].state = CURSOR_NONE;
        }
    }
    for (unsigned i = 0; i < TXN_COUNT; i++) {
        struct step step = {.txn = (uint8_t)i};
        step.code = commit ? STEP_TXN_COMMIT : STEP_TXN_ABORT;
        run_txn_end(pair, &step);
    }
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
    run_txn_begin(pair, &step);
    for (unsigned db = 0; db <= pair->program->named_count; db++) {
        step.db = (uint8_t)db;
        run_dbi_open(pair, &step);
    }
    if (pair->txn[1].state == TXN_ACTIVE) {
        pair_verify(pair, 1);
        step.code = STEP_TXN_COMMIT;
        run_txn_end(pair, &step);
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

static void run_bad_call(struct pair *pair, const struct step *step)
{
    struct call call = call_for(step, STEP_BAD_CALL);

    call.number = step->number % 26;
    call.key = table_key(pair, step->db, step->key);
    set_data(step, &call);
    pair_call(pair, &call, NULL);
}

static void run_simple(struct pair *pair, const struct step *step)
{
    struct call call = call_for(step, step->code);
    bool needs_txn = step->code != STEP_ENV_INFO && step->code != STEP_ENV_SYNC;

    if (step->db == DB_FREE && step->code == STEP_STAT) {
        return;
    }
    call.number = step->number % 2;
    if (!needs_txn || pair->txn[step->txn].state != TXN_NONE) {
        pair_call(pair, &call, NULL);
    }
}

void steps_run(struct pair *pair, const struct step *step)
{
    switch (step->code) {
    case STEP_TXN_BEGIN:
        run_txn_begin(pair, step);
        break;
    case STEP_TXN_COMMIT:
    case STEP_TXN_ABORT:
        run_txn_end(pair, step);
        break;
    case STEP_TXN_RESET:
        run_txn_reset(pair, step);
        break;
    case STEP_TXN_RENEW:
        run_txn_renew(pair, step);
        break;
    case STEP_DBI_OPEN:
        run_dbi_open(pair, step);
        break;
    case STEP_DBI_CLOSE:
        run_dbi_close(pair, step);
        break;
    case STEP_DROP:
        run_drop(pair, step);
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
        run_bad_call(pair, step);
        break;
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
