/* test_slots.c - the reader slots: their life, dead processes, a full table, threads at once. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* pipe2() */
#endif

#include "children.h"

TestSuite(readers, .init = enter_directory, .fini = leave_directory);

Test(readers, life_of_a_slot)
{
    struct lockfile *lockfile = open_with(4, true);
    struct reader *first, *second;
    struct reader_use uses[4];
    struct reader_info info;

    cr_assert_eq(qs_reader_high_water(lockfile), 0);
    cr_assert_not(qs_reader_info(lockfile, 0, &info));
    cr_assert_not(qs_reader_info(lockfile, 4, &info));
    cr_assert_eq(qs_reader_acquire(lockfile, &first), 0);
    cr_assert_eq(qs_reader_acquire(lockfile, &second), 0);
    cr_assert_eq(qs_reader_high_water(lockfile), 2);
    cr_assert(qs_reader_info(lockfile, 1, &info));
    cr_assert_eq(info.pid, getpid());
    cr_assert_eq(info.thread, (uint64_t)pthread_self());
    cr_assert_not(info.active);
    cr_assert_not(qs_reader_active(second));
    cr_assert_eq(qs_reader_scan(lockfile, uses, 4), 0);

    qs_reader_publish(second, 5, 0);
    cr_assert(qs_reader_active(second));
    cr_assert(qs_reader_info(lockfile, 1, &info));
    cr_assert(info.active && info.snapshot == 0);
    cr_assert_eq(qs_reader_scan(lockfile, uses, 4), 1);
    cr_assert(uses[0].checkpoint == 5 && uses[0].snapshot == 0 && uses[0].own);
    qs_reader_publish(first, 6, 77);
    cr_assert_eq(qs_reader_scan(lockfile, uses, 4), 2);
    cr_assert_eq(qs_reader_scan(lockfile, uses, 1), 1);
    qs_reader_clear(first);
    cr_assert_eq(qs_reader_scan(lockfile, uses, 4), 1);
    qs_reader_release(lockfile, second);
    cr_assert_eq(qs_reader_scan(lockfile, uses, 4), 0);
    cr_assert_not(qs_reader_info(lockfile, 1, &info));
    cr_assert_eq(qs_reader_high_water(lockfile), 2);
    cr_assert_eq(qs_reader_acquire(lockfile, &second), 0);
    cr_assert_eq(qs_reader_high_water(lockfile), 2);
    qs_lockfile_close(lockfile, false);
}

/* In a child: takes and publishes `count` slots, then waits to be killed. */
static void child_read(struct signals *signals, unsigned count)
{
    struct lockfile *mine = child_open();
    struct reader *reader;

    for (unsigned i = 0; i < count; i++) {
        CHILD_EXPECT(qs_reader_acquire(mine, &reader) == 0);
        qs_reader_publish(reader, 1, 10 + i);
    }
    signal_send(signals->to_parent);
    signal_wait(signals->to_child);
    qs_lockfile_close(mine, false);
    _exit(0);
}

Test(readers, dead_are_cleared)
{
    struct lockfile *lockfile = open_with(8, true);
    struct signals dead, alive;
    struct reader_use uses[8];
    struct reader *own;
    pid_t dying, living;

    cr_assert_eq(qs_reader_acquire(lockfile, &own), 0);
    qs_reader_publish(own, 1, 1);
    signals_open(&dead);
    signals_open(&alive);
    dying = fork();
    if (dying == 0)
        child_read(&dead, 3);
    signal_wait(dead.to_parent);
    living = fork();
    if (living == 0)
        child_read(&alive, 2);
    signal_wait(alive.to_parent);
    cr_assert_eq(qs_reader_check_dead(lockfile), 0);
    cr_assert_eq(qs_reader_scan(lockfile, uses, 8), 6);
    kill_and_wait(dying);
    cr_assert_eq(qs_reader_scan(lockfile, uses, 8), 6);
    cr_assert_eq(qs_reader_check_dead(lockfile), 3);
    cr_assert_eq(qs_reader_check_dead(lockfile), 0);
    cr_assert_eq(qs_reader_scan(lockfile, uses, 8), 3);
    cr_assert(uses[0].own && !uses[1].own && !uses[2].own);
    signal_send(alive.to_child);
    wait_exit(living);
    cr_assert_eq(qs_reader_scan(lockfile, uses, 8), 1);
    qs_lockfile_close(lockfile, false);
}

/* A full table: slots of the dead are found without being asked; then it is really full. */
Test(readers, full)
{
    struct lockfile *lockfile = open_with(4, true);
    struct signals signals;
    struct reader *reader, *last;
    pid_t child;

    signals_open(&signals);
    child = fork();
    if (child == 0)
        child_read(&signals, 3);
    signal_wait(signals.to_parent);
    cr_assert_eq(qs_reader_acquire(lockfile, &last), 0);
    cr_assert_eq(qs_reader_acquire(lockfile, &reader), QS_E_READERS_FULL);
    kill_and_wait(child);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(qs_reader_acquire(lockfile, &reader), 0);
    cr_assert_eq(qs_reader_acquire(lockfile, &reader), QS_E_READERS_FULL);
    qs_reader_release(lockfile, last);
    cr_assert_eq(qs_reader_acquire(lockfile, &reader), 0);
    cr_assert_eq(reader, last);
    qs_lockfile_close(lockfile, false);
}

/* Slots with our pid but of an earlier life (the pid came round, or exec) go at open. */
Test(readers, pid_used_again)
{
    struct lockfile *lockfile = open_with(8, true);
    struct reader *reader;
    pid_t child;

    cr_assert_eq(qs_reader_acquire(lockfile, &reader), 0);
    qs_reader_publish(reader, 1, 5);
    child = fork();
    if (child == 0) {
        struct reader_use uses[8];
        struct lockfile *mine;

        /* As if a process with our pid had died here, a reader. */
        atomic_store(&reader->owner, UINT64_C(12345) << 32 | (uint32_t)getpid());
        mine = child_open();
        CHILD_EXPECT(qs_reader_scan(mine, uses, 8) == 0);
        qs_lockfile_close(mine, false);
        child_leave(lockfile);
    }
    wait_exit(child);
    cr_assert_eq(atomic_load(&reader->owner), 0);
    qs_lockfile_close(lockfile, false);
}

struct contest {
    struct lockfile *lockfile; /* shared by all */
    atomic_int *holders;       /* a counter a slot */
    struct reader *base;       /* the first slot */
    bool failed;               /* result */
};

static void *contest_run(void *arg)
{
    struct contest *contest = arg;

    for (int round = 0; round < 20000; round++) {
        struct reader *reader;
        int rc = qs_reader_acquire(contest->lockfile, &reader);

        if (rc == QS_E_READERS_FULL)
            continue;
        if (rc != 0 || qs_reader_active(reader) ||
            atomic_fetch_add(&contest->holders[reader - contest->base], 1) != 0)
            contest->failed = true;
        qs_reader_publish(reader, 1, 2);
        atomic_fetch_sub(&contest->holders[reader - contest->base], 1);
        qs_reader_release(contest->lockfile, reader);
    }
    return NULL;
}

/* Threads fight for too few slots: never two on one. */
Test(readers, threads, .timeout = 60)
{
    struct lockfile *lockfile = open_with(3, true);
    struct contest contests[4];
    struct reader_use uses[3];
    pthread_t threads[4];
    atomic_int holders[3] = {0, 0, 0};

    for (int i = 0; i < 4; i++) {
        struct lock_header *header = qs_lockfile_header(lockfile);

        contests[i] = (struct contest){lockfile, holders, (struct reader *)(header + 1), false};
        cr_assert_eq(pthread_create(&threads[i], NULL, contest_run, &contests[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        cr_assert_not(contests[i].failed);
    }
    cr_assert_eq(qs_reader_scan(lockfile, uses, 3), 0);
    qs_lockfile_close(lockfile, false);
}
