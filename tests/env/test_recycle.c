/* test_recycle.c - large values overwritten again and again: the log's own runs are used anew.
 *
 * Owns:       values that follow from key and generation.
 * Invariants: Q1 without flushes the file stays within what is in use and what one checkpoint holds.
 *             Q2 a snapshot stays whole meanwhile, of this process or of another. Q3 processes that write in
 *             turn agree. Q4 who dies leaves what was committed, and nothing else.
 */
#define _GNU_SOURCE /* mkdtemp() */

#include "quickstep.h"
#include "scratch_dir.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KEYS = 40, VALUE_BYTES = 50000, ROUNDS = 30 };

static struct qs_env *env;

static void set_up(void)
{
    make_directory("recycle");
}

static void tear_down(void)
{
    remove_directory();
}

static void open_environment(unsigned flags)
{
    struct qs_options options = {.data_path = data_path,
                                 .lock_path = lock_path,
                                 .flags = QS_NOTLS | flags,
                                 .mode = 0600,
                                 .map_size_bytes = 256u << 20};
    cr_assert(qs_env_open(&options, &env) == 0);
}

static void complain(void *context, const char *finding)
{
    fprintf(stderr, "%s: %s\n", (const char *)context, finding);
}

static void expect_sound(void)
{
    struct qs_check_report report;
    cr_assert(qs_check(data_path, complain, (void *)"qs_check", &report) == 0);
    cr_assert(report.faults == 0 && report.pages_lost == 0);
}

/* Sizes differ, so that runs are cut. */
static struct qs_val value_of(unsigned key, unsigned generation)
{
    static uint32_t words[VALUE_BYTES / 4];
    size_t size = VALUE_BYTES - (key * 7 + generation * 13) % 9 * 4096;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        words[i] = (uint32_t)(i * 2654435761u) ^ key << 16 ^ generation;
    return (struct qs_val){size, words};
}

/* All keys, eight a transaction; one in each is written twice, and one in a child that is dropped. */
static void overwrite(unsigned generation)
{
    struct qs_txn *txn, *child;
    struct qs_tree *tree;
    for (unsigned first = 0; first < KEYS; first += 8) {
        int rc = qs_txn_begin(env, NULL, 0, &txn);
        cr_assert(rc == 0, "%s", qs_strerror(rc));
        cr_assert(qs_tree_open(txn, NULL, 0, &tree) == 0);
        for (unsigned i = 0; i < 10; i++) {
            unsigned key = first + i % 8;
            struct qs_val k = {sizeof key, &key}, v = value_of(key, generation);
            cr_assert(qs_put(txn, tree, &k, &v, 0) == 0);
        }
        unsigned key = first;
        struct qs_val k = {sizeof key, &key}, v = value_of(key, 0);
        cr_assert(qs_txn_begin(env, txn, 0, &child) == 0);
        cr_assert(qs_put(child, tree, &k, &v, 0) == 0);
        qs_txn_abort(child);
        cr_assert(qs_txn_commit(txn) == 0);
    }
}

static bool is_whole(struct qs_txn *txn, unsigned generation)
{
    struct qs_tree *tree;
    bool whole = qs_tree_open(txn, NULL, 0, &tree) == 0;
    for (unsigned key = 0; key < KEYS && whole; key++) {
        struct qs_val k = {sizeof key, &key}, want = value_of(key, generation), got;
        whole = qs_get(txn, tree, &k, &got) == 0 && got.size == want.size &&
                memcmp(got.data, want.data, got.size) == 0;
    }
    return whole;
}

static bool holds(unsigned generation)
{
    struct qs_txn *txn;
    cr_assert(qs_txn_begin(env, NULL, QS_RDONLY, &txn) == 0);
    bool whole = is_whole(txn, generation);
    qs_txn_abort(txn);
    return whole;
}

static uint64_t file_bytes(void)
{
    struct stat st;
    cr_assert(stat(data_path, &st) == 0);
    return (uint64_t)st.st_size;
}

Test(recycle, bounded, .init = set_up, .fini = tear_down)
{
    open_environment(QS_NOSYNC);
    for (unsigned n = 1; n <= ROUNDS; n++)
        overwrite(n);
    cr_assert(file_bytes() < 4u * KEYS * VALUE_BYTES, "%llu bytes",
              (unsigned long long)file_bytes()); /* Q1 */
    cr_assert(holds(ROUNDS));
    qs_env_close(env);
    expect_sound();
    open_environment(0);
    cr_assert(holds(ROUNDS));
    qs_env_close(env);
}

Test(recycle, aborted, .init = set_up, .fini = tear_down)
{
    struct qs_txn *txn;
    struct qs_tree *tree;
    unsigned key = 3;
    struct qs_val k = {sizeof key, &key}, v;
    open_environment(QS_NOSYNC);
    for (unsigned n = 1; n <= ROUNDS; n++) {
        overwrite(n);
        cr_assert(qs_txn_begin(env, NULL, 0, &txn) == 0);
        cr_assert(qs_tree_open(txn, NULL, 0, &tree) == 0);
        v = value_of(key, 0);
        cr_assert(qs_put(txn, tree, &k, &v, 0) == 0);
        qs_txn_abort(txn);
        cr_assert(holds(n));
    }
    cr_assert(file_bytes() < 4u * KEYS * VALUE_BYTES);
    qs_env_close(env);
    expect_sound();
}

Test(recycle, beside_a_snapshot, .init = set_up, .fini = tear_down)
{
    struct qs_txn *reader;
    open_environment(QS_NOSYNC);
    overwrite(1);
    overwrite(2);
    cr_assert(qs_txn_begin(env, NULL, QS_RDONLY, &reader) == 0);
    for (unsigned n = 3; n <= ROUNDS; n++)
        overwrite(n);
    cr_assert(is_whole(reader, 2)); /* Q2 */
    qs_txn_abort(reader);
    cr_assert(holds(ROUNDS));
    qs_env_close(env);
    expect_sound();
}

/* The child's part: the generations of its parity, when it is told. */
static void write_in_turn(int from, int to, unsigned flags)
{
    unsigned n;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    open_environment(flags);
    while (read(from, &n, sizeof n) == sizeof n) {
        struct qs_txn *reader;
        cr_assert(qs_txn_begin(env, NULL, QS_RDONLY, &reader) == 0);
        bool whole = is_whole(reader, n - 1);
        overwrite(n);
        overwrite(n + 1);
        whole = whole && is_whole(reader, n - 1) && holds(n + 1);
        qs_txn_abort(reader);
        if (write(to, &whole, sizeof whole) != sizeof whole)
            break;
    }
    _exit(0);
}

static void take_turns(unsigned flags)
{
    int down[2], up[2];
    bool whole = false;
    cr_assert(pipe(down) == 0 && pipe(up) == 0);
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0)
        write_in_turn(down[0], up[1], flags);
    open_environment(flags);
    unsigned n = 1;
    for (; n < ROUNDS; n += 4) {
        overwrite(n);
        overwrite(n + 1);
        struct qs_txn *reader;
        cr_assert(qs_txn_begin(env, NULL, QS_RDONLY, &reader) == 0);
        unsigned next = n + 2;
        cr_assert(write(down[1], &next, sizeof next) == sizeof next);
        cr_assert(read(up[0], &whole, sizeof whole) == sizeof whole && whole); /* Q3 */
        cr_assert(is_whole(reader, n + 1));
        qs_txn_abort(reader);
        cr_assert(holds(n + 3));
    }
    kill(pid, SIGKILL); /* Q4 */
    waitpid(pid, NULL, 0);
    overwrite(n);
    cr_assert(holds(n));
    qs_env_close(env);
    expect_sound();
}

Test(recycle, processes_in_turn, .init = set_up, .fini = tear_down)
{
    take_turns(QS_NOSYNC);
}

Test(recycle, processes_in_turn_durable, .init = set_up, .fini = tear_down)
{
    take_turns(0);
}

/* A process dies with a transaction open that has written over runs released before. */
Test(recycle, killed, .init = set_up, .fini = tear_down)
{
    for (unsigned n = 1; n <= 3; n++) {
        pid_t pid = fork();
        cr_assert(pid >= 0);
        if (pid == 0) {
            struct qs_txn *txn;
            struct qs_tree *tree;
            unsigned key = 5;
            struct qs_val k = {sizeof key, &key}, v;
            open_environment(QS_NOSYNC);
            for (unsigned i = 1; i <= 5; i++)
                overwrite(10 * n + i);
            cr_assert(qs_txn_begin(env, NULL, 0, &txn) == 0);
            cr_assert(qs_tree_open(txn, NULL, 0, &tree) == 0);
            for (key = 0; key < KEYS; key++) {
                v = value_of(key, 0);
                cr_assert(qs_put(txn, tree, &k, &v, 0) == 0);
            }
            kill(getpid(), SIGKILL);
        }
        waitpid(pid, NULL, 0);
        expect_sound();
        open_environment(QS_NOSYNC);
        cr_assert(holds(10 * n + 5)); /* Q4 */
        qs_env_close(env);
        expect_sound();
    }
}
