/* test_assert.c - what mdb_env_set_assert() brings: the callback, then the end of the process.
 *
 * Owns:       a directory; the assertions fail in forked children.
 */
#define _GNU_SOURCE

#include "base/assert.h"

#include <lmdb.h>

#include <criterion/criterion.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[] = "/tmp/qs-assert-XXXXXX";
static char files[4][64];
static MDB_env *envs[2];
static MDB_env *told; /* by the callback */
static jmp_buf out;

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(directory));
    for (int i = 0; i < 2; i++) {
        snprintf(files[i], sizeof files[i], "%s/%d", directory, i);
        snprintf(files[i + 2], sizeof files[i], "%s/%d-lock", directory, i);
        cr_assert_eq(mdb_env_create(&envs[i]), 0);
        cr_assert_eq(mdb_env_open(envs[i], files[i], MDB_NOSUBDIR, 0644), 0);
    }
}

static void tear_down(void)
{
    for (int i = 0; i < 2; i++)
        mdb_env_close(envs[i]);
    for (int i = 0; i < 4; i++)
        unlink(files[i]);
    rmdir(directory);
}

TestSuite(assert, .init = set_up, .fini = tear_down);

/* The callback of a program that logs the message and wants to go down its own way. */
static void leave(MDB_env *env, const char *message)
{
    told = env;
    if (strstr(message, "file.c:7") == NULL || strstr(message, "truth > 0") == NULL ||
        strstr(message, "function") == NULL)
        _exit(9);
    longjmp(out, 1);
}

static void return_from(MDB_env *env, const char *message)
{
    (void)message;
    told = env;
}

static void begin_and_end(MDB_env *env)
{
    MDB_txn *txn;

    cr_assert_eq(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    mdb_txn_abort(txn);
}

/* In a child, whose stderr nobody reads: 1 or 2 for the environment whose callback was told, 3 for none, if
 * it leaves by longjmp; else its signal, negative. */
static int fail_in_child(void)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(8);
        signal(SIGABRT, SIG_DFL);
        if (setjmp(out) == 0)
            qs_assert_failed("truth > 0", "file.c", 7, "function");
        _exit(told == envs[0] ? 1 : told == envs[1] ? 2 : 3);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

Test(assert, is_told_before_the_end)
{
    cr_assert_eq(mdb_env_set_assert(envs[0], leave), 0);
    cr_assert_eq(fail_in_child(), 1);
    begin_and_end(envs[0]);
    cr_assert_eq(fail_in_child(), 1);
}

Test(assert, aborts_when_the_callback_returns)
{
    cr_assert_eq(mdb_env_set_assert(envs[0], return_from), 0);
    begin_and_end(envs[0]);
    cr_assert_eq(fail_in_child(), -SIGABRT);
}

/* It is the environment that the thread worked with last. */
Test(assert, belongs_to_an_environment)
{
    cr_assert_eq(mdb_env_set_assert(envs[0], leave), 0);
    cr_assert_eq(mdb_env_set_assert(envs[1], leave), 0);
    begin_and_end(envs[0]);
    cr_assert_eq(fail_in_child(), 1);
    begin_and_end(envs[1]);
    cr_assert_eq(fail_in_child(), 2);
    cr_assert_eq(mdb_env_set_assert(envs[1], NULL), 0);
    cr_assert_eq(fail_in_child(), -SIGABRT);
    begin_and_end(envs[0]);
    cr_assert_eq(fail_in_child(), 1);
}

Test(assert, aborts_without_a_callback)
{
    begin_and_end(envs[0]);
    cr_assert_eq(fail_in_child(), -SIGABRT);
}
