/* steps_dup.c - data of steps, and the steps on duplicates.
 *
 * Owns:       the choice of data: from the database's table of duplicates, or from the pool.
 * Invariants: T1 of steps.c.
 * Locks:      none; one thread.
 */
#include "steps.h"

#include <string.h>

enum { MULTIPLE_MAX = 2000 };

bool steps_has_duplicates(const struct pair *pair, unsigned db)
{
    if (db >= DB_COUNT) {
        return false;
    }
    return ((pair->db[db].open ? pair->db[db].flags : pair->program->db_flags[db]) & MDB_DUPSORT) !=
           0;
}

static bool has_fixed_size(const struct pair *pair, unsigned db)
{
    return (pair->program->db_flags[db] & (MDB_DUPFIXED | MDB_INTEGERDUP)) != 0;
}

MDB_val steps_duplicate(const struct pair *pair, unsigned db, size_t index)
{
    const struct key_bytes *value = &pair->program->values[db][index % pair->program->value_count];

    return (MDB_val){value->size, (void *)value->data};
}

void steps_set_data(const struct pair *pair, const struct step *step, struct call *call)
{
    bool looks_up = call->code == STEP_CURSOR_GET;

    if (!steps_has_duplicates(pair, call->db)) {
        call->data = (MDB_val){step->data_size, (void *)(program_pool() + step->data_at)};
        return;
    }
    call->data = steps_duplicate(pair, call->db, step->data_at);
    if (has_fixed_size(pair, call->db) && call->code != STEP_PUT) {
        return;
    }
    if (step->twist == TWIST_DATA_LONG) {
        call->data = (MDB_val){KEY_MAX + 1 + step->key % 1000, (void *)program_pool()};
    } else if (step->twist == TWIST_DATA_EMPTY && looks_up) {
        call->data.mv_size = 0;
    }
}

/* Room for a second duplicate is undefined in the real library. */
void steps_limit_reserve(struct pair *pair, struct call *call)
{
    if ((call->flags & MDB_RESERVE) && steps_has_duplicates(pair, call->db) &&
        (call->no_key || call->no_data || pair->txn[call->txn].state != TXN_ACTIVE ||
         !steps_handle_visible(pair, call->txn, call->db) ||
         position_dup_count(pair, call->txn, call->db, &call->key) != 0)) {
        call->flags &= ~(unsigned)MDB_RESERVE;
    }
}

void steps_run_dcmp(struct pair *pair, const struct step *step)
{
    struct call call = steps_call(step, STEP_DCMP);

    if (pair->txn[step->txn].state == TXN_ACTIVE &&
        steps_handle_visible(pair, step->txn, step->db) && steps_has_duplicates(pair, step->db)) {
        call.key = steps_duplicate(pair, step->db, step->data_at);
        call.data = steps_duplicate(pair, step->db, step->data_at / 7 + step->key);
        pair_call(pair, &call, NULL);
    }
}

/* ---- many items of one key by one call ------------------------------------------------------- */

/* The real library stops, without an error, at an item that is the key's only one. */
static bool stops_early(struct pair *pair, const struct call *call)
{
    MDB_val key = call->key;
    MDB_val first;
    const uint8_t *items = call->data.mv_data;
    size_t size = call->data.mv_size;
    size_t count = position_dup_first(pair, call->txn, call->db, &key, &first);

    return (count == 0 && call->number > 1 && memcmp(items, items + size, size) == 0) ||
           (count == 1 && first.mv_size == size && memcmp(items, first.mv_data, size) == 0);
}

void steps_run_put_multiple(struct pair *pair, const struct step *step)
{
    static uint8_t items[MULTIPLE_MAX * 64];
    const struct known_cursor *cursor = &pair->cursor[step->cursor];
    struct call call = call_make(STEP_CURSOR_PUT);
    size_t size = 4;

    call.cursor = step->cursor;
    call.txn = cursor->txn;
    call.db = cursor->db;
    call.flags = step->flags | MDB_MULTIPLE;
    call.number = 1 + step->number % MULTIPLE_MAX;
    call.key = steps_key(pair, call.db, step->key);
    if (steps_has_duplicates(pair, call.db) && has_fixed_size(pair, call.db)) {
        size = steps_duplicate(pair, call.db, 0).mv_size;
        for (int i = 0; i < call.number; i++) {
            MDB_val value = steps_duplicate(pair, call.db, step->data_at + (size_t)i);
            memcpy(items + (size_t)i * size, value.mv_data, size);
        }
    }
    call.data = (MDB_val){size, items};
    if (pair->txn[call.txn].state == TXN_ACTIVE && stops_early(pair, &call)) {
        return;
    }
    steps_cursor_put(pair, &call);
}

/* The cursor is brought to one end of its key, from where chunks are read. */
void steps_run_read_multiple(struct pair *pair, const struct step *step)
{
    struct known_cursor *cursor = &pair->cursor[step->cursor];
    struct call call = call_make(STEP_CURSOR_GET);
    bool back = step->number % 2 != 0;
    uint8_t data[KEY_MAX];
    struct result result;

    if (!steps_has_duplicates(pair, cursor->db) ||
        (pair->db[cursor->db].flags & MDB_DUPFIXED) == 0 ||
        pair->txn[cursor->txn].state != TXN_ACTIVE) {
        return;
    }
    call.cursor = step->cursor;
    call.txn = cursor->txn;
    call.db = cursor->db;
    call.cursor_op = MDB_SET;
    call.key = steps_key(pair, call.db, step->key);
    if (steps_cursor_get(pair, &call, &result) != 0 || pair->failed ||
        position_dup_count(pair, call.txn, call.db, &call.key) < 2) {
        return;
    }
    if (back) {
        MDB_val key = call.key;
        call.key = world_untouched();
        call.cursor_op = MDB_LAST_DUP;
        if (steps_cursor_get(pair, &call, &result) != 0 || pair->failed) {
            return;
        }
        memcpy(data, result.data.mv_data, result.data.mv_size);
        call.key = key;
        call.data = (MDB_val){result.data.mv_size, data};
        call.cursor_op = MDB_GET_BOTH;
        steps_cursor_get(pair, &call, &result);
    }
    call.code = STEP_READ_MULTIPLE;
    call.cursor_op = back ? MDB_PREV_MULTIPLE : MDB_NEXT_MULTIPLE;
    pair_call(pair, &call, NULL);
    cursor->position = POSITION_MURKY;
}
