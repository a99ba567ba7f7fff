/* pair.c - gives two libraries the same call and compares what comes back.
 *
 * Owns:       the comparison, the history of calls, the report of a mismatch.
 * Invariants: C1 results are compared before the next call, while the pointers are valid.
 * Locks:      none; one thread.
 */
#include "pair.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct call call_make(enum step_code code)
{
    struct call call;

    memset(&call, 0, sizeof call);
    call.code = code;
    call.key = world_untouched();
    call.data = world_untouched();
    return call;
}

/* ---- printing -------------------------------------------------------------------------------- */

static void print_bytes(const char *label, const MDB_val *value, bool touched)
{
    const uint8_t *bytes = value->mv_data;

    if (!touched) {
        fprintf(stderr, " %s:untouched", label);
        return;
    }
    fprintf(stderr, " %s(%zu)=\"", label, value->mv_size);
    for (size_t i = 0; i < value->mv_size && i < 24; i++) {
        fprintf(stderr, isprint(bytes[i]) ? "%c" : "\\x%02x", bytes[i]);
    }
    fprintf(stderr, "%s\"", value->mv_size > 24 ? ".." : "");
}

static void print_result(const char *label, const struct result *result)
{
    fprintf(stderr, "    %-5s rc=%d", label, result->rc);
    print_bytes("key", &result->key, result->key_touched);
    print_bytes("data", &result->data, result->data_touched);
    for (size_t i = 0; i < result->number_count; i++) {
        fprintf(stderr, " %llu", (unsigned long long)result->numbers[i]);
    }
    fprintf(stderr, "\n");
}

static void print_past(const struct past_call *past)
{
    const struct call *call = &past->call;
    MDB_val key = {call->key.mv_size < 16 ? call->key.mv_size : 16, (void *)past->key};
    bool by_cursor = call->code >= STEP_CURSOR_OPEN && call->code <= STEP_CURSOR_COUNT;
    bool has_key = call->code == STEP_GET || call->code == STEP_PUT || call->code == STEP_DEL ||
                   call->code == STEP_CURSOR_PUT || call->code == STEP_DCMP ||
                   call->code == STEP_CURSOR_GET;

    fprintf(stderr, "%5u %-12s", past->step, program_step_name(call->code));
    if (by_cursor) {
        fprintf(stderr, " cursor=%u", call->cursor);
    }
    fprintf(stderr, " txn=%u db=%u", call->txn, call->db);
    if (call->code == STEP_CURSOR_GET) {
        fprintf(stderr, " %s", program_cursor_op_name(call->cursor_op));
    }
    if (call->flags != 0) {
        fprintf(stderr, " flags=%#x", call->flags);
    }
    if (has_key && !call->no_key) {
        print_bytes("key", &key, key.mv_data != NULL && call->key.mv_data != NULL);
        fprintf(stderr, "..%zu", call->key.mv_size);
    }
    if (call->code == STEP_PUT || call->code == STEP_CURSOR_PUT) {
        fprintf(stderr, " data(%zu)", call->data.mv_size);
    }
    fprintf(stderr, "%s%s -> %d\n", call->no_key ? " key=NULL" : "",
            call->no_data ? " data=NULL" : "", past->rc);
}

static void remember(struct pair *pair, const struct call *call, const struct result *real)
{
    struct past_call *past = &pair->history[pair->history_next++ % HISTORY_COUNT];
    size_t size = call->key.mv_size < sizeof past->key ? call->key.mv_size : sizeof past->key;
    bool unset = call->key.mv_data == world_untouched().mv_data;

    past->call = *call;
    past->step = pair->step == NULL ? 0 : pair->step->index;
    past->rc = real->rc;
    if (unset) {
        past->call.key.mv_data = NULL;
    } else {
        memcpy(past->key, call->key.mv_data, size);
    }
}

void pair_fail(struct pair *pair, const char *what)
{
    uint64_t first = pair->history_next > HISTORY_COUNT ? pair->history_next - HISTORY_COUNT : 0;

    pair->failed = true;
    if (pair->quiet) {
        return;
    }
    fprintf(stderr, "MISMATCH: %s\n", what);
    program_print_setting(stderr, pair->program);
    if (pair->step != NULL) {
        fprintf(stderr, "at step %u; last calls:\n", pair->step->index);
    }
    for (uint64_t i = first; i < pair->history_next; i++) {
        print_past(&pair->history[i % HISTORY_COUNT]);
    }
}

/* ---- comparing ------------------------------------------------------------------------------- */

/* A named database's record in the main one: flags, whether it is empty and entries must agree,
 * page counts and numbers need not. */
static bool same_record(const uint8_t *a, const uint8_t *b)
{
    static const uint8_t none[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    bool a_empty = memcmp(a + 40, none, 8) == 0;
    bool b_empty = memcmp(b + 40, none, 8) == 0;

    return memcmp(a, b, 6) == 0 && (a[6] == 0) == (b[6] == 0) && a_empty == b_empty &&
           memcmp(a + 32, b + 32, 8) == 0;
}

static bool same_value(const struct pair *pair, unsigned db, const MDB_val *a, const MDB_val *b)
{
    if (a->mv_size != b->mv_size) {
        return false;
    }
    if (a->mv_size == 0 || memcmp(a->mv_data, b->mv_data, a->mv_size) == 0) {
        return true;
    }
    return db == DB_MAIN && pair->program->named_count > 0 && a->mv_size == 48 &&
           same_record(a->mv_data, b->mv_data);
}

static const char *difference(const struct pair *pair, const struct call *call,
                              const struct result *real, const struct result *ours)
{
    if (real->rc != ours->rc) {
        return "return codes differ";
    }
    if (real->key_touched != ours->key_touched) {
        return "one touched *key";
    }
    if (real->data_touched != ours->data_touched) {
        return "one touched *data";
    }
    if (real->key_touched && !same_value(pair, DB_BAD, &real->key, &ours->key)) {
        return "keys differ";
    }
    if (real->data_touched && !same_value(pair, call->db, &real->data, &ours->data)) {
        return "data differ";
    }
    if (ours->data_touched && ours->data.mv_data == NULL && real->data.mv_data != NULL) {
        return "data pointer is NULL";
    }
    if (real->number_count != ours->number_count ||
        memcmp(real->numbers, ours->numbers, sizeof real->numbers) != 0) {
        return "numbers differ";
    }
    return NULL;
}

/* One of them has no room left: the write transaction must end. After a commit, or the end of a
 * handle, that only one made there is nothing to compare with. */
static bool is_full(struct pair *pair, const struct call *call, int real, int ours)
{
    if (!pair->program->map_is_tiny || (real != MDB_MAP_FULL && ours != MDB_MAP_FULL)) {
        return false;
    }
    if (call->code == STEP_TXN_COMMIT || call->code == STEP_DROP) {
        pair->inconclusive = real != ours;
        pair->failed = real != ours;
        return pair->failed;
    }
    pair->full = true;
    pair->both_full = real == ours;
    return true;
}

int pair_call(struct pair *pair, const struct call *call, struct result *real)
{
    struct result results[2];
    const char *what;

    if (pair->failed || pair->full) {
        return EXIT_FAILURE;
    }
    if (real == NULL) {
        real = &results[REAL];
    }
    emit_call(pair, call);
    world_call(&pair->world[REAL], call, real);
    remember(pair, call, real);
    if (real->rc == MDB_PAGE_FULL) {
        /* A fault of the real library when it splits pages of large records: nothing to compare. */
        pair->failed = true;
        pair->inconclusive = true;
        return real->rc;
    }
    world_call(&pair->world[OURS], call, &results[OURS]);
    if ((results[OURS].rc == MDB_PAGE_FULL || results[OURS].rc == ENOMEM) &&
        pair->world[OURS].api->page_size_override != 0) {
        pair->failed = true;
        pair->inconclusive = true;
        return real->rc;
    }
    if (is_full(pair, call, real->rc, results[OURS].rc)) {
        return MDB_MAP_FULL;
    }
    what = difference(pair, call, real, &results[OURS]);
    if (what != NULL) {
        pair_fail(pair, what);
        if (!pair->quiet) {
            print_result("real", real);
            print_result("ours", &results[OURS]);
        }
    }
    return real->rc;
}

/* ---- whole databases ------------------------------------------------------------------------- */

static uint64_t walk(struct pair *pair, unsigned txn, unsigned db, int start, int move)
{
    struct call call = call_make(STEP_CURSOR_GET);
    uint64_t count = 0;

    call.txn = txn;
    call.db = db;
    call.cursor = CURSOR_SCRATCH;
    call.cursor_op = start;
    while (!pair->failed && pair_call(pair, &call, NULL) == 0) {
        call.cursor_op = move;
        count++;
    }
    return count;
}

void pair_verify(struct pair *pair, unsigned txn)
{
    for (unsigned db = 0; db <= pair->program->named_count; db++) {
        struct call call = call_make(STEP_STAT);
        struct result result;
        uint64_t forward;
        uint64_t backward;
        call.txn = txn;
        call.db = db;
        call.cursor = CURSOR_SCRATCH;
        if (pair_call(pair, &call, &result) != 0) {
            continue;
        }
        call.code = STEP_CURSOR_OPEN;
        if (pair_call(pair, &call, NULL) != 0) {
            continue;
        }
        emit_walk(pair, txn, db);
        forward = walk(pair, txn, db, MDB_FIRST, MDB_NEXT);
        backward = walk(pair, txn, db, MDB_LAST, MDB_PREV);
        call.code = STEP_CURSOR_CLOSE;
        pair_call(pair, &call, NULL);
        if (!pair->failed && (forward != backward || forward != result.numbers[0])) {
            pair_fail(pair, "the walks and ms_entries disagree");
        }
    }
}
