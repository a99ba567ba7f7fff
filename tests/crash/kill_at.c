/* kill_at.c - a process is killed at every hook point of the engine in turn.
 *
 * Owns:       one environment, worked on by victims, one after the other, and by a companion.
 * Invariants: A1 a process's transaction n puts all it owns to state n, so what is found must be the
 *             state of one n, whole: the last that was reported in shared memory, or the next.
 *             A2 the companion, alive all the time, never gets an error, whatever the victim left.
 *             A3 every hook point in the sources is reached, or the test fails.
 * Locks:      none; one thread each.
 *
 * Linked to the engine with hook points. Rounds are with a companion that writes, with one that only
 * has the environment open, and with none. QS_SEED replays the numbers drawn.
 */
#define _GNU_SOURCE /* mkdtemp() */

#include "effort.h"
#include "os/hook.h"

#include <quickstep.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef QS_DEBUG

enum {
    SWELL_BYTES = 3 << 20,
    HOOKS_MAX = 100,
    NAME_BYTES = 48,
    WINDOW = 40, /* transactions whose records are kept */
    RECORDS = 6, /* of each */
    VALUE_BYTES = 5000,
    ATTEMPTS_MAX = 60, /* victims until one gets to its hook point */
    ATTEMPTS_VALGRIND = 12,
    CYCLES_MAX = 12, /* opens and closes of a victim that does not get there */
    VICTIM = 0,
    COMPANION = 1,
    NOT_REACHED = 3 /* exit status */
};

enum companion { NONE, IDLE, WRITING };

/* Shared by parent and children. */
struct shared {
    _Atomic uint64_t acknowledged[2]; /* last transaction that returned, of victim and companion */
    _Atomic bool stop;                /* the companion is to end */
    _Atomic bool ready;               /* the companion has the environment open */
    _Atomic unsigned long visits[HOOKS_MAX];
};

static struct shared *shared;
static char names[HOOKS_MAX][NAME_BYTES];
static unsigned names_count;
static char directory[32], data_path[64], lock_path[64];
static uint64_t random_state;

/* What this child is to die of. */
static const char *armed;
static unsigned armed_left;

static unsigned below(unsigned limit)
{
    uint64_t x = random_state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    return (unsigned)((x ^ (x >> 31)) % limit);
}

/* ---- hook points ---- */

static bool find_names(void)
{
    const char *sources = getenv("QS_SRCDIR");
    char command[600], line[256];
    FILE *pipe;

    snprintf(command, sizeof command,
             "grep -rhoE 'QS_HOOK\\(\"[^\"]*\"\\)' --include=*.c '%s/lib' | sort -u",
             sources != NULL ? sources : ".");
    pipe = popen(command, "r");
    if (pipe == NULL)
        return false;
    while (names_count < HOOKS_MAX && fgets(line, sizeof line, pipe) != NULL)
        if (sscanf(line, "QS_HOOK(\"%47[^\"]", names[names_count]) == 1)
            names_count++;
    return pclose(pipe) == 0 && names_count > 0;
}

static void at_hook(const char *name)
{
    for (unsigned i = 0; i < names_count; i++)
        if (strcmp(names[i], name) == 0)
            atomic_fetch_add_explicit(&shared->visits[i], 1, memory_order_relaxed);
    if (armed != NULL && strcmp(armed, name) == 0 && --armed_left == 0)
        kill(getpid(), SIGKILL);
}

/* ---- the content ---- */

static int open_environment(unsigned flags, struct qs_env **env)
{
    struct qs_options options = {.data_path = data_path,
                                 .lock_path = lock_path,
                                 .flags = flags,
                                 .mode = 0600,
                                 .map_size_bytes = 32u << 20,
                                 .log_bytes_max = below(3) == 0 ? 0 : 3000 + below(200000)};

    return qs_env_open(&options, env);
}

static struct qs_val make_key(char bytes[24], unsigned who, uint64_t n, unsigned i)
{
    size_t size = (size_t)snprintf(bytes, 24, "%u %02u %06llu", who, i, (unsigned long long)n);

    return (struct qs_val){size, bytes};
}

/* Record i of transaction n: its bytes repeat n; few are long. */
static struct qs_val make_value(uint8_t *bytes, uint64_t n, unsigned i)
{
    size_t size = 8 + (n * 7 + i * 31) % 300 + (n % 9 == i ? VALUE_BYTES - 400 : 0);

    memset(bytes, (int)(n * 16 + i), size);
    memcpy(bytes, &n, sizeof n);
    return (struct qs_val){size, bytes};
}

/* The counter of a process, 0 before its first transaction. */
static int get_counter(struct qs_txn *txn, struct qs_tree *tree, unsigned who, uint64_t *n)
{
    char bytes[24];
    struct qs_val key = make_key(bytes, who, 0, 99), value;
    int rc = qs_get(txn, tree, &key, &value);

    *n = 0;
    if (rc == 0)
        memcpy(n, value.data, sizeof *n);
    return rc == QS_E_NOTFOUND ? 0 : rc;
}

static int put_state(struct qs_txn *txn, struct qs_tree *tree, unsigned who, uint64_t n)
{
    uint8_t value_bytes[VALUE_BYTES];
    char bytes[24];
    struct qs_val key = make_key(bytes, who, 0, 99), value = {sizeof n, &n};
    int rc = qs_put(txn, tree, &key, &value, 0);

    for (unsigned i = 0; rc == 0 && i < RECORDS; i++) {
        key = make_key(bytes, who, n, i);
        value = make_value(value_bytes, n, i);
        rc = qs_put(txn, tree, &key, &value, 0);
        if (rc == 0 && n > WINDOW) {
            key = make_key(bytes, who, n - WINDOW, i);
            rc = qs_del(txn, tree, &key, NULL);
        }
    }
    return rc;
}

/* A1: all records of `who` are those of state n, and no others. */
static int check_state(struct qs_txn *txn, struct qs_tree *tree, unsigned who, uint64_t n)
{
    uint64_t first = n > WINDOW ? n - WINDOW + 1 : 1;
    uint8_t value_bytes[VALUE_BYTES];
    char bytes[24];
    struct qs_val key, value;

    for (uint64_t t = first > 1 ? first - 1 : 1; t <= n + 1; t++) {
        for (unsigned i = 0; i < RECORDS; i++) {
            struct qs_val want = make_value(value_bytes, t, i);
            bool there = t >= first && t <= n;
            key = make_key(bytes, who, t, i);
            int rc = qs_get(txn, tree, &key, &value);
            if (rc != 0 && rc != QS_E_NOTFOUND)
                return rc;
            if ((rc == 0) != there || (there && (value.size != want.size ||
                                                 memcmp(value.data, want.data, want.size) != 0))) {
                fprintf(stderr, "%u is at %llu, but its record %llu/%u is wrong\n", who,
                        (unsigned long long)n, (unsigned long long)t, i);
                return EILSEQ;
            }
        }
    }
    return 0;
}

/* Both contents in one snapshot; the victim's is what was acknowledged, or the next. */
static int check_all(struct qs_env *env)
{
    uint64_t floor[2], n;
    struct qs_tree *tree;
    struct qs_txn *txn;
    int rc;

    floor[0] = atomic_load(&shared->acknowledged[0]);
    floor[1] = atomic_load(&shared->acknowledged[1]);
    rc = qs_txn_begin(env, NULL, QS_RDONLY, &txn);
    if (rc != 0)
        return rc;
    rc = qs_tree_open(txn, "records", 0, &tree);
    for (unsigned who = 0; rc == 0 && who < 2; who++) {
        rc = get_counter(txn, tree, who, &n);
        if (rc == 0 && (n < floor[who] || (who == VICTIM && n > floor[who] + 1))) {
            fprintf(stderr, "%u: %llu was acknowledged, %llu is there\n", who,
                    (unsigned long long)floor[who], (unsigned long long)n);
            rc = EILSEQ;
        }
        if (rc == 0)
            rc = check_state(txn, tree, who, n);
    }
    qs_txn_abort(txn);
    return rc == QS_E_NOTFOUND ? 0 : rc; /* nobody has committed yet */
}

/* ---- children ---- */

static int write_once(struct qs_env *env, unsigned who)
{
    struct qs_tree *tree;
    struct qs_txn *txn;
    uint64_t n;
    int rc = qs_txn_begin(env, NULL, 0, &txn);

    if (rc != 0)
        return rc;
    rc = qs_tree_open(txn, "records", QS_TREE_CREATE, &tree);
    if (rc == 0)
        rc = get_counter(txn, tree, who, &n);
    if (rc == 0)
        rc = put_state(txn, tree, who, n + 1);
    if (rc != 0 || below(8) == 0) {
        qs_txn_abort(txn);
        return rc;
    }
    rc = qs_txn_commit(txn);
    if (rc == 0)
        atomic_store(&shared->acknowledged[who], n + 1);
    return rc;
}

/* A value that comes and goes, so that the file is longer than it need be: its last close has something to cut. */
static int swell(struct qs_env *env)
{
    struct qs_val key = {5, "swell"}, value = {SWELL_BYTES, NULL};
    int rc = 0;

    for (unsigned step = 0; rc == 0 && step < 2; step++) {
        struct qs_tree *tree;
        struct qs_txn *txn;
        rc = qs_txn_begin(env, NULL, 0, &txn);
        if (rc != 0)
            break;
        rc = qs_tree_open(txn, "swell", QS_TREE_CREATE, &tree);
        if (rc == 0) /* it may be there still, when its writer was killed */
            rc = step == 0 ? qs_put(txn, tree, &key, &value, QS_RESERVE)
                           : qs_del(txn, tree, &key, NULL);
        if (rc == 0) {
            rc = qs_txn_commit(txn);
        } else {
            qs_txn_abort(txn);
            rc = rc == QS_E_NOTFOUND ? 0 : rc; /* another's was faster */
        }
    }
    return rc;
}

static int cycle(unsigned who, unsigned transactions)
{
    struct qs_env *env;
    int cleared;
    int rc = open_environment(below(4) != 0 ? QS_NOSYNC : 0, &env);

    if (rc != 0)
        return rc;
    if (below(5) == 0)
        rc = swell(env);
    for (unsigned n = 0; rc == 0 && n < transactions; n++) {
        rc = write_once(env, who);
        if (rc == 0 && below(4) == 0)
            rc = check_all(env);
        if (rc == 0 && below(4) == 0)
            rc = qs_reader_check(env, &cleared);
    }
    qs_env_close(env);
    return rc;
}

static int victim(const char *hook, unsigned times)
{
    int rc = 0;

    armed = hook;
    armed_left = times;
    for (unsigned i = 0; rc == 0 && i < CYCLES_MAX; i++)
        rc = cycle(VICTIM, below(6));
    if (rc == 0)
        return NOT_REACHED;
    fprintf(stderr, "the victim of %s failed: %s\n", hook, qs_strerror(rc));
    return 1;
}

static int companion(enum companion kind)
{
    struct qs_env *env;
    int rc = open_environment(QS_NOSYNC, &env);

    atomic_store(&shared->ready, true);
    while (rc == 0 && !atomic_load(&shared->stop)) {
        if (kind == WRITING)
            rc = write_once(env, COMPANION);
        usleep(200);
    }
    if (rc == 0)
        rc = check_all(env);
    if (rc != 0)
        fprintf(stderr, "the companion failed: %s\n", qs_strerror(rc));
    else
        qs_env_close(env);
    return rc != 0;
}

/* In a child: opens and looks at everything; as a writer too, so that a dead one is recovered from. */
static int verify(void)
{
    struct qs_env *env;
    struct qs_txn *txn;
    uint64_t n = 0;
    struct qs_tree *tree;
    int rc = open_environment(QS_NOSYNC, &env);

    if (rc == 0)
        rc = check_all(env);
    if (rc == 0)
        rc = qs_txn_begin(env, NULL, 0, &txn);
    if (rc == 0) {
        rc = qs_tree_open(txn, "records", 0, &tree);
        if (rc == 0)
            rc = get_counter(txn, tree, VICTIM, &n);
        qs_txn_abort(txn);
        if (rc == QS_E_NOTFOUND)
            rc = 0;
        /* What is seen from now on stays. */
        if (n > atomic_load(&shared->acknowledged[VICTIM]))
            atomic_store(&shared->acknowledged[VICTIM], n);
    }
    if (rc == 0)
        rc = check_all(env);
    if (rc != 0)
        fprintf(stderr, "verifying: %s\n", qs_strerror(rc));
    else
        qs_env_close(env);
    return rc != 0;
}

enum role { RUN_VICTIM, RUN_COMPANION, RUN_VERIFY };

static pid_t start(enum role role, const char *hook, unsigned number)
{
    unsigned seed = below(1u << 30);
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        random_state = seed;
        qs_hook_handle(at_hook);
        _exit(role == RUN_VICTIM      ? victim(hook, number)
              : role == RUN_COMPANION ? companion((enum companion)number)
                                      : verify());
    }
    return pid;
}

/* ---- rounds ---- */

/* The child's wait status, -1 when it hung and had to be killed. */
static int wait_for(pid_t pid)
{
    int status = -1;

    for (unsigned waited_ms = 0; waited_ms < 60000; waited_ms++) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return status;
        usleep(1000);
    }
    fprintf(stderr, "a child hangs\n");
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return -1;
}

/* Victims until one is killed at the hook point; after each that did not get there one is killed
 * somewhere else, for the hook points of those who clean up. */
static bool kill_there(const char *hook, unsigned *deaths)
{
    unsigned attempts = effort(ATTEMPTS_MAX, ATTEMPTS_VALGRIND);

    for (unsigned attempt = 0; attempt < attempts; attempt++) {
        bool other = attempt % 2 == 1;
        const char *here = other ? names[below(names_count)] : hook;
        int status = wait_for(start(RUN_VICTIM, here, 1 + below(attempt < 4 ? 6 : 1)));
        bool killed = status != -1 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        if (!killed && status != NOT_REACHED << 8)
            return false;
        *deaths += killed;
        if (killed && wait_for(start(RUN_VERIFY, NULL, 0)) != 0)
            return false;
        if (killed && !other)
            return true;
    }
    return true; /* A3 is judged at the end */
}

static void complain(void *context, const char *finding)
{
    (void)context;
    fprintf(stderr, "qs_check: %s\n", finding);
}

static bool run_round(const char *hook, enum companion kind, unsigned *deaths)
{
    struct qs_check_report report;
    pid_t pid = 0;
    bool good;
    int rc;

    atomic_store(&shared->stop, false);
    atomic_store(&shared->ready, false);
    if (kind != NONE)
        pid = start(RUN_COMPANION, NULL, kind);
    while (kind != NONE && !atomic_load(&shared->ready))
        usleep(100);
    good = kill_there(hook, deaths);
    atomic_store(&shared->stop, true);
    if (kind != NONE && wait_for(pid) != 0)
        good = false;
    rc = qs_check(data_path, complain, NULL, &report);
    if (rc != 0 || report.faults != 0)
        good = false;
    if (!good)
        fprintf(stderr, "killed at %s, companion %d: wrong; kept in %s\n", hook, (int)kind,
                directory);
    return good;
}

/* The hook point with each kind of companion; under valgrind with one of them. */
static bool run_rounds(const char *hook, unsigned *deaths)
{
    unsigned kinds = effort(WRITING + 1, 1), first = below(WRITING + 1);
    bool good = true;

    for (unsigned i = 0; good && i < kinds; i++)
        good = run_round(hook, (enum companion)((first + i) % (WRITING + 1)), deaths);
    return good;
}

static bool all_visited(void)
{
    bool good = true;

    for (unsigned i = 0; i < names_count; i++)
        if (atomic_load(&shared->visits[i]) == 0) {
            fprintf(stderr, "nobody came to %s\n", names[i]);
            good = false;
        }
    return good;
}

int main(void)
{
    const char *torture = getenv("QS_TORTURE"), *seed_text = getenv("QS_SEED");
    unsigned repeats = torture != NULL && strcmp(torture, "1") == 0 ? 30 : 1, deaths = 0;
    bool good = true;

    random_state = seed_text != NULL ? strtoull(seed_text, NULL, 0) : (uint64_t)time(NULL);
    snprintf(directory, sizeof directory, "/tmp/qs-kill-at-XXXXXX");
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || !find_names() || mkdtemp(directory) == NULL) {
        fprintf(stderr, "no hook points found (QS_SRCDIR names the sources), or no directory\n");
        return 1;
    }
    snprintf(data_path, sizeof data_path, "%s/data", directory);
    snprintf(lock_path, sizeof lock_path, "%s/lock", directory);
    printf("seed %llu, %u hook points\n", (unsigned long long)random_state, names_count);
    for (unsigned repeat = 0; good && repeat < repeats; repeat++)
        for (unsigned i = 0; good && i < names_count; i++)
            good = run_rounds(names[i], &deaths);
    good = good && all_visited();
    printf("%u killed, %llu and %llu transactions\n", deaths,
           (unsigned long long)atomic_load(&shared->acknowledged[VICTIM]),
           (unsigned long long)atomic_load(&shared->acknowledged[COMPANION]));
    if (!good)
        return 1;
    unlink(data_path);
    unlink(lock_path);
    rmdir(directory);
    return 0;
}

#else
int main(void)
{
    puts("there are no hook points without QS_DEBUG");
    return 77;
}
#endif
