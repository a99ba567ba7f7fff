/* handover.c - two processes write in turn, for as long as one likes; now and then one of them is stopped.
 *
 * Owns:       a directory, and its children: two writers and a reader, which do what the parent tells them.
 * Invariants: H1 what was committed is there: every key has the value that shared memory says.
 *             H2 between two turns the log lies within its budget, so checkpoints come to their end,
 *             whoever began them.
 *             H3 qs_check finds nothing, now and then between two turns and at the end.
 *             H4 a writer may be stopped at a step of a checkpoint, where others read on and wait to
 *             write, or between its turns, where the other goes on alone; resumed, it goes on right.
 * Locks:      none; everybody waits for the parent's word.
 *
 * handover [SECONDS]: 8, or 3600 with QS_TORTURE=1. QS_SEED replays the numbers drawn. A failed run keeps
 * its directory.
 */
#define _GNU_SOURCE /* mkdtemp() */

#include "format/lockfile.h"
#include "format/meta.h"
#include "os/hook.h"
#include "quickstep.h"

#include <lmdb.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    KEYS = 3000,
    WRITERS = 2,
    CHILDREN = WRITERS + 1, /* the last one reads */
    LOG_BYTES = 1 << 20,    /* QUICKSTEP_LOG_BYTES */
    CHANGES_MAX = 64,       /* of a transaction */
    MAP_BYTES = 512 << 20,
    VALUE_BYTES_MAX = 30000,
    STEPS = 14,         /* of a checkpoint, where it may be stopped */
    HANG_SECONDS = 120, /* without an answer */
};

/* A transaction that is being committed: it may be there or not, as a whole. */
struct pending {
    uint32_t count;            /* keys that it changes, all different; 0: none is */
    uint32_t key[CHANGES_MAX]; /* those */
    uint64_t old[CHANGES_MAX]; /* what they have without it */
};

/* In memory that all share. */
struct shared {
    uint64_t value[KEYS]; /* what each key must have; 0: nothing. Set under the writer mutex */
    struct pending pending[WRITERS];
    _Atomic int stop_at;       /* index of steps[], -1: nowhere */
    _Atomic unsigned failures; /* sentences written by fail() */
};

struct child {
    pid_t pid;
    int order[2];  /* the parent's word */
    int answer[2]; /* 'k' when it is done */
};

static const char *const steps[STEPS] = {
    "checkpoint.pages", "checkpoint.map",     "checkpoint.written",   "checkpoint.flushed",
    "checkpoint.meta",  "checkpoint.durable", "checkpoint.published", "checkpoint.linked",
    "carry.begun",      "carry.taken",        "carry.shared",         "carry.durable",
    "carry.linked",     "carry.published",
};

static struct shared *shared;
static struct child children[CHILDREN];
static char directory[] = "/tmp/qs-handover-XXXXXX";
static char data_path[64], lock_path[64];
static unsigned long turns, stops, solos, checks;
static uint64_t first_checkpoint, last_checkpoint;

__attribute__((format(printf, 1, 2))) static void fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fprintf(stderr, "FAIL ");
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    shared->failures++;
}

static uint64_t draw(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static unsigned below(uint64_t *state, unsigned limit)
{
    return (unsigned)(draw(state) % limit);
}

static double now_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- children -------------------------------------------------------------------------------- */

/* What a key with this value holds: its size and bytes follow from it. Few are large. */
static size_t size_of(uint64_t value)
{
    return value % 53 == 0 ? 5000 + value % (VALUE_BYTES_MAX - 5000) : 8 + value % 300;
}

static MDB_val make_value(uint64_t value, unsigned char bytes[VALUE_BYTES_MAX])
{
    MDB_val made = {size_of(value), bytes};

    memset(bytes, (int)(value * 7), made.mv_size);
    memcpy(bytes, &value, sizeof value);
    return made;
}

/* One transaction. Shared memory hears of it right before the commit, when no other can come between. */
static int write_once(MDB_env *env, struct pending *pending, uint64_t *random)
{
    static unsigned char bytes[VALUE_BYTES_MAX];
    uint64_t value[CHANGES_MAX];
    unsigned count = 1 + below(random, below(random, 4) == 0 ? CHANGES_MAX : 3);
    unsigned base = below(random, KEYS);
    MDB_txn *txn;
    int rc = mdb_txn_begin(env, NULL, 0, &txn);

    if (rc != 0)
        return rc;
    for (unsigned i = 0; rc == 0 && i < count; i++) {
        uint32_t key = (base + 7 * i) % KEYS;
        MDB_val name = {sizeof key, &key}, data;
        value[i] = below(random, 6) == 0 ? 0 : draw(random) | 1;
        data = make_value(value[i], bytes);
        rc = value[i] != 0 ? mdb_put(txn, 1, &name, &data, 0) : mdb_del(txn, 1, &name, NULL);
        rc = rc == MDB_NOTFOUND ? 0 : rc;
        pending->key[i] = key;
        pending->old[i] = shared->value[key];
    }
    if (rc != 0 || below(random, 20) == 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    pending->count = count;
    for (unsigned i = 0; i < count; i++)
        shared->value[pending->key[i]] = value[i];
    rc = mdb_txn_commit(txn);
    pending->count = 0;
    return rc;
}

static bool has(MDB_txn *txn, uint32_t key, uint64_t value)
{
    static unsigned char bytes[VALUE_BYTES_MAX];
    MDB_val name = {sizeof key, &key}, data = {0, NULL}, wanted = make_value(value, bytes);
    int rc = mdb_get(txn, 1, &name, &data);

    if (value == 0)
        return rc == MDB_NOTFOUND;
    return rc == 0 && data.mv_size == wanted.mv_size &&
           memcmp(data.mv_data, wanted.mv_data, wanted.mv_size) == 0;
}

/* Takes what a transaction on its way to be committed changes out of `expected`, if it is not there yet. */
static void take_back(MDB_txn *txn, const struct pending *pending, uint64_t expected[KEYS])
{
    uint32_t count = pending->count, tell = 0;

    while (tell < count && pending->old[tell] == expected[pending->key[tell]])
        tell++;
    if (tell == count || has(txn, pending->key[tell], expected[pending->key[tell]]))
        return;
    for (uint32_t i = 0; i < count; i++)
        expected[pending->key[i]] = pending->old[i];
}

/* H1. Nobody goes on writing meanwhile. */
static int read_all(MDB_env *env)
{
    static uint64_t expected[KEYS];
    MDB_txn *txn;
    int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);

    if (rc != 0)
        return rc;
    memcpy(expected, shared->value, sizeof expected);
    for (unsigned i = 0; i < WRITERS; i++)
        take_back(txn, &shared->pending[i], expected);
    for (uint32_t i = 0; i < KEYS; i++) {
        if (!has(txn, i, expected[i]))
            fail("key %u has another value", i);
    }
    mdb_txn_abort(txn);
    return 0;
}

static void stop_here(const char *name)
{
    int at = shared->stop_at;

    if (at >= 0 && strcmp(name, steps[at]) == 0) {
        shared->stop_at = -1;
        raise(SIGSTOP);
    }
}

static int open_env(MDB_env **env, unsigned flags)
{
    MDB_txn *txn;
    MDB_dbi dbi;
    int rc = mdb_env_create(env);

    if (rc == 0)
        rc = mdb_env_set_mapsize(*env, MAP_BYTES);
    if (rc == 0)
        rc = mdb_env_open(*env, directory, flags, 0644);
    if (rc == 0)
        rc = mdb_txn_begin(*env, NULL, 0, &txn);
    if (rc == 0)
        rc = mdb_dbi_open(txn, NULL, 0, &dbi);
    return rc == 0 ? mdb_txn_commit(txn) : rc;
}

/* Opens, answers, and does as told: 'w' some transactions, 'r' reads everything, 'q' ends. */
static int live(const struct child *self, unsigned number, uint64_t seed)
{
    uint64_t random = seed + 1000 * number;
    MDB_env *env;
    char order;
    int rc = open_env(&env, number == 0 ? MDB_NOSYNC : MDB_NOMETASYNC);

    qs_hook_handle(stop_here);
    if (rc == 0 && write(self->answer[1], "k", 1) != 1)
        rc = errno;
    while (rc == 0 && read(self->order[0], &order, 1) == 1 && order != 'q') {
        unsigned count = order == 'w' ? 1 + below(&random, number == 0 ? 400 : 60) : 0;
        for (unsigned i = 0; rc == 0 && i < count; i++)
            rc = write_once(env, &shared->pending[number], &random);
        if (order == 'r')
            rc = read_all(env);
        if (rc == 0 && write(self->answer[1], "k", 1) != 1)
            rc = errno;
    }
    if (rc != 0)
        fail("process %u: %s", number, mdb_strerror(rc));
    else
        mdb_env_close(env);
    return rc != 0;
}

static bool start(unsigned number, uint64_t seed)
{
    struct child *child = &children[number];

    if (pipe2(child->order, O_CLOEXEC) != 0 || pipe2(child->answer, O_CLOEXEC) != 0)
        return false;
    fflush(stdout);
    child->pid = fork();
    if (child->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody outlives the parent */
        _exit(live(child, number, seed));
    }
    return child->pid > 0;
}

/* ---- the parent's word ----------------------------------------------------------------------- */

static void tell(unsigned number, char order)
{
    if (write(children[number].order[1], &order, 1) != 1)
        fail("process %u does not listen", number);
}

/* True when the answer is there within `seconds`. */
static bool answered(unsigned number, double seconds)
{
    double until = now_seconds() + seconds;
    char answer;

    fcntl(children[number].answer[0], F_SETFL, O_NONBLOCK);
    do {
        if (read(children[number].answer[0], &answer, 1) == 1)
            return true;
        usleep(200);
    } while (now_seconds() < until && shared->failures == 0);
    return false;
}

static void expect_answer(unsigned number, const char *what)
{
    if (!answered(number, HANG_SECONDS))
        fail("process %u hangs: %s", number, what);
}

/* Who opens takes the writer mutex, and would wait for a writer that is stopped already. */
static void expect_all_open(void)
{
    for (unsigned i = 0; i < CHILDREN; i++)
        expect_answer(i, "opening");
}

static void turn(unsigned number)
{
    tell(number, 'w');
    expect_answer(number, "its turn");
    turns++;
}

static bool is_stopped(unsigned number)
{
    int status = 0;

    return waitpid(children[number].pid, &status, WUNTRACED | WNOHANG) == children[number].pid &&
           WIFSTOPPED(status);
}

/* H4: stopped inside a checkpoint. It may come to none in this turn. */
static void stop_inside(unsigned number, uint64_t *random)
{
    double until = now_seconds() + HANG_SECONDS;
    bool stopped = false, done = false;

    shared->stop_at = (int)below(random, STEPS);
    tell(number, 'w');
    while (!stopped && !done && now_seconds() < until) {
        done = answered(number, 0);
        stopped = !done && is_stopped(number);
    }
    shared->stop_at = -1;
    turns++;
    if (!stopped) {
        if (!done)
            fail("process %u neither stops nor answers", number);
        return;
    }
    stops++;
    /* What it committed before is in shared memory, what it is about to commit is not; others see no more. */
    tell(CHILDREN - 1, 'r');
    expect_answer(CHILDREN - 1, "reading beside a stopped checkpoint");
    tell(1 - number, 'w');
    usleep(below(random, 20000));
    kill(children[number].pid, SIGCONT);
    expect_answer(number, "resumed in a checkpoint");
    expect_answer(1 - number, "writing behind a stopped checkpoint");
    turns++;
}

static void expect_budget(void);

/* H4: stopped between its turns, with whatever it has begun. */
static void stop_outside(unsigned number, uint64_t *random)
{
    int status;

    kill(children[number].pid, SIGSTOP);
    if (waitpid(children[number].pid, &status, WUNTRACED) != children[number].pid ||
        !WIFSTOPPED(status))
        fail("process %u does not stop", number);
    for (unsigned n = 5 + below(random, 40); n > 0 && shared->failures == 0; n--) {
        turn(1 - number);
        expect_budget();
    }
    solos++;
    kill(children[number].pid, SIGCONT);
    turn(number);
}

/* ---- looking --------------------------------------------------------------------------------- */

static bool read_bytes(const char *path, void *bytes, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool read_all_of_it = fd >= 0 && pread(fd, bytes, size, 0) == (ssize_t)size;

    if (fd >= 0)
        close(fd);
    return read_all_of_it;
}

/* H2. Nobody writes now, so both meta pages are whole. */
static void expect_budget(void)
{
    static struct meta meta[META_PAGES];
    static struct lock_header header;
    uint64_t written, bytes;

    if (!read_bytes(data_path, meta, sizeof meta) ||
        !read_bytes(lock_path, &header, sizeof header)) {
        fail("cannot read the files");
        return;
    }
    const struct meta *newest = &meta[meta[1].checkpoint > meta[0].checkpoint];
    written = header.written;
    bytes = written - newest->log.position;
    if (newest->log.pages != 0 && bytes > LOG_BYTES)
        fail("a log of %llu bytes, where %d are the budget", (unsigned long long)bytes, LOG_BYTES);
    if (first_checkpoint == 0)
        first_checkpoint = newest->checkpoint;
    last_checkpoint = newest->checkpoint;
}

static void complain(void *context, const char *sentence)
{
    (void)context;
    fail("qs_check: %s", sentence);
}

/* H3. */
static void expect_sound(void)
{
    struct qs_check_report report;
    int rc = qs_check(data_path, complain, NULL, &report);

    if (rc != 0)
        fail("qs_check: %s", qs_strerror(rc));
    else if (report.pages_lost != 0)
        fail("qs_check: %llu pages are lost", (unsigned long long)report.pages_lost);
    checks++;
}

/* Everything has happened that is to be tested. Under valgrind that would take too long. */
static bool seen_enough(void)
{
    return (stops > 0 && solos > 0 && last_checkpoint - first_checkpoint >= 3) ||
           getenv("QS_VALGRIND") != NULL;
}

/* For longer than `seconds` where the machine is too busy to come to everything; then that goes first. */
static void run(double seconds, uint64_t *random)
{
    double end = now_seconds() + seconds, next_check = now_seconds() + 1;

    for (unsigned number = 0; shared->failures == 0; number = 1 - number) {
        double now = now_seconds();
        bool late = now >= end;
        if (late && (seen_enough() || now >= end + HANG_SECONDS))
            break;
        unsigned dice = below(random, 20);
        if (dice == 0 || (late && solos == 0))
            stop_outside(number, random);
        else if (dice < 8 || (late && stops == 0))
            stop_inside(number, random);
        else
            turn(number);
        expect_budget();
        if (shared->failures == 0 && now_seconds() >= next_check) {
            tell(CHILDREN - 1, 'r');
            expect_answer(CHILDREN - 1, "reading");
            expect_sound();
            next_check = now_seconds() + 1 + seconds / 100;
        }
    }
}

static void end_children(void)
{
    for (unsigned i = 0; i < CHILDREN; i++) {
        double until = now_seconds() + 20;
        int status = 0;
        if (children[i].pid <= 0)
            continue;
        tell(i, 'q');
        while (waitpid(children[i].pid, &status, WNOHANG) == 0) {
            usleep(2000);
            if (now_seconds() > until)
                kill(children[i].pid, SIGKILL);
        }
        if (status != 0)
            fail("process %u ended with status %#x", i, (unsigned)status);
    }
}

int main(int argc, char **argv)
{
    const char *torture = getenv("QS_TORTURE"), *seed_text = getenv("QS_SEED");
    double seconds = argc > 1                                       ? atof(argv[1])
                     : torture != NULL && strcmp(torture, "1") == 0 ? 3600
                                                                    : 8;
    uint64_t seed = seed_text != NULL ? strtoull(seed_text, NULL, 0) : (uint64_t)time(NULL);
    uint64_t random = seed;

    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || mkdtemp(directory) == NULL)
        return 1;
    snprintf(data_path, sizeof data_path, "%s/data.mdb", directory);
    snprintf(lock_path, sizeof lock_path, "%s/lock.mdb", directory);
    shared->stop_at = -1;
    signal(SIGPIPE, SIG_IGN);
    setenv("QUICKSTEP_LOG_BYTES", "1048576", 1);
    printf("seed %llu, %.0f seconds\n", (unsigned long long)seed, seconds);
    for (unsigned i = 0; i < CHILDREN; i++) {
        if (!start(i, seed))
            fail("cannot start process %u", i);
    }
    expect_all_open();
    run(seconds, &random);
    end_children();
    expect_sound();
    printf("%lu turns, %llu checkpoints, %lu stopped inside one, %lu times alone, %lu looks\n",
           turns, (unsigned long long)(last_checkpoint - first_checkpoint), stops, solos, checks);
    if (!seen_enough())
        fail("it was too short");
    if (shared->failures != 0) {
        fprintf(stderr, "failed; QS_SEED=%llu, the environment is kept in %s\n",
                (unsigned long long)seed, directory);
        return 1;
    }
    unlink(data_path);
    unlink(lock_path);
    rmdir(directory);
    return 0;
}
