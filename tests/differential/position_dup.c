/* position_dup.c - where each cursor stands in databases with MDB_DUPSORT.
 *
 * Owns:       the positions of those cursors in struct known_cursor.
 * Invariants: S1 of position.c.
 * Locks:      none; one thread.
 *
 * An item is a key with one duplicate. The real library keeps a second cursor for the duplicates,
 * which misses and deletions leave in states of its own; after those, only what the contract names
 * is defined, and everything else waits until the cursor is positioned anew.
 */
#include "compare.h"
#include "pair.h"

#include <errno.h>
#include <string.h>

size_t position_dup_first(struct pair *pair, unsigned txn, unsigned db, const MDB_val *key,
                          MDB_val *data)
{
    struct world *world = &pair->world[REAL];
    const struct api *api = world->api;
    MDB_cursor *cursor;
    MDB_val found = *key;
    size_t count = 0;

    api_enter(api);
    if (api->cursor_open(world->txn[txn], world->dbi[db], &cursor) != 0) {
        return 0;
    }
    if (api->cursor_get(cursor, &found, data, MDB_SET) == 0 &&
        api->cursor_count(cursor, &count) != 0) {
        count = 0;
    }
    api->cursor_close(cursor);
    return count;
}

size_t position_dup_count(struct pair *pair, unsigned txn, unsigned db, const MDB_val *key)
{
    MDB_val data;

    return position_dup_first(pair, txn, db, key, &data);
}

/* ---- changes by others ----------------------------------------------------------------------- */

/* Nothing follows the key that was deleted. */
static bool at_end(struct pair *pair, const struct known_cursor *cursor)
{
    MDB_val key = {cursor->key_size, (void *)cursor->key};

    return !cursor->key_known || position_ask_real(pair, cursor->txn, cursor->db, &key) != 0;
}

void position_dup_after_delete(struct pair *pair, struct known_cursor *cursor)
{
    if (cursor->key_gone && at_end(pair, cursor)) {
        cursor->end_mark = true;
    }
}

/* The real library loses cursors on a key whose items others add or delete: some of them act on the
 * whole key later, or on memory that is not theirs. A key that is gone is tracked. */
void position_dup_after_change(struct pair *pair, unsigned db, const MDB_val *key, bool key_gone,
                               int except)
{
    for (int i = 0; i < CURSOR_COUNT; i++) {
        struct known_cursor *cursor = &pair->cursor[i];
        if (i == except || cursor->state != CURSOR_LIVE || cursor->txn != TXN_WRITE ||
            cursor->db != db || cursor->position != POSITION_ON) {
            continue;
        }
        if (key == NULL || !cursor->key_known) {
            cursor->position = POSITION_MURKY;
            cursor->end_mark = true;
        } else if (position_has_key(pair, cursor, key)) {
            cursor->position = key_gone ? POSITION_DELETED : POSITION_MURKY;
            cursor->key_gone = key_gone;
            position_dup_after_delete(pair, cursor);
        }
    }
}

/* A single value has become a set by the time the real library finds that another belongs before it; of
 * several values some may have been put before one was refused. */
bool position_dup_remakes(const struct call *call, int rc)
{
    return rc == MDB_KEYEXIST && (call->code == STEP_PUT || call->code == STEP_CURSOR_PUT) &&
           (call->flags & (MDB_APPENDDUP | MDB_MULTIPLE)) != 0;
}

bool position_dup_shared(struct pair *pair, unsigned index)
{
    const struct known_cursor *own = &pair->cursor[index];
    MDB_val key = {own->key_size, (void *)own->key};

    if (own->key_known && position_dup_count(pair, own->txn, own->db, &key) < 2) {
        return false;
    }
    for (unsigned i = 0; i < CURSOR_COUNT; i++) {
        const struct known_cursor *cursor = &pair->cursor[i];
        if (i != index && cursor->state == CURSOR_LIVE && cursor->txn == TXN_WRITE &&
            cursor->db == own->db && cursor->position != POSITION_UNSET &&
            (cursor->position != POSITION_ON || !cursor->key_known || !own->key_known ||
             position_has_key(pair, cursor, &key))) {
            return true;
        }
    }
    return false;
}

/* ---- what is defined ------------------------------------------------------------------------- */

static bool positions_anew(int cursor_op)
{
    return cursor_op == MDB_FIRST || cursor_op == MDB_LAST || cursor_op == MDB_SET ||
           cursor_op == MDB_SET_KEY || cursor_op == MDB_SET_RANGE || cursor_op == MDB_GET_BOTH ||
           cursor_op == MDB_GET_BOTH_RANGE;
}

static bool is_next(int cursor_op)
{
    return cursor_op == MDB_NEXT || cursor_op == MDB_NEXT_DUP || cursor_op == MDB_NEXT_NODUP;
}

static bool is_prev(int cursor_op)
{
    return cursor_op == MDB_PREV || cursor_op == MDB_PREV_DUP || cursor_op == MDB_PREV_NODUP;
}

static bool is_multiple(int cursor_op)
{
    return cursor_op == MDB_GET_MULTIPLE || cursor_op == MDB_NEXT_MULTIPLE ||
           cursor_op == MDB_PREV_MULTIPLE;
}

/* From past the end the real library reads an item that is not there. */
bool position_dup_defines(struct pair *pair, const struct known_cursor *cursor, int cursor_op)
{
    bool fixed = (pair->db[cursor->db].flags & MDB_DUPFIXED) != 0;

    if (positions_anew(cursor_op) || cursor_op < 0 || cursor_op > MDB_PREV_MULTIPLE) {
        return true;
    }
    if (is_next(cursor_op) && cursor->end_mark && cursor->end_stale) {
        return false;
    }
    if (is_multiple(cursor_op) && fixed) {
        /* Chunks end where pages end; STEP_READ_MULTIPLE joins them. */
        return cursor->position == POSITION_UNSET && cursor_op == MDB_GET_MULTIPLE;
    }
    switch (cursor->position) {
    case POSITION_UNSET:
        return !is_prev(cursor_op);
    case POSITION_ON:
        return true;
    case POSITION_DELETED:
        /* Only a move onto the next key tells the real library whether it has several items. */
        return !cursor->key_gone || (cursor_op == MDB_NEXT_NODUP && !at_end(pair, cursor));
    case POSITION_END:
        return cursor_op == MDB_GET_CURRENT;
    default:
        return false;
    }
}

bool position_dup_counts(struct pair *pair, const struct known_cursor *cursor)
{
    return cursor->position != POSITION_END && position_dup_defines(pair, cursor, MDB_FIRST_DUP);
}

/* ---- after a call ---------------------------------------------------------------------------- */

static void put_on(struct known_cursor *cursor, const MDB_val *key)
{
    cursor->position = POSITION_ON;
    if (key != NULL) {
        position_set_key(cursor, key);
    }
}

/* LAST and the moves backwards leave the mark of an end in one of the real library's two cursors. */
static void update_end_mark(struct known_cursor *cursor, int cursor_op, int rc)
{
    bool backwards = cursor_op == MDB_LAST || cursor_op == MDB_LAST_DUP || is_prev(cursor_op);

    if (rc == MDB_NOTFOUND) {
        cursor->end_mark = true;
    } else if (rc == 0 && backwards) {
        /* LAST_DUP leaves the mark of the whole cursor as it was, and that may be old. */
        cursor->end_stale = cursor->end_stale && cursor->end_mark && cursor_op == MDB_LAST_DUP;
        cursor->end_mark = true;
    } else if (rc == 0 && cursor_op != MDB_GET_CURRENT && cursor_op != MDB_FIRST_DUP) {
        cursor->end_mark = false;
        cursor->end_stale = false;
    }
    /* MDB_FIRST_DUP does not take the mark away, and NEXT then believes it. */
    cursor->end_stale = cursor->end_stale || cursor_op == MDB_FIRST_DUP;
}

/* Where a miss leaves the cursor: beyond the last key, or somewhere. */
static enum cursor_position position_of_miss(struct pair *pair, const struct call *call)
{
    MDB_val key = call->key;

    if (position_ask_real(pair, call->txn, call->db, NULL) != 0) {
        return POSITION_UNSET;
    }
    return position_ask_real(pair, call->txn, call->db, &key) == 0 ? POSITION_MURKY : POSITION_END;
}

static void after_success(struct known_cursor *cursor, const struct call *call,
                          const struct result *result)
{
    int op = call->cursor_op;
    bool same_key = op == MDB_FIRST_DUP || op == MDB_LAST_DUP;
    bool was_on = cursor->position == POSITION_ON;

    /* Without room for data the real library leaves its cursor for duplicates as it was. */
    if (is_multiple(op) || (call->no_data && op != MDB_GET_CURRENT)) {
        cursor->position = POSITION_MURKY;
        return;
    }
    if (same_key && !result->key_touched) {
        cursor->key_known = cursor->key_known && was_on;
        put_on(cursor, NULL);
        return;
    }
    put_on(cursor, NULL);
    position_set_key(cursor, call->no_key ? NULL : &result->key);
}

static void after_not_found(struct pair *pair, struct known_cursor *cursor, const struct call *call)
{
    switch (call->cursor_op) {
    case MDB_SET:
    case MDB_SET_KEY:
    case MDB_SET_RANGE:
    case MDB_GET_BOTH:
    case MDB_GET_BOTH_RANGE:
        cursor->position = position_of_miss(pair, call);
        break;
    case MDB_FIRST:
    case MDB_LAST:
        cursor->position = POSITION_UNSET;
        break;
    default:
        if (cursor->position == POSITION_DELETED) {
            cursor->position = POSITION_MURKY;
        }
        break;
    }
}

void position_dup_after_get(struct pair *pair, const struct call *call, const struct result *result)
{
    struct known_cursor *cursor = &pair->cursor[call->cursor];
    bool both = call->cursor_op == MDB_GET_BOTH || call->cursor_op == MDB_GET_BOTH_RANGE;

    update_end_mark(cursor, call->cursor_op, result->rc);
    if (result->rc == 0) {
        after_success(cursor, call, result);
    } else if (result->rc == MDB_NOTFOUND) {
        after_not_found(pair, cursor, call);
    } else if (call->cursor_op == MDB_GET_CURRENT && result->rc == EINVAL) {
        cursor->position = POSITION_UNSET;
    } else if (cursor->position == POSITION_DELETED || (both && result->rc == MDB_BAD_VALSIZE)) {
        cursor->position = POSITION_MURKY;
    }
    if (cursor->position == POSITION_UNSET) {
        cursor->end_mark = true;
    }
}

void position_dup_after_put(struct pair *pair, const struct call *call, const struct result *result)
{
    struct known_cursor *cursor = &pair->cursor[call->cursor];
    bool appends = (call->flags & (MDB_APPEND | MDB_APPENDDUP)) != 0;

    cursor->end_stale = true;
    cursor->end_mark = cursor->end_mark || appends;
    if (result->rc == 0 ||
        (result->rc == MDB_KEYEXIST && !appends && !(call->flags & MDB_MULTIPLE) &&
         cursor->position != POSITION_DELETED)) {
        put_on(cursor, &call->key);
    } else if (result->rc == MDB_KEYEXIST || cursor->position == POSITION_DELETED) {
        cursor->position = POSITION_MURKY;
    }
}
