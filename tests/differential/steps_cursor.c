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

/* Without room for data the real library's cursor for duplicates is undefined after most moves. */
static bool may_lack_data(const struct pair *pair, const struct call *call)
{
    switch (call->cursor_op) {
    case MDB_FIRST:
    case MDB_LAST:
    case MDB_NEXT:
    case MDB_NEXT_DUP:
    case MDB_PREV:
    case MDB_PREV_DUP:
    case MDB_PREV_NODUP:
        return !steps_has_duplicates(pair, call->db);
    default:
        return true;
    }
}

static void set_key(const struct pair *pair, const struct step *step, struct call *call)
{
    steps_set_key(pair, step, call);
    if (call->no_data && call->code == STEP_CURSOR_GET && !may_lack_data(pair, call)) {
        call->no_data = false;
    }
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

    if (!position_defines(pair, cursor, step->cursor_op)) {
        return;
    }
    set_key(pair, step, &call);
    if (call.cursor_op == MDB_GET_BOTH || call.cursor_op == MDB_GET_BOTH_RANGE) {
        steps_set_data(pair, step, &call);
    }
    steps_cursor_get(pair, &call, &result);
}

int steps_cursor_get(struct pair *pair, const struct call *call, struct result *result)
{
    int rc = pair_call(pair, call, result);

    if (!pair->failed && !pair->full) {
        position_after_get(pair, call, result);
    }
    return rc;
}

void steps_cursor_put(struct pair *pair, struct call *call)
{
    struct result result;

    if (call->txn == TXN_WRITE) {
        position_before_change(pair, call->db, (int)call->cursor);
    }
    steps_limit_reserve(pair, call);
    pair_call(pair, call, &result);
    if (!pair->failed && !pair->full) {
        position_after_put(pair, call, &result);
        if (steps_has_duplicates(pair, call->db) &&
            (result.rc == 0 || position_dup_remakes(call, result.rc))) {
            position_dup_after_change(pair, call->db, &call->key, false, (int)call->cursor);
        }
    }
}

static void run_put(struct pair *pair, const struct step *step)
{
    struct call call = call_on(pair, step, STEP_CURSOR_PUT);

    set_key(pair, step, &call);
    call.no_data = false;
    steps_set_data(pair, step, &call);
    steps_cursor_put(pair, &call);
}

/* The key of CURRENT has to be the current one, so it is read first. */
static void run_put_current(struct pair *pair, const struct step *step)
{
    struct known_cursor *cursor = &pair->cursor[step->cursor];
    struct call call = call_on(pair, step, STEP_CURSOR_GET);
    uint8_t key[KEY_MAX];
    uint8_t data[KEY_MAX];
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
    if (steps_has_duplicates(pair, call.db)) {
        steps_set_data(pair, step, &call);
        /* Another one could break the order; another size breaks what once was one of several. */
        if (result.rc == 0 && (call.data.mv_size != result.data.mv_size ||
                               position_dup_count(pair, call.txn, call.db, &call.key) != 1)) {
            memcpy(data, result.data.mv_data, result.data.mv_size);
            call.data = (MDB_val){result.data.mv_size, data};
        }
    }
    if (result.rc == 0) {
        steps_cursor_put(pair, &call);
    } else {
        pair_call(pair, &call, NULL);
    }
}

static void run_del_plain(struct pair *pair, struct known_cursor *cursor, const struct call *call)
{
    uint8_t bytes[KEY_MAX];
    MDB_val victim;
    bool known = false;

    if (call->txn == TXN_WRITE) {
        known = position_victim(pair, cursor, bytes, &victim);
        position_before_change(pair, call->db, (int)call->cursor);
    }
    if (pair_call(pair, call, NULL) == 0) {
        position_after_delete(pair, call->db, known ? &victim : NULL, (int)call->cursor);
        cursor->position = POSITION_DELETED;
    }
}

static void run_del_dup(struct pair *pair, struct known_cursor *cursor, const struct call *call)
{
    MDB_val key = {cursor->key_size, cursor->key};
    bool whole = (call->flags & MDB_NODUPDATA) != 0;
    bool known = cursor->position == POSITION_ON && cursor->key_known;

    if (call->txn == TXN_WRITE) {
        position_before_change(pair, call->db, (int)call->cursor);
    }
    if (pair_call(pair, call, NULL) != 0) {
        return;
    }
    cursor->key_known = known;
    cursor->key_gone = !known || whole || position_dup_count(pair, call->txn, call->db, &key) == 0;
    position_dup_after_change(pair, call->db, known ? &key : NULL, cursor->key_gone,
                              (int)call->cursor);
    cursor->position = POSITION_DELETED;
    position_dup_after_delete(pair, cursor);
}

static void run_del(struct pair *pair, const struct step *step)
{
    struct known_cursor *cursor = &pair->cursor[step->cursor];
    struct call call = call_on(pair, step, STEP_CURSOR_DEL);

    if (cursor->position == POSITION_MURKY ||
        (steps_has_duplicates(pair, call.db) &&
         (!position_dup_counts(pair, cursor) || position_dup_shared(pair, step->cursor)))) {
        return;
    }
    if (steps_has_duplicates(pair, call.db)) {
        run_del_dup(pair, cursor, &call);
    } else {
        run_del_plain(pair, cursor, &call);
    }
}

static void run_count(struct pair *pair, const struct step *step)
{
    struct call call = call_on(pair, step, STEP_CURSOR_COUNT);
    const struct known_cursor *cursor = &pair->cursor[step->cursor];

    if (!steps_has_duplicates(pair, call.db) || position_dup_counts(pair, cursor)) {
        pair_call(pair, &call, NULL);
    }
}

static void run_scan(struct pair *pair, const struct step *step)
{
    struct known_cursor *cursor = &pair->cursor[step->cursor];

    for (int i = 0; i < step->number && position_defines(pair, cursor, step->cursor_op); i++) {
        struct call call = call_on(pair, step, STEP_CURSOR_GET);
        struct result result;
        if (steps_cursor_get(pair, &call, &result) != 0 || pair->failed) {
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
        run_count(pair, step);
    } else if (step->code == STEP_PUT_MULTIPLE) {
        steps_run_put_multiple(pair, step);
    } else if (step->code == STEP_READ_MULTIPLE) {
        steps_run_read_multiple(pair, step);
    }
}
