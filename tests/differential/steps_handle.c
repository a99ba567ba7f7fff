/* steps_handle.c - steps that open and close handles.
 *
 * Owns:       the known state of handles.
 * Invariants: T1 of steps.c.
 *             T2 at most one transaction (with its parents) has handles that are not published, and
 *                it began after the last change to the set of handles by others.
 * Locks:      none; one thread.
 */
#include "steps.h"

#include <string.h>

static void kill_cursors(struct pair *pair, unsigned db)
{
    for (unsigned i = 0; i < CURSOR_COUNT; i++) {
        if (pair->cursor[i].state != CURSOR_NONE && pair->cursor[i].db == db) {
            pair->cursor[i].state = CURSOR_DEAD;
        }
    }
}

/* The set of handles changes. The write transaction and its parents are where that is done, so that
 * they are not behind it. */
static void change_epoch(struct pair *pair)
{
    for (unsigned i = 0; i < TXN_SLOTS && pair->depth > 0; i++) {
        bool writer = i == TXN_WRITE || i >= TXN_OUTER;
        if (writer && pair->txn[i].epoch == pair->epoch) {
            pair->txn[i].epoch++;
        }
    }
    pair->epoch++;
}

static uint64_t dbi_bit(const struct pair *pair, unsigned db)
{
    return UINT64_C(1) << (pair->world[REAL].dbi[db] % 64);
}

static void forget_handle(struct pair *pair, unsigned db)
{
    pair->db[db].open = false;
    change_epoch(pair);
    kill_cursors(pair, db);
}

void steps_settle_handles(struct pair *pair, unsigned txn, bool publish)
{
    for (unsigned db = 0; db < DB_COUNT; db++) {
        if (!(pair->txn[txn].opened >> db & 1)) {
            continue;
        }
        if (publish && txn == TXN_WRITE && pair->depth > 0) {
            pair->txn[TXN_OUTER + pair->depth - 1].opened |= 1u << db;
        } else if (publish) {
            pair->db[db].owner = -1;
            pair->epoch++;
        } else {
            if (txn == TXN_WRITE && pair->depth == 0) {
                pair->aborted_dbis |= dbi_bit(pair, db);
            }
            forget_handle(pair, db);
        }
    }
    pair->txn[txn].opened = 0;
}

static bool may_open_handle(const struct pair *pair, unsigned txn)
{
    bool writes = txn == TXN_WRITE || txn >= TXN_OUTER;

    for (unsigned i = 0; i < TXN_SLOTS; i++) {
        bool related = writes && (i == TXN_WRITE || i >= TXN_OUTER);
        if (i != txn && !related && pair->txn[i].opened != 0) {
            return false;
        }
    }
    return pair->txn[txn].state == TXN_RESET || pair->txn[txn].epoch == pair->epoch;
}

bool steps_handle_visible(const struct pair *pair, unsigned txn, unsigned db)
{
    return db < DB_COUNT && pair->db[db].open &&
           (pair->db[db].owner == (int)txn ||
            (pair->db[db].owner < 0 && pair->txn[txn].epoch == pair->epoch));
}

static void run_dbi_open(struct pair *pair, const struct step *step)
{
    struct call call = steps_call(step, STEP_DBI_OPEN);
    struct known_db *db;
    bool known;

    if (pair->txn[step->txn].state == TXN_NONE || step->db > pair->program->named_count ||
        !may_open_handle(pair, step->txn)) {
        return;
    }
    db = &pair->db[step->db];
    known = steps_handle_visible(pair, step->txn, step->db);
    call.name = pair->program->db_name[step->db];
    if (call.name == NULL) {
        call.flags &= MDB_CREATE | 0x81;
    }
    if (call.name != NULL && (call.flags & MDB_CREATE) != 0 && !known && step->txn == TXN_WRITE) {
        position_before_change(pair, DB_MAIN, -1); /* it may become a record there */
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
    struct call call = steps_call(step, STEP_DBI_CLOSE);

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

bool steps_reader_active(const struct pair *pair)
{
    for (unsigned i = 0; i < TXN_COUNT; i++) {
        if (i != TXN_WRITE && pair->txn[i].state == TXN_ACTIVE) {
            return true;
        }
    }
    return false;
}

/* The real library brings the handle back, without a name, when the innermost transaction, a child,
 * has dropped it: a parent opened it, or the outermost, which opened no handle of that number, still
 * has the mark of one that was aborted. */
static bool comes_back(const struct pair *pair, unsigned db)
{
    if (pair->db[db].open && pair->db[db].owner >= 0 &&
        (pair->aborted_dbis & dbi_bit(pair, db)) != 0) {
        return true;
    }
    for (unsigned i = 0; i < pair->depth; i++) {
        if (pair->txn[TXN_OUTER + i].opened >> db & 1) {
            return true;
        }
    }
    return false;
}

/* The real library takes cursors of a handle that is gone for cursors of the next database with its
 * number, which may have duplicates when theirs had none. False when one cannot be closed. */
static bool close_cursors(struct pair *pair, unsigned db)
{
    for (unsigned i = 0; i < CURSOR_COUNT && pair->program->value_count != 0; i++) {
        const struct known_cursor *cursor = &pair->cursor[i];
        struct step step = {.code = STEP_CURSOR_CLOSE, .cursor = (uint8_t)i};
        if (cursor->state == CURSOR_NONE || cursor->db != db) {
            continue;
        }
        if (cursor->txn == TXN_WRITE && cursor->level < pair->depth) {
            return false;
        }
        steps_run_cursor(pair, &step);
    }
    return true;
}

static void run_drop(struct pair *pair, const struct step *step)
{
    struct call call = steps_call(step, STEP_DROP);
    bool removes = step->number == 1 && step->db != DB_MAIN;
    bool nested = step->txn == TXN_WRITE && pair->depth > 0;

    if (pair->txn[step->txn].state == TXN_NONE || (removes && steps_reader_active(pair)) ||
        (step->db == DB_MAIN && pair->program->named_count != 0) ||
        (removes && nested && comes_back(pair, step->db))) {
        return;
    }
    if (removes && !close_cursors(pair, step->db)) {
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
        pair->txn[step->txn].removed = nested;
    }
}

void steps_run_handle(struct pair *pair, const struct step *step)
{
    if (step->code == STEP_DBI_OPEN) {
        run_dbi_open(pair, step);
    } else if (step->code == STEP_DBI_CLOSE) {
        run_dbi_close(pair, step);
    } else {
        run_drop(pair, step);
    }
}
