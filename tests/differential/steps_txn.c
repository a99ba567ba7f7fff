/* steps_txn.c - steps on transactions: begin, nest, end, reset, renew.
 *
 * Owns:       the known state of transactions. TXN_WRITE is the innermost write transaction, the
 *             slots from TXN_OUTER on are its parents; `depth` counts those.
 * Invariants: T1 of steps.c.
 * Locks:      none; one thread.
 */
#include "steps.h"

#include <string.h>

static bool is_writer(unsigned txn)
{
    return txn == TXN_WRITE || txn >= TXN_OUTER;
}

/* With MDB_NOLOCK a writer does not know of readers; keeping them apart is up to the program. */
static bool must_wait(const struct pair *pair, unsigned txn)
{
    bool writing = pair->txn[TXN_WRITE].state != TXN_NONE;

    return (pair->program->env_flags & MDB_NOLOCK) != 0 &&
           (txn == TXN_WRITE ? steps_reader_active(pair) : writing);
}

static void run_txn_begin(struct pair *pair, const struct step *step)
{
    struct call call = steps_call(step, STEP_TXN_BEGIN);

    if (step->txn >= TXN_OUTER || pair->txn[step->txn].state != TXN_NONE ||
        must_wait(pair, step->txn)) {
        return;
    }
    call.flags = step->txn == TXN_WRITE ? 0 : MDB_RDONLY;
    if (pair_call(pair, &call, NULL) == 0) {
        pair->txn[step->txn] = (struct known_txn){TXN_ACTIVE, pair->epoch, 0, false};
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

/* A reader's cursors are kept for renewal. */
static void leave_cursors(struct pair *pair, unsigned txn, enum cursor_state state)
{
    for (unsigned i = 0; i < CURSOR_COUNT; i++) {
        struct known_cursor *cursor = &pair->cursor[i];
        if (cursor->txn == txn && (cursor->state == CURSOR_LIVE || cursor->state == CURSOR_STALE)) {
            cursor->state = state;
        }
    }
}

static void end_reader(struct pair *pair, const struct step *step)
{
    struct call call = steps_call(step, step->code);
    int rc;

    if (pair->txn[step->txn].state == TXN_ACTIVE) {
        check_held(pair, step->txn);
    }
    rc = pair_call(pair, &call, NULL);
    leave_cursors(pair, step->txn, CURSOR_ORPHAN);
    steps_settle_handles(pair, step->txn, step->code == STEP_TXN_COMMIT && rc == 0);
    pair->txn[step->txn].state = TXN_NONE;
}

/* ---- the write transaction and those nested in it -------------------------------------------- */

static unsigned level_of(const struct pair *pair, unsigned txn)
{
    return txn >= TXN_OUTER ? txn - TXN_OUTER : pair->depth;
}

/* The real library has no child that only reads, and none at all with MDB_WRITEMAP; ours has both. */
static bool is_beyond_real(const struct pair *pair, const struct step *step)
{
    return step->txn == TXN_WRITE &&
           ((step->flags & MDB_RDONLY) != 0 || (pair->program->env_flags & MDB_WRITEMAP) != 0);
}

static void run_child_begin(struct pair *pair, const struct step *step)
{
    struct call call = steps_call(step, STEP_CHILD_BEGIN);

    if (pair->txn[step->txn].state == TXN_NONE || pair->depth == NEST_MAX ||
        is_beyond_real(pair, step)) {
        return;
    }
    if (pair_call(pair, &call, NULL) != 0 || pair->failed) {
        return;
    }
    memcpy(pair->before[pair->depth], pair->cursor, sizeof pair->before[0]);
    pair->txn[TXN_OUTER + pair->depth] = pair->txn[TXN_WRITE];
    pair->txn[TXN_OUTER + pair->depth++].state = TXN_PARENT;
    pair->txn[TXN_WRITE].opened = 0;
    pair->txn[TXN_WRITE].removed = false;
    call.code = STEP_TXN_ID;
    pair_call(pair, &call, NULL);
}

/* The innermost transaction has ended. Cursors are freed with the transaction they were opened in;
 * an abort puts the others back where they were when it began. */
static void leave_level(struct pair *pair, bool committed)
{
    for (unsigned i = 0; i < CURSOR_COUNT; i++) {
        struct known_cursor *cursor = &pair->cursor[i];
        if (cursor->state == CURSOR_NONE || cursor->txn != TXN_WRITE) {
            continue;
        }
        if (cursor->level == pair->depth) {
            cursor->state = CURSOR_NONE;
            pair->world[REAL].cursor[i] = NULL;
            pair->world[OURS].cursor[i] = NULL;
        } else if (!committed) {
            *cursor = pair->before[pair->depth - 1][i];
        }
    }
    steps_settle_handles(pair, TXN_WRITE, committed);
    if (pair->depth == 0) {
        pair->txn[TXN_WRITE].state = TXN_NONE;
        return;
    }
    struct known_txn *parent = &pair->txn[TXN_OUTER + --pair->depth];
    parent->removed = pair->depth > 0 && (parent->removed || pair->txn[TXN_WRITE].removed);
    pair->txn[TXN_WRITE] = *parent;
    pair->txn[TXN_WRITE].state = TXN_ACTIVE;
    *parent = (struct known_txn){TXN_NONE, 0, 0, false};
}

/* True when an abort down to `level` would bring a database back whose handle is gone. */
static bool must_commit(const struct pair *pair, unsigned level)
{
    bool removed = level > 0 && pair->txn[TXN_WRITE].removed;

    for (unsigned i = level; i < pair->depth && level > 0; i++) {
        removed = removed || pair->txn[TXN_OUTER + i].removed;
    }
    return removed;
}

static void end_writer(struct pair *pair, const struct step *step)
{
    struct call call = steps_call(step, step->code);
    unsigned level = level_of(pair, step->txn);
    bool kept = must_commit(pair, level);
    bool committed;

    if (kept) {
        call.code = STEP_TXN_COMMIT;
    }
    committed = pair_call(pair, &call, NULL) == 0 && call.code == STEP_TXN_COMMIT;
    while (!pair->failed && pair->depth > level) {
        leave_level(pair, committed);
    }
    if (!pair->failed) {
        leave_level(pair, committed);
    }
    if (kept && !committed && !pair->failed) {
        steps_end_writer(pair, STEP_TXN_ABORT);
    }
}

void steps_end_writer(struct pair *pair, enum step_code code)
{
    struct step step = {.code = (uint8_t)code, .txn = TXN_WRITE};

    if (pair->depth > 0) {
        step.txn = TXN_OUTER;
    }
    if (pair->txn[step.txn].state != TXN_NONE) {
        end_writer(pair, &step);
    }
}

static void run_txn_end(struct pair *pair, const struct step *step)
{
    if (pair->txn[step->txn].state == TXN_NONE) {
        return;
    }
    if (is_writer(step->txn)) {
        end_writer(pair, step);
    } else {
        end_reader(pair, step);
    }
}

/* ---- readers give their snapshot up and take a new one --------------------------------------- */

static void run_txn_reset(struct pair *pair, const struct step *step)
{
    struct call call = steps_call(step, STEP_TXN_RESET);

    if (pair->txn[step->txn].state == TXN_NONE) {
        return;
    }
    if (!is_writer(step->txn) && pair->txn[step->txn].state == TXN_ACTIVE) {
        check_held(pair, step->txn);
    }
    pair_call(pair, &call, NULL);
    if (!is_writer(step->txn)) {
        leave_cursors(pair, step->txn, CURSOR_STALE);
        steps_settle_handles(pair, step->txn, false);
        pair->txn[step->txn].state = TXN_RESET;
    }
}

static void run_txn_renew(struct pair *pair, const struct step *step)
{
    struct call call = steps_call(step, STEP_TXN_RENEW);

    if (pair->txn[step->txn].state == TXN_NONE || must_wait(pair, step->txn)) {
        return;
    }
    if (pair_call(pair, &call, NULL) == 0) {
        pair->txn[step->txn] = (struct known_txn){TXN_ACTIVE, pair->epoch, 0, false};
        call.code = STEP_TXN_ID;
        pair_call(pair, &call, NULL);
    }
}

void steps_run_txn(struct pair *pair, const struct step *step)
{
    switch (step->code) {
    case STEP_TXN_BEGIN:
        run_txn_begin(pair, step);
        break;
    case STEP_CHILD_BEGIN:
        run_child_begin(pair, step);
        break;
    case STEP_TXN_RESET:
        run_txn_reset(pair, step);
        break;
    case STEP_TXN_RENEW:
        run_txn_renew(pair, step);
        break;
    default:
        run_txn_end(pair, step);
        break;
    }
}
