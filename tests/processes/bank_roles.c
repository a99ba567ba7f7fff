/* bank_roles.c - what the bank's processes do: writing, reading, copying; verifying when all are dead.
 *
 * Owns:       nothing that outlives a child.
 * Invariants: B1 a commit that returned is there, whoever was killed since: a thread's counter in the
 *             environment is the one acknowledged last, or the next.
 *             B2 who begins to read after a commit was acknowledged sees it.
 *             B3 a snapshot is the same at its end as at its beginning.
 * Locks:      none of its own.
 */
#include "processes/bank.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A thread of a child. */
struct worker {
    struct bank *bank;
    unsigned number; /* its counter, when it writes */
    unsigned flags;  /* the environment's */
    uint64_t random;
};

static bool stopped(void)
{
    return atomic_load_explicit(&bank_shared->stop, memory_order_relaxed);
}

/* ---- writing ---- */

/* One transaction; *last is the counter of the last one that counted. */
static int write_once(struct worker *worker, uint64_t *last)
{
    uint64_t *random = &worker->random, found, digest;
    MDB_txn *txn;
    int rc = mdb_txn_begin(worker->bank->env, NULL, 0, &txn);

    if (rc != 0)
        return rc;
    rc = bank_counter_get(worker->bank, txn, worker->number, &found);
    if (rc == 0 && found != *last)
        BANK_FAIL("writer %u left its counter at %llu and finds %llu", worker->number,
                  (unsigned long long)*last, (unsigned long long)found);
    if (rc == 0)
        rc = bank_work(worker->bank, txn, random);
    if (rc == 0)
        rc = bank_counter_put(worker->bank, txn, worker->number, *last + 1);
    if (rc == 0 && bank_below(random, 60) == 0)
        rc = bank_check(worker->bank, txn, &digest);
    if (rc != 0 || bank_below(random, 12) == 0) {
        mdb_txn_abort(txn);
        atomic_fetch_add_explicit(&bank_shared->aborts, 1, memory_order_relaxed);
        return rc;
    }
    rc = mdb_txn_commit(txn);
    if (rc == 0) {
        atomic_store(&bank_shared->acknowledged[worker->number], ++*last);
        atomic_fetch_add_explicit(&bank_shared->commits, 1, memory_order_relaxed);
    }
    return rc;
}

/* B1: what an earlier life of this thread left. */
static int find_last(struct bank *bank, unsigned writer, uint64_t *last)
{
    uint64_t acknowledged = atomic_load(&bank_shared->acknowledged[writer]);
    MDB_txn *txn;
    int rc = mdb_txn_begin(bank->env, NULL, MDB_RDONLY, &txn);

    if (rc != 0)
        return rc;
    rc = bank_counter_get(bank, txn, writer, last);
    mdb_txn_abort(txn);
    if (rc == 0 && *last != acknowledged && *last != acknowledged + 1)
        BANK_FAIL("writer %u: commit %llu was acknowledged, %llu is there", writer,
                  (unsigned long long)acknowledged, (unsigned long long)*last);
    if (rc == 0)
        atomic_store(&bank_shared->acknowledged[writer], *last);
    return rc;
}

/* The counter as a writer sees it: a killed process's last commit may wait for recovery. */
static int find_last_writing(struct worker *worker, uint64_t *last)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(worker->bank->env, NULL, 0, &txn);

    if (rc != 0)
        return rc;
    mdb_txn_abort(txn);
    return find_last(worker->bank, worker->number, last);
}

static void *write_accounts(void *context)
{
    struct worker *worker = context;
    uint64_t last;
    int rc = find_last_writing(worker, &last);

    while (rc == 0 && !stopped()) {
        rc = write_once(worker, &last);
#ifndef __SANITIZE_THREAD__ /* as in LMDB, nothing orders it against the other thread's begins */
        /* Now and then the other way of committing, for the whole process. */
        if (rc == 0 && bank_below(&worker->random, 200) == 0)
            rc = mdb_env_set_flags(worker->bank->env, MDB_NOSYNC,
                                   (int)bank_below(&worker->random, 2));
#endif
        if (rc == 0 && bank_below(&worker->random, 500) == 0)
            rc = mdb_env_sync(worker->bank->env, 1);
    }
    if (rc != 0)
        BANK_FAIL("writer %u: %s", worker->number, mdb_strerror(rc));
    return NULL;
}

/* ---- reading ---- */

/* B2, in a transaction that begins here. */
static int begin_after_acknowledged(struct worker *worker, MDB_txn **txn)
{
    uint64_t before[WRITERS], value;
    int rc;

    for (unsigned i = 0; i < WRITERS; i++)
        before[i] = atomic_load(&bank_shared->acknowledged[i]);
    rc = mdb_txn_begin(worker->bank->env, NULL, MDB_RDONLY, txn);
    if (rc != 0)
        return rc;
    for (unsigned i = 0; rc == 0 && i < WRITERS; i++) {
        rc = bank_counter_get(worker->bank, *txn, i, &value);
        if (rc == 0 && value < before[i])
            BANK_FAIL("snapshot %zu: writer %u's commit %llu was acknowledged before, %llu is seen",
                      mdb_txn_id(*txn), i, (unsigned long long)before[i],
                      (unsigned long long)value);
    }
    if (rc != 0)
        mdb_txn_abort(*txn);
    return rc;
}

static void *read_accounts(void *context)
{
    struct worker *worker = context;
    uint64_t first = 0, second = 0;
    MDB_txn *txn;
    int rc = 0;

    while (rc == 0 && !stopped()) {
        unsigned dice = bank_below(&worker->random, 100);
        rc = begin_after_acknowledged(worker, &txn);
        if (rc != 0)
            break;
        if (dice < 30)
            rc = bank_check(worker->bank, txn, &first);
        if (rc == 0 && dice < bank_shared->waiting) {
            usleep(bank_below(&worker->random, dice < 1 ? 2000000 : 200000));
            rc = bank_check(worker->bank, txn, &second);
            if (rc == 0 && first != second)
                BANK_FAIL("snapshot %zu has changed", mdb_txn_id(txn)); /* B3 */
        }
        mdb_txn_reset(txn);
        if (rc == 0 && dice % 2 == 0)
            rc = mdb_txn_renew(txn);
        mdb_txn_abort(txn);
    }
    if (rc != 0)
        BANK_FAIL("reader: %s", mdb_strerror(rc));
    return NULL;
}

/* ---- copies, and the readers of the dead ---- */

/* In a child: what qs_check says goes to a file beside the data. */
static void exec_qs_check(const char *directory)
{
    const char *build = getenv("QS_BUILDDIR");
    char program[4096], file[PATH_BYTES + 16], log[PATH_BYTES + 16];
    int fd;

    snprintf(program, sizeof program, "%s/qs_check", build != NULL ? build : ".");
    snprintf(file, sizeof file, "%s/data.mdb", directory);
    snprintf(log, sizeof log, "%s/qs_check.log", directory);
    fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd >= 0 && dup2(fd, STDOUT_FILENO) >= 0 && dup2(fd, STDERR_FILENO) >= 0)
        execl(program, program, file, (char *)NULL);
    _exit(127);
}

bool bank_qs_check(const char *directory)
{
    int status = -1;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0)
        exec_qs_check(directory);
    if (pid > 0 && waitpid(pid, &status, 0) == pid && status == 0)
        return true;
    BANK_FAIL("qs_check of %s/data.mdb: status %#x; see qs_check.log there", directory,
              (unsigned)status);
    return false;
}

static int copy_once(struct worker *worker)
{
    struct bank copy;
    char path[PATH_BYTES + 32], file[PATH_BYTES + 48];
    uint64_t digest;
    MDB_txn *txn;
    int rc;

    snprintf(path, sizeof path, "%s/copy%u", bank_directory, worker->number);
    snprintf(file, sizeof file, "%s/data.mdb", path);
    unlink(file);
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return errno;
    rc = mdb_env_copy2(worker->bank->env, path,
                       bank_below(&worker->random, 2) == 0 ? MDB_CP_COMPACT : 0);
    if (rc != 0)
        return rc;
    rc = bank_open(&copy, path, MDB_RDONLY | MDB_NOLOCK, false);
    if (rc != 0)
        return rc;
    rc = mdb_txn_begin(copy.env, NULL, MDB_RDONLY, &txn);
    if (rc == 0) {
        rc = bank_check(&copy, txn, &digest);
        mdb_txn_abort(txn);
    }
    bank_close(&copy);
    if (rc == 0 && bank_qs_check(path))
        atomic_fetch_add_explicit(&bank_shared->copies, 1, memory_order_relaxed);
    return rc;
}

static void *keep_house(void *context)
{
    struct worker *worker = context;
    int rc = 0;

    while (rc == 0 && !stopped()) {
        int dead = 0;
        rc = mdb_reader_check(worker->bank->env, &dead);
        atomic_fetch_add_explicit(&bank_shared->cleared, (unsigned long)dead, memory_order_relaxed);
        if (rc == 0 && bank_below(&worker->random, 4) == 0)
            rc = copy_once(worker);
        usleep(bank_below(&worker->random, 100000));
    }
    if (rc != 0)
        BANK_FAIL("copying or checking readers: %s", mdb_strerror(rc));
    return NULL;
}

/* ---- a child ---- */

/* Two threads each: 0 and 1 write, 2 and 3 read, 4 keeps house and reads, 5 and 6 write and read. */
static void *(*const roles[PROCESSES][2])(void *) = {
    {write_accounts, write_accounts}, {write_accounts, write_accounts},
    {read_accounts, read_accounts},   {read_accounts, read_accounts},
    {keep_house, read_accounts},      {write_accounts, read_accounts},
    {write_accounts, read_accounts},
};

#ifdef QS_DEBUG
/* Linked to the engine with hook points: most children are slow at one of them, which makes windows
 * between steps wide, and some are killed at one (lib/os/hook.h). */
static void choose_hooks(uint64_t *random)
{
    static const char *const names[] = {"read.loaded",    "read.published",  "reader.claimed",
                                        "follow.meta",    "follow.started",  "mutex.taken",
                                        "write.locked",   "write.space",     "checkpoint.published",
                                        "commit.linked",  "checkpoint.meta", "commit.written",
                                        "commit.durable", "flush.done",      "reader.taken_over"};
    enum { NAMES = sizeof names / sizeof names[0] };
    char text[64];

    if (bank_below(random, 4) != 0) {
        snprintf(text, sizeof text, "%s:%u", names[bank_below(random, NAMES)],
                 bank_below(random, 10) == 0 ? 20000 : 50 + bank_below(random, 2000));
        setenv("QS_SLEEP_AT", text, 1);
    }
    if (bank_below(random, 4) == 0) {
        snprintf(text, sizeof text, "%s:%u", names[bank_below(random, NAMES)],
                 1 + bank_below(random, 300));
        setenv("QS_KILL_AT", text, 1);
    }
}
#endif

int bank_child(unsigned process, uint64_t seed)
{
    struct worker workers[2];
    pthread_t threads[2];
    struct bank bank;
    char log_bytes[24];
    snprintf(log_bytes, sizeof log_bytes, "%u", 5000 + bank_below(&seed, 500000));
    if (bank_below(&seed, 4) != 0)
        setenv("QUICKSTEP_LOG_BYTES", log_bytes, 1);
    unsigned flags = (bank_below(&seed, 2) != 0 ? MDB_NOSYNC : 0u) |
                     (bank_below(&seed, 2) != 0 ? MDB_NOTLS : 0u);
    int rc;

#ifdef QS_DEBUG
    choose_hooks(&seed);
#endif
    rc = bank_open(&bank, bank_directory, flags, false);
    if (rc != 0) {
        BANK_FAIL("process %u cannot open: %s", process, mdb_strerror(rc));
        return 1;
    }
    for (unsigned i = 0; i < 2; i++) {
        workers[i] = (struct worker){&bank, 2 * process + i, flags, bank_random(&seed)};
        if (pthread_create(&threads[i], NULL, roles[process][i], &workers[i]) != 0)
            return 1;
    }
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    bank_close(&bank);
    return 0;
}

int bank_verify(uint64_t seed)
{
    uint64_t last, digest;
    struct bank bank;
    MDB_txn *txn;
    int rc = bank_open(&bank, bank_directory, bank_below(&seed, 2) != 0 ? MDB_NOSYNC : 0, false);

    if (rc != 0) {
        BANK_FAIL("opening when all are dead: %s", mdb_strerror(rc));
        return 1;
    }
    for (unsigned i = 0; rc == 0 && i < WRITERS; i++)
        rc = find_last(&bank, i, &last);
    if (rc == 0)
        rc = mdb_txn_begin(bank.env, NULL, MDB_RDONLY, &txn);
    if (rc == 0) {
        rc = bank_check(&bank, txn, &digest);
        mdb_txn_abort(txn);
    }
    if (rc != 0)
        BANK_FAIL("verifying when all are dead: %s", mdb_strerror(rc));
    bank_close(&bank);
    return rc != 0;
}
