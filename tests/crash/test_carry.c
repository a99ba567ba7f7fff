/* test_carry.c - checkpoints that commits carry along: what changes between t and the end, and failing calls.
 *
 * t is the newest transaction when one begins; it comes into force some commits later. The cases change between
 * what is easily lost, or found twice, when pages as of t and a log behind t are put together.
 * Owns:       a directory for each test; looks into the engine to know whether a checkpoint is under way.
 * Invariants: T1 what was committed is there: at once, for readers who began before, for who opens the file as a
 *             killed process leaves it, and after the next checkpoint; and the file has no fault. T2 a call
 *             that fails in a share fails no commit (H4); a commit that fails changes nothing.
 */
#define _GNU_SOURCE /* mkdtemp() */

#include "crash.h"
#include "effort.h"
#include "env/env.h"
#include "os/recording_io.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILLER_KEYS = 40, LOG_BYTES = 1600000, COMMITS_MAX = 10000 };

static char directory[64], data_path[CRASH_PATH_BYTES], lock_path[CRASH_PATH_BYTES];
static char copy_path[CRASH_PATH_BYTES], copy_lock[CRASH_PATH_BYTES];

static struct world {
    struct qs_env *env;
    struct qs_txn *txn;             /* the write transaction that runs, or NULL */
    struct crash_content committed; /* as of the last commit */
    struct crash_content working;   /* as the transaction sees it */
    struct crash_content failed;    /* what the last commit that failed would have made */
    uint32_t next_value;
    uint64_t random;
} world;

static const struct crash_shape shape = {40, 500, 0};

static void set_up(void)
{
    crash_make_pool();
    snprintf(directory, sizeof directory, "%s/qs-carry-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    cr_assert_not_null(mkdtemp(directory));
    snprintf(data_path, sizeof data_path, "%s/data", directory);
    snprintf(lock_path, sizeof lock_path, "%s/lock", directory);
    snprintf(copy_path, sizeof copy_path, "%s/copy", directory);
    snprintf(copy_lock, sizeof copy_lock, "%s/copy-lock", directory);
}

static void tear_down(void)
{
    unlink(data_path);
    unlink(lock_path);
    rmdir(directory);
}

TestSuite(carry, .init = set_up, .fini = tear_down);

static int open_at(const char *path, const char *lock, const struct qs_io_ops *io, unsigned flags,
                   uint64_t log_bytes, struct qs_env **env)
{
    struct qs_options options = {.data_path = path,
                                 .lock_path = lock,
                                 .flags = flags | QS_NOTLS,
                                 .mode = 0600,
                                 .map_size_bytes = CRASH_MAP_BYTES,
                                 .log_bytes_max = log_bytes,
                                 .io = io};
    return qs_env_open(&options, env);
}

/* ---- transactions ---- */

/* Puts a value of its own, or with `remove` deletes. */
static int change(unsigned tree, unsigned index, bool bulky, bool remove)
{
    uint8_t bytes[512];
    struct qs_val key = crash_key(&shape, tree, index, bytes);
    uint32_t number = remove ? 0 : world.next_value++ | (bulky ? CRASH_BULKY : 0);
    struct qs_tree *handle;
    int rc =
        qs_tree_open(world.txn, crash_tree_names[tree], tree > 0 ? QS_TREE_CREATE : 0, &handle);
    if (rc == 0 && remove) {
        rc = qs_del(world.txn, handle, &key, NULL);
        rc = rc == QS_E_NOTFOUND ? 0 : rc;
    } else if (rc == 0) {
        struct qs_val value = crash_value(&shape, number);
        rc = qs_put(world.txn, handle, &key, &value, 0);
    }
    world.working.exists[tree] = true;
    world.working.value[tree][index] = number;
    return rc;
}

static int begin(void)
{
    world.working = world.committed;
    return qs_txn_begin(world.env, NULL, 0, &world.txn);
}

static int commit(void)
{
    int rc = qs_txn_commit(world.txn);
    if (rc == 0)
        world.committed = world.working;
    else
        world.failed = world.working;
    return rc;
}

static int filler_commit(void)
{
    int rc = begin();
    if (rc != 0)
        return rc;
    rc = change(0, crash_below(&world.random, FILLER_KEYS), false, false);
    if (rc == 0)
        return commit();
    qs_txn_abort(world.txn);
    return rc;
}

/* In a transaction of its own. */
static void put_range(unsigned tree, unsigned from, unsigned to, bool remove)
{
    for (unsigned i = from; i < to; i++) {
        cr_assert_eq(begin(), 0);
        cr_assert_eq(change(tree, i, false, remove), 0);
        cr_assert_eq(commit(), 0);
    }
}

static bool under_way(void)
{
    return world.env->core->job != NULL;
}

static void until(bool begun)
{
    for (unsigned i = 0; under_way() != begun; i++) {
        cr_assert_lt(i, COMMITS_MAX);
        cr_assert_eq(filler_commit(), 0);
    }
}

/* ---- what must be there ---- */

static void complain(void *context, const char *finding)
{
    fprintf(stderr, "%s: %s\n", (const char *)context, finding);
}

static void expect_clean(const char *path)
{
    struct qs_check_report report;
    cr_assert_eq(qs_check(path, complain, (void *)(uintptr_t)path, &report), 0);
    cr_assert_eq(report.faults, 0);
    cr_assert_eq(report.pages_lost, 0);
}

static void expect(struct qs_env *env, const struct crash_content *content, const char *when)
{
    char sentence[CRASH_SENTENCE_BYTES];
    int rc = crash_compare_env(env, &shape, content, sentence);
    cr_assert_eq(rc, 0, "%s: %s", when, rc == QS_E_KEYEXIST ? sentence : qs_strerror(rc));
}

static void expect_txn(struct qs_txn *txn, const struct crash_content *content, const char *when)
{
    char sentence[CRASH_SENTENCE_BYTES];
    int rc = crash_compare(txn, &shape, content, sentence);
    cr_assert_eq(rc, 0, "%s: %s", when, rc == QS_E_KEYEXIST ? sentence : qs_strerror(rc));
}

static void copy_file(void)
{
    static uint8_t bytes[1 << 16];
    int from = open(data_path, O_RDONLY), to = open(copy_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    ssize_t n;
    cr_assert(from >= 0 && to >= 0);
    while ((n = read(from, bytes, sizeof bytes)) > 0)
        cr_assert_eq(write(to, bytes, (size_t)n), n);
    close(from);
    close(to);
}

/* T1 for who finds the file as it is now, as behind a killed process; and goes on with it, so that pages which are
 * free to it get used. */
static void expect_recovered(void)
{
    struct world found = world;
    copy_file();
    expect_clean(copy_path);
    cr_assert_eq(open_at(copy_path, copy_lock, NULL, QS_NOSYNC, LOG_BYTES, &found.env), 0);
    expect(found.env, &world.committed, "recovered");
    struct world own = world;
    world = found;
    put_range(0, 0, FILLER_KEYS, false);
    put_range(3, 60, 90, false);
    put_range(3, 60, 90, true);
    expect(world.env, &world.committed, "recovered, and gone on with");
    qs_env_close(world.env);
    expect_clean(copy_path);
    cr_assert_eq(open_at(copy_path, copy_lock, NULL, QS_NOSYNC, LOG_BYTES, &world.env), 0);
    expect(world.env, &world.committed, "after the next checkpoint");
    qs_env_close(world.env);
    unlink(copy_path);
    unlink(copy_lock);
    world = own;
}

/* ---- one checkpoint, and what changes beside it ---- */

struct between {
    void (*before)(void); /* t */
    void (*after)(void);  /* t, before the checkpoint is in force */
};

static void carry(const struct between *between)
{
    struct qs_txn *reader[2];
    struct crash_content seen[2];
    world = (struct world){.committed = {.exists = {true}}, .next_value = 1, .random = 7};
    cr_assert_eq(open_at(data_path, lock_path, NULL, QS_NOSYNC, LOG_BYTES, &world.env), 0);
    put_range(0, 0, FILLER_KEYS, false);
    put_range(3, 0, 1, false);
    for (unsigned round = 0; round < 3; round++) {
        if (between->before != NULL)
            between->before();
        cr_assert_not(under_way(), "the budget is too small for this case");
        cr_assert_eq(qs_txn_begin(world.env, NULL, QS_RDONLY, &reader[0]), 0);
        seen[0] = world.committed;
        until(true);
        between->after();
        cr_assert(under_way(), "the budget is too small for this case");
        cr_assert_eq(qs_txn_begin(world.env, NULL, QS_RDONLY, &reader[1]), 0);
        seen[1] = world.committed;
        expect_recovered(); /* the checkpoint before, and a log that says what was set aside */
        until(false);
        expect(world.env, &world.committed, "in force");
        expect_recovered();
        put_range(0, 0, FILLER_KEYS, false); /* what was replaced is used again */
        expect(world.env, &world.committed, "gone on with");
        for (unsigned i = 0; i < 2; i++) {
            expect_txn(reader[i], &seen[i], i == 0 ? "read from before" : "read from between");
            qs_txn_abort(reader[i]);
        }
    }
    qs_env_close(world.env);
    expect_clean(data_path);
    cr_assert_eq(open_at(data_path, lock_path, NULL, QS_NOSYNC, LOG_BYTES, &world.env), 0);
    expect(world.env, &world.committed, "opened anew");
    qs_env_close(world.env);
}

static void put_some(void)
{
    put_range(1, 0, 20, false);
}

static void delete_some(void)
{
    put_range(1, 0, 20, true);
}

static void delete_and_put_some(void)
{
    delete_some();
    put_some();
}

static void put_and_delete_others(void)
{
    put_range(1, 40, 60, false);
    put_range(1, 40, 60, true);
}

static void put_many(void)
{
    cr_assert_eq(begin(), 0);
    for (unsigned i = 0; i < 90; i++)
        cr_assert_eq(change(2, i, false, false), 0);
    cr_assert_eq(commit(), 0);
}

static void delete_many(void)
{
    cr_assert_eq(begin(), 0);
    for (unsigned i = 1; i < 90; i++)
        cr_assert_eq(change(2, i, false, true), 0);
    cr_assert_eq(commit(), 0);
}

static void delete_many_and_put_again(void)
{
    delete_many();
    put_some();
    put_many();
}

static void put_twice_large(void)
{
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(begin(), 0);
        cr_assert_eq(change(1, i, true, false), 0);
        cr_assert_eq(change(1, i, true, false), 0); /* the first is given back */
        cr_assert_eq(commit(), 0);
    }
    cr_assert_eq(begin(), 0);
    cr_assert_eq(change(1, 3, true, false), 0);
    cr_assert_eq(change(1, 4, true, false), 0);
    cr_assert_eq(commit(), 0);
}

static void delete_large(void)
{
    put_range(1, 0, 5, true);
}

static void replace_large(void)
{
    put_range(1, 0, 1, true);
    cr_assert_eq(begin(), 0);
    cr_assert_eq(change(1, 1, true, false), 0);
    cr_assert_eq(change(1, 1, true, false), 0);
    cr_assert_eq(commit(), 0);
}

Test(carry, inserted_before_deleted_after)
{
    carry(&(struct between){put_some, delete_some});
}

Test(carry, deleted_before_inserted_after)
{
    carry(&(struct between){delete_some, put_some});
}

Test(carry, deleted_and_set_back_after)
{
    carry(&(struct between){put_some, delete_and_put_some});
}

Test(carry, inserted_and_deleted_after)
{
    carry(&(struct between){put_some, put_and_delete_others});
}

Test(carry, split_after)
{
    carry(&(struct between){delete_many, put_many});
}

Test(carry, page_ids_freed_after)
{
    carry(&(struct between){put_many, delete_many});
}

Test(carry, page_ids_freed_and_used_again_after)
{
    carry(&(struct between){put_many, delete_many_and_put_again});
}

Test(carry, large_values_after)
{
    carry(&(struct between){delete_large, put_twice_large});
}

Test(carry, large_values_replaced_after)
{
    carry(&(struct between){put_twice_large, replace_large});
}

/* ---- calls that fail (T2) ---- */

enum { STEPS = 160, STEP_LOG_BYTES = 12000 };

/* How the commits went, with the nth call failing. */
struct outcome {
    uint64_t calls;    /* made */
    unsigned failures; /* commits that did not return 0 */
    unsigned carried;  /* checkpoints that came into force */
    bool panic;        /* no more writes were taken: a flush had failed, or a meta page */
};

static struct outcome run_steps(unsigned flags, uint64_t nth, enum recording_fault fault)
{
    struct outcome outcome = {.calls = 0};
    world = (struct world){.committed = {.exists = {true}}, .next_value = 1, .random = 11};
    recording_start(false);
    cr_assert_eq(open_at(data_path, lock_path, &recording_io, flags, STEP_LOG_BYTES, &world.env),
                 0);
    cr_assert_eq(filler_commit(), 0);
    uint64_t before = recording_calls();
    if (nth > 0)
        recording_fail(nth, fault, false);
    for (unsigned i = 0; i < STEPS && !outcome.panic; i++) {
        bool was_under_way = under_way();
        uint64_t checkpoint = world.env->core->space_checkpoint;
        int rc = filler_commit();
        outcome.failures += rc != 0;
        outcome.panic = rc == QS_E_PANIC;
        outcome.carried +=
            was_under_way && under_way() && world.env->core->space_checkpoint == checkpoint + 1;
        cr_assert(rc == 0 || rc == QS_E_PANIC || rc == EIO || rc == ENOSPC, "%s", qs_strerror(rc));
    }
    outcome.calls = recording_calls() - before;
    recording_fail(0, FAULT_NONE, false);
    return outcome;
}

static void finish_steps(const struct outcome *outcome)
{
    char sentence[CRASH_SENTENCE_BYTES];
    expect(world.env, &world.committed, "after the fault");
    qs_env_close(world.env);
    recording_stop();
    expect_clean(data_path);
    cr_assert_eq(open_at(data_path, lock_path, NULL, 0, STEP_LOG_BYTES, &world.env), 0);
    /* Where a flush failed, nobody knows about the last. */
    if (outcome->failures > 0 &&
        crash_compare_env(world.env, &shape, &world.committed, sentence) == QS_E_KEYEXIST)
        world.committed = world.failed;
    expect(world.env, &world.committed, "opened anew");
    cr_assert_eq(filler_commit(), 0);
    qs_env_close(world.env);
    expect_clean(data_path);
    unlink(data_path);
    unlink(lock_path);
}

static void sweep(unsigned flags)
{
    static const enum recording_fault faults[] = {FAULT_EIO, FAULT_ENOSPC, FAULT_SHORT};
    struct outcome good = run_steps(flags, 0, FAULT_NONE), outcome;
    unsigned unnoticed = 0, runs = 0;
    finish_steps(&good);
    cr_assert_eq(good.failures, 0);
    cr_assert_geq(good.carried, 2);
    for (uint64_t nth = 1; nth <= good.calls; nth += effort(1, 7), runs++) {
        outcome = run_steps(flags, nth, faults[nth % 3]);
        cr_assert_geq(outcome.calls, nth);
        finish_steps(&outcome);
        unnoticed += outcome.failures == 0;
    }
    fprintf(stderr, "flags %#x: %u of %llu calls failed, %u were shares of a checkpoint\n", flags,
            runs, (unsigned long long)good.calls, unnoticed);
    cr_assert_gt(unnoticed, 0); /* H4 */
}

Test(carry, calls_fail)
{
    sweep(0);
}

Test(carry, calls_fail_nosync)
{
    sweep(QS_NOSYNC);
}
