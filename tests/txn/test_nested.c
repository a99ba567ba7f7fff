/* test_nested.c - nested transactions: what a commit hands up and an abort takes back, at any
 * depth.
 *
 * Owns:       a directory, the transactions by depth.
 * Invariants: D1 a child's abort leaves its parent exactly as it was when the child began: items,
 *             trees, cursors. D2 a run of pages of a large value belongs to one value or is free:
 *             the verifier finds no fault and no lost page after any mixture of commits and aborts.
 * Locks:      none; one thread.
 */
#define _GNU_SOURCE /* mkdtemp() */

#include "quickstep.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEPTH_MAX = 4, SMALL = 40, LARGE = 9000, HUGE_BYTES = 70000, MODEL_KEYS = 300 };

static char directory[64], data_path[96], lock_path[96];
static struct qs_env *env;
static struct qs_txn *txn[DEPTH_MAX]; /* by depth */
static unsigned depth;                /* of the innermost one; txn[depth] is its slot */
static struct qs_tree *tree;          /* the main one */

/* ---- the environment ------------------------------------------------------------------------- */

static void open_environment(void)
{
    struct qs_options options = {.data_path = data_path,
                                 .lock_path = lock_path,
                                 .flags = QS_NOSYNC,
                                 .mode = 0644,
                                 .map_size_bytes = 64u << 20};
    cr_assert(qs_env_open(&options, &env) == 0);
}

static void complain(void *context, const char *sentence)
{
    (void)context;
    cr_log_error("%s", sentence);
}

/* D2. */
static void check_file(void)
{
    struct qs_check_report report;
    qs_env_close(env);
    cr_assert(qs_check(data_path, complain, NULL, &report) == 0);
    cr_assert(report.faults == 0 && report.pages_lost == 0);
    open_environment();
}

static void set_up(void)
{
    strcpy(directory, "/tmp/qs-nested-XXXXXX");
    cr_assert(mkdtemp(directory) != NULL);
    snprintf(data_path, sizeof data_path, "%s/data.mdb", directory);
    snprintf(lock_path, sizeof lock_path, "%s/lock.mdb", directory);
    open_environment();
}

static void tear_down(void)
{
    qs_env_close(env);
    unlink(data_path);
    unlink(lock_path);
    rmdir(directory);
}

/* ---- transactions ---------------------------------------------------------------------------- */

static void begin_top(void)
{
    depth = 0;
    cr_assert(qs_txn_begin(env, NULL, 0, &txn[0]) == 0);
    cr_assert(qs_tree_open(txn[0], NULL, 0, &tree) == 0);
}

static void begin_child(void)
{
    cr_assert(qs_txn_begin(env, txn[depth], 0, &txn[depth + 1]) == 0);
    depth++;
    cr_assert(qs_txn_id(txn[depth]) == qs_txn_id(txn[0]));
}

static int commit(void)
{
    int rc = qs_txn_commit(txn[depth]);
    depth -= depth > 0;
    return rc;
}

static void abort_innermost(void)
{
    qs_txn_abort(txn[depth]);
    depth -= depth > 0;
}

/* ---- items: the value is `size` bytes that follow from `seed` -------------------------------- */

static const uint8_t *value_bytes(unsigned seed, size_t size)
{
    static uint8_t bytes[HUGE_BYTES];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(seed * 31 + i * 7 + i / 256);
    return bytes;
}

static int put_in(struct qs_tree *where, unsigned number, unsigned seed, size_t size)
{
    struct qs_val key = {sizeof number, &number}, value = {size, value_bytes(seed, size)};
    return qs_put(txn[depth], where, &key, &value, 0);
}

static void put(unsigned number, unsigned seed, size_t size)
{
    cr_assert(put_in(tree, number, seed, size) == 0);
}

/* The same, filled by the caller as late as that is allowed. */
static void *put_reserved(unsigned number, size_t size)
{
    struct qs_val key = {sizeof number, &number}, value = {size, NULL};
    cr_assert(qs_put(txn[depth], tree, &key, &value, QS_RESERVE) == 0);
    return (void *)(uintptr_t)value.data;
}

static void del(unsigned number)
{
    struct qs_val key = {sizeof number, &number};
    cr_assert(qs_del(txn[depth], tree, &key, NULL) == 0);
}

static bool has(unsigned number, unsigned seed, size_t size)
{
    struct qs_val key = {sizeof number, &number}, value;
    int rc = qs_get(txn[depth], tree, &key, &value);
    cr_assert(rc == 0 || rc == QS_E_NOTFOUND);
    return rc == 0 && value.size == size && memcmp(value.data, value_bytes(seed, size), size) == 0;
}

static bool is_missing(unsigned number)
{
    struct qs_val key = {sizeof number, &number}, value;
    return qs_get(txn[depth], tree, &key, &value) == QS_E_NOTFOUND;
}

/* ---- commit and abort ------------------------------------------------------------------------ */

Test(nested, commits_hand_up_at_every_depth, .init = set_up, .fini = tear_down)
{
    begin_top();
    for (unsigned level = 0; level < DEPTH_MAX; level++) {
        for (unsigned i = 0; i < 200; i++)
            put(level * 1000 + i, level, SMALL);
        if (level + 1 < DEPTH_MAX)
            begin_child();
    }
    for (unsigned level = 0; level < DEPTH_MAX; level++)
        cr_assert(commit() == 0);
    check_file();
    begin_top();
    for (unsigned i = 0; i < DEPTH_MAX * 1000; i++)
        cr_assert(i % 1000 < 200 ? has(i, i / 1000, SMALL) : is_missing(i));
    abort_innermost();
}

Test(nested, abort_takes_back_what_its_children_committed, .init = set_up, .fini = tear_down)
{
    begin_top();
    for (unsigned i = 0; i < 500; i++)
        put(i, 1, SMALL);
    begin_child();
    for (unsigned i = 0; i < 500; i += 2)
        del(i);
    begin_child();
    for (unsigned i = 0; i < 500; i += 3)
        put(i, 2, SMALL);
    begin_child();
    cr_assert(qs_tree_drop(txn[depth], tree, false) == 0);
    cr_assert(is_missing(1));
    abort_innermost();
    cr_assert(has(3, 2, SMALL) && has(1, 1, SMALL) && is_missing(2));
    cr_assert(commit() == 0);
    cr_assert(has(3, 2, SMALL) && is_missing(2));
    abort_innermost();
    for (unsigned i = 0; i < 500; i++)
        cr_assert(has(i, 1, SMALL));
    cr_assert(commit() == 0);
    check_file();
}

Test(nested, parent_rests_while_a_child_lives, .init = set_up, .fini = tear_down)
{
    struct qs_txn *other;
    struct qs_cursor *cursor;
    begin_top();
    begin_child();
    depth = 0;
    cr_assert(put_in(tree, 1, 1, SMALL) == QS_E_BAD_TXN);
    cr_assert(qs_cursor_open(txn[0], tree, &cursor) == QS_E_BAD_TXN);
    cr_assert(qs_txn_begin(env, txn[0], 0, &other) == QS_E_BAD_TXN);
    depth = 1;
    cr_assert(commit() == 0);
    put(1, 1, SMALL);
    cr_assert(commit() == 0);
}

/* ---- failures -------------------------------------------------------------------------------- */

Test(nested, failed_child_fails_its_parent_by_commit_only, .init = set_up, .fini = tear_down)
{
    begin_top();
    put(1, 1, SMALL);
    begin_child();
    put(2, 2, LARGE);
    qs_txn_fail(txn[depth]);
    cr_assert(put_in(tree, 3, 3, SMALL) == QS_E_BAD_TXN);
    abort_innermost();
    cr_assert(!qs_txn_failed(txn[0]) && has(1, 1, SMALL) && is_missing(2));
    begin_child();
    begin_child();
    put(2, 2, LARGE);
    qs_txn_fail(txn[depth]);
    cr_assert(commit() == QS_E_BAD_TXN);
    cr_assert(qs_txn_failed(txn[1]));
    abort_innermost();
    cr_assert(!qs_txn_failed(txn[0]) && has(1, 1, SMALL));
    begin_child();
    qs_txn_fail(txn[depth]);
    cr_assert(commit() == QS_E_BAD_TXN);
    cr_assert(commit() == QS_E_BAD_TXN);
    check_file();
    begin_top();
    cr_assert(is_missing(1));
    abort_innermost();
}

Test(nested, full_map_in_a_child, .init = set_up, .fini = tear_down)
{
    cr_assert(qs_env_set_map_size(env, 1 << 20) == 0);
    begin_top();
    put(1, 1, LARGE);
    for (unsigned round = 0; round < 20; round++) {
        int rc = 0;
        begin_child();
        begin_child();
        for (unsigned i = 2; rc == 0; i++)
            rc = put_in(tree, i, i, round % 2 == 0 ? 300 : LARGE);
        cr_assert(rc == QS_E_MAP_FULL && qs_txn_failed(txn[2]));
        cr_assert(round % 4 < 2 || commit() == QS_E_BAD_TXN);
        while (depth > 0)
            abort_innermost();
        cr_assert(has(1, 1, LARGE) && is_missing(2));
    }
    put(2, 2, HUGE_BYTES);
    cr_assert(commit() == 0);
    check_file();
}

/* ---- large values ---------------------------------------------------------------------------- */

/* A chain of replacements, one a level; `kept` levels commit, those below them abort. */
static void replace_by_level(unsigned kept)
{
    begin_top();
    put(1, 50, LARGE); /* replaces a committed one from the second round on */
    for (unsigned level = 1; level < DEPTH_MAX; level++) {
        begin_child();
        put(1, 50 + level, LARGE + level * 5000); /* releases the parent's run */
        put(100 + level, level, HUGE_BYTES);      /* lives for this level only */
        put(100 + level, level, LARGE);
        del(100 + level);
        put(level + 1, 60 + level, HUGE_BYTES);
    }
    while (depth > kept)
        abort_innermost();
    cr_assert(has(1, 50 + kept, LARGE + kept * 5000));
    while (depth > 0)
        cr_assert(commit() == 0);
    cr_assert(has(1, 50 + kept, LARGE + kept * 5000));
    for (unsigned level = 1; level < DEPTH_MAX; level++)
        cr_assert(level > kept || has(level + 1, 60 + level, HUGE_BYTES));
    cr_assert(commit() == 0);
    check_file();
}

Test(nested, large_values_across_levels, .init = set_up, .fini = tear_down)
{
    for (unsigned kept = 0; kept < DEPTH_MAX; kept++)
        replace_by_level(kept);
    for (unsigned kept = DEPTH_MAX; kept-- > 0;)
        replace_by_level(kept);
}

Test(nested, reserved_values_across_levels, .init = set_up, .fini = tear_down)
{
    begin_top();
    void *room = put_reserved(1, LARGE);
    memcpy(room, value_bytes(1, LARGE), LARGE);
    begin_child(); /* the parent's is settled */
    cr_assert(has(1, 1, LARGE));
    room = put_reserved(2, HUGE_BYTES);
    memcpy(room, value_bytes(2, HUGE_BYTES), HUGE_BYTES);
    cr_assert(has(2, 2, HUGE_BYTES));
    cr_assert(commit() == 0);
    cr_assert(has(2, 2, HUGE_BYTES));
    begin_child();
    put_reserved(1, HUGE_BYTES);
    abort_innermost(); /* never filled */
    cr_assert(has(1, 1, LARGE));
    cr_assert(commit() == 0);
    check_file();
    begin_top();
    cr_assert(has(1, 1, LARGE) && has(2, 2, HUGE_BYTES));
    abort_innermost();
}

/* ---- cursors --------------------------------------------------------------------------------- */

/* The number the cursor gets to by `op`; UINT_MAX: QS_E_NOTFOUND. */
static unsigned move(struct qs_cursor *cursor, enum qs_cursor_op op)
{
    unsigned number = 0;
    struct qs_val key, value;
    int rc = qs_cursor_get(cursor, &key, &value, op);
    cr_assert(rc == 0 || rc == QS_E_NOTFOUND);
    if (rc != 0)
        return (unsigned)-1;
    memcpy(&number, key.data, sizeof number);
    return number;
}

static struct qs_cursor *open_at(unsigned number)
{
    struct qs_cursor *cursor;
    struct qs_val key = {sizeof number, &number}, value;
    cr_assert(qs_cursor_open(txn[depth], tree, &cursor) == 0);
    cr_assert(qs_cursor_get(cursor, &key, &value, QS_SET) == 0);
    return cursor;
}

Test(nested, cursors_come_back_by_abort_and_stay_by_commit, .init = set_up, .fini = tear_down)
{
    begin_top();
    for (unsigned i = 0; i < 200; i++) /* below 256: byte order is that of numbers */
        put(i, 1, 300);
    struct qs_cursor *on = open_at(50), *deleted = open_at(60), *unset;
    cr_assert(qs_cursor_open(txn[0], tree, &unset) == 0);
    cr_assert(qs_cursor_del(deleted, 0) == 0);
    begin_child();
    cr_assert(qs_cursor_txn(on) == txn[1]);
    struct qs_cursor *middle = open_at(70);
    begin_child();
    for (unsigned i = 40; i < 60; i++)
        del(i);
    cr_assert(move(on, QS_GET_CURRENT) == 61);
    cr_assert(move(deleted, QS_LAST) == 199 && move(unset, QS_FIRST) == 0);
    cr_assert(qs_cursor_del(middle, 0) == 0);
    abort_innermost();
    cr_assert(qs_cursor_txn(on) == txn[1]);
    cr_assert(move(on, QS_GET_CURRENT) == 50 && move(middle, QS_GET_CURRENT) == 70);
    cr_assert(qs_cursor_del(on, 0) == 0); /* through the parent's cursor, in the child */
    cr_assert(move(on, QS_NEXT) == 51 && is_missing(50));
    cr_assert(move(deleted, QS_NEXT) == 61);
    cr_assert(commit() == 0); /* frees `middle` */
    cr_assert(qs_cursor_txn(on) == txn[0]);
    cr_assert(move(on, QS_GET_CURRENT) == 51 && is_missing(50));
    cr_assert(move(deleted, QS_PREV) == 59);
    cr_assert(move(unset, QS_NEXT) == 0);
    begin_child();
    cr_assert(qs_tree_drop(txn[1], tree, false) == 0);
    abort_innermost();
    cr_assert(move(on, QS_NEXT) == 52);
    qs_cursor_close(deleted);
    cr_assert(commit() == 0);
    check_file();
}

/* ---- catalog --------------------------------------------------------------------------------- */

static bool tree_exists(struct qs_tree *which)
{
    struct qs_stat stat;
    int rc = qs_tree_stat(txn[depth], which, &stat);
    cr_assert(rc == 0 || rc == QS_E_NOTFOUND);
    return rc == 0;
}

Test(nested, trees_come_and_go_with_children, .init = set_up, .fini = tear_down)
{
    struct qs_tree *kept, *lost, *dropped;
    begin_top();
    cr_assert(qs_tree_open(txn[0], "dropped", QS_TREE_CREATE, &dropped) == 0);
    cr_assert(put_in(dropped, 1, 1, LARGE) == 0);
    begin_child();
    cr_assert(qs_tree_open(txn[1], "kept", QS_TREE_CREATE, &kept) == 0);
    cr_assert(put_in(kept, 1, 1, HUGE_BYTES) == 0);
    begin_child();
    cr_assert(qs_tree_open(txn[2], "lost", QS_TREE_CREATE, &lost) == 0);
    cr_assert(put_in(lost, 1, 1, LARGE) == 0);
    cr_assert(qs_tree_drop(txn[2], dropped, true) == 0);
    cr_assert(!tree_exists(dropped));
    abort_innermost();
    cr_assert(tree_exists(dropped) && tree_exists(kept) && !tree_exists(lost));
    cr_assert(commit() == 0);
    cr_assert(tree_exists(kept));
    begin_child();
    cr_assert(qs_tree_drop(txn[1], dropped, true) == 0);
    cr_assert(commit() == 0);
    cr_assert(!tree_exists(dropped));
    cr_assert(commit() == 0);
    check_file();
    begin_top();
    cr_assert(qs_tree_open(txn[0], "kept", 0, &kept) == 0);
    cr_assert(qs_tree_open(txn[0], "lost", 0, &lost) == QS_E_NOTFOUND);
    cr_assert(qs_tree_open(txn[0], "dropped", 0, &dropped) == QS_E_NOTFOUND);
    abort_innermost();
}

/* ---- anything -------------------------------------------------------------------------------- */

static struct item {
    unsigned seed; /* 0: not there */
    size_t size;
} model[DEPTH_MAX][MODEL_KEYS];

static uint64_t random_state = 88172645463325252u;

static unsigned random_below(unsigned limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 33) % limit;
}

static void change_something(void)
{
    static const size_t sizes[] = {SMALL, SMALL, 300, 1500, LARGE, HUGE_BYTES};
    unsigned number = random_below(MODEL_KEYS);
    struct item *item = &model[depth][number];
    cr_assert(item->seed != 0 ? has(number, item->seed, item->size) : is_missing(number));
    if (item->seed != 0 && random_below(2) == 0) {
        del(number);
        item->seed = 0;
        return;
    }
    *item = (struct item){1 + random_below(1000), sizes[random_below(6)]};
    if (random_below(4) == 0)
        memcpy(put_reserved(number, item->size), value_bytes(item->seed, item->size), item->size);
    else
        put(number, item->seed, item->size);
}

static void change_level(void)
{
    if (random_below(2) == 0 && depth + 1 < DEPTH_MAX) {
        memcpy(model[depth + 1], model[depth], sizeof model[0]);
        begin_child();
    } else if (depth > 0 && random_below(2) == 0) {
        memcpy(model[depth - 1], model[depth], sizeof model[0]);
        cr_assert(commit() == 0);
    } else if (depth > 0) {
        abort_innermost();
    }
}

static void check_model(void)
{
    for (unsigned i = 0; i < MODEL_KEYS; i++) {
        const struct item *item = &model[depth][i];
        cr_assert(item->seed != 0 ? has(i, item->seed, item->size) : is_missing(i));
    }
}

Test(nested, random_programs_against_a_model, .init = set_up, .fini = tear_down)
{
    static struct item committed[MODEL_KEYS];
    for (unsigned round = 0; round < 60; round++) {
        begin_top();
        memcpy(model[0], committed, sizeof committed);
        for (unsigned i = 0; i < 150; i++) {
            if (random_below(10) == 0)
                change_level();
            else
                change_something();
        }
        while (depth > 0)
            change_level();
        check_model();
        if (round % 4 == 3) {
            abort_innermost();
        } else {
            cr_assert(commit() == 0);
            memcpy(committed, model[0], sizeof committed);
        }
        check_file();
    }
}
