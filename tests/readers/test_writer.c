/* test_writer.c - the writer mutex: exclusion, dead processes, ended threads. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* pipe2() */
#endif

#include "children.h"

TestSuite(writer, .init = enter_directory, .fini = leave_directory);

Test(writer, excludes, .timeout = 60)
{
    struct lockfile *lockfile = open_with(8, true);
    struct lock_header *header = qs_lockfile_header(lockfile);
    pid_t children[3];
    bool recovered;

    for (int i = 0; i < 3; i++) {
        children[i] = fork();
        if (children[i] != 0)
            continue;
        struct lockfile *mine = child_open();

        header = qs_lockfile_header(mine);
        for (int round = 0; round < 5000; round++) {
            uint64_t seen;

            CHILD_EXPECT(qs_writer_lock(mine, &recovered) == 0 && !recovered);
            CHILD_EXPECT(atomic_load(&header->owner) == getpid());
            seen = atomic_load_explicit(&header->checkpoint, memory_order_relaxed);
            atomic_store_explicit(&header->checkpoint, seen + 1, memory_order_relaxed);
            qs_writer_unlock(mine);
        }
        qs_lockfile_close(mine, false);
        child_leave(lockfile);
    }
    for (int i = 0; i < 3; i++)
        wait_exit(children[i]);
    cr_assert_eq(atomic_load(&header->checkpoint), 15000);
    cr_assert_eq(atomic_load(&header->owner), 0);
    qs_lockfile_close(lockfile, false);
}

Test(writer, process_died)
{
    struct lockfile *lockfile = open_with(8, true);
    struct signals signals;
    bool recovered = false;
    pid_t child;

    signals_open(&signals);
    child = fork();
    if (child == 0) {
        CHILD_EXPECT(qs_writer_lock(child_open(), &recovered) == 0);
        signal_send(signals.to_parent);
        pause();
    }
    signal_wait(signals.to_parent);
    kill_and_wait(child);
    cr_assert_eq(qs_writer_lock(lockfile, &recovered), 0);
    cr_assert(recovered);
    qs_writer_unlock(lockfile);
    cr_assert_eq(qs_writer_lock(lockfile, &recovered), 0);
    cr_assert_not(recovered);
    qs_writer_unlock(lockfile);
    qs_lockfile_close(lockfile, false);
}

/* The holder dies while another one sleeps on the mutex. */
Test(writer, process_died_while_waited_for)
{
    struct lockfile *lockfile = open_with(8, true);
    struct signals signals;
    bool recovered = false;
    pid_t child;
    int status;

    signals_open(&signals);
    child = fork();
    if (child == 0) {
        struct timespec pause = {0, 50000000};

        CHILD_EXPECT(qs_writer_lock(child_open(), &recovered) == 0);
        signal_send(signals.to_parent);
        nanosleep(&pause, NULL);
        _exit(0);
    }
    signal_wait(signals.to_parent);
    cr_assert_eq(qs_writer_lock(lockfile, &recovered), 0);
    cr_assert(recovered);
    qs_writer_unlock(lockfile);
    cr_assert_eq(waitpid(child, &status, 0), child);
    qs_lockfile_close(lockfile, false);
}

static void *lock_and_end(void *arg)
{
    bool recovered;

    return qs_writer_lock(arg, &recovered) == 0 ? NULL : arg;
}

static void end_thread_holding(struct lockfile *lockfile)
{
    pthread_t thread;
    void *failed;

    pthread_create(&thread, NULL, lock_and_end, lockfile);
    pthread_join(thread, &failed);
    cr_assert_null(failed);
}

/* In a child: takes the mutex and says whether it had to recover. */
static bool child_recovers(void)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        struct lockfile *mine = child_open();
        bool recovered;

        if (qs_writer_lock(mine, &recovered) != 0)
            _exit(2);
        qs_writer_unlock(mine);
        qs_lockfile_close(mine, false);
        _exit(recovered ? 1 : 0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) < 2);
    return WEXITSTATUS(status) == 1;
}

/* We find out first: panic for us, the others recover. */
Test(writer, thread_ended)
{
    struct lockfile *lockfile = open_with(8, true);
    bool recovered;

    end_thread_holding(lockfile);
    cr_assert_eq(qs_writer_lock(lockfile, &recovered), QS_E_PANIC);
    cr_assert_eq(qs_writer_lock(lockfile, &recovered), QS_E_PANIC);
    cr_assert(child_recovers());
    cr_assert_not(child_recovers());
    cr_assert_eq(qs_writer_lock(lockfile, &recovered), QS_E_PANIC);
    qs_lockfile_close(lockfile, false);
    lockfile = open_with(8, true);
    cr_assert_eq(qs_writer_lock(lockfile, &recovered), 0);
    cr_assert_not(recovered);
    qs_lockfile_close(lockfile, false);
}

/* Another process finds out first and recovers: panic for us all the same. */
Test(writer, thread_ended_others_first)
{
    struct lockfile *lockfile = open_with(8, true);
    bool recovered;

    end_thread_holding(lockfile);
    cr_assert(child_recovers());
    cr_assert_eq(qs_writer_lock(lockfile, &recovered), QS_E_PANIC);
    cr_assert_not(child_recovers());
    cr_assert_eq(qs_writer_lock(lockfile, &recovered), QS_E_PANIC);
    qs_lockfile_close(lockfile, false);
}

Test(writer, twice_in_a_thread)
{
    struct lockfile *lockfile = open_with(8, true);
    bool recovered;

    cr_assert_eq(qs_writer_lock(lockfile, &recovered), 0);
    cr_assert_eq(qs_writer_lock(lockfile, &recovered), EDEADLK);
    qs_writer_unlock(lockfile);
    qs_writer_unlock(lockfile);
    cr_assert_eq(qs_writer_lock(lockfile, &recovered), 0);
    qs_writer_unlock(lockfile);
    qs_lockfile_close(lockfile, false);
}

Test(writer, closed_while_holding)
{
    struct lockfile *lockfile = open_with(8, true);
    struct lockfile *mine;
    struct signals signals;
    bool recovered;
    pid_t child;

    signals_open(&signals);
    child = fork();
    if (child == 0) {
        mine = child_open();
        CHILD_EXPECT(qs_writer_lock(mine, &recovered) == 0);
        qs_lockfile_close(mine, false);
        signal_send(signals.to_parent);
        signal_wait(signals.to_child);
        child_leave(lockfile);
    }
    signal_wait(signals.to_parent);
    cr_assert_eq(qs_writer_lock(lockfile, &recovered), 0);
    qs_writer_unlock(lockfile);
    signal_send(signals.to_child);
    wait_exit(child);
    qs_lockfile_close(lockfile, false);
}
