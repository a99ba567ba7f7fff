/* test_followed_snapshots.c - a process that follows another links many transactions as one, but keeps every snapshot
 * that one of its readers has.
 *
 * Owns:       a directory; a child that writes as it is told.
 * Invariants: transaction n writes n to all keys.
 */
#define _GNU_SOURCE

#include "os/hook.h"
#include "readers/children.h"

#include <lmdb.h>
#include <semaphore.h>

enum { KEYS = 40, VALUE_BYTES = 300, LARGE_BYTES = 20000 };

static sem_t arrived, go_on;
static _Thread_local bool to_be_stopped;

static void tear_down(void)
{
    qs_hook_handle(NULL);
    unlink("data.mdb");
    unlink("lock.mdb");
    leave_directory();
}

TestSuite(follow, .init = enter_directory, .fini = tear_down, .timeout = 60);

#define MUST(call) cr_assert_eq((call), 0, "%s", #call)

static MDB_env *open_env(void)
{
    MDB_env *env;

    MUST(mdb_env_create(&env));
    MUST(mdb_env_set_mapsize(env, 64 << 20));
    MUST(mdb_env_open(env, ".", MDB_NOSYNC | MDB_NOTLS, 0644));
    return env;
}

/* Key 0 is a large value. */
static MDB_val value_of(uint32_t key, uint32_t number, unsigned char bytes[LARGE_BYTES])
{
    MDB_val value = {key == 0 ? LARGE_BYTES : VALUE_BYTES, bytes};

    memset(bytes, (int)(number + key), value.mv_size);
    memcpy(bytes, &number, sizeof number);
    return value;
}

static void write_number(MDB_env *env, uint32_t number)
{
    static unsigned char bytes[LARGE_BYTES];
    MDB_txn *txn;
    MDB_dbi dbi;

    MUST(mdb_txn_begin(env, NULL, 0, &txn));
    MUST(mdb_dbi_open(txn, NULL, 0, &dbi));
    cr_assert_eq(mdb_txn_id(txn), number);
    for (uint32_t key = 0; key < KEYS; key++) {
        MDB_val name = {sizeof key, &key}, value = value_of(key, number, bytes);
        MUST(mdb_put(txn, dbi, &name, &value, 0));
    }
    MUST(mdb_txn_commit(txn));
}

static void expect_number(MDB_txn *txn, uint32_t number)
{
    unsigned char bytes[LARGE_BYTES];
    MDB_dbi dbi;

    cr_assert_eq(mdb_txn_id(txn), number);
    MUST(mdb_dbi_open(txn, NULL, 0, &dbi));
    for (uint32_t key = 0; key < KEYS; key++) {
        MDB_val name = {sizeof key, &key}, wanted = value_of(key, number, bytes), found;
        MUST(mdb_get(txn, dbi, &name, &found));
        cr_assert_eq(found.mv_size, wanted.mv_size);
        cr_assert_eq(memcmp(found.mv_data, wanted.mv_data, wanted.mv_size), 0,
                     "key %u is not of transaction %u", key, number);
    }
}

static void hold_here(const char *name)
{
    if (!to_be_stopped || strcmp(name, "read.follow") != 0)
        return;
    to_be_stopped = false;
    sem_post(&arrived);
    sem_wait(&go_on);
}

static void *begin_late(void *env)
{
    MDB_txn *txn;

    to_be_stopped = true;
    MUST(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
    return txn;
}

/* In the child: writes up to number `to` when it is told. */
static void write_when_told(const struct signals *signals, MDB_env *env, uint32_t from, uint32_t to)
{
    signal_wait(signals->to_child);
    for (uint32_t n = from; n <= to; n++)
        write_number(env, n);
    signal_send(signals->to_parent);
}

/* One reader has its snapshot and has not followed yet; others go far beyond it. */
Test(follow, a_snapshot_within)
{
    struct signals signals;
    MDB_txn *late, *txn;
    pthread_t thread;
    pid_t child;
    MDB_env *env;

    signals_open(&signals);
    child = fork();
    if (child == 0) {
        MDB_env *own = open_env();
        write_when_told(&signals, own, 1, 1);
        write_when_told(&signals, own, 2, 9);
        write_when_told(&signals, own, 10, 30);
        mdb_env_close(own);
        _exit(0);
    }
    sem_init(&arrived, 0, 0);
    sem_init(&go_on, 0, 0);
    signal_send(signals.to_child);
    signal_wait(signals.to_parent);
    env = open_env();
    signal_send(signals.to_child);
    signal_wait(signals.to_parent);
    qs_hook_handle(hold_here);
    pthread_create(&thread, NULL, begin_late, env);
    sem_wait(&arrived); /* it holds 9 */
    signal_send(signals.to_child);
    signal_wait(signals.to_parent);
    MUST(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
    expect_number(txn, 30);
    sem_post(&go_on);
    pthread_join(thread, (void **)&late);
    expect_number(late, 9);
    for (uint32_t n = 31; n < 60; n++) /* takes free pages: not what 9 is made of */
        write_number(env, n);
    expect_number(late, 9);
    expect_number(txn, 30);
    mdb_txn_abort(late);
    mdb_txn_abort(txn);
    wait_exit(child);
    mdb_env_close(env);
}

/* What followed goes on as a writer, dies, and is recovered: the log's large values are still what it says. */
Test(follow, large_values_of_the_log_stay)
{
    struct signals signals, done;
    MDB_txn *txn;
    pid_t child, second;
    MDB_env *env;

    signals_open(&signals);
    signals_open(&done);
    child = fork();
    if (child == 0) {
        MDB_env *own = open_env();
        write_when_told(&signals, own, 1, 1);
        write_when_told(&signals, own, 2, 40);
        pause();
    }
    signal_send(signals.to_child);
    signal_wait(signals.to_parent);
    second = fork();
    if (second == 0) {
        MDB_env *own = open_env();
        signal_send(signals.to_child);
        signal_wait(signals.to_parent);
        for (uint32_t n = 41; n <= 80; n++)
            write_number(own, n);
        signal_send(done.to_parent);
        pause();
    }
    signal_wait(done.to_parent);
    kill_and_wait(second);
    kill_and_wait(child);
    env = open_env();
    MUST(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
    expect_number(txn, 80);
    mdb_txn_abort(txn);
    mdb_env_close(env);
}
