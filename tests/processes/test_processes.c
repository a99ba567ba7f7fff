/* test_processes.c - several processes on one environment, each doing what makes life hard for others.
 *
 * Owns:       a directory a test, the current one.
 * Invariants: every transaction writes one number to all KEYS keys, so a snapshot in which they differ
 *             is torn.
 * Locks:      none; a child and its parent take turns through pipes.
 */
#define _GNU_SOURCE /* pipe2() */

#include "readers/children.h"

#include <lmdb.h>
#include <sys/prctl.h>

enum { KEYS = 12, VALUE_BYTES = 700, MAP_BYTES = 32 << 20 };

static void tear_down(void)
{
    unlink("data.mdb");
    unlink("lock.mdb");
    leave_directory();
}

/* Failures in a child are as final as in the test itself. */
#define MUST(call)                                                                                 \
    do {                                                                                           \
        int must_rc = (call);                                                                      \
        if (must_rc != 0) {                                                                        \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, mdb_strerror(must_rc));  \
            abort();                                                                               \
        }                                                                                          \
    } while (0)
#define MUST_BE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__, #condition);                    \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* fork(); the child dies with the test, stopped or not. */
static pid_t spawn(void)
{
    pid_t pid = fork();

    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

/* ---- one number in all keys ---- */

static MDB_env *open_sized(unsigned flags, size_t map_bytes)
{
    MDB_env *env;

    MUST(mdb_env_create(&env));
    if (map_bytes != 0)
        MUST(mdb_env_set_mapsize(env, map_bytes));
    MUST(mdb_env_open(env, ".", flags, 0644));
    return env;
}

static MDB_env *open_env(unsigned flags)
{
    return open_sized(flags, MAP_BYTES);
}

static MDB_val make_key(char bytes[8], unsigned i)
{
    return (MDB_val){(size_t)snprintf(bytes, 8, "k%u", i), bytes};
}

static void put_number(MDB_txn *txn, uint64_t number)
{
    uint8_t bytes[VALUE_BYTES];
    char key_bytes[8];
    MDB_dbi dbi;

    memset(bytes, (int)number, sizeof bytes);
    memcpy(bytes, &number, sizeof number);
    MUST(mdb_dbi_open(txn, NULL, 0, &dbi));
    for (unsigned i = 0; i < KEYS; i++) {
        MDB_val key = make_key(key_bytes, i), value = {sizeof bytes, bytes};
        MUST(mdb_put(txn, dbi, &key, &value, 0));
    }
}

/* 0 before the first. */
static uint64_t get_number(MDB_txn *txn)
{
    uint64_t number = 0;
    char key_bytes[8];
    MDB_dbi dbi;

    MUST(mdb_dbi_open(txn, NULL, 0, &dbi));
    for (unsigned i = 0; i < KEYS; i++) {
        MDB_val key = make_key(key_bytes, i), value;
        uint64_t found = 0;
        int rc = mdb_get(txn, dbi, &key, &value);
        if (rc == MDB_NOTFOUND && number == 0)
            continue;
        MUST(rc);
        MUST_BE(value.mv_size == VALUE_BYTES);
        memcpy(&found, value.mv_data, sizeof found);
        MUST_BE(((uint8_t *)value.mv_data)[VALUE_BYTES - 1] == (uint8_t)found);
        MUST_BE(i == 0 || found == number);
        number = found;
    }
    return number;
}

static void write_number(MDB_env *env, uint64_t number)
{
    MDB_txn *txn;

    MUST(mdb_txn_begin(env, NULL, 0, &txn));
    put_number(txn, number);
    MUST(mdb_txn_commit(txn));
}

/* Adds one in a write transaction. */
static void write_next(MDB_env *env)
{
    MDB_txn *txn;

    MUST(mdb_txn_begin(env, NULL, 0, &txn));
    put_number(txn, get_number(txn) + 1);
    MUST(mdb_txn_commit(txn));
}

static MDB_txn *begin_read(MDB_env *env)
{
    MDB_txn *txn;

    MUST(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
    return txn;
}

static uint64_t read_number(MDB_env *env)
{
    MDB_txn *txn = begin_read(env);
    uint64_t number = get_number(txn);

    mdb_txn_abort(txn);
    return number;
}

TestSuite(processes, .init = enter_directory, .fini = tear_down, .timeout = 120);

/* ---- taking turns ---- */

/* Writes every second number, and keeps readers of old ones. */
static void take_turns(const int mine[2], const int theirs[2], uint64_t first)
{
    enum { ROUNDS = 400, KEPT = 7 };
    MDB_env *env = open_env(MDB_NOSYNC | MDB_NOTLS);
    struct {
        MDB_txn *txn;
        uint64_t number;
    } kept[KEPT] = {{NULL, 0}};

    for (uint64_t n = first; n < ROUNDS; n += 2) {
        unsigned k = (unsigned)(n / 2 * 5 % KEPT);
        signal_wait(mine);
        MUST_BE(read_number(env) == n);
        if (kept[k].txn != NULL) {
            MUST_BE(get_number(kept[k].txn) == kept[k].number);
            mdb_txn_abort(kept[k].txn);
            kept[k].txn = NULL;
        } else {
            kept[k].txn = begin_read(env);
            kept[k].number = n;
        }
        write_next(env);
        signal_send(theirs);
    }
    for (unsigned k = 0; k < KEPT; k++) {
        if (kept[k].txn == NULL)
            continue;
        MUST_BE(get_number(kept[k].txn) == kept[k].number);
        mdb_txn_abort(kept[k].txn);
    }
    mdb_env_close(env);
}

Test(processes, alternating_writers_with_long_readers)
{
    struct signals signals;
    pid_t child;

    signals_open(&signals);
    child = spawn();
    if (child == 0) {
        take_turns(signals.to_child, signals.to_parent, 1);
        _exit(0);
    }
    signal_send(signals.to_parent); /* to ourselves: we begin */
    take_turns(signals.to_parent, signals.to_child, 0);
    wait_exit(child);
}

Test(processes, asleep_for_a_thousand_commits)
{
    struct signals signals;
    MDB_env *env;
    pid_t child;

    signals_open(&signals);
    env = open_env(MDB_NOSYNC);
    write_number(env, 1);
    child = spawn();
    if (child == 0) {
        MDB_env *own = open_env(MDB_NOSYNC | MDB_NOTLS);
        MDB_txn *old = begin_read(own), *parked = begin_read(own);
        mdb_txn_reset(parked);
        signal_send(signals.to_parent);
        signal_wait(signals.to_child);
        MUST_BE(get_number(old) == 1);
        MUST(mdb_txn_renew(parked));
        MUST_BE(get_number(parked) == 1001);
        MUST_BE(get_number(old) == 1);
        write_next(own);
        MUST_BE(read_number(own) == 1002);
        MUST_BE(get_number(parked) == 1001);
        mdb_txn_abort(parked);
        mdb_txn_abort(old);
        mdb_env_close(own);
        _exit(0);
    }
    signal_wait(signals.to_parent);
    for (int i = 0; i < 1000; i++)
        write_next(env);
    signal_send(signals.to_child);
    wait_exit(child);
    cr_assert_eq(read_number(env), 1002);
    write_next(env);
    cr_assert_eq(read_number(env), 1003);
    mdb_env_close(env);
}

/* ---- files ---- */

Test(processes, lock_file_deleted_or_spoilt_between_uses)
{
    for (uint64_t n = 1; n <= 8; n++) {
        MDB_env *env = open_env(0);
        MUST_BE(read_number(env) == n - 1);
        write_next(env);
        mdb_env_close(env);
        if (n % 2 != 0) {
            cr_assert_eq(unlink("lock.mdb"), 0);
        } else {
            FILE *file = fopen("lock.mdb", "r+");
            for (unsigned i = 0; i < 2000 * (n - 1); i++)
                fputc((int)(i * n), file);
            fclose(file);
        }
    }
}

Test(processes, nolock)
{
    MDB_env *env = open_env(MDB_NOLOCK);
    pid_t child;

    write_number(env, 1);
    child = spawn();
    if (child == 0) {
        MDB_env *own = open_env(MDB_NOLOCK);
        MUST_BE(read_number(own) == 1);
        write_next(own);
        mdb_env_close(own);
        _exit(0);
    }
    wait_exit(child);
    cr_assert_eq(read_number(env), 2);
    write_next(env);
    cr_assert_eq(read_number(env), 3);
    mdb_env_close(env);
    cr_assert_neq(access("lock.mdb", F_OK), 0);
}

/* Tries to open for reading as somebody who may not write here. */
static int open_as_nobody(unsigned flags, uint64_t *number)
{
    MDB_env *env;
    int rc;

    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        return -1;
    MUST(mdb_env_create(&env));
    rc = mdb_env_open(env, ".", flags, 0644);
    if (rc == 0)
        *number = read_number(env);
    mdb_env_close(env);
    return rc;
}

Test(processes, read_only_directory)
{
    MDB_env *env = open_env(0);
    pid_t child;

    write_number(env, 7);
    mdb_env_close(env);
    for (int missing = 0; missing < 2; missing++) {
        if (missing)
            unlink("lock.mdb");
        else
            chmod("lock.mdb", 0444);
        chmod(".", 0555);
        child = spawn();
        if (child == 0) {
            uint64_t number = 0;
            /* Writing, or taking part with a lock file, is not allowed; reading without is. */
            MUST_BE(open_as_nobody(MDB_RDONLY | MDB_NOLOCK, &number) == 0 && number == 7);
            MUST_BE(open_as_nobody(0, &number) == EACCES);
            MUST_BE(open_as_nobody(MDB_RDONLY, &number) == EACCES);
            _exit(0);
        }
        wait_exit(child);
        chmod(".", 0700);
    }
}

/* ---- one process, several environments; forks ---- */

Test(processes, opened_twice_in_one_process)
{
    MDB_env *one = open_env(MDB_NOTLS), *two = open_env(MDB_NOTLS);
    MDB_txn *old;
    pid_t child;

    write_number(one, 1);
    cr_assert_eq(read_number(two), 1);
    write_next(two);
    cr_assert_eq(read_number(one), 2);
    old = begin_read(two);
    mdb_env_close(one); /* and not the locks of the other */
    child = spawn();
    if (child == 0) {
        MDB_env *own = open_env(MDB_NOSYNC);
        int dead = 0;
        for (int i = 0; i < 60; i++)
            write_next(own);
        MUST(mdb_reader_check(own, &dead));
        MUST_BE(dead == 0);
        mdb_env_close(own);
        _exit(0);
    }
    wait_exit(child);
    cr_assert_eq(get_number(old), 2);
    mdb_txn_abort(old);
    cr_assert_eq(read_number(two), 62);
    mdb_env_close(two);
}

Test(processes, forked_child)
{
    MDB_env *env = open_env(MDB_NOTLS);
    MDB_txn *old;

    write_number(env, 1);
    old = begin_read(env);
    for (int order = 0; order < 2; order++) {
        pid_t child = spawn();
        if (child == 0) {
            MDB_env *own;
            if (order == 0)
                mdb_env_close(env); /* the parent's, before anything else */
            own = open_env(MDB_NOSYNC);
            for (int i = 0; i < 40; i++)
                write_next(own);
            if (order == 1)
                mdb_env_close(env); /* with one of our own open, which must not lose its locks */
            write_next(own);
            mdb_env_close(own);
            _exit(0);
        }
        wait_exit(child);
        cr_assert_eq(get_number(old), 1);
        write_next(env);
    }
    cr_assert_eq(read_number(env), 1 + 2 * 42);
    mdb_txn_abort(old);
    mdb_env_close(env);
}

/* ---- sizes ---- */

Test(processes, map_grown_by_another)
{
    MDB_env *env = open_sized(MDB_NOTLS, 1 << 20);
    MDB_txn *old, *txn;
    pid_t child;
    int rc;

    write_number(env, 1);
    old = begin_read(env);
    child = spawn();
    if (child == 0) {
        MDB_env *own = open_sized(MDB_NOSYNC, 64 << 20);
        MDB_val key = {5, "large"}, value = {8 << 20, NULL};
        MDB_dbi dbi;
        MUST(mdb_txn_begin(own, NULL, 0, &txn));
        MUST(mdb_dbi_open(txn, NULL, 0, &dbi));
        MUST(mdb_put(txn, dbi, &key, &value, MDB_RESERVE));
        memset(value.mv_data, 42, value.mv_size);
        put_number(txn, 2);
        MUST(mdb_txn_commit(txn));
        mdb_env_close(own);
        _exit(0);
    }
    wait_exit(child);
    cr_assert_eq(get_number(old), 1);
    rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
    cr_assert_eq(rc, MDB_MAP_RESIZED, "%s", mdb_strerror(rc));
    rc = mdb_txn_begin(env, NULL, 0, &txn);
    cr_assert_eq(rc, MDB_MAP_RESIZED, "%s", mdb_strerror(rc));
    cr_assert_eq(get_number(old), 1);
    mdb_txn_abort(old);
    MUST(mdb_env_set_mapsize(env, 0));
    cr_assert_eq(read_number(env), 2);
    write_next(env);
    cr_assert_eq(read_number(env), 3);
    mdb_env_close(env);
}

/* ---- opening and closing under others' feet; stopped processes ---- */

Test(processes, opening_and_closing_while_others_do)
{
    enum { CHILDREN = 3, ROUNDS = 120 };
    MDB_env *env = open_env(MDB_NOSYNC);
    pid_t children[CHILDREN];

    write_number(env, 0);
    mdb_env_close(env); /* so that now and then somebody is the first, or the last */
    for (unsigned c = 0; c < CHILDREN; c++) {
        children[c] = spawn();
        if (children[c] != 0)
            continue;
        for (unsigned i = 0; i < ROUNDS; i++) {
            env = open_env(i % 3 == 0 ? MDB_NOSYNC | MDB_NOTLS : MDB_NOSYNC);
            read_number(env);
            write_next(env);
            mdb_env_close(env);
        }
        _exit(0);
    }
    for (unsigned c = 0; c < CHILDREN; c++)
        wait_exit(children[c]);
    env = open_env(0);
    cr_assert_eq(read_number(env), CHILDREN * ROUNDS);
    mdb_env_close(env);
}

static void stop_and_wait(pid_t child)
{
    int status;

    kill(child, SIGSTOP);
    cr_assert_eq(waitpid(child, &status, WUNTRACED), child);
    cr_assert(WIFSTOPPED(status));
}

/* A writer is stopped at any point: readers and new processes go on, writers wait and then go on. */
Test(processes, stopped_writer_resumes)
{
    MDB_env *env;
    uint64_t last = 0;
    pid_t child;

    env = open_env(MDB_NOSYNC);
    write_number(env, 0);
    child = spawn();
    if (child == 0) {
        MDB_env *own = open_env(MDB_NOSYNC);
        for (;;)
            write_next(own);
    }
    while (read_number(env) == 0) /* not stopped while it opens: that keeps others out */
        usleep(1000);
    for (unsigned i = 0; i < 40; i++) {
        uint64_t stopped_at;
        pid_t reader;
        usleep(500 + i * 37 % 1500);
        stop_and_wait(child);
        stopped_at = read_number(env);
        cr_assert_geq(stopped_at, last);
        reader = spawn();
        if (reader == 0) {
            MDB_env *own = open_env(MDB_RDONLY);
            uint64_t found = read_number(own);
            /* Who opens takes the newest meta page, perhaps one that the stopped writer has not
             * published yet (lib/env/README.md). */
            MUST_BE(found == stopped_at || found == stopped_at + 1);
            mdb_env_close(own);
            _exit(0);
        }
        wait_exit(reader);
        cr_assert_eq(read_number(env), stopped_at);
        kill(child, SIGCONT);
        write_next(env); /* waits for it, if it holds the mutex */
        last = read_number(env);
        cr_assert_gt(last, stopped_at);
    }
    kill_and_wait(child);
    write_next(env);
    cr_assert_gt(read_number(env), last);
    mdb_env_close(env);
}

/* A writer that waits while the holder of the mutex is stopped, then gets it. */
Test(processes, waits_for_a_stopped_transaction)
{
    MDB_env *env = open_env(0);
    struct signals signals;
    pid_t holder, waiter;
    int status;

    signals_open(&signals);
    write_number(env, 1);
    holder = spawn();
    if (holder == 0) {
        MDB_env *own = open_env(0);
        MDB_txn *txn;
        MUST(mdb_txn_begin(own, NULL, 0, &txn));
        put_number(txn, 2);
        signal_send(signals.to_parent);
        signal_wait(signals.to_child); /* stopped in here */
        MUST(mdb_txn_commit(txn));
        mdb_env_close(own);
        _exit(0);
    }
    signal_wait(signals.to_parent);
    stop_and_wait(holder);
    waiter = spawn();
    if (waiter == 0) {
        MDB_env *own = open_env(0);
        write_next(own);
        mdb_env_close(own);
        _exit(0);
    }
    usleep(50000);
    cr_assert_eq(waitpid(waiter, &status, WNOHANG), 0, "it did not wait");
    cr_assert_eq(read_number(env), 1);
    signal_send(signals.to_child);
    kill(holder, SIGCONT);
    wait_exit(holder);
    wait_exit(waiter);
    cr_assert_eq(read_number(env), 3);
    mdb_env_close(env);
}
