/* position.c - where each cursor stands, as far as the contract says it.
 *
 * Owns:       the positions in struct known_cursor.
 * Invariants: S1 a position other than MURKY has results that do not depend on page layout.
 * Locks:      none; one thread.
 *
 * Where knowledge is missing (is there an item behind this one?) the real library is asked through
 * a cursor of its own, which does not disturb the others.
 */
#include "compare.h"
#include "pair.h"

#include <string.h>

void position_set_key(struct known_cursor *cursor, const MDB_val *key)
{
    cursor->key_known = key != NULL && key->mv_size <= KEY_MAX;
    if (cursor->key_known) {
        cursor->key_size = key->mv_size;
        memcpy(cursor->key, key->mv_data, key->mv_size);
    }
}

bool position_has_key(const struct pair *pair, const struct known_cursor *cursor,
                      const MDB_val *key)
{
    MDB_val own = {cursor->key_size, (void *)cursor->key};

    if (!cursor->key_known || cursor->key_size != key->mv_size) {
        return false;
    }
    return pair->program->key_order[cursor->db] == ORDER_FOLDED
               ? compare_folded(&own, key) == 0
               : memcmp(cursor->key, key->mv_data, key->mv_size) == 0;
}

/* First item not below `key` (NULL: of all) in the real library; an MDB code. */
int position_ask_real(struct pair *pair, unsigned txn, unsigned db, MDB_val *key)
{
    struct world *world = &pair->world[REAL];
    const struct api *api = world->api;
    MDB_cursor *cursor;
    MDB_val first = {0, NULL};
    MDB_val data;
    int rc;

    api_enter(api);
    rc = api->cursor_open(world->txn[txn], world->dbi[db], &cursor);
    if (rc == 0) {
        rc = key == NULL ? api->cursor_get(cursor, &first, &data, MDB_FIRST)
                         : api->cursor_get(cursor, key, &data, MDB_SET_RANGE);
        api->cursor_close(cursor);
    }
    return rc;
}

static bool has_duplicates(const struct pair *pair, unsigned db)
{
    return db < DB_COUNT && (pair->db[db].flags & MDB_DUPSORT) != 0;
}

static bool at_end(struct pair *pair, const struct known_cursor *cursor)
{
    MDB_val key = {cursor->key_size, (void *)cursor->key};

    return !cursor->key_known || position_ask_real(pair, cursor->txn, cursor->db, &key) != 0;
}

void position_before_change(struct pair *pair, unsigned db, int except)
{
    for (int i = 0; i < CURSOR_COUNT; i++) {
        struct known_cursor *cursor = &pair->cursor[i];
        if (i == except || cursor->state != CURSOR_LIVE || cursor->txn != TXN_WRITE ||
            cursor->db != db) {
            continue;
        }
        cursor->end_stale = true;
        if (has_duplicates(pair, db) && cursor->position == POSITION_DELETED) {
            cursor->position = POSITION_MURKY;
        }
        if (cursor->position == POSITION_END || cursor->position == POSITION_UNSURE ||
            (cursor->position == POSITION_DELETED && at_end(pair, cursor))) {
            cursor->position = POSITION_MURKY;
            cursor->end_mark = true;
        }
    }
}

void position_after_delete(struct pair *pair, unsigned db, const MDB_val *key, int except)
{
    for (int i = 0; i < CURSOR_COUNT; i++) {
        struct known_cursor *cursor = &pair->cursor[i];
        if (i == except || cursor->state != CURSOR_LIVE || cursor->txn != TXN_WRITE ||
            cursor->db != db || cursor->position != POSITION_ON) {
            continue;
        }
        if (key == NULL || !cursor->key_known) {
            cursor->position = POSITION_MURKY;
        } else if (position_has_key(pair, cursor, key)) {
            cursor->position = POSITION_DELETED;
        }
    }
}

/* After a key that is not there: the contract only speaks about keys beyond the last. */
static enum cursor_position position_of_miss(struct pair *pair, const struct call *call)
{
    MDB_val key = call->key;

    if (position_ask_real(pair, call->txn, call->db, NULL) != 0) {
        return POSITION_UNSET;
    }
    return position_ask_real(pair, call->txn, call->db, &key) == 0 ? POSITION_MURKY : POSITION_END;
}

static enum cursor_position position_not_found(struct pair *pair, const struct call *call,
                                               const struct known_cursor *cursor)
{
    switch (call->cursor_op) {
    case MDB_SET:
    case MDB_SET_KEY:
    case MDB_SET_RANGE:
        return position_of_miss(pair, call);
    case MDB_GET_CURRENT:
        return POSITION_END;
    case MDB_FIRST:
    case MDB_LAST:
        return POSITION_UNSET;
    default:
        return cursor->position == POSITION_DELETED ? POSITION_UNSURE : cursor->position;
    }
}

static bool is_next(int cursor_op)
{
    return cursor_op == MDB_NEXT || cursor_op == MDB_NEXT_DUP || cursor_op == MDB_NEXT_NODUP;
}

/* The real library remembers that a cursor met the end, and then looks no further than the cursor's
 * own page: whether NEXT sees what was added since depends on the layout. */
static void update_end_mark(struct known_cursor *cursor, int cursor_op, int rc)
{
    if (cursor_op == MDB_LAST || (rc == MDB_NOTFOUND && cursor_op != MDB_PREV &&
                                  cursor_op != MDB_PREV_DUP && cursor_op != MDB_PREV_NODUP)) {
        cursor->end_mark = true;
        cursor->end_stale = false;
    } else if (rc == 0 && cursor_op != MDB_GET_CURRENT) {
        cursor->end_mark = false;
    }
}

bool position_defines(struct pair *pair, const struct known_cursor *cursor, int cursor_op)
{
    if (has_duplicates(pair, cursor->db) && cursor->state == CURSOR_LIVE) {
        return position_dup_defines(pair, cursor, cursor_op);
    }
    if (is_next(cursor_op) && cursor->end_mark && cursor->end_stale) {
        return false;
    }
    return cursor->position != POSITION_MURKY || cursor_op == MDB_FIRST || cursor_op == MDB_LAST ||
           cursor_op == MDB_SET || cursor_op == MDB_SET_KEY || cursor_op == MDB_SET_RANGE;
}

void position_after_get(struct pair *pair, const struct call *call, const struct result *result)
{
    struct known_cursor *cursor = &pair->cursor[call->cursor];

    if (has_duplicates(pair, cursor->db)) {
        position_dup_after_get(pair, call, result);
        return;
    }
    update_end_mark(cursor, call->cursor_op, result->rc);
    if (result->rc == 0) {
        cursor->position = POSITION_ON;
        position_set_key(cursor, call->no_key ? NULL : &result->key);
    } else if (result->rc == MDB_NOTFOUND) {
        cursor->position = position_not_found(pair, call, cursor);
    } else if (result->rc == MDB_INCOMPATIBLE && cursor->position == POSITION_DELETED) {
        cursor->position = POSITION_MURKY;
    } else if (call->cursor_op == MDB_GET_CURRENT && result->rc != MDB_BAD_TXN) {
        cursor->position = POSITION_UNSET;
    }
    if (cursor->position == POSITION_UNSET) {
        cursor->end_mark = true;
    }
}

void position_after_put(struct pair *pair, const struct call *call, const struct result *result)
{
    struct known_cursor *cursor = &pair->cursor[call->cursor];

    if (has_duplicates(pair, cursor->db)) {
        position_dup_after_put(pair, call, result);
        return;
    }
    bool was_on = cursor->position == POSITION_ON || cursor->position == POSITION_UNSET;

    cursor->end_stale = true;
    if (!was_on) {
        cursor->end_mark = true;
    }
    if (call->flags & MDB_APPEND) {
        cursor->end_mark = true; /* and a mark of a deletion stays, too */
        cursor->end_stale = !was_on || (result->rc != 0 && result->rc != MDB_KEYEXIST);
    }
    if (result->rc == 0 || result->rc == MDB_KEYEXIST) {
        cursor->position = POSITION_ON;
        position_set_key(cursor, &call->key);
        if (result->rc == MDB_KEYEXIST && (call->flags & MDB_APPEND)) {
            cursor->key_known = false;
        }
    } else if (result->rc == MDB_INCOMPATIBLE) {
        cursor->position = POSITION_MURKY;
    }
}

bool position_victim(struct pair *pair, const struct known_cursor *cursor, uint8_t *bytes,
                     MDB_val *key)
{
    key->mv_size = cursor->key_size;
    key->mv_data = bytes;
    memcpy(bytes, cursor->key, cursor->key_size);
    if (!cursor->key_known) {
        return false;
    }
    if (cursor->position == POSITION_ON) {
        return true;
    }
    if (cursor->position != POSITION_DELETED ||
        position_ask_real(pair, cursor->txn, cursor->db, key) != 0 || key->mv_size > KEY_MAX) {
        return false;
    }
    memmove(bytes, key->mv_data, key->mv_size);
    key->mv_data = bytes;
    return true;
}
