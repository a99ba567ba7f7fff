/* children.h - what the tests of lib/readers share: a directory, open lock files, forked children.
 *
 * A test works in an empty directory of its own, on the file "lock". A child reports by its exit
 * status: 0, or 1 after saying which expectation failed.
 */
#ifndef TESTS_READERS_CHILDREN_H
#define TESTS_READERS_CHILDREN_H

#include "readers/lockfile.h"
#include "base/error.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* In a child: leaves with status 1, and says where, unless the condition holds. */
#define CHILD_EXPECT(condition)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static char directory[] = "/tmp/qs-test-lockfile.XXXXXX";

static inline void enter_directory(void)
{
    cr_assert_not_null(mkdtemp(directory));
    cr_assert_eq(chdir(directory), 0);
}

static inline void leave_directory(void)
{
    unlink("lock");
    cr_assert_eq(chdir("/"), 0);
    rmdir(directory);
}

static inline struct lockfile *open_with(unsigned max_readers, bool expect_first)
{
    struct lockfile *lockfile = NULL;
    bool first;

    cr_assert_eq(qs_lockfile_open("lock", 0644, max_readers, &lockfile, &first), 0);
    cr_assert_eq(first, expect_first);
    if (first)
        qs_lockfile_share(lockfile);
    return lockfile;
}

/* In a child: opens, expecting not to be the first. */
static inline struct lockfile *child_open(void)
{
    struct lockfile *lockfile = NULL;
    bool first = true;

    CHILD_EXPECT(qs_lockfile_open("lock", 0644, 8, &lockfile, &first) == 0);
    CHILD_EXPECT(!first);
    return lockfile;
}

/* In a child, at its end: gives up its copy of what the parent has open, which would count as lost. */
static inline _Noreturn void child_leave(struct lockfile *inherited)
{
    qs_lockfile_close(inherited, true);
    _exit(0);
}

static inline void wait_exit(pid_t child)
{
    int status;

    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0, "child: status %#x", (unsigned)status);
}

static inline void kill_and_wait(pid_t child)
{
    int status;

    kill(child, SIGKILL);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status));
}

/* Two one-way signals between parent and child. */
struct signals {
    int to_parent[2]; /* a pipe */
    int to_child[2];  /* a pipe */
};

static inline void signals_open(struct signals *signals)
{
    cr_assert_eq(pipe2(signals->to_parent, O_CLOEXEC), 0);
    cr_assert_eq(pipe2(signals->to_child, O_CLOEXEC), 0);
}

static inline void signal_send(const int pipe_ends[2])
{
    if (write(pipe_ends[1], "x", 1) != 1)
        _exit(1);
}

static inline void signal_wait(const int pipe_ends[2])
{
    char byte;

    if (read(pipe_ends[0], &byte, 1) != 1)
        _exit(1);
}

#endif
