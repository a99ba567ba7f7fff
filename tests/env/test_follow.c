/* test_follow.c - many transactions of the log done again as one: what readers see of them.
 *
 * Owns:       a process that writes, a transaction at each command, and can be killed.
 * Invariants: N1 each read transaction sees the state after the transaction it names, as long as it
 *             lives, however many its process did again at once. N2 an open after a kill sees the last,
 *             and so does one after a kill of that opener.
 */
#define _GNU_SOURCE /* mkdtemp() */

#include "os/io.h"
#include "quickstep.h"
#include "scratch_dir.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TRANSACTIONS = 70, KEYS = 7, LARGE_BYTES = 9000, SMALL_BYTES = 10 };

static int to_writer[2],
    from_writer[2]; /* pipes: a byte for each transaction, a byte when it is done */

static const struct qs_io_ops *io; /* NULL: as usual */

static struct qs_env *open_env(unsigned flags)
{
    struct qs_options options = {.data_path = data_path,
                                 .io = io,
                                 .lock_path = lock_path,
                                 .flags = flags | QS_NOTLS,
                                 .map_size_bytes = 64 << 20,
                                 .mode = 0600};
    struct qs_env *env;
    cr_assert(qs_env_open(&options, &env) == 0);
    return env;
}

/* ---- what transaction `t` does, and what is there after it ---- */

static size_t size_in(unsigned t)
{
    return t % 3 == 0 ? LARGE_BYTES : SMALL_BYTES;
}

static void put(struct qs_txn *txn, struct qs_tree *tree, const char *name, unsigned t, size_t size)
{
    static char bytes[LARGE_BYTES];
    struct qs_val key = {strlen(name), name}, value = {size, bytes};
    memset(bytes, (int)t, size);
    cr_assert(qs_put(txn, tree, &key, &value, 0) == 0);
}

/* One key is overwritten; another tree comes, and goes three transactions later. */
static void write_one(struct qs_env *env, unsigned t)
{
    struct qs_txn *txn;
    struct qs_tree *tree, *other;
    char name[16];
    snprintf(name, sizeof name, "key%u", t % KEYS);
    cr_assert(qs_txn_begin(env, NULL, 0, &txn) == 0);
    cr_assert(qs_tree_open(txn, NULL, 0, &tree) == 0);
    put(txn, tree, name, t, size_in(t));
    if (t % 5 == 0) {
        cr_assert(qs_tree_open(txn, "other", QS_TREE_CREATE, &other) == 0);
        put(txn, other, "one", t, size_in(t));
    }
    if (t % 5 == 3 && t > 5) {
        cr_assert(qs_tree_open(txn, "other", 0, &other) == 0);
        cr_assert(qs_tree_drop(txn, other, true) == 0);
    }
    cr_assert(qs_txn_commit(txn) == 0);
}

static void expect(struct qs_txn *txn, struct qs_tree *tree, const char *name, unsigned t)
{
    struct qs_val key = {strlen(name), name}, value;
    cr_assert(qs_get(txn, tree, &key, &value) == 0);
    cr_assert(value.size == size_in(t));
    for (size_t i = 0; i < value.size; i++)
        cr_assert(((const uint8_t *)value.data)[i] == (uint8_t)t);
}

static void expect_state(struct qs_txn *txn, unsigned last)
{
    struct qs_tree *tree, *other;
    struct qs_stat stat;
    char name[16];
    bool there = last >= 5 && last % 5 < 3;
    cr_assert(qs_tree_open(txn, NULL, 0, &tree) == 0);
    cr_assert(qs_tree_stat(txn, tree, &stat) == 0);
    cr_assert(stat.entries == (last < KEYS ? last : KEYS) + (there ? 1 : 0));
    for (unsigned t = last < KEYS ? 1 : last - KEYS + 1; t <= last; t++) {
        snprintf(name, sizeof name, "key%u", t % KEYS);
        expect(txn, tree, name, t);
    }
    int rc = qs_tree_open(txn, "other", 0, &other);
    cr_assert(rc == (there ? 0 : QS_E_NOTFOUND));
    if (there) {
        expect(txn, other, "one", last - last % 5);
        cr_assert(qs_tree_stat(txn, other, &stat) == 0 && stat.entries == 1);
    }
}

/* ---- the writer ---- */

static pid_t start_writer(unsigned flags)
{
    cr_assert(pipe(to_writer) == 0 && pipe(from_writer) == 0);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* where the test fails */
    struct qs_env *env = open_env(flags);
    char byte;
    for (unsigned t = 1; read(to_writer[0], &byte, 1) == 1; t++) {
        write_one(env, t);
        if (write(from_writer[1], &byte, 1) != 1)
            break;
    }
    _exit(1);
}

/* One that waits for nobody but its flushes: while it does, what it has written is not visible yet. */
static pid_t start_busy_writer(void)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct qs_env *env = open_env(0);
    for (unsigned t = 1;; t++)
        write_one(env, t);
}

static void write_more(unsigned count)
{
    char byte = 0;
    for (unsigned i = 0; i < count; i++)
        cr_assert(write(to_writer[1], &byte, 1) == 1 && read(from_writer[0], &byte, 1) == 1);
}

static void kill_writer(pid_t pid)
{
    kill(pid, SIGKILL);
    cr_assert(waitpid(pid, NULL, 0) == pid);
}

static void set_up(void)
{
    make_directory("follow");
}

static void tear_down(void)
{
    remove_directory();
}

TestSuite(follow, .init = set_up, .fini = tear_down);

/* Steps of growing length between two read transactions; all of them stay. */
static void follow(unsigned writer_flags)
{
    struct qs_txn *txn[TRANSACTIONS];
    unsigned at[TRANSACTIONS], readers = 0, done = 1;
    pid_t writer = start_writer(writer_flags);
    write_more(1);
    struct qs_env *env = open_env(0);
    for (unsigned step = 1; done + step <= TRANSACTIONS; step++) {
        write_more(step);
        done += step;
        cr_assert(qs_txn_begin(env, NULL, QS_RDONLY, &txn[readers]) == 0);
        at[readers++] = done;
        for (unsigned i = 0; i < readers; i++)
            expect_state(txn[i], at[i]);
    }
    for (unsigned i = 0; i < readers; i++)
        qs_txn_abort(txn[i]);
    kill_writer(writer);
    write_one(env, done + 1); /* on what was followed */
    cr_assert(qs_txn_begin(env, NULL, QS_RDONLY, &txn[0]) == 0);
    expect_state(txn[0], done + 1);
    qs_txn_abort(txn[0]);
    qs_env_close(env);
}

Test(follow, beside_durable_commits)
{
    follow(0);
}

Test(follow, beside_commits_without_a_flush)
{
    follow(QS_NOSYNC);
}

/* Records are appended behind the snapshot while a reader begins: those are not to be done with those
 * before it. */
Test(follow, beside_a_writer_that_does_not_wait)
{
    struct qs_txn *txn;
    pid_t writer = start_busy_writer();
    struct qs_env *env = open_env(0);
    for (unsigned last = 0; last < 300;) {
        cr_assert(qs_txn_begin(env, NULL, QS_RDONLY, &txn) == 0);
        last = (unsigned)qs_txn_id(txn);
        if (last > 0)
            expect_state(txn, last);
        qs_txn_abort(txn);
    }
    kill_writer(writer);
    qs_env_close(env);
}

static bool dies; /* else it is recovery that writes, what is there once more */

/* Writes, and ends the process when that was a large value. */
static int write_and_die(struct qs_io_file *file, const struct io_write *writes, size_t count)
{
    int rc = qs_io_posix.write(file, writes, count);
    if (dies && count == 1 && writes[0].size == LARGE_BYTES)
        _exit(rc);
    return rc;
}

/* Transaction 10 takes away the large value of 3. Whoever does both again at once must not give the run of
 * that to the value of 12: who dies then, before the record, leaves a log whose records need it. */
Test(follow, the_run_of_a_value_that_is_gone)
{
    struct qs_io_ops dying = qs_io_posix;
    struct qs_txn *txn;
    int status;
    dying.write = write_and_die;
    pid_t writer = start_writer(QS_NOSYNC);
    write_more(11);
    kill_writer(writer);
    pid_t second = fork();
    if (second == 0) {
        io = &dying;
        struct qs_env *opened = open_env(QS_NOSYNC);
        dies = true;
        write_one(opened, 12);
        _exit(1);
    }
    cr_assert(waitpid(second, &status, 0) == second && WIFEXITED(status) &&
              WEXITSTATUS(status) == 0);
    struct qs_env *env = open_env(0);
    cr_assert(qs_txn_begin(env, NULL, QS_RDONLY, &txn) == 0);
    expect_state(txn, 11);
    qs_txn_abort(txn);
    qs_env_close(env);
}

/* Every length of the log, opened by the next process, which goes on. */
Test(follow, an_open_after_a_kill)
{
    for (unsigned last = 1; last < TRANSACTIONS; last += 6) {
        struct qs_txn *txn;
        pid_t writer = start_writer(QS_NOSYNC);
        write_more(last);
        kill_writer(writer);
        for (unsigned i = 0; i < 2; i++) {
            struct qs_env *env = open_env(QS_NOSYNC);
            cr_assert(qs_txn_begin(env, NULL, QS_RDONLY, &txn) == 0);
            expect_state(txn, last + i);
            qs_txn_abort(txn);
            write_one(env, last + i + 1);
            qs_env_close(env);
        }
        unlink(data_path);
        unlink(lock_path);
    }
}
