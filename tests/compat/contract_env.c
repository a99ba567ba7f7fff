/* contract_env.c - situations of an open environment: map size, file size, readers, processes, I/O errors.
 *
 * Owns:       nothing.
 * Invariants: none.
 * Locks:      none; a child and its parent take turns through its end.
 */
#define _GNU_SOURCE /* posix_fallocate() */

#include "contract.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static long long file_bytes(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (long long)st.st_size : -1;
}

static long long map_bytes_of(struct context *now, MDB_env *env)
{
    MDB_envinfo info;

    must(now, "info", now->api->env_info(env, &info));
    return (long long)info.me_mapsize;
}

static void put_many(struct context *now, MDB_env *env, unsigned first, unsigned count)
{
    MDB_txn *txn = begin(now, env, NULL, 0);
    MDB_dbi dbi = open_dbi(now, txn, NULL, 0);
    char key[16], value[512];

    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (unsigned i = first; i < first + count; i++) {
        snprintf(key, sizeof key, "k%07u", i);
        must(now, "put", put(now, txn, dbi, key, value));
    }
    commit(now, txn);
}

static void write_map_size(struct context *now)
{
    MDB_env *env = open_env(now, MDB_WRITEMAP, 0);

    say_number(now, "default", file_bytes("data.mdb"));
    now->api->env_close(env);
    env = open_env(now, MDB_WRITEMAP, 3 << 20);
    say_number(now, "3 MiB", file_bytes("data.mdb"));
    now->api->env_close(env);
}

/* What knot-resolver does: blocks for the whole map, by the environment's own descriptor. */
static void preallocated(struct context *now)
{
    MDB_env *env = open_env(now, 0, 8 << 20);
    MDB_txn *txn;
    int fd = -1;

    must(now, "get_fd", now->api->env_get_fd(env, &fd));
    must(now, "fallocate", posix_fallocate(fd, 0, 8 << 20));
    put_many(now, env, 0, 100);
    say_number(now, "bytes", file_bytes("data.mdb"));
    now->api->env_close(env);
    say_number(now, "bytes, closed", file_bytes("data.mdb"));
    env = open_env(now, 0, 0);
    put_many(now, env, 100, 100);
    txn = begin(now, env, NULL, MDB_RDONLY);
    say_all(now, txn, open_dbi(now, txn, NULL, 0));
    now->api->txn_abort(txn);
    now->api->env_close(env);
    say_number(now, "bytes, after another", file_bytes("data.mdb"));
}

/* Sizes that programs pass to read-only environments: below what is used, and no multiple of anything. */
static void odd_map_sizes(struct context *now)
{
    static const size_t sizes[] = {1, 4096, 110000, 123457, 1 << 20, 50000001};
    MDB_env *env;
    MDB_txn *txn;

    must(now, "open", try_open(now, "file", MDB_NOSUBDIR, 16 << 20, &env));
    put_many(now, env, 0, 1000);
    now->api->env_close(env);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        MDB_stat stat;
        must(now, "open",
             try_open(now, "file", MDB_NOSUBDIR | MDB_NOLOCK | MDB_RDONLY, sizes[i], &env));
        txn = begin(now, env, NULL, MDB_RDONLY);
        must(now, "stat", now->api->stat(txn, open_dbi(now, txn, NULL, 0), &stat));
        say_number(now, "entries", (long long)stat.ms_entries);
        say_get(now, txn, 1, "k0000999");
        now->api->txn_abort(txn);
        if (sizes[i] > 1 << 20)
            say_number(now, "map", map_bytes_of(now, env));
        now->api->env_close(env);
    }
}

static void huge_maps(struct context *now)
{
    MDB_env *env;

    if (!addresses_are_free(now))
        return;
    env = open_env(now, 0, (size_t)1 << 40); /* 1 TiB */
    put_many(now, env, 0, 10);
    say_number(now, "map", map_bytes_of(now, env));
    now->api->env_close(env);
    say(now, "more than there are addresses", try_open(now, ".", 0, (size_t)1 << 60, &env));
}

static void map_size_of_reader(struct context *now)
{
    MDB_env *env = open_env(now, 0, 4 << 20);

    put_many(now, env, 0, 10);
    now->api->env_close(env);
    env = open_env(now, MDB_RDONLY, 0);
    say_number(now, "map", map_bytes_of(now, env));
    say(now, "8 MiB", now->api->env_set_mapsize(env, 8 << 20));
    say_number(now, "map", map_bytes_of(now, env));
    say(now, "what the file says", now->api->env_set_mapsize(env, 0));
    say_number(now, "map", map_bytes_of(now, env));
    now->api->env_close(env);
}

/* What one process persists is what a later one finds, whatever it asked for itself in between. */
static void persisted_map_size(struct context *now)
{
    MDB_env *env = open_env(now, 0, 16 << 20);

    put_many(now, env, 0, 1);
    now->api->env_close(env);
    env = open_env(now, 0, 2 << 20);
    say_number(now, "asked for less", map_bytes_of(now, env));
    put_many(now, env, 1, 1);
    now->api->env_close(env);
    env = open_env(now, 0, 0);
    say_number(now, "asked for nothing", map_bytes_of(now, env));
    say(now, "24 MiB while open", now->api->env_set_mapsize(env, 24 << 20));
    now->api->env_close(env);
    env = open_env(now, 0, 0);
    say_number(now, "not committed", map_bytes_of(now, env));
    must(now, "set_mapsize", now->api->env_set_mapsize(env, 24 << 20));
    put_many(now, env, 2, 1);
    now->api->env_close(env);
    env = open_env(now, 0, 0);
    say_number(now, "committed", map_bytes_of(now, env));
    now->api->env_close(env);
}

/* Who comes second gets the reader table that is there. */
static void shared_reader_table(struct context *now)
{
    unsigned readers = 0;
    MDB_env *env;
    int status;
    pid_t child;

    must(now, "env_create", now->api->env_create(&env));
    must(now, "maxreaders", now->api->env_set_maxreaders(env, 10));
    must(now, "open", now->api->env_open(env, ".", 0, 0644));
    fflush(now->out);
    child = fork();
    if (child == 0) {
        MDB_env *own;
        must(now, "env_create", now->api->env_create(&own));
        must(now, "maxreaders", now->api->env_set_maxreaders(own, 300));
        must(now, "open", now->api->env_open(own, ".", 0, 0644));
        now->api->env_get_maxreaders(own, &readers);
        say_number(now, "readers", readers);
        now->api->env_close(own);
        fflush(now->out);
        _exit(0);
    }
    waitpid(child, &status, 0);
    say(now, "status", status);
    now->api->env_close(env);
}

/* env_stat and env_info are of what is committed, not of a transaction. */
static void stat_of_committed(struct context *now)
{
    MDB_env *env = open_env(now, 0, 0);
    MDB_txn *txn;
    MDB_stat stat;
    MDB_envinfo info;

    put_many(now, env, 0, 3);
    txn = begin(now, env, NULL, 0);
    must(now, "put", put(now, txn, open_dbi(now, txn, NULL, 0), "a", "1"));
    for (int i = 0; i < 2; i++) {
        must(now, "stat", now->api->env_stat(env, &stat));
        must(now, "info", now->api->env_info(env, &info));
        say_number(now, "entries", (long long)stat.ms_entries);
        say_number(now, "page", stat.ms_psize);
        say_number(now, "last", (long long)info.me_last_txnid);
        if (i == 0)
            commit(now, txn);
    }
    now->api->env_close(env);
}

static int asserted;

static void on_assert(MDB_env *env, const char *message)
{
    (void)env;
    (void)message;
    asserted++;
}

/* Accepted at any time and never called while nothing is wrong. */
static void assert_callback(struct context *now)
{
    MDB_env *env;

    must(now, "env_create", now->api->env_create(&env));
    say(now, "before open", now->api->env_set_assert(env, on_assert));
    must(now, "open", now->api->env_open(env, ".", 0, 0644));
    say(now, "after", now->api->env_set_assert(env, on_assert));
    put_many(now, env, 0, 1000);
    say(now, "none", now->api->env_set_assert(env, NULL));
    say(now, "no environment", now->api->env_set_assert(NULL, on_assert));
    now->api->env_close(env);
    say_number(now, "called", asserted);
}

/* A data file that must not grow: the commit fails, what was there stays, and the environment works. */
static void write_error(struct context *now)
{
    struct rlimit limit;
    MDB_env *env = open_env(now, 0, 64 << 20);
    MDB_txn *txn;
    MDB_dbi dbi;
    char *value = calloc(1, 20 << 20);
    MDB_val key = {1, (void *)(uintptr_t) "a"}, big = {20 << 20, value};
    int rc;

    put_many(now, env, 0, 3);
    signal(SIGXFSZ, SIG_IGN);
    must(now, "getrlimit", getrlimit(RLIMIT_FSIZE, &limit));
    limit.rlim_cur = 4 << 20;
    must(now, "setrlimit", setrlimit(RLIMIT_FSIZE, &limit));
    txn = begin(now, env, NULL, 0);
    dbi = open_dbi(now, txn, NULL, 0);
    rc = now->api->put(txn, dbi, &key, &big, 0);
    rc = rc == 0 ? now->api->txn_commit(txn) : (now->api->txn_abort(txn), rc);
    say_number(now, "an errno", rc > 0);
    limit.rlim_cur = limit.rlim_max;
    must(now, "setrlimit", setrlimit(RLIMIT_FSIZE, &limit));
    txn = begin(now, env, NULL, 0);
    say_all(now, txn, dbi);
    must(now, "put", put(now, txn, dbi, "b", "2"));
    commit(now, txn);
    txn = begin(now, env, NULL, MDB_RDONLY);
    say_all(now, txn, dbi);
    now->api->txn_abort(txn);
    now->api->env_close(env);
    free(value);
}

/* Those that run code of the process: the kernel lists its workers for io_uring as well. */
static unsigned threads_now(void)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *entry;
    char path[300], name[32];
    unsigned count = 0;

    while ((entry = readdir(tasks)) != NULL) {
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "r");
        if (file == NULL)
            continue;
        if (fgets(name, sizeof name, file) != NULL && strncmp(name, "iou-", 4) != 0)
            count++;
        fclose(file);
    }
    closedir(tasks);
    return count;
}

static void no_threads_of_its_own(struct context *now)
{
    MDB_env *env = open_env(now, 0, 64 << 20);

    for (unsigned i = 0; i < 20; i++)
        put_many(now, env, i * 100, 100);
    must(now, "copy", mkdir("copy", 0755));
    say(now, "copy", now->api->env_copy2(env, "copy", MDB_CP_COMPACT));
    say_number(now, "threads", threads_now());
    now->api->env_close(env);
    say_number(now, "threads", threads_now());
}

static void *use_and_close(void *context)
{
    struct context *now = context;
    MDB_env *env = open_env(now, 0, 0);
    MDB_txn *txn = begin(now, env, NULL, MDB_RDONLY);

    now->api->txn_abort(txn);
    now->api->env_close(env);
    return NULL;
}

/* A thread that read may end long after its environment was closed. */
static void thread_outlives_environment(struct context *now)
{
    pthread_t thread;

    must(now, "thread", pthread_create(&thread, NULL, use_and_close, now));
    must(now, "join", pthread_join(thread, NULL));
    say(now, "it ended", 0);
}

const struct situation contract_env[] = {
    {"MDB_WRITEMAP extends the file", write_map_size},
    {"a file that the program allocated", preallocated},
    {"odd and small map sizes, read-only without lock", odd_map_sizes},
    {"huge maps", huge_maps},
    {"mdb_env_set_mapsize with MDB_RDONLY", map_size_of_reader},
    {"which map size persists", persisted_map_size},
    {"readers of who comes second", shared_reader_table},
    {"mdb_env_stat and mdb_env_info inside a transaction", stat_of_committed},
    {"mdb_env_set_assert", assert_callback},
    {"a write that fails", write_error},
    {"no threads", no_threads_of_its_own},
    {"a thread that outlives its environment", thread_outlives_environment},
    {NULL, NULL},
};
