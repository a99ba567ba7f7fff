/* namespaces.c - processes of several pid namespaces on one environment, as containers that share a volume.
 *
 * Owns:       a directory, and processes that are each number 1 of a namespace of their own.
 * Invariants: N1 nobody who lives is taken for dead, though others have his pid and his thread id.
 *             N2 who dies is found out, by whoever looks, and so is one who had the pid of who looks.
 *             N3 one writes at a time, whoever dies while he waits; of a dead writer nothing is left.
 * Locks:      none; every process does what it is told and answers.
 *
 * Skipped (77) where namespaces cannot be made.
 */
#define _GNU_SOURCE /* unshare() */

#include <lmdb.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { READERS = 3, ANSWER_SECONDS_MAX = 30, SKIP_CODE = 77 };

/* A process that is number 1. */
struct guest {
    pid_t middle; /* our child, its parent */
    pid_t pid;    /* as we see it */
    int order[2];
    int answer[2];
};

static char directory[] = "/tmp/qs-namespaces-XXXXXX";
static bool failed;

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "FAIL %s:%d: %s\n", __FILE__, __LINE__, #condition);                   \
            failed = true;                                                                         \
        }                                                                                          \
    } while (0)

static int open_env(MDB_env **env)
{
    int rc = mdb_env_create(env);

    if (rc == 0)
        rc = mdb_env_set_maxreaders(*env, READERS);
    return rc == 0 ? mdb_env_open(*env, directory, MDB_NOSYNC, 0666) : rc;
}

static int put(MDB_txn *txn, const char *key)
{
    MDB_val name = {strlen(key), (void *)(size_t)key};
    MDB_dbi dbi;
    int rc = mdb_dbi_open(txn, NULL, 0, &dbi);

    return rc == 0 ? mdb_put(txn, dbi, &name, &name, 0) : rc;
}

static bool has(MDB_env *env, const char *key)
{
    MDB_val name = {strlen(key), (void *)(size_t)key}, value;
    MDB_dbi dbi;
    MDB_txn *txn;
    int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);

    EXPECT(rc == 0);
    if (rc != 0)
        return false;
    rc = mdb_dbi_open(txn, NULL, 0, &dbi);
    if (rc == 0)
        rc = mdb_get(txn, dbi, &name, &value);
    mdb_txn_abort(txn);
    return rc == 0;
}

/* ---- guests ---------------------------------------------------------------------------------- */

/* 'r', 'w' begin a transaction, the second with a put of "guest"; 'c', 'a' end it; 'd' counts the dead. The
 * answer is a code, or that number. */
static int obey(MDB_env *env, char order, MDB_txn **txn)
{
    int rc = 0;

    switch (order) {
    case 'r':
        return mdb_txn_begin(env, NULL, MDB_RDONLY, txn);
    case 'w':
        rc = mdb_txn_begin(env, NULL, 0, txn);
        return rc == 0 ? put(*txn, "guest") : rc;
    case 'c':
        return mdb_txn_commit(*txn);
    case 'a':
        mdb_txn_abort(*txn);
        return 0;
    default:
        mdb_reader_check(env, &rc);
        return rc;
    }
}

static _Noreturn void be_guest(const struct guest *self)
{
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    char order;
    int answer;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (read(self->order[0], &order, 1) != 1) /* its number comes before its first answer */
        _exit(1);
    answer = getpid() == 1 ? open_env(&env) : -1;
    while (write(self->answer[1], &answer, sizeof answer) == sizeof answer &&
           read(self->order[0], &order, 1) == 1)
        answer = obey(env, order, &txn);
    _exit(0);
}

static bool enter_namespace(void)
{
    return unshare(CLONE_NEWPID) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWPID) == 0;
}

/* In between: makes the namespace, waits for its only process. */
static _Noreturn void be_middle(struct guest *self)
{
    pid_t pid = -1;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (enter_namespace()) {
        pid = fork();
        if (pid == 0)
            be_guest(self);
    }
    if (write(self->answer[1], &pid, sizeof pid) == sizeof pid && pid > 0)
        waitpid(pid, NULL, 0);
    _exit(0);
}

/* An answer within `ms`; false: none yet. */
static bool hear(struct guest *guest, int ms, int *answer)
{
    for (int waited = 0; waited <= ms; waited++) {
        if (read(guest->answer[0], answer, sizeof *answer) == sizeof *answer)
            return true;
        usleep(1000);
    }
    return false;
}

static int answer_of(struct guest *guest)
{
    int answer = -99;

    EXPECT(hear(guest, ANSWER_SECONDS_MAX * 1000, &answer));
    return answer;
}

static void tell(struct guest *guest, char order)
{
    EXPECT(write(guest->order[1], &order, 1) == 1);
}

static int ask(struct guest *guest, char order)
{
    tell(guest, order);
    return answer_of(guest);
}

/* False where there are no namespaces to be had. */
static bool start(struct guest *guest)
{
    if (pipe2(guest->order, O_CLOEXEC) != 0 || pipe2(guest->answer, O_CLOEXEC) != 0)
        exit(1);
    fflush(NULL);
    guest->middle = fork();
    if (guest->middle == 0)
        be_middle(guest);
    if (read(guest->answer[0], &guest->pid, sizeof guest->pid) != sizeof guest->pid ||
        guest->pid <= 0) {
        guest->pid = 0;
        return false;
    }
    fcntl(guest->answer[0], F_SETFL, O_NONBLOCK);
    EXPECT(ask(guest, 'o') == 0); /* it opens */
    return true;
}

static void end(struct guest *guest)
{
    if (guest->pid > 0)
        kill(guest->pid, SIGKILL);
    waitpid(guest->middle, NULL, 0);
    for (int i = 0; i < 2; i++) {
        close(guest->order[i]);
        close(guest->answer[i]);
    }
}

/* ---- what they do ---------------------------------------------------------------------------- */

/* N1, N2: readers. */
static void readers(MDB_env *env, struct guest *a, struct guest *b)
{
    MDB_txn *txn;
    int dead = -1;

    EXPECT(ask(a, 'r') == 0);
    EXPECT(ask(b, 'r') == 0);
    EXPECT(mdb_reader_check(env, &dead) == 0 && dead == 0);
    EXPECT(ask(a, 'd') == 0);
    EXPECT(ask(b, 'd') == 0);
    EXPECT(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0);
    mdb_txn_abort(txn);
    end(a);
    EXPECT(ask(b, 'd') == 1);
    EXPECT(ask(b, 'd') == 0);
    EXPECT(start(a)); /* number 1 again, beside another */
    EXPECT(ask(a, 'd') == 0);
    EXPECT(ask(a, 'r') == 0);
    end(a);
    EXPECT(start(a)); /* finds what the one before it left, and only that */
    EXPECT(mdb_reader_check(env, &dead) == 0 && dead == 0);
    EXPECT(ask(b, 'a') == 0);
}

/* N3. */
static void writers(MDB_env *env, struct guest *a, struct guest *b, struct guest *c)
{
    int answer;

    EXPECT(ask(a, 'w') == 0);
    tell(b, 'w');
    EXPECT(!hear(b, 300, &answer)); /* waits for its namesake */
    end(b);
    EXPECT(start(c));
    tell(c, 'w');
    EXPECT(!hear(c, 500, &answer)); /* and so does who comes after one that died waiting */
    EXPECT(!has(env, "guest"));
    EXPECT(ask(a, 'c') == 0);
    EXPECT(answer_of(c) == 0);
    EXPECT(has(env, "guest"));
    EXPECT(ask(c, 'c') == 0);
}

static void dead_writer(MDB_env *env, struct guest *a, struct guest *c)
{
    MDB_txn *txn;

    EXPECT(ask(a, 'w') == 0);
    tell(c, 'w');
    usleep(50000);
    end(a);
    EXPECT(answer_of(c) == 0);
    EXPECT(ask(c, 'c') == 0);
    EXPECT(mdb_txn_begin(env, NULL, 0, &txn) == 0);
    EXPECT(put(txn, "host") == 0);
    EXPECT(mdb_txn_commit(txn) == 0);
    EXPECT(has(env, "host"));
}

int main(void)
{
    struct guest a, b, c;
    char path[64];
    MDB_env *env;

    if (mkdtemp(directory) == NULL)
        return 1;
    if (!start(&a)) {
        fprintf(stderr, "skipped: no pid namespaces for this user\n");
        rmdir(directory);
        return SKIP_CODE;
    }
    EXPECT(start(&b));
    EXPECT(open_env(&env) == 0);
    readers(env, &a, &b);
    writers(env, &a, &b, &c);
    dead_writer(env, &a, &c);
    end(&c);
    mdb_env_close(env);
    if (failed)
        return 1;
    snprintf(path, sizeof path, "%s/data.mdb", directory);
    unlink(path);
    snprintf(path, sizeof path, "%s/lock.mdb", directory);
    unlink(path);
    rmdir(directory);
    return 0;
}
