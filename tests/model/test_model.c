/* test_model.c - random operations with snapshots against a sorted array.
 *
 * Owns:       the scenarios, the snapshots they hold.
 * Invariants: O1 a snapshot's model is the committed model at the moment the reader began.
 *             O2 after each scenario the file is checked and has no fault.
 * Locks:      none; one thread.
 *
 * QS_SEED=n runs every scenario with seed n, QS_SEED=random takes the clock; seeds are printed. A
 * failing scenario keeps its directory and prints its name.
 */
#define _GNU_SOURCE /* mkdtemp() */

#include "model.h"

#include <time.h>
#include <unistd.h>

/* ---- write transactions ---------------------------------------------------------------------- */

static void copy_items(const struct model *model, struct item *const *from, struct item *const *to)
{
    for (unsigned i = 0; i < TREE_COUNT; i++) {
        memcpy(to[i], from[i], model->scenario->key_count * sizeof **to);
    }
}

static void begin(struct model *model)
{
    int rc = qs_txn_begin(model->env, NULL, 0, &model->txn);

    EXPECT(model, rc == 0, "qs_txn_begin: %s", qs_strerror(rc));
}

static void end(struct model *model, bool commit)
{
    if (commit) {
        int rc = qs_txn_commit(model->txn);
        EXPECT(model, rc == 0, "qs_txn_commit: %s", qs_strerror(rc));
        copy_items(model, model->items, model->committed);
    } else {
        qs_txn_abort(model->txn);
        copy_items(model, model->committed, model->items);
    }
    model->txn = NULL;
}

static void put(struct model *model, unsigned tree)
{
    unsigned index = model_pick_key(model, tree);
    struct item *item = &model->items[tree][index];
    struct item wanted = model_pick_value(model);
    struct qs_val key = model_key_of(model, tree, index);
    struct qs_val value = {wanted.size, model_pool + wanted.at};
    unsigned flags = model_below(model, 8) == 0   ? QS_NOOVERWRITE
                     : model_below(model, 8) == 0 ? QS_RESERVE
                                                  : 0;
    int rc = qs_put(model->txn, model->tree[tree], &key, &value, flags);

    model->operations++;
    if (flags == QS_NOOVERWRITE && item->present) {
        EXPECT(model, rc == QS_E_KEYEXIST && model_holds(&value, item), "put NOOVERWRITE: %d", rc);
        return;
    }
    EXPECT(model, rc == 0, "put of %u bytes in tree %u: %s", wanted.size, tree, qs_strerror(rc));
    if (flags == QS_RESERVE) {
        memcpy((void *)value.data, model_pool + wanted.at, wanted.size);
    }
    *item = wanted;
}

static void delete (struct model *model, unsigned tree)
{
    unsigned index = model_pick_key(model, tree);
    struct item *item = &model->items[tree][index];
    struct qs_val key = model_key_of(model, tree, index);
    int rc = qs_del(model->txn, model->tree[tree], &key, NULL);

    EXPECT(model, rc == (item->present ? 0 : QS_E_NOTFOUND), "delete in tree %u: %d", tree, rc);
    item->present = false;
    model->operations++;
}

/* First present key at or after `index`; key_count when there is none. */
static unsigned next_present(const struct model *model, unsigned tree, unsigned index)
{
    while (index < model->scenario->key_count && !model->items[tree][index].present) {
        index++;
    }
    return index;
}

/* A cursor from a random place, deleting and replacing on its way. */
static void wander(struct model *model, unsigned tree)
{
    unsigned index = model_pick_key(model, tree);
    struct qs_val key = model_key_of(model, tree, index);
    struct qs_val value;
    struct qs_cursor *cursor;
    enum qs_cursor_op op = QS_SET_RANGE;
    unsigned deletes = model_below(model, 3);
    int rc = qs_cursor_open(model->txn, model->tree[tree], &cursor);

    EXPECT(model, rc == 0, "qs_cursor_open: %d", rc);
    for (unsigned steps = model_below(model, 30); steps > 0; steps--) {
        struct item *item;
        rc = qs_cursor_get(cursor, &key, &value, op);
        model->operations++;
        index = next_present(model, tree, index);
        if (tree == 0 && rc == 0 && model_is_tree_name(&key)) {
            op = QS_NEXT;
            continue;
        }
        if (index == model->scenario->key_count) {
            EXPECT(model, rc == QS_E_NOTFOUND, "tree %u: an item behind the last (%d)", tree, rc);
            break;
        }
        item = &model->items[tree][index];
        EXPECT(model, rc == 0 && model_holds(&value, item),
               "tree %u: the cursor missed key %u (%d)", tree, index, rc);
        if (deletes != 0 && model_below(model, 3) == 0) {
            rc = qs_cursor_del(cursor, 0);
            EXPECT(model, rc == 0, "qs_cursor_del: %d", rc);
            item->present = false;
            model->operations++;
        } else if (model_below(model, 6) == 0) {
            *item = model_pick_value(model);
            value = (struct qs_val){item->size, model_pool + item->at};
            key = model_key_of(model, tree, index);
            rc = qs_cursor_put(cursor, &key, &value, model_below(model, 2) ? QS_CURRENT : 0);
            EXPECT(model, rc == 0, "qs_cursor_put: %d", rc);
            model->operations++;
        }
        index++;
        op = QS_NEXT;
    }
    qs_cursor_close(cursor);
}

/* ---- snapshots ------------------------------------------------------------------------------- */

static void open_reader(struct model *model, struct reader *reader)
{
    int rc = qs_txn_begin(model->env, NULL, QS_RDONLY, &reader->txn);

    EXPECT(model, rc == 0, "qs_txn_begin for reading: %d", rc);
    for (unsigned i = 0; i < TREE_COUNT; i++) {
        unsigned count = model->scenario->key_count;
        reader->items[i] = malloc(count * sizeof **reader->items);
        cr_assert(reader->items[i] != NULL);
    }
    copy_items(model, model->committed, reader->items);
    reader->held.data = NULL;
}

static void check_reader(struct model *model, struct reader *reader, bool whole)
{
    unsigned tree = model_below(model, TREE_COUNT);

    if (reader->held.data != NULL) {
        EXPECT(model, model_holds(&reader->held, &reader->held_item),
               "a reader's value has changed");
    }
    if (whole) {
        model_compare_tree(model, reader->txn, tree, reader->items[tree], model_below(model, 2));
        model_compare_count(model, reader->txn, tree, reader->items[tree]);
    }
    for (unsigned i = 0; i < 20; i++) {
        unsigned index = model_pick_key(model, tree);
        struct qs_val value;
        model_compare_get(model, reader->txn, tree, index, reader->items[tree], &value);
        if (reader->items[tree][index].present) {
            reader->held = value;
            reader->held_item = reader->items[tree][index];
        }
    }
}

static void close_reader(struct model *model, struct reader *reader)
{
    if (reader->txn == NULL) {
        return;
    }
    check_reader(model, reader, true);
    qs_txn_abort(reader->txn);
    reader->txn = NULL;
    for (unsigned i = 0; i < TREE_COUNT; i++) {
        free(reader->items[i]);
    }
}

static void visit_reader(struct model *model)
{
    struct reader *reader = &model->reader[model_below(model, READER_COUNT)];

    if (reader->txn == NULL) {
        open_reader(model, reader);
    } else if (model_below(model, 4) == 0) {
        close_reader(model, reader);
    } else {
        check_reader(model, reader, model_below(model, 8) == 0);
    }
}

/* ---- scenarios ------------------------------------------------------------------------------- */

/* A small bound on the log: checkpoints are made all the time, carried by commits where those are small. */
static void open_environment(struct model *model)
{
    static const uint64_t log_bytes[] = {0, 16000, 60000, 300000};
    struct qs_options options = {
        .data_path = model->data_path,
        .lock_path = model->lock_path,
        .flags = QS_NOSYNC | QS_NOTLS,
        .mode = 0644,
        .map_size_bytes = (uint64_t)4 << 30,
        .log_bytes_max = log_bytes[model_below(model, 4)],
    };
    int rc = qs_env_open(&options, &model->env);

    EXPECT(model, rc == 0, "qs_env_open: %s", qs_strerror(rc));
    begin(model);
    for (unsigned i = 0; i < TREE_COUNT; i++) {
        rc = qs_tree_open(model->txn, model_tree_names[i], model_tree_flags[i] | QS_TREE_CREATE,
                          &model->tree[i]);
        EXPECT(model, rc == 0, "qs_tree_open: %s", qs_strerror(rc));
    }
    end(model, true);
}

static void complain(void *context, const char *sentence)
{
    fprintf(stderr, "%s: %s\n", (const char *)context, sentence);
}

static void close_environment(struct model *model)
{
    struct qs_check_report report;
    int rc;

    for (unsigned i = 0; i < READER_COUNT; i++) {
        close_reader(model, &model->reader[i]);
    }
    qs_env_close(model->env);
    rc = qs_check(model->data_path, complain, model->data_path, &report);
    EXPECT(model, rc == 0 && report.faults == 0 && report.pages_lost == 0,
           "qs_check: %s, %llu faults, %llu pages lost", qs_strerror(rc),
           (unsigned long long)report.faults, (unsigned long long)report.pages_lost);
}

static void compare_all(struct model *model)
{
    begin(model);
    for (unsigned i = 0; i < TREE_COUNT; i++) {
        model_compare_tree(model, model->txn, i, model->items[i], false);
        model_compare_tree(model, model->txn, i, model->items[i], true);
        model_compare_count(model, model->txn, i, model->items[i]);
    }
    end(model, false);
}

static void step(struct model *model)
{
    unsigned tree = model_below(model, TREE_COUNT);
    unsigned pick = model_below(model, 100);
    struct qs_val value;

    if (pick < 25) {
        model_compare_get(model, model->txn, tree, model_pick_key(model, tree), model->items[tree],
                          &value);
    } else if (pick < 27) {
        wander(model, tree);
    } else if (pick < 28) {
        visit_reader(model);
    } else if (model_below(model, 100) < model->scenario->put_percent) {
        put(model, tree);
    } else {
        delete (model, tree);
    }
}

static void set_up(struct model *model, const struct scenario *scenario, uint64_t seed)
{
    memset(model, 0, sizeof *model);
    model->scenario = scenario;
    model->seed = seed;
    model->random = seed;
    snprintf(model->directory, sizeof model->directory, "/tmp/qs-model-XXXXXX");
    cr_assert(mkdtemp(model->directory) != NULL);
    snprintf(model->data_path, sizeof model->data_path, "%s/data.mdb", model->directory);
    snprintf(model->lock_path, sizeof model->lock_path, "%s/lock.mdb", model->directory);
    for (unsigned i = 0; i < TREE_COUNT; i++) {
        model_make_keys(model, i);
    }
}

static void tear_down(struct model *model)
{
    for (unsigned i = 0; i < TREE_COUNT; i++) {
        free(model->keys[i]);
        free(model->items[i]);
        free(model->committed[i]);
    }
    unlink(model->data_path);
    unlink(model->lock_path);
    rmdir(model->directory);
}

static void run_seed(const struct scenario *scenario, uint64_t seed)
{
    struct model model;

    set_up(&model, scenario, seed);
    open_environment(&model);
    while (model.operations < scenario->operations) {
        begin(&model);
        for (unsigned i = 1 + model_below(&model, 2 * scenario->ops_per_txn); i > 0; i--) {
            step(&model);
        }
        end(&model, model_below(&model, 6) != 0);
        if (model_below(&model, 60) == 0) {
            close_environment(&model);
            open_environment(&model);
            compare_all(&model);
        }
    }
    compare_all(&model);
    close_environment(&model);
    open_environment(&model);
    compare_all(&model);
    close_environment(&model);
    printf("%s: seed %llu, %llu operations\n", scenario->name, (unsigned long long)seed,
           (unsigned long long)model.operations);
    tear_down(&model);
}

static void run(const struct scenario *scenario)
{
    const char *text = getenv("QS_SEED");

    model_make_pool();
    if (text != NULL) {
        bool clock = strcmp(text, "random") == 0;
        run_seed(scenario, clock ? (uint64_t)time(NULL) : strtoull(text, NULL, 0));
    } else {
        for (uint64_t seed = 1; seed <= 3; seed++) {
            run_seed(scenario, seed);
        }
    }
    free(model_pool);
}

Test(model, small_records)
{
    static const struct scenario scenario = {"small_records", 3000, 24, 0, 60, 0, 200, 120000, 65};
    run(&scenario);
}

Test(model, keys_of_all_sizes)
{
    static const struct scenario scenario = {
        "keys_of_all_sizes", 2000, KEY_BYTES_MAX, 0, 300, 0, 300, 80000, 60};
    run(&scenario);
}

Test(model, long_shared_prefix)
{
    static const struct scenario scenario = {
        "long_shared_prefix", 1500, KEY_BYTES_MAX, 440, 40, 0, 200, 60000, 60};
    run(&scenario);
}

Test(model, large_values)
{
    static const struct scenario scenario = {"large_values", 300, 40, 0, 9000, 2000, 60, 40000, 55};
    run(&scenario);
}

Test(model, grows_and_shrinks)
{
    static const struct scenario scenario = {
        "grows_and_shrinks", 5000, 16, 0, 100, 0, 3000, 80000, 50};
    run(&scenario);
}

Test(model, few_changes_each)
{
    static const struct scenario scenario = {"few_changes_each", 2500, 16, 0, 100, 0, 4, 60000, 60};
    run(&scenario);
}

Test(model, one_change_each)
{
    static const struct scenario scenario = {"one_change_each", 200, 16, 0, 100, 0, 1, 30000, 60};
    run(&scenario);
}
