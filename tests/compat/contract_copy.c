/* contract_copy.c - situations of mdb_env_copy and its kin.
 *
 * Owns:       nothing.
 * Invariants: a copy is opened by the library that made it, and read in full.
 * Locks:      none.
 */
#define _GNU_SOURCE

#include "contract.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static MDB_env *filled(struct context *now)
{
    MDB_env *env = open_env(now, 0, 4 << 20);
    MDB_txn *txn;
    char key[16];

    for (unsigned round = 0; round < 3; round++) {
        txn = begin(now, env, NULL, 0);
        MDB_dbi dbi = open_dbi(now, txn, NULL, 0), named = open_dbi(now, txn, "named", MDB_CREATE);
        for (unsigned i = 0; i < 20; i++) {
            snprintf(key, sizeof key, "k%02u", i);
            must(now, "put", put(now, txn, dbi, key, "value"));
            must(now, "put", put(now, txn, named, key, "named value"));
        }
        commit(now, txn);
    }
    return env;
}

static void say_copy(struct context *now, const char *path, unsigned flags)
{
    MDB_envinfo info;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;

    must(now, "open a copy", try_open(now, path, flags, 0, &env));
    must(now, "info", now->api->env_info(env, &info));
    say_number(now, "map", (long long)info.me_mapsize);
    say_number(now, "last", (long long)info.me_last_txnid);
    txn = begin(now, env, NULL, MDB_RDONLY);
    dbi = open_dbi(now, txn, "named", 0);
    say_all(now, txn, dbi);
    now->api->txn_abort(txn);
    txn = begin(now, env, NULL, 0);
    dbi = open_dbi(now, txn, "named", 0);
    must(now, "put", put(now, txn, dbi, "more", "than before"));
    commit(now, txn);
    now->api->env_close(env);
}

static void to_paths(struct context *now)
{
    MDB_env *env = filled(now);
    struct stat st;

    mkdir("a", 0755);
    mkdir("b", 0755);
    mkdir("c", 0755);
    say(now, "copy", now->api->env_copy(env, "a"));
    say(now, "again", now->api->env_copy(env, "a"));
    say(now, "unknown flags", now->api->env_copy2(env, "b", 0xf0));
    say(now, "compact and unknown", now->api->env_copy2(env, "c", 0xf1));
    say(now, "nowhere", now->api->env_copy(env, "none"));
    say_number(now, "lock file", access("a/lock.mdb", F_OK));
    must(now, "stat", stat("a/data.mdb", &st));
    say_number(now, "mode", st.st_mode & 07777);
    now->api->env_close(env);
    say_copy(now, "a", 0);
    say_copy(now, "b", 0);
    say_copy(now, "c", 0);
}

/* A copy goes where the descriptor stands, and leaves it open behind what it wrote. */
static void to_descriptors(struct context *now)
{
    MDB_env *env = filled(now);
    int fd = open("file", O_RDWR | O_CREAT, 0644), read_only = open("file", O_RDONLY);

    say(now, "copyfd", now->api->env_copyfd(env, fd));
    say_number(now, "moved to the end", lseek(fd, 0, SEEK_CUR) == lseek(fd, 0, SEEK_END));
    say_number(now, "still open", fcntl(fd, F_GETFD) >= 0);
    say(now, "a read-only one", now->api->env_copyfd(env, read_only));
    say(now, "a read-only one, compact", now->api->env_copyfd2(env, read_only, MDB_CP_COMPACT));
    say(now, "none", now->api->env_copyfd2(env, -1, MDB_CP_COMPACT));
    close(read_only);
    close(fd);
    now->api->env_close(env);
    say_copy(now, "file", MDB_NOSUBDIR);
}

/* Copies what comes out of a pipe into `path`, in a child. */
static pid_t drain(const int ends[2], const char *path)
{
    char bytes[4096];
    ssize_t size;
    pid_t child = fork();

    if (child != 0)
        return child;
    int to = open(path, O_WRONLY | O_CREAT, 0644);
    close(ends[1]);
    while ((size = read(ends[0], bytes, sizeof bytes)) > 0) {
        if (write(to, bytes, (size_t)size) != size)
            _exit(1);
    }
    _exit(0);
}

static void through_pipes(struct context *now)
{
    MDB_env *env = filled(now);

    signal(SIGPIPE, SIG_IGN);
    for (unsigned compact = 0; compact < 2; compact++) {
        const char *path = compact ? "compact" : "plain";
        int ends[2], status = 0;
        must(now, "pipe", pipe2(ends, O_CLOEXEC));
        fflush(now->out);
        pid_t child = drain(ends, path);
        close(ends[0]);
        say(now, path, now->api->env_copyfd2(env, ends[1], compact ? MDB_CP_COMPACT : 0));
        close(ends[1]);
        must(now, "waitpid", waitpid(child, &status, 0) != child);
        must(now, "drain", status);
        must(now, "pipe", pipe2(ends, O_CLOEXEC));
        close(ends[0]);
        say(now, "nobody reads", now->api->env_copyfd2(env, ends[1], compact ? MDB_CP_COMPACT : 0));
        close(ends[1]);
    }
    now->api->env_close(env);
    say_copy(now, "plain", MDB_NOSUBDIR);
    say_copy(now, "compact", MDB_NOSUBDIR);
}

/* With a reader in the same thread it fails, and leaves the file it made. */
static void beside_a_reader(struct context *now)
{
    MDB_env *env = filled(now);
    MDB_txn *reader = begin(now, env, NULL, MDB_RDONLY);
    struct stat st = {0};

    mkdir("a", 0755);
    say(now, "copy", now->api->env_copy(env, "a"));
    say_number(now, "there", stat("a/data.mdb", &st));
    say_number(now, "bytes", (long long)st.st_size);
    now->api->txn_abort(reader);
    now->api->env_close(env);
}

static void of_nothing(struct context *now)
{
    MDB_env *env = open_env(now, 0, 0);
    MDB_envinfo info;

    say(now, "plain", now->api->env_copy2(env, "x", 0));
    mkdir("a", 0755);
    mkdir("b", 0755);
    say(now, "plain", now->api->env_copy2(env, "a", 0));
    say(now, "compact", now->api->env_copy2(env, "b", MDB_CP_COMPACT));
    now->api->env_close(env);
    for (unsigned i = 0; i < 2; i++) {
        must(now, "open", try_open(now, i == 0 ? "a" : "b", 0, 0, &env));
        must(now, "info", now->api->env_info(env, &info));
        say_number(now, "last", (long long)info.me_last_txnid);
        now->api->env_close(env);
    }
}

const struct situation contract_copy[] = {
    {"copies to paths", to_paths},
    {"copies to descriptors", to_descriptors},
    {"copies through pipes", through_pipes},
    {"a copy beside a reader of the thread", beside_a_reader},
    {"copies of an empty environment", of_nothing},
    {NULL, NULL},
};
