/* test_tree.c - a tree on hard keys against a sorted array: long shared prefixes, keys of 511
 * bytes, values around the size that leaves a leaf, tiny transactions and huge ones.
 *
 * Owns:       the model: which keys there are, and with what seed their value was made.
 * Invariants: M1 after each transaction the tree, forwards, backwards and by key, is the model.
 *             M2 an aborted transaction changes nothing. M3 cursors stay on their items whatever is
 *             put or deleted, and step on to what follows there.
 */
#define _GNU_SOURCE /* mkdtemp() */

#include "format/page.h"
#include "format/tree_record.h"
#include "quickstep.h"
#include "store/scratch_store.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

enum { KEYS = 3000, CURSORS = 12, KEY_BYTES = 511 };

static struct {
    char directory[64], data_path[96], lock_path[96];
    struct qs_env *env;
    struct qs_tree *tree;
    struct qs_txn *txn;
    uint64_t random;
    qs_compare_function *order; /* set for the tree, or NULL */
    struct {
        uint8_t bytes[KEY_BYTES];
        size_t size;
    } key[KEYS];              /* ascending */
    uint64_t seed[KEYS];      /* of the value, 0: not there; as the transaction has it */
    uint64_t committed[KEYS]; /* the same, as of the last commit */
} w;

static int ascending(void *context, const struct qs_val *a, const struct qs_val *b)
{
    (void)context;
    int c = memcmp(a->data, b->data, a->size < b->size ? a->size : b->size);
    return c != 0 ? c : (a->size > b->size) - (a->size < b->size);
}

static int descending(void *context, const struct qs_val *a, const struct qs_val *b)
{
    return ascending(context, b, a);
}

/* Those of even size come first. */
static int even_first(void *context, const struct qs_val *a, const struct qs_val *b)
{
    size_t odd = a->size % 2;
    return odd != b->size % 2 ? (odd != 0 ? 1 : -1) : ascending(context, a, b);
}

static int compare_keys(const void *a, const void *b)
{
    const uint8_t *x = a, *y = b;
    struct qs_val left = {0, x}, right = {0, y};
    memcpy(&left.size, x + offsetof(__typeof__(w.key[0]), size), sizeof left.size);
    memcpy(&right.size, y + offsetof(__typeof__(w.key[0]), size), sizeof right.size);
    return (w.order != NULL ? w.order : ascending)(NULL, &left, &right);
}

/* Keys in families: each family shares all but a few bytes, which may come early or late. */
static void make_keys(void)
{
    uint8_t family[KEY_BYTES];
    for (unsigned i = 0; i < KEYS; i++) {
        if (i % 100 == 0)
            for (unsigned j = 0; j < KEY_BYTES; j++)
                family[j] = (uint8_t)(scratch_random(&w.random) % 3 == 0 ? 0xff : 'p');
        memcpy(w.key[i].bytes, family, KEY_BYTES);
        uint64_t kind = scratch_random(&w.random) % 4;
        w.key[i].size = kind == 0 ? KEY_BYTES : 8 + scratch_random(&w.random) % (KEY_BYTES - 8);
        size_t at = kind < 2 ? w.key[i].size - 8 : scratch_random(&w.random) % (w.key[i].size - 7);
        for (unsigned j = 0; j < 8; j++)
            w.key[i].bytes[at + j] = (uint8_t)scratch_random(&w.random);
    }
    qsort(w.key, KEYS, sizeof w.key[0], compare_keys);
    for (unsigned i = 1; i < KEYS; i++)
        cr_assert(compare_keys(&w.key[i - 1], &w.key[i]) < 0);
}

static struct qs_val key_of(unsigned i)
{
    return (struct qs_val){w.key[i].size, w.key[i].bytes};
}

/* A value's size and bytes follow from its seed. */
static struct qs_val make_value(uint64_t seed, uint8_t space[20000])
{
    uint64_t state = seed, kind = scratch_random(&state) % 20;
    size_t size = kind < 12   ? scratch_random(&state) % 60
                  : kind < 18 ? ENTRY_INLINE_MAX - KEY_BYTES - 20 + scratch_random(&state) % 40
                  : kind < 19 ? scratch_random(&state) % ENTRY_INLINE_MAX
                              : scratch_random(&state) % 20000;
    memset(space, (int)(seed & 0xff), size);
    return (struct qs_val){size, space};
}

static void expect_value(unsigned i, const struct qs_val *value)
{
    static uint8_t space[20000];
    struct qs_val expected = make_value(w.seed[i], space);
    cr_assert(w.seed[i] != 0, "key %u should not be there", i);
    cr_assert(value->size == expected.size && memcmp(value->data, space, expected.size) == 0,
              "value of key %u", i);
}

static bool same(const struct qs_val *a, struct qs_val b)
{
    return a->size == b.size && memcmp(a->data, b.data, b.size) == 0;
}

static void open_environment(void)
{
    struct qs_options options = {.data_path = w.data_path,
                                 .lock_path = w.lock_path,
                                 .flags = QS_NOSYNC,
                                 .mode = 0644,
                                 .map_size_bytes = 64u << 20};
    cr_assert(qs_env_open(&options, &w.env) == 0);
}

static void open_tree(struct qs_txn *txn, unsigned flags)
{
    cr_assert(qs_tree_open(txn, "tree", flags, &w.tree) == 0);
    qs_tree_set_key_order(w.tree, w.order, NULL);
}

static void begin(void)
{
    cr_assert(qs_txn_begin(w.env, NULL, 0, &w.txn) == 0);
    open_tree(w.txn, QS_TREE_CREATE);
}

static void set_up(void)
{
    strcpy(w.directory, "/tmp/qs-tree-XXXXXX");
    cr_assert(mkdtemp(w.directory) != NULL);
    snprintf(w.data_path, sizeof w.data_path, "%s/data.mdb", w.directory);
    snprintf(w.lock_path, sizeof w.lock_path, "%s/lock.mdb", w.directory);
    w.random = scratch_seed(1);
    make_keys();
    open_environment();
}

static void complain(void *context, const char *sentence)
{
    (void)context;
    cr_log_error("%s", sentence);
}

static void tear_down(void)
{
    struct qs_check_report report;
    qs_env_close(w.env);
    cr_assert(qs_check(w.data_path, complain, NULL, &report) == 0);
    cr_assert(report.faults == 0 && report.pages_lost == 0);
    unlink(w.data_path);
    unlink(w.lock_path);
    rmdir(w.directory);
}

/* M1, in any transaction that sees w.seed. */
static void check_all(struct qs_txn *txn)
{
    struct qs_cursor *cursor;
    struct qs_val key, value;
    uint64_t entries = 0;
    struct qs_stat stat;
    cr_assert(qs_cursor_open(txn, w.tree, &cursor) == 0);
    for (unsigned i = 0; i < KEYS; i++) {
        key = key_of(i);
        int rc = qs_get(txn, w.tree, &key, &value);
        cr_assert(rc == (w.seed[i] != 0 ? 0 : QS_E_NOTFOUND));
        if (rc != 0)
            continue;
        expect_value(i, &value);
        entries++;
        cr_assert(qs_cursor_get(cursor, &key, &value, QS_NEXT) == 0);
        cr_assert(same(&key, key_of(i)));
        expect_value(i, &value);
    }
    cr_assert(qs_cursor_get(cursor, &key, &value, QS_NEXT) == QS_E_NOTFOUND);
    for (unsigned i = KEYS, first = 1; i-- > 0;) {
        if (w.seed[i] == 0)
            continue;
        cr_assert(qs_cursor_get(cursor, &key, &value, first ? QS_LAST : QS_PREV) == 0);
        cr_assert(same(&key, key_of(i)));
        first = 0;
    }
    qs_cursor_close(cursor);
    cr_assert(qs_tree_stat(txn, w.tree, &stat) == 0 && stat.entries == entries);
}

static void put(unsigned i)
{
    static uint8_t space[20000];
    uint64_t seed = scratch_random(&w.random) | 1;
    struct qs_val key = key_of(i), value = make_value(seed, space);
    if (scratch_random(&w.random) % 4 == 0) {
        struct qs_val room = {value.size, NULL};
        cr_assert(qs_put(w.txn, w.tree, &key, &room, QS_RESERVE) == 0);
        memcpy((void *)(uintptr_t)room.data, value.data, value.size);
    } else {
        cr_assert(qs_put(w.txn, w.tree, &key, &value, 0) == 0);
    }
    w.seed[i] = seed;
}

static void del(unsigned i)
{
    struct qs_val key = key_of(i);
    int rc = qs_del(w.txn, w.tree, &key, NULL);
    cr_assert(rc == (w.seed[i] != 0 ? 0 : QS_E_NOTFOUND));
    w.seed[i] = 0;
}

static void end(bool commit)
{
    if (commit) {
        cr_assert(qs_txn_commit(w.txn) == 0);
        memcpy(w.committed, w.seed, sizeof w.seed);
    } else {
        qs_txn_abort(w.txn);
        memcpy(w.seed, w.committed, sizeof w.seed);
    }
}

static void check_committed(void)
{
    struct qs_txn *txn;
    cr_assert(qs_txn_begin(w.env, NULL, QS_RDONLY, &txn) == 0);
    open_tree(txn, 0);
    check_all(txn);
    qs_txn_abort(txn);
}

/* What the tree's record says of its order. */
static void expect_marks(uint64_t marks)
{
    struct qs_txn *txn;
    struct qs_tree *main_tree;
    struct qs_val name = {4, "tree"}, value;
    struct tree_record record;
    cr_assert(qs_txn_begin(w.env, NULL, QS_RDONLY, &txn) == 0);
    cr_assert(qs_tree_open(txn, NULL, 0, &main_tree) == 0);
    cr_assert(qs_get(txn, main_tree, &name, &value) == 0 && value.size == sizeof record);
    memcpy(&record, value.data, sizeof record);
    cr_assert((record.root & ~(uint64_t)UINT32_MAX) == marks);
    qs_txn_abort(txn);
}

static void run_rounds(void)
{
    begin();
    end(true);
    for (unsigned round = 0; round < 60; round++) {
        unsigned percent = (unsigned)(scratch_random(&w.random) % 101); /* of puts */
        bool stretch = scratch_random(&w.random) % 3 == 0;
        unsigned first = (unsigned)(scratch_random(&w.random) % KEYS);
        unsigned count = (unsigned)(scratch_random(&w.random) % (round % 4 == 0 ? KEYS : 40));
        begin();
        for (unsigned n = 0; n < count; n++) {
            unsigned i = (stretch ? first + n : (unsigned)scratch_random(&w.random)) % KEYS;
            if (scratch_random(&w.random) % 100 < percent)
                put(i);
            else
                del(i);
        }
        if (round % 8 == 0)
            check_all(w.txn);
        end(scratch_random(&w.random) % 5 != 0); /* M2 */
        check_committed();
        if (round % 10 == 9) {
            qs_env_close(w.env);
            open_environment();
            check_committed();
        }
    }
}

Test(tree, against_a_sorted_array, .init = set_up, .fini = tear_down)
{
    run_rounds();
}

static void set_order(qs_compare_function *order)
{
    w.order = order;
    qsort(w.key, KEYS, sizeof w.key[0], compare_keys);
}

Test(tree, in_descending_order, .init = set_up, .fini = tear_down)
{
    set_order(descending);
    run_rounds();
}

/* A function that agrees with the built-in order changes nothing. */
Test(tree, in_an_order_that_agrees, .init = set_up, .fini = tear_down)
{
    set_order(ascending);
    run_rounds();
    expect_marks(0);
}

/* The order differs from the built-in one when there are inner pages, with separators cut short. */
Test(tree, in_an_order_that_differs_late, .init = set_up, .fini = tear_down)
{
    set_order(even_first);
    begin();
    for (unsigned i = 0; w.key[i].size % 2 == 0; i++)
        put(i);
    end(true);
    check_committed();
    expect_marks(0);
    qs_env_close(w.env); /* so that the leaves become bases of deltas */
    open_environment();
    begin();
    for (unsigned i = 0; w.key[i].size % 2 == 0; i += 7)
        del(i);
    put(KEYS - 1);
    end(true);
    check_committed();
    expect_marks(TREE_CUSTOM_KEYS);
    run_rounds();
}

/* The next key there is at or behind `i`, KEYS when there is none. */
static unsigned at_or_after(unsigned i)
{
    while (i < KEYS && w.seed[i] == 0)
        i++;
    return i;
}

/* M3: deletes make cursors stand on the successor, and the step after a delete does not move. */
struct tracked {
    struct qs_cursor *cursor;
    unsigned at;  /* index of its key, KEYS at the end */
    bool deleted; /* its item went; it stands on the successor */
};

static void expect_at(struct tracked *t)
{
    struct qs_val key, value;
    int rc = qs_cursor_get(t->cursor, &key, &value, QS_GET_CURRENT);
    t->deleted = false;
    cr_assert(rc == (t->at < KEYS ? 0 : QS_E_NOTFOUND), "rc %d at %u", rc, t->at);
    if (rc == 0) {
        cr_assert(same(&key, key_of(t->at)));
        expect_value(t->at, &value);
    }
}

static void move_cursor(struct tracked *t)
{
    struct qs_val key = key_of((unsigned)(scratch_random(&w.random) % KEYS)), value;
    if (scratch_random(&w.random) % 2 == 0 && t->at < KEYS) {
        unsigned to = t->deleted ? t->at : at_or_after(t->at + 1);
        int rc = qs_cursor_get(t->cursor, &key, &value, QS_NEXT);
        cr_assert(rc == (to < KEYS ? 0 : QS_E_NOTFOUND));
        if (rc == 0)
            cr_assert(same(&key, key_of(to)));
        t->at = rc == 0 ? to : t->at;
        t->deleted = false;
        return;
    }
    unsigned i = (unsigned)(scratch_random(&w.random) % KEYS);
    key = key_of(i);
    t->at = at_or_after(i);
    t->deleted = false;
    int rc = qs_cursor_get(t->cursor, &key, &value, QS_SET_RANGE);
    cr_assert(rc == (t->at < KEYS ? 0 : QS_E_NOTFOUND));
}

static void delete_tracked(struct tracked tracked[CURSORS], unsigned i)
{
    del(i);
    for (unsigned c = 0; c < CURSORS; c++) {
        if (tracked[c].at != i)
            continue;
        tracked[c].at = at_or_after(i);
        tracked[c].deleted = true;
    }
}

static void run_cursors(void)
{
    struct tracked tracked[CURSORS];
    begin();
    for (unsigned n = 0; n < 400; n++)
        put((unsigned)(scratch_random(&w.random) % KEYS));
    for (unsigned c = 0; c < CURSORS; c++) {
        tracked[c] = (struct tracked){NULL, KEYS, false};
        cr_assert(qs_cursor_open(w.txn, w.tree, &tracked[c].cursor) == 0);
        move_cursor(&tracked[c]);
    }
    for (unsigned n = 0; n < 20000; n++) {
        struct tracked *t = &tracked[scratch_random(&w.random) % CURSORS];
        uint64_t kind = scratch_random(&w.random) % 10;
        unsigned near = (t->at + (unsigned)(scratch_random(&w.random) % 7) + KEYS - 3) % KEYS;
        bool shrink = n / 2000 % 2 == 1;
        if (kind < 3)
            expect_at(t);
        else if (kind < 5)
            move_cursor(t);
        else if (kind < 7 && !shrink)
            put(near);
        else if (kind < 7 && t->at < KEYS && at_or_after(0) != at_or_after(t->at))
            delete_tracked(tracked, t->at);
        else if (shrink && at_or_after(near) < KEYS && at_or_after(0) != at_or_after(near))
            delete_tracked(tracked, at_or_after(near));
        else
            put((unsigned)(scratch_random(&w.random) % KEYS));
    }
    check_all(w.txn);
    end(true);
    check_committed();
}

Test(tree, cursors_stay_on_their_items, .init = set_up, .fini = tear_down)
{
    run_cursors();
}

Test(tree, cursors_in_descending_order, .init = set_up, .fini = tear_down)
{
    set_order(descending);
    run_cursors();
}

/* Commits of a process that has the function and is killed, with some in between that go into the log. */
static void write_and_die(void)
{
    struct qs_tree *plain;
    qs_env_close(w.env); /* inherited */
    open_environment();
    for (unsigned i = 0; i < KEYS; i += 100) {
        struct qs_val key = key_of(i), value = {1, "v"};
        begin();
        for (unsigned j = 0; j < 100; j++)
            put(i + j * 37 % 100);
        cr_assert(qs_txn_commit(w.txn) == 0);
        cr_assert(qs_txn_begin(w.env, NULL, 0, &w.txn) == 0);
        cr_assert(qs_tree_open(w.txn, "plain", QS_TREE_CREATE, &plain) == 0);
        cr_assert(qs_put(w.txn, plain, &key, &value, 0) == 0);
        cr_assert(qs_txn_commit(w.txn) == 0);
    }
    kill(getpid(), SIGKILL);
}

/* Another process, without the function, sees it all in order: right after, and when it opens anew. */
Test(tree, killed_with_the_function, .init = set_up, .fini = tear_down)
{
    int status;
    set_order(descending);
    pid_t child = fork();
    cr_assert(child >= 0);
    if (child == 0)
        write_and_die();
    cr_assert(waitpid(child, &status, 0) == child);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    w.order = NULL;
    for (unsigned round = 0; round < 2; round++) {
        struct qs_txn *txn;
        struct qs_tree *plain;
        struct qs_cursor *cursor;
        struct qs_val key, value;
        struct qs_stat stat;
        cr_assert(qs_txn_begin(w.env, NULL, QS_RDONLY, &txn) == 0);
        open_tree(txn, 0);
        cr_assert(qs_cursor_open(txn, w.tree, &cursor) == 0);
        for (unsigned i = 0; i < KEYS; i++)
            cr_assert(qs_cursor_get(cursor, &key, &value, QS_NEXT) == 0 && same(&key, key_of(i)));
        qs_cursor_close(cursor);
        cr_assert(qs_tree_open(txn, "plain", 0, &plain) == 0);
        cr_assert(qs_tree_stat(txn, plain, &stat) == 0 && stat.entries == KEYS / 100);
        qs_txn_abort(txn);
        qs_env_close(w.env);
        open_environment();
    }
}

/* A child that brings the order in, and aborts, leaves neither a mark nor a checkpoint behind. */
Test(tree, aborted_child_orders_nothing, .init = set_up, .fini = tear_down)
{
    struct qs_txn *parent;
    set_order(descending);
    begin();
    put(7);
    parent = w.txn;
    memcpy(w.committed, w.seed, sizeof w.seed);
    cr_assert(qs_txn_begin(w.env, parent, 0, &w.txn) == 0);
    for (unsigned i = 0; i < KEYS; i++)
        put(i);
    check_all(w.txn);
    end(false);
    w.txn = parent;
    check_all(w.txn);
    end(true);
    expect_marks(0);
    check_committed();
    run_rounds();
}

/* Whoever has not the function meets the keys in the order in which they are stored. */
Test(tree, without_the_function, .init = set_up, .fini = tear_down)
{
    struct qs_cursor *cursor;
    struct qs_val key, value;
    set_order(descending);
    begin();
    for (unsigned i = 0; i < KEYS; i++)
        put((i * 7u) % KEYS); /* KEYS is no multiple of 7 */
    end(true);
    expect_marks(TREE_CUSTOM_KEYS | TREE_WHOLE_KEYS);
    qs_env_close(w.env);
    open_environment();
    w.order = NULL;
    begin();
    cr_assert(qs_cursor_open(w.txn, w.tree, &cursor) == 0);
    for (unsigned i = 0; i < KEYS; i++) {
        struct qs_val other = key_of((i * 31u) % KEYS);
        int rc = qs_get(w.txn, w.tree, &other, &value);
        cr_assert(rc == 0 || rc == QS_E_NOTFOUND);
        cr_assert(qs_cursor_get(cursor, &key, &value, QS_NEXT) == 0 && same(&key, key_of(i)));
        if (i % 3 == 0) { /* right where it stands */
            cr_assert(qs_cursor_del(cursor, 0) == 0);
            w.seed[i] = 0;
        } else if (i % 3 == 1) {
            struct qs_val changed = {3, "new"};
            cr_assert(qs_cursor_put(cursor, &key, &changed, QS_CURRENT) == 0);
        }
    }
    cr_assert(qs_cursor_get(cursor, &key, &value, QS_NEXT) == QS_E_NOTFOUND);
    cr_assert(qs_cursor_get(cursor, &key, &value, QS_FIRST) == 0 && same(&key, key_of(1)));
    cr_assert(value.size == 3);
    end(true);
    begin();
    cr_assert(qs_tree_drop(w.txn, w.tree, false) == 0);
    memset(w.seed, 0, sizeof w.seed);
    for (unsigned i = 0; i < KEYS; i += 2)
        put(i);
    end(true);
    expect_marks(0); /* what is empty is in no order */
    w.order = ascending;
    qsort(w.key, KEYS, sizeof w.key[0], compare_keys);
}

/* What a put is given may lie in what the last one handed out. */
Test(tree, input_in_a_reserved_value, .init = set_up, .fini = tear_down)
{
    struct qs_val room = {5000, NULL}, keys[2] = {{1, "a"}, {1, "b"}}, value;
    begin();
    cr_assert(qs_put(w.txn, w.tree, &keys[0], &room, QS_RESERVE) == 0);
    memset((void *)(uintptr_t)room.data, 'x', room.size);
    cr_assert(qs_put(w.txn, w.tree, &keys[1], &room, 0) == 0);
    for (unsigned i = 0; i < 2; i++) {
        cr_assert(qs_get(w.txn, w.tree, &keys[i], &value) == 0);
        cr_assert(value.size == 5000 && memcmp(value.data, "xxxx", 4) == 0);
    }
    cr_assert(qs_txn_commit(w.txn) == 0);
}

/* Leaves that two large records fill, emptied: the greatest key is appended all the same. */
Test(tree, append_behind_emptied_leaves, .init = set_up, .fini = tear_down)
{
    static uint8_t bytes[1900];
    struct qs_val key, value = {sizeof bytes, bytes};
    char text[8];
    begin();
    for (unsigned i = 0; i < 300; i++) {
        key = (struct qs_val){(size_t)snprintf(text, sizeof text, "%03u", i), text};
        cr_assert(qs_put(w.txn, w.tree, &key, &value, 0) == 0);
    }
    for (unsigned i = 299; i >= 150; i--) {
        key = (struct qs_val){(size_t)snprintf(text, sizeof text, "%03u", i), text};
        cr_assert(qs_del(w.txn, w.tree, &key, NULL) == 0);
    }
    struct qs_stat stat;
    cr_assert(qs_tree_stat(w.txn, w.tree, &stat) == 0 && stat.leaf_pages <= 76);
    key = (struct qs_val){3, "200"};
    cr_assert(qs_put(w.txn, w.tree, &key, &value, QS_APPEND) == 0);
    key = (struct qs_val){3, "180"};
    cr_assert(qs_put(w.txn, w.tree, &key, &value, QS_APPEND) == QS_E_KEYEXIST);
    cr_assert(qs_txn_commit(w.txn) == 0);
}
