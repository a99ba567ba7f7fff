/* writer.c - the writer mutex: one writer of all threads of all processes.
 *
 * Owns:       header->writer and header->owner.
 * Life:       free -> held -> free;
 *             held -> (holder's process ends) -> held by the next, who is told to recover;
 *             held -> (holder's thread ends) -> its process is in panic for good, the others recover.
 * Invariants: I1 header->owner is set while the mutex is held and 0 while it is free, except after a
 *             holder died: then it may stay set until the next holder, who so finds out.
 *             I2 lockfile->holder is set from lock to unlock; found set by who has just taken the
 *             mutex, it means that a thread of this process ended with it.
 *             I3 in panic, no call of this process keeps the mutex.
 *             I4 nobody sleeps on the mutex while there are strangers. The kernel takes who dies waiting for
 *             the holder when both have the same thread id, as the first processes of two pid namespaces
 *             have, and would give the mutex to a second one.
 * Locks:      the writer mutex itself, rank WRITER, the first of all.
 * Source:     own.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_getaffinity() */
#endif

#include "readers/lockfile.h"
#include "readers/internal.h"
#include "base/error.h"
#include "os/hook.h"

#include <errno.h>
#include <sched.h>
#include <time.h>

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

#define SPIN_NS 100000     /* before sleeping on the mutex */
#define PATIENCE_NS 50000  /* of these, while who held it may have it again */
#define SLEEP_NS 100000000 /* on the mutex, before a look whether strangers have come */
#define POLL_NS_MIN 50000  /* between two looks while there are */
#define POLL_NS_MAX 800000
#define POLLS_A_TRY 64    /* looks at a holder before one whether he died */
#define LOOKS_A_CLOCK 8   /* looks at the owner before one at the clock */
#define PAUSES_PATIENT 32 /* between two looks */
#define PAUSES_IMPATIENT 4
#define FREE_LOOKS 3 /* in a row, until the holder has not come back */

enum spin_choice { SPIN_UNKNOWN, SPIN_YES, SPIN_NO };

int64_t qs_monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int qs_writer_mutex_init(struct lockfile *lockfile)
{
    pthread_mutexattr_t attributes;
    int rc = pthread_mutexattr_init(&attributes);

    if (rc != 0)
        return rc;
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    rc = pthread_mutex_init(&lockfile->header->writer, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return rc;
}

static void cpu_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Spinning pays only where the holder can run meanwhile. Found out at the first contention. */
static bool may_spin(struct lockfile *lockfile)
{
    int choice = atomic_load_explicit(&lockfile->spinning, memory_order_relaxed);
    cpu_set_t cpus;

    if (choice == SPIN_UNKNOWN) {
        bool one = sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) < 2;

        choice = one ? SPIN_NO : SPIN_YES;
        atomic_store_explicit(&lockfile->spinning, choice, memory_order_relaxed);
    }
    return choice == SPIN_YES;
}

/* The calling thread, as lockfile->holder has it. */
static uint64_t this_thread(void)
{
    return (uint64_t)pthread_self();
}

void qs_writer_strangers(struct lockfile *lockfile)
{
    struct timespec pause = {0, 2 * SLEEP_NS};

    if (atomic_exchange(&lockfile->header->strangers, 1) == 0)
        nanosleep(&pause, NULL);
}

/* I4: looks now and then instead of sleeping on the mutex. Mostly at the owner: to try the mutex is as bad as
 * to wait for it, only short, but what a dead holder left is not seen otherwise. */
static int mutex_poll(struct lock_header *header)
{
    struct timespec step = {0, POLL_NS_MIN};

    for (unsigned look = 1;; look++) {
        nanosleep(&step, NULL);
        if (step.tv_nsec < POLL_NS_MAX)
            step.tv_nsec *= 2;
        if (atomic_load(&header->owner) != 0 && look % POLLS_A_TRY != 0)
            continue;
        int rc = pthread_mutex_trylock(&header->writer);
        if (rc != EBUSY)
            return rc;
    }
}

/* ThreadSanitizer knows of every other call, but not of a timed one, that EOWNERDEAD gives the mutex. */
static void tell_sanitizer(pthread_mutex_t *mutex)
{
#ifdef __SANITIZE_THREAD__
    __tsan_mutex_pre_lock(mutex, __tsan_mutex_try_lock);
    __tsan_mutex_post_lock(mutex, __tsan_mutex_try_lock, 0);
#else
    (void)mutex;
#endif
}

static int mutex_sleep(struct lock_header *header)
{
    while (atomic_load(&header->strangers) == 0) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until); /* which pthread_mutex_timedlock() goes by */
        until.tv_nsec += SLEEP_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        int rc = pthread_mutex_timedlock(&header->writer, &until);
        if (rc == EOWNERDEAD)
            tell_sanitizer(&header->writer);
        if (rc != ETIMEDOUT)
            return rc;
    }
    return mutex_poll(header);
}

static void pause_for(int pauses)
{
    for (int i = 0; i < pauses; i++)
        cpu_pause();
}

/* Waits for the mutex without sleeping: EBUSY when it was held all the time. Who has just let go of it often
 * takes it again at once, and with all in his cache: two who take turns at each transaction do half of what one
 * does alone. So for a while it is only taken when it stays free. A look at the owner, so as not to pull the
 * line from him at every turn. */
static int mutex_spin(struct lock_header *header)
{
    int64_t start_ns = qs_monotonic_ns(), waited_ns = 0;
    int free_looks = 0;

    while (waited_ns < SPIN_NS) {
        bool patient = waited_ns < PATIENCE_NS;
        for (int i = 0; i < LOOKS_A_CLOCK; i++) {
            pause_for(patient ? PAUSES_PATIENT : PAUSES_IMPATIENT);
            bool is_free = atomic_load_explicit(&header->owner, memory_order_relaxed) == 0;
            free_looks = is_free ? free_looks + 1 : 0;
            if (!is_free || (patient && free_looks < FREE_LOOKS))
                continue;
            int rc = pthread_mutex_trylock(&header->writer);
            if (rc != EBUSY)
                return rc;
        }
        waited_ns = qs_monotonic_ns() - start_ns;
    }
    return EBUSY;
}

/* Takes the mutex: at once, after a short spin, or asleep. pthread_mutex_lock()'s results; EDEADLK from here,
 * since the thread ids that it would look at do not tell threads of several pid namespaces apart. */
static int mutex_lock(struct lockfile *lockfile)
{
    struct lock_header *header = lockfile->header;
    int rc = pthread_mutex_trylock(&header->writer);

    if (rc != EBUSY)
        return rc;
    if (atomic_load(&lockfile->holder) == this_thread() &&
        atomic_load(&header->owner) == lockfile->pid)
        return EDEADLK;
    if (may_spin(lockfile))
        rc = mutex_spin(header);
    return rc == EBUSY ? mutex_sleep(header) : rc;
}

/* Under the mutex, just taken: has a thread of this process ended holding it, now or earlier? */
static bool in_panic(struct lockfile *lockfile)
{
    if (atomic_load(&lockfile->holder) != 0) {
        atomic_store(&lockfile->panicked, true);
        atomic_store(&lockfile->holder, 0);
    }
    return atomic_load(&lockfile->panicked);
}

int qs_writer_lock(struct lockfile *lockfile, bool *recovered)
{
    struct lock_header *header = lockfile->header;
    bool died;
    int rc;

    if (atomic_load(&lockfile->panicked))
        return QS_E_PANIC;
    rc = mutex_lock(lockfile);
    died = rc == EOWNERDEAD;
    if (died)
        rc = pthread_mutex_consistent(&header->writer);
    if (rc != 0)
        return rc == ENOTRECOVERABLE ? QS_E_PANIC : rc;
    if (atomic_load_explicit(&header->owner, memory_order_relaxed) != 0)
        died = true;
    if (in_panic(lockfile)) {
        /* I1: whoever comes next has to recover from our dead thread, and is told by the owner. */
        if (died)
            atomic_store_explicit(&header->owner, lockfile->pid, memory_order_relaxed);
        pthread_mutex_unlock(&header->writer);
        return QS_E_PANIC;
    }
    QS_HOOK("mutex.taken");
    atomic_store(&lockfile->holder, this_thread());
    atomic_store_explicit(&header->owner, lockfile->pid, memory_order_relaxed);
    *recovered = died;
    return 0;
}

void qs_writer_unlock(struct lockfile *lockfile)
{
    struct lock_header *header = lockfile->header;

    /* A caller that ends a transaction in another thread: not ours to unlock. */
    if (atomic_load(&lockfile->holder) != this_thread())
        return;
    atomic_store(&lockfile->holder, 0);
    atomic_store_explicit(&header->owner, 0, memory_order_relaxed);
    QS_HOOK("mutex.disowned");
    pthread_mutex_unlock(&header->writer);
}

bool qs_writer_abandon(struct lockfile *lockfile)
{
    qs_writer_unlock(lockfile);
    return atomic_load(&lockfile->holder) == 0;
}
