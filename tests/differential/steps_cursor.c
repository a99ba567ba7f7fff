/* steps_cursor.c - steps on cursors.
 *
 * Owns:       the known state of cursors (their positions are position.c's).
 * Invariants: T1 of steps.c.
 * Locks:      none; one thread.
 */
#include "steps.h"

#include <string.h>

static struct call call_on(const struct pair *pair, const struct step *step, enum step_code code)
{
    const struct known_cursor *cursor = &pair->cursor[step->cursor];
    struct call call = call_make(code);

    call.cursor = step->cursor;
    call.txn = cursor->txn;
    call.db = cursor->db;
    call.cursor_op = step->cursor_op;
    call.flags = step->flags;
    return call;
}

static bool integer_keys(const struct pair *pair, unsigned db)
{
    return db < DB_COUNT && (pair->db[db].flags & MDB_INTEGERKEY) != 0;
}

static void set_key(const struct pair *pair, const struct step *step, struct call *call)
{
    const struct program *program = pair->program;
    bool integer = integer_keys(pair, call->db);
    const struct key_bytes *key =
        integer ? &program->integer_keys[step->key] : &program->byte_keys[step->key];

    call->key = (MDB_val){key->size, (void *)key->data};
    if (step->twist == TWIST_KEY_EMPTY) {
        call->key.mv_size = 0;
    } else if (step->twist == TWIST_KEY_LONG && !integer) {
        call->key = (MDB_val){KEY_MAX + 1 + step->key % 1000, (void *)program_pool()};
    }
    call->no_key = step->twist == TWIST_KEY_NULL || step->twist == TWIST_BOTH_NULL;
    call->no_data = step->twist == TWIST_DATA_NULL || step->twist == TWIST_BOTH_NULL;
}

static void run_open(struct pair *pair, const struct step *step)
{
    struct known_cursor *cursor = &pair->cursor[step->cursor];
    struct call call = call_on(pair, step, STEP_CURSOR_OPEN);

    if (cursor->state != CURSOR_NONE || pair->txn[step->txn].state == TXN_NONE ||
        (step->db == DB_FREE && step->txn != TXN_WRITE)) {
        return;
    }
    call.txn = step->txn;
    call.db = step->db;
    if (pair_call(pair, &call, NULL) == 0) {
        *cursor = (struct known_cursor){
            .state = CURSOR_LIVE,
            .txn = step->txn,
            .db = step->db,
            .level = step->txn == TXN_WRITE ? pair->depth : 0,
            .position = POSITION_UNSET,
        };
    }
}

static void run_close(struct pair *pair, const struct step *step)
{
    struct known_cursor *cursor = &pair->cursor[step->cursor];
    struct call call = call_on(pair, step, STEP_CURSOR_CLOSE);
    bool lent = cursor->txn == TXN_WRITE && cursor->level < pair->depth;

    if (cursor->state == CURSOR_NONE) {
        return;
    }
    call.number = lent; /* a parent's cursor stays open while a child lives */
    pair_call(pair, &call, NULL);
    if (!lent) {
        cursor->state = CURSOR_NONE;
    }
}

static void run_renew(struct pair *pair, const struct step *step)
{
    struct known_cursor *cursor = &pair->cursor[step->cursor];
    struct call call = call_on(pair, step, STEP_CURSOR_RENEW);

    if (cursor->state == CURSOR_NONE || cursor->state == CURSOR_DEAD ||
        pair->txn[step->txn].state == TXN_NONE) {
        return;
    }
    call.txn = step->txn;
    if (pair_call(pair, &call, NULL) == 0) {
        cursor->state = CURSOR_LIVE;
        cursor->txn = step->txn;
        cursor->position = POSITION_UNSET;
        cursor->end_mark = false;
    }
}

static void run_get(struct pair *pair, const struct step *step)
{
    struct known_cursor *cursor = &pair->cursor[step->cursor];
    struct call call = call_on(pair, step, STEP_CURSOR_GET);
    struct result result;

    if (!position_defines(cursor, step->cursor_op)) {
        return;
    }
    set_key(pair, step, &call);
    pair_call(pair, &call, &result);
    if (!pair->failed) {
        position_after_get(pair, &call, &result);
    }
}

static void put(struct pair *pair, struct call *call)
{
    struct result result;

    if (call->txn == TXN_WRITE) {
        position_before_change(pair, call->db, (int)call->cursor);
    }
    pair_call(pair, call, &result);
    if (!pair->failed) {
        position_after_put(pair, call, &result);
    }
}

static void run_put(struct pair *pair, const struct step *step)
{
    struct call call = call_on(pair, step, STEP_CURSOR_PUT);

    set_key(pair, step, &call);
    call.no_data = false;
    call.data = (MDB_val){step->data_size, (void *)(program_pool() + step->data_at)};
    put(pair, &call);
}

/* The key of CURRENT has to be the current one, so it is read first. */
static void run_put_current(struct pair *pair, const struct step *step)
{
    struct known_cursor *cursor = &pair->cursor[step->cursor];
    struct call call = call_on(pair, step, STEP_CURSOR_GET);
    uint8_t key[KEY_MAX];
    struct result result;
    uint32_t size = step->data_size;

    if (cursor->position != POSITION_UNSET && cursor->position != POSITION_ON) {
        return;
    }
    call.cursor_op = MDB_GET_CURRENT;
    pair_call(pair, &call, &result);
    if (pair->failed) {
        return;
    }
    position_after_get(pair, &call, &result);
    call.code = STEP_CURSOR_PUT;
    set_key(pair, step, &call);
    if (result.rc == 0) {
        memcpy(key, result.key.mv_data, result.key.mv_size);
        call.key = (MDB_val){result.key.mv_size, key};
        size = step->number && result.data.mv_size < POOL_SIZE / 2 ? (uint32_t)result.data.mv_size
                                                                   : size;
    } else if (cursor->position != POSITION_UNSET) {
        return;
    }
    call.no_data = false;
    call.flags = MDB_CURRENT;
    call.data = (MDB_val){size, (void *)(program_pool() + step->data_at % (POOL_SIZE / 2))};
    if (result.rc == 0) {
        put(pair, &call);
    } else {
        pair_call(pair, &call, NULL);
    }
}

static void run_del(struct pair *pair, const struct step *step)
{
    struct known_cursor *cursor = &pair->cursor[step->cursor];
    struct call call = call_on(pair, step, STEP_CURSOR_DEL);
    uint8_t bytes[KEY_MAX];
    MDB_val victim;
    bool known = false;

    if (cursor->position == POSITION_MURKY) {
        return;
    }
    if (call.txn == TXN_WRITE) {
        known = position_victim(pair, cursor, bytes, &victim);
        position_before_change(pair, call.db, (int)call.cursor);
    }
    if (pair_call(pair, &call, NULL) == 0) {
        position_after_delete(pair, call.db, known ? &victim : NULL, (int)call.cursor);
        cursor->position = POSITION_DELETED;
    }
}

static void run_scan(struct pair *pair, const struct step *step)
{
    struct known_cursor *cursor = &pair->cursor[step->cursor];

    for (int i = 0; i < step->number && position_defines(cursor, step->cursor_op); i++) {
        struct call call = call_on(pair, step, STEP_CURSOR_GET);
        struct result result;
        int rc = pair_call(pair, &call, &result);
        if (pair->failed) {
            return;
        }
        position_after_get(pair, &call, &result);
        if (rc != 0) {
            return;
        }
    }
}

void steps_run_cursor(struct pair *pair, const struct step *step)
{
    const struct known_cursor *cursor = &pair->cursor[step->cursor];
    bool usable = cursor->state == CURSOR_LIVE ||
                  (cursor->state == CURSOR_STALE && pair->txn[cursor->txn].state == TXN_RESET);

    switch (step->code) {
    case STEP_CURSOR_OPEN:
        run_open(pair, step);
        return;
    case STEP_CURSOR_CLOSE:
        run_close(pair, step);
        return;
    case STEP_CURSOR_RENEW:
        run_renew(pair, step);
        return;
    default:
        break;
    }
    if (!usable) {
        return;
    }
    if (step->code == STEP_CURSOR_GET) {
        run_get(pair, step);
    } else if (step->code == STEP_CURSOR_PUT) {
        run_put(pair, step);
    } else if (step->code == STEP_CURSOR_PUT_CURRENT) {
        run_put_current(pair, step);
    } else if (step->code == STEP_CURSOR_DEL) {
        run_del(pair, step);
    } else if (step->code == STEP_SCAN) {
        run_scan(pair, step);
    } else if (step->code == STEP_CURSOR_COUNT) {
        struct call call = call_on(pair, step, STEP_CURSOR_COUNT);
        pair_call(pair, &call, NULL);
    }
}
