/* bank.c - processes move money about while they are killed; the sum stays.
 *
 * Owns:       a directory, and its children: it starts them, kills one now and then or all at once,
 *             and starts them again. It kills only its own, by pid.
 * Invariants: in bank_accounts.c and bank_roles.c. After all have been killed at once, and at the end,
 *             qs_check looks at the file.
 * Locks:      none; one thread here.
 *
 * bank_hooks is the same linked to the engine with hook points, for 10 seconds.
 *
 * bank [SECONDS]: 20, or 600 with QS_TORTURE=1. QS_SEED replays the numbers drawn; who runs when is the
 * system's. Every other seed has many large values and long readers: what one commit releases the next wants.
 * A failed run keeps its directory.
 */
#define _GNU_SOURCE /* mkdtemp() */

#include "processes/bank.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef QS_DEBUG
enum { SECONDS = 10 }; /* by default */
#else
enum { SECONDS = 20 };
#endif

struct bank_shared *bank_shared;
char bank_directory[PATH_BYTES];

static pid_t children[PROCESSES]; /* 0: none */
static unsigned long kills, massacres;

static double now_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static pid_t start(int (*body)(uint64_t seed, unsigned process), unsigned process, uint64_t seed)
{
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody outlives the parent */
        _exit(body(seed, process));
    }
    if (pid < 0)
        BANK_FAIL("fork: %s", strerror(errno));
    return pid;
}

static int populate_body(uint64_t seed, unsigned process)
{
    struct bank bank;
    int rc = bank_open(&bank, bank_directory, 0, true);

    (void)seed;
    (void)process;
    if (rc != 0)
        BANK_FAIL("populating: %s", mdb_strerror(rc));
    else
        bank_close(&bank);
    return rc != 0;
}

static int verify_body(uint64_t seed, unsigned process)
{
    (void)process;
    return bank_verify(seed);
}

static int child_body(uint64_t seed, unsigned process)
{
    return bank_child(process, seed);
}

/* Waits for a child that ends by itself. */
static void expect_good_end(pid_t pid, const char *what)
{
    int status = 0;

    if (pid > 0 && waitpid(pid, &status, 0) == pid && status != 0)
        BANK_FAIL("%s ended with status %#x", what, (unsigned)status);
}

static void kill_child(unsigned process)
{
    int status = 0;

    if (children[process] <= 0)
        return;
    kill(children[process], SIGKILL);
    if (waitpid(children[process], &status, 0) == children[process] &&
        !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) && status != 0)
        BANK_FAIL("process %u had ended with status %#x", process, (unsigned)status);
    children[process] = 0;
}

static bool is_suicide(int status)
{
#ifdef QS_DEBUG
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
#else
    (void)status;
    return false;
#endif
}

/* Some kill themselves, where there are hook points. */
static void collect_suicides(void)
{
#ifdef QS_DEBUG
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status = 0;
        if (children[i] <= 0 || waitpid(children[i], &status, WNOHANG) != children[i])
            continue;
        if (!is_suicide(status) && status != 0)
            BANK_FAIL("process %u ended with status %#x", i, (unsigned)status);
        children[i] = 0;
        kills++;
    }
#endif
}

static void start_missing(uint64_t *random)
{
    collect_suicides();
    for (unsigned i = 0; i < PROCESSES; i++)
        if (children[i] == 0)
            children[i] = start(child_body, i, bank_random(random));
}

/* All at once: the signals go out before anybody is waited for. */
static void kill_all(uint64_t *random)
{
    for (unsigned i = 0; i < PROCESSES; i++)
        if (children[i] > 0)
            kill(children[i], SIGKILL);
    for (unsigned i = 0; i < PROCESSES; i++)
        kill_child(i);
    bank_qs_check(bank_directory);
    expect_good_end(start(verify_body, 0, bank_random(random)), "the verifier");
}

static void watch_progress(double *since, unsigned long *commits)
{
    unsigned long have = atomic_load(&bank_shared->commits);

    if (have != *commits) {
        *commits = have;
        *since = now_seconds();
    } else if (now_seconds() - *since > HANG_SECONDS) {
        BANK_FAIL("no commit for %d seconds", HANG_SECONDS);
    }
}

static void run(uint64_t *random, double seconds)
{
    double end = now_seconds() + seconds, since = now_seconds();
    unsigned long commits = 0;

    while (now_seconds() < end && !atomic_load(&bank_shared->stop)) {
        unsigned dice = bank_below(random, 40);
        start_missing(random);
        usleep(1000 + bank_below(random, 300000));
        watch_progress(&since, &commits);
        if (atomic_load(&bank_shared->stop))
            break;
        if (dice < 2) {
            kill_all(random);
            massacres++;
            continue;
        }
        for (unsigned n = 1 + bank_below(random, dice < 6 ? 4 : 1); n > 0; n--, kills++)
            kill_child(bank_below(random, PROCESSES));
    }
}

/* Everybody stops by himself; who does not, hangs. */
static void stop_all(void)
{
    double until = now_seconds() + HANG_SECONDS;

    atomic_store(&bank_shared->stop, true);
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status = 0;
        pid_t gone = children[i] > 0 ? 0 : -1;
        while (gone == 0 && now_seconds() < until) {
            gone = waitpid(children[i], &status, WNOHANG);
            usleep(gone == 0 ? 5000 : 0);
        }
        if (gone == 0) {
            BANK_FAIL("process %u (pid %d) hangs", i, (int)children[i]);
            kill_child(i);
        } else if (gone > 0 && status != 0 && !is_suicide(status)) {
            BANK_FAIL("process %u ended with status %#x", i, (unsigned)status);
        }
        children[i] = 0;
    }
}

static void remove_directory(void)
{
    static const char *const names[] = {"", "/copy8"};
    static const char *const files[] = {"/data.mdb", "/lock.mdb", "/qs_check.log"};

    for (unsigned d = 2; d-- > 0;) {
        char path[PATH_BYTES + 32];
        for (unsigned f = 0; f < 3; f++) {
            snprintf(path, sizeof path, "%s%s%s", bank_directory, names[d], files[f]);
            unlink(path);
        }
        snprintf(path, sizeof path, "%s%s", bank_directory, names[d]);
        rmdir(path);
    }
}

int main(int argc, char **argv)
{
    const char *torture = getenv("QS_TORTURE"), *seed_text = getenv("QS_SEED");
    double seconds = argc > 1                                       ? atof(argv[1])
                     : torture != NULL && strcmp(torture, "1") == 0 ? 600
                                                                    : SECONDS;
    uint64_t seed = seed_text != NULL ? strtoull(seed_text, NULL, 0) : (uint64_t)time(NULL);
    uint64_t random = seed;

    bank_shared =
        mmap(NULL, sizeof *bank_shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    snprintf(bank_directory, sizeof bank_directory, "/tmp/qs-bank-XXXXXX");
    if (bank_shared == MAP_FAILED || mkdtemp(bank_directory) == NULL)
        return 1;
    bool heavy = seed % 2 == 0;
    bank_shared->large = heavy ? 40 : 1;
    bank_shared->waiting = heavy ? 30 : 8;
    printf("seed %llu, %.0f seconds%s\n", (unsigned long long)seed, seconds,
           heavy ? ", large values" : "");
    expect_good_end(start(populate_body, 0, seed), "populating");
    run(&random, seconds);
    stop_all();
    kill_all(&random); /* nobody is left: the verifier alone */
    printf("%lu commits, %lu aborts, %lu sums, %lu copies, %lu dead readers cleared; %lu killed, "
           "%lu times all at once\n",
           atomic_load(&bank_shared->commits), atomic_load(&bank_shared->aborts),
           atomic_load(&bank_shared->snapshots), atomic_load(&bank_shared->copies),
           atomic_load(&bank_shared->cleared), kills, massacres);
    if (atomic_load(&bank_shared->failures) != 0) {
        fprintf(stderr, "failed; QS_SEED=%llu, the environment is kept in %s\n",
                (unsigned long long)seed, bank_directory);
        return 1;
    }
    remove_directory();
    return 0;
}
