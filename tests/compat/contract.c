/* contract.c - runs every situation on both libraries and compares what they wrote down.
 *
 * Owns:       a directory, with one a library and situation inside it.
 * Invariants: a library that crashes, hangs or gives up in a situation fails it, the real one, too.
 * Locks:      none.
 */
#define _GNU_SOURCE /* mkdtemp() */

#include "contract.h"
#include "effort.h"

#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SITUATION_SECONDS_MAX = 60, SKIP_CODE = 77 };

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    remove(path);
    return 0;
}

/* ---- helpers of situations ------------------------------------------------------------------- */

void say(struct context *now, const char *what, int rc)
{
    fprintf(now->out, "%s: %d\n", what, rc);
    fflush(now->out);
}

void say_number(struct context *now, const char *what, long long number)
{
    fprintf(now->out, "%s: %lld\n", what, number);
    fflush(now->out);
}

void say_bytes(struct context *now, const char *what, const MDB_val *val)
{
    fprintf(now->out, "%s: %zu bytes", what, val->mv_size);
    for (size_t i = 0; i < val->mv_size && i < 64; i++)
        fprintf(now->out, " %02x", ((unsigned char *)val->mv_data)[i]);
    fprintf(now->out, "\n");
    fflush(now->out);
}

void must(struct context *now, const char *what, int rc)
{
    if (rc == 0)
        return;
    fprintf(now->out, "gave up: %s: %d\n", what, rc);
    fflush(now->out);
    fprintf(stderr, "%s: %s: %s\n", now->api->label, what, now->api->strerror(rc));
    _exit(1);
}

bool addresses_are_free(struct context *now)
{
    bool they_are = effort(1, 0) != 0;

    if (!they_are && now->real) {
        printf("left out, for want of addresses\n");
        fflush(stdout);
    }
    return they_are;
}

int try_open(struct context *now, const char *path, unsigned flags, size_t map_bytes, MDB_env **env)
{
    int rc;

    must(now, "env_create", now->api->env_create(env));
    must(now, "set_maxdbs", now->api->env_set_maxdbs(*env, 8));
    if (map_bytes != 0)
        must(now, "set_mapsize", now->api->env_set_mapsize(*env, map_bytes));
    rc = now->api->env_open(*env, path, flags, 0664);
    if (rc != 0)
        now->api->env_close(*env);
    return rc;
}

MDB_env *open_env(struct context *now, unsigned flags, size_t map_bytes)
{
    MDB_env *env;

    must(now, "env_open", try_open(now, ".", flags, map_bytes, &env));
    return env;
}

MDB_txn *begin(struct context *now, MDB_env *env, MDB_txn *parent, unsigned flags)
{
    MDB_txn *txn = NULL;

    must(now, "txn_begin", now->api->txn_begin(env, parent, flags, &txn));
    return txn;
}

void commit(struct context *now, MDB_txn *txn)
{
    must(now, "txn_commit", now->api->txn_commit(txn));
}

MDB_dbi open_dbi(struct context *now, MDB_txn *txn, const char *name, unsigned flags)
{
    MDB_dbi dbi = 0;

    must(now, "dbi_open", now->api->dbi_open(txn, name, flags, &dbi));
    return dbi;
}

MDB_cursor *open_cursor(struct context *now, MDB_txn *txn, MDB_dbi dbi)
{
    MDB_cursor *cursor = NULL;

    must(now, "cursor_open", now->api->cursor_open(txn, dbi, &cursor));
    return cursor;
}

static MDB_val val_of(const char *text)
{
    return (MDB_val){strlen(text), (void *)(uintptr_t)text};
}

int put(struct context *now, MDB_txn *txn, MDB_dbi dbi, const char *key, const char *value)
{
    MDB_val k = val_of(key), v = val_of(value);

    return now->api->put(txn, dbi, &k, &v, 0);
}

int del(struct context *now, MDB_txn *txn, MDB_dbi dbi, const char *key)
{
    MDB_val k = val_of(key);

    return now->api->del(txn, dbi, &k, NULL);
}

void say_get(struct context *now, MDB_txn *txn, MDB_dbi dbi, const char *key)
{
    MDB_val k = val_of(key), v = {0, NULL};
    int rc = now->api->get(txn, dbi, &k, &v);

    say(now, key, rc);
    if (rc == 0)
        say_bytes(now, "value", &v);
}

void say_cursor(struct context *now, MDB_cursor *cursor, MDB_cursor_op op, const char *key)
{
    MDB_val k = val_of(key != NULL ? key : ""), v = {0, NULL};
    int rc = now->api->cursor_get(cursor, &k, &v, op);

    fprintf(now->out, "op %d: ", (int)op);
    say(now, key != NULL ? key : "", rc);
    if (rc == 0) {
        say_bytes(now, "key", &k);
        say_bytes(now, "value", &v);
    }
}

void say_all(struct context *now, MDB_txn *txn, MDB_dbi dbi)
{
    MDB_cursor *cursor = open_cursor(now, txn, dbi);
    MDB_val key, value;
    MDB_stat stat;
    int rc;

    while ((rc = now->api->cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        say_bytes(now, "key", &key);
        say_bytes(now, "value", &value);
    }
    say(now, "the last step", rc);
    now->api->cursor_close(cursor);
    must(now, "stat", now->api->stat(txn, dbi, &stat));
    say_number(now, "entries", (long long)stat.ms_entries);
}

void make_file(struct context *now, const char *path, unsigned flags)
{
    MDB_env *env;
    MDB_txn *txn;

    must(now, "env_open", try_open(now, path, flags, 0, &env));
    txn = begin(now, env, NULL, 0);
    must(now, "put", put(now, txn, open_dbi(now, txn, NULL, 0), "key", "value"));
    commit(now, txn);
    now->api->env_close(env);
}

/* ---- running --------------------------------------------------------------------------------- */

/* In a process of its own. Wait status. */
static int run_on(const struct api *api, bool real, const struct situation *situation,
                  const char *directory, const char *transcript)
{
    int status = 0;
    pid_t child;

    fflush(stdout);
    if (mkdir(directory, 0755) != 0) {
        perror(directory);
        exit(1);
    }
    child = fork();
    if (child == 0) {
        struct context now = {api, fopen(transcript, "w"), real};
        if (now.out == NULL || chdir(directory) != 0)
            _exit(2);
        umask(022);
        alarm(SITUATION_SECONDS_MAX);
        situation->run(&now);
        fclose(now.out);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
        perror("fork");
        exit(1);
    }
    return status;
}

/* Prints the first line in which the files differ; true when there is none. */
static bool same(const char *real_path, const char *ours_path)
{
    char real[1024], ours[1024];
    FILE *real_file = fopen(real_path, "r"), *ours_file = fopen(ours_path, "r");
    bool equal = real_file != NULL && ours_file != NULL;
    unsigned line = 0;

    while (equal) {
        bool real_has = fgets(real, sizeof real, real_file) != NULL;
        bool ours_has = fgets(ours, sizeof ours, ours_file) != NULL;
        line++;
        if (!real_has && !ours_has)
            break;
        if (real_has && ours_has && strcmp(real, ours) == 0)
            continue;
        printf("    line %u\n    real: %s    ours: %s", line, real_has ? real : "(end)\n",
               ours_has ? ours : "(end)\n");
        equal = false;
    }
    if (real_file != NULL)
        fclose(real_file);
    if (ours_file != NULL)
        fclose(ours_file);
    return equal;
}

static bool compare(const struct api apis[2], const struct situation *situation, const char *base)
{
    char directory[2][300], transcript[2][300];
    int status[2];
    bool passed;

    for (int i = 0; i < 2; i++) {
        snprintf(directory[i], sizeof directory[i], "%s/%s", base, apis[i].label);
        snprintf(transcript[i], sizeof transcript[i], "%s/%s.txt", base, apis[i].label);
        status[i] = run_on(&apis[i], i == 0, situation, directory[i], transcript[i]);
    }
    passed = same(transcript[0], transcript[1]) && status[0] == 0 && status[1] == 0;
    if (!passed)
        printf("NOT THE SAME: %s (wait status: real %d, ours %d)\n", situation->name, status[0],
               status[1]);
    for (int i = 0; i < 2; i++)
        nftw(directory[i], remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return passed;
}

int main(int argc, char **argv)
{
    static const struct situation *const lists[] = {contract_open, contract_env,    contract_copy,
                                                    contract_txn,  contract_nested, contract_data};
    static struct api apis[2];
    char base[] = "/tmp/qs-contract-XXXXXX";
    const char *real = api_find_real(), *ours = getenv("QS_LMDB");
    unsigned count = 0, failed = 0;

    if (real == NULL || ours == NULL) {
        fprintf(stderr, "skipped: needs the real liblmdb.so.0 and QS_LMDB\n");
        return SKIP_CODE;
    }
    if (api_load(&apis[0], "real", real, 0) != 0 || api_load(&apis[1], "ours", ours, 0) != 0)
        return 1;
    if (mkdtemp(base) == NULL || chmod(base, 0755) != 0) {
        perror(base);
        return 1;
    }
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        for (const struct situation *s = lists[i]; s->run != NULL; s++) {
            if (argc > 1 && strstr(s->name, argv[1]) == NULL)
                continue;
            count++;
            failed += !compare(apis, s, base);
        }
    }
    printf("%u situations, %u not the same\n", count, failed);
    nftw(base, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return failed != 0;
}
