/* test_env.c - what becomes of an environment when the file system or a process fails it.
 *
 * Owns:       a file I/O that fails, or ends the process, at a given write or flush.
 * Invariants: N1 a commit that failed before its meta page leaves the last state, and the
 * environment goes on. N2 one that failed later ends writing, and the file opens with the last
 * state or the one before it, whole. N3 a state that processes may have opened is never replaced by
 *             another of the same number.
 */
#define _GNU_SOURCE /* mkdtemp() */

#include "format/meta.h"
#include "os/io.h"
#include "quickstep.h"
#include "scratch_dir.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RECORDS = 300, META_BYTES = META_PAGES * QS_PAGE_BYTES };

/* ---- file I/O that fails --------------------------------------------------------------------- */

static long calls_left = -1;    /* until the one that fails; negative: none does */
static bool failed_call;        /* it has come */
static bool failed_for_good;    /* it was the meta page or a flush */
static bool killed_behind_meta; /* end the process as soon as a new meta page is written */

static bool fails(bool for_good)
{
    if (calls_left < 0 || calls_left-- > 0)
        return false;
    failed_call = true;
    failed_for_good = for_good;
    return true;
}

/* Whether the file holds these bytes already: an old meta page may be written once more as it is. */
static bool is_there(const struct io_write *write)
{
    uint8_t bytes[META_BYTES];
    int fd = open(data_path, O_RDONLY);
    ssize_t got = pread(fd, bytes, write->size, (off_t)write->offset);
    close(fd);
    return got == (ssize_t)write->size && memcmp(bytes, write->data, write->size) == 0;
}

static int attach(int fd, struct qs_io_file **file)
{
    return qs_io_posix.attach(fd, file);
}

static void close_file(struct qs_io_file *file)
{
    qs_io_posix.close(file);
}

/* Half of what fails gets through. */
static int write_pieces(struct qs_io_file *file, const struct io_write *writes, size_t count)
{
    bool meta = writes[0].offset < META_BYTES;
    struct io_write half = {writes[0].offset, writes[0].data, writes[0].size / 2};

    if (fails(meta)) {
        qs_io_posix.write(file, &half, 1);
        return ENOSPC;
    }
    bool new_state = meta && killed_behind_meta && !is_there(&writes[0]);
    int rc = qs_io_posix.write(file, writes, count);
    if (new_state)
        kill(getpid(), SIGKILL);
    return rc;
}

static int flush(struct qs_io_file *file)
{
    (void)file; /* no test here loses power */
    return fails(true) ? EIO : 0;
}

static int flush_range(struct qs_io_file *file, uint64_t offset, uint64_t size)
{
    (void)offset, (void)size;
    return flush(file);
}

static int truncate_file(struct qs_io_file *file, uint64_t size)
{
    return fails(false) ? ENOSPC : qs_io_posix.truncate(file, size);
}

static void write_out(struct qs_io_file *file, uint64_t offset, uint64_t size)
{
    qs_io_posix.write_out(file, offset, size);
}

static void flush_ahead(struct qs_io_file *file)
{
    qs_io_posix.flush_ahead(file);
}

static bool flush_ahead_ended(struct qs_io_file *file)
{
    return qs_io_posix.flush_ahead_ended(file);
}

static int punch(struct qs_io_file *file, uint64_t offset, uint64_t size)
{
    return qs_io_posix.punch(file, offset, size);
}

static const struct qs_io_ops failing_io = {
    .name = "failing",
    .attach = attach,
    .close = close_file,
    .write = write_pieces,
    .flush = flush,
    .flush_range = flush_range,
    .truncate = truncate_file,
    .write_out = write_out,
    .flush_ahead = flush_ahead,
    .flush_ahead_ended = flush_ahead_ended,
    .punch = punch,
};

/* ---- a database of one generation after the other -------------------------------------------- */

static uint64_t log_bytes_max; /* 1: every commit is a checkpoint; 0: the usual */

static int open_with(unsigned flags, struct qs_env **env)
{
    struct qs_options options = {.data_path = data_path,
                                 .lock_path = lock_path,
                                 .flags = flags,
                                 .mode = 0644,
                                 .map_size_bytes = 16u << 20,
                                 .log_bytes_max = log_bytes_max,
                                 .io = &failing_io};
    return qs_env_open(&options, env);
}

/* Writes the generation's number into every record, `large` of them as large values. */
static int write_generation(struct qs_env *env, unsigned generation, unsigned large)
{
    static unsigned values[2500];
    struct qs_tree *tree;
    struct qs_txn *txn;
    int rc = qs_txn_begin(env, NULL, 0, &txn);
    if (rc != 0)
        return rc;
    rc = qs_tree_open(txn, "tree", QS_TREE_CREATE, &tree);
    for (unsigned i = 0; i < sizeof values / sizeof *values; i++)
        values[i] = generation;
    for (unsigned i = 0; rc == 0 && i < RECORDS; i++) {
        struct qs_val key = {sizeof i, &i};
        struct qs_val value = {i < large ? sizeof values : 40, values};
        rc = qs_put(txn, tree, &key, &value, 0);
    }
    if (rc == 0)
        return qs_txn_commit(txn);
    qs_txn_abort(txn);
    return rc;
}

/* The generation that every record has; 0 when there is none. */
static unsigned read_generation(struct qs_env *env)
{
    unsigned generation = 0, found;
    struct qs_tree *tree;
    struct qs_txn *txn;
    cr_assert(qs_txn_begin(env, NULL, QS_RDONLY, &txn) == 0);
    int rc = qs_tree_open(txn, "tree", 0, &tree);
    cr_assert(rc == 0 || rc == QS_E_NOTFOUND);
    for (unsigned i = 0; rc == 0 && i < RECORDS; i++) {
        struct qs_val key = {sizeof i, &i}, value;
        cr_assert(qs_get(txn, tree, &key, &value) == 0);
        memcpy(&found, value.data, sizeof found);
        cr_assert(i == 0 || found == generation, "records of two generations");
        generation = found;
    }
    qs_txn_abort(txn);
    return generation;
}

static void complain(void *context, const char *sentence)
{
    (void)context;
    cr_log_error("%s", sentence);
}

static void check_file(void)
{
    struct qs_check_report report;
    cr_assert(qs_check(data_path, complain, NULL, &report) == 0);
    cr_assert(report.faults == 0 && report.pages_lost == 0);
}

static void set_up(void)
{
    make_directory("env");
}

static void tear_down(void)
{
    remove_directory();
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* Commits `generation` with its n-th call failing; true when it has no n-th call. */
static bool commit_with_failure(struct qs_env **env, long n, unsigned *generation)
{
    failed_call = false;
    calls_left = n;
    int rc = write_generation(*env, *generation + 1, *generation % 3 == 0 ? 20 : 0);
    calls_left = -1;
    if (!failed_call) {
        cr_assert(rc == 0);
        cr_assert(read_generation(*env) == ++*generation);
        return true;
    }
    cr_assert(rc == ENOSPC || rc == EIO);
    cr_assert(read_generation(*env) == *generation);
    rc = write_generation(*env, *generation + 1, 0);
    if (!failed_for_good) { /* N1 */
        cr_assert(rc == 0);
        ++*generation;
        return false;
    }
    cr_assert(rc == QS_E_PANIC); /* N2 */
    qs_env_close(*env);
    check_file();
    cr_assert(open_with(0, env) == 0);
    unsigned found = read_generation(*env);
    cr_assert(found == *generation || found == *generation + 1);
    *generation = found;
    return false;
}

Test(env, every_call_fails_once, .init = set_up, .fini = tear_down)
{
    unsigned generation = 0;
    struct qs_env *env;
    for (unsigned round = 0; round < 24; round++) {
        log_bytes_max = round % 4 == 0 ? 1 : round % 4 == 1 ? 20000 : 0;
        cr_assert(open_with(0, &env) == 0);
        for (long n = 0; !commit_with_failure(&env, n, &generation); n++)
            ;
        qs_env_close(env);
        check_file();
    }
}

/* N3: the writer dies between its meta page and the shared positions. */
Test(env, writer_killed_behind_its_meta_page, .init = set_up, .fini = tear_down)
{
    struct qs_env *env, *late;
    int ready[2], status;
    char byte = 0;
    log_bytes_max = 1;
    cr_assert(open_with(0, &env) == 0);
    cr_assert(write_generation(env, 1, 0) == 0);
    qs_env_close(env);
    cr_assert(pipe(ready) == 0);
    pid_t child = fork();
    if (child == 0) {
        if (open_with(0, &late) != 0 || write(ready[1], "r", 1) != 1)
            _exit(1);
        usleep(200000); /* the parent opens, too, and keeps the lock file alive */
        killed_behind_meta = true;
        write_generation(late, 2, 5);
        _exit(1);
    }
    cr_assert(read(ready[0], &byte, 1) == 1);
    cr_assert(open_with(0, &env) == 0);
    cr_assert(read_generation(env) == 1);
    cr_assert(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    child = fork(); /* does not see what the dead process never published, and looks again */
    if (child == 0) {
        qs_env_close(env);
        bool right = open_with(0, &late) == 0 && read_generation(late) == 1;
        if (write(ready[1], "r", 1) != 1)
            _exit(1);
        for (unsigned i = 0; right && i < 1500 && read_generation(late) != 3; i++)
            usleep(20000);
        _exit(right && read_generation(late) == 3 ? 0 : 1);
    }
    cr_assert(read(ready[0], &byte, 1) == 1);
    cr_assert(write_generation(env, 3, 0) == 0);
    cr_assert(read_generation(env) == 3);
    cr_assert(waitpid(child, &status, 0) == child && status == 0);
    qs_env_close(env);
    check_file();
}

static void overwrite(off_t offset, const void *bytes, size_t size)
{
    int fd = open(data_path, O_RDWR);
    cr_assert(fd >= 0 && pwrite(fd, bytes, size, offset) == (ssize_t)size);
    close(fd);
}

/* A file with data whose heads are zeros is damaged, not new. */
Test(env, zeroed_heads_are_not_a_new_file, .init = set_up, .fini = tear_down)
{
    static const uint8_t zeros[META_BYTES];
    struct qs_env *env;
    cr_assert(open_with(0, &env) == 0);
    cr_assert(write_generation(env, 1, 0) == 0);
    qs_env_close(env);
    overwrite(0, zeros, sizeof zeros);
    cr_assert(open_with(0, &env) == QS_E_INVALID);
    cr_assert(truncate(data_path, META_BYTES) == 0); /* a creation that a power cut undid */
    cr_assert(open_with(0, &env) == 0);
    cr_assert(read_generation(env) == 0);
    qs_env_close(env);
}

/* Without a lock file the numbers in the meta pages are believed only with the pages they are in.
 */
Test(env, torn_meta_page_without_lock_file, .init = set_up, .fini = tear_down, .timeout = 20)
{
    static const uint64_t huge = UINT64_MAX / 2;
    struct qs_env *env;
    cr_assert(open_with(QS_NOLOCK, &env) == 0);
    for (unsigned generation = 1; generation <= 4; generation++) {
        cr_assert(write_generation(env, generation, 0) == 0);
        cr_assert(read_generation(env) == generation);
    }
    /* Four commits on checkpoint 1 make it 5, in page 1; the other page is torn. */
    overwrite(offsetof(struct meta, checkpoint), &huge, sizeof huge);
    cr_assert(read_generation(env) == 4);
    cr_assert(write_generation(env, 5, 0) == 0);
    cr_assert(read_generation(env) == 5);
    qs_env_close(env);
    check_file();
}
