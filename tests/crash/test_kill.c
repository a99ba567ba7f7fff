/* test_kill.c - a live writer is killed again and again; what it committed is there.
 *
 * Owns:       one environment, worked on by one child after the other.
 * Invariants: V1 the child reports each commit that returned through a pipe, before it begins the
 * next transaction: after the kill the file holds the last one reported or the one after it. V2
 * parent and child draw the same numbers, so the parent knows every content. Locks:      none in
 * the parent; one thread each.
 *
 * A killed process loses nothing that it wrote, so this holds whatever the flags.
 */
#define _GNU_SOURCE /* mkdtemp() */

#include "crash.h"
#include "effort.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char directory[64];
static char data_path[CRASH_PATH_BYTES];
static char lock_path[CRASH_PATH_BYTES];

static int open_environment(unsigned flags, struct qs_env **env)
{
    struct qs_options options = {.data_path = data_path,
                                 .lock_path = lock_path,
                                 .flags = flags,
                                 .mode = 0600,
                                 .map_size_bytes = CRASH_MAP_BYTES};

    return qs_env_open(&options, env);
}

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000ll + now.tv_nsec / 1000;
}

/* Commits without end, until killed; leaves only when something fails. */
static void child_run(struct crash_workload *work, unsigned flags, int report)
{
    int rc = open_environment(flags, &work->env);

    while (rc == 0) {
        rc = crash_transaction(work, false, 0);
        if (rc == QS_E_MAP_FULL)
            rc = 0;
        if (rc == 0 && write(report, "c", 1) != 1)
            rc = errno;
    }
    fprintf(stderr, "the child failed: %s\n", qs_strerror(rc));
    _exit(1);
}

/* Reads what the child reported, until it is dead: the number of transactions it finished. */
static unsigned reported(int from)
{
    char bytes[4096];
    unsigned count = 0;
    ssize_t got;

    while ((got = read(from, bytes, sizeof bytes)) > 0)
        count += (unsigned)got;
    return count;
}

/* Starts a child on a copy of `work`, kills it after a while; the number of reports. */
static unsigned kill_one(struct crash_workload *work, unsigned flags, unsigned wait_us)
{
    int ends[2], status;
    unsigned count;
    pid_t pid;

    cr_assert_eq(pipe(ends), 0);
    pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        close(ends[0]);
        child_run(work, flags, ends[1]);
    }
    close(ends[1]);
    usleep(wait_us);
    kill(pid, SIGKILL);
    count = reported(ends[0]);
    close(ends[0]);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
              "the child was not there to kill");
    return count;
}

static void complain(void *context, const char *finding)
{
    (void)context;
    fprintf(stderr, "qs_check: %s\n", finding);
}

static void expect_clean(void)
{
    struct qs_check_report report;
    int rc = qs_check(data_path, complain, NULL, &report);

    cr_assert(rc == 0 && report.faults == 0 && report.pages_lost == 0, "%s: %s, %llu faults",
              data_path, qs_strerror(rc), (unsigned long long)report.faults);
}

/* Does on a file of the parent's own what the child did, so that `work` knows what should be there
 * (V2). A transaction that met the full map changed nothing here either. */
static void follow(struct crash_workload *work, struct qs_env *shadow, unsigned count)
{
    work->env = shadow;
    for (unsigned i = 0; i < count; i++) {
        int rc = crash_transaction(work, false, 0);
        cr_assert(rc == 0 || rc == QS_E_MAP_FULL, "%s", qs_strerror(rc));
    }
}

/* V1. The shadow goes on to the commit that was not reported if that is what is there. */
static bool expect_content(struct crash_workload *work, struct qs_env *shadow, unsigned flags)
{
    char sentence[CRASH_SENTENCE_BYTES], next[CRASH_SENTENCE_BYTES];
    bool further = false;
    struct qs_env *env;
    int rc = open_environment(flags, &env);

    cr_assert(rc == 0, "opening after the kill: %s", qs_strerror(rc));
    rc = crash_compare_env(env, &work->shape, &work->committed, sentence);
    if (rc == QS_E_KEYEXIST) {
        further = true;
        follow(work, shadow, 1);
        rc = crash_compare_env(env, &work->shape, &work->committed, next);
        cr_assert(rc == 0, "after the kill: %s; against the next commit: %s (%s)", sentence,
                  rc == QS_E_KEYEXIST ? next : qs_strerror(rc), data_path);
    }
    cr_assert(rc == 0, "reading after the kill: %s", qs_strerror(rc));
    qs_env_close(env);
    return further;
}

static void make_paths(const char *name)
{
    snprintf(data_path, sizeof data_path, "%s/%s", directory, name);
    snprintf(lock_path, sizeof lock_path, "%s/%s-lock", directory, name);
}

static void run_kills(unsigned flags)
{
    struct crash_workload *work = calloc(1, sizeof *work);
    const char *torture = getenv("QS_TORTURE");
    unsigned run_ms = torture != NULL && torture[0] == '1' ? 90000 : effort(1500, 10000);
    unsigned wait_us_max = effort(12000, 100000); /* a child's life: some transactions */
    int64_t until = now_us() + run_ms * 1000ll;
    unsigned kills = 0, commits = 0, unreported = 0;
    struct qs_env *shadow, *first;

    cr_assert_not_null(work);
    crash_make_pool();
    snprintf(directory, sizeof directory, "/tmp/qs-kill-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    make_paths("shadow");
    cr_assert_eq(open_environment(QS_NOSYNC, &shadow), 0);
    make_paths("data");
    /* Made here: a child may be killed before it has opened anything, and then nothing is there. */
    cr_assert_eq(open_environment(flags, &first), 0);
    qs_env_close(first);
    work->shape = (struct crash_shape){60, 500, 2};
    work->next_value = 1;
    work->random = 17 + flags;
    work->committed.exists[0] = true;
    for (; now_us() < until; kills++) {
        unsigned count = kill_one(work, flags, 200 + crash_hash(kills) % wait_us_max);

        follow(work, shadow, count);
        expect_clean();
        unreported += expect_content(work, shadow, flags);
        commits += count;
        /* From here on both draw from one place again, wherever the child's transaction broke off.
         */
        work->random = crash_hash(kills);
        /* On a slow medium, nothing that is killed before its first commit tells anything. */
        if (commits == 0 && kills % 20 == 19)
            wait_us_max *= 2;
    }
    fprintf(stderr, "flags %#x: %u kills, %u transactions, %u times one more than was reported\n",
            flags, kills, commits, unreported);
    qs_env_close(shadow);
    for (unsigned i = 0; i < 2; i++) {
        make_paths(i == 0 ? "shadow" : "data");
        unlink(data_path);
        unlink(lock_path);
    }
    rmdir(directory);
    free(work);
}

Test(kill, default_flags)
{
    run_kills(0);
}

Test(kill, nosync)
{
    run_kills(QS_NOSYNC);
}
