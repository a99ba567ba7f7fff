/* contract_open.c - situations of opening: errors, flags, modes, names, descriptors, foreign files.
 *
 * Owns:       nothing.
 * Invariants: permissions are looked at as a user who has none (nobody), where the test may become one.
 * Locks:      none.
 */
#define _GNU_SOURCE /* setresuid() */

#include "contract.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOBODY = 65534 };

static void say_exists(struct context *now, const char *path)
{
    fprintf(now->out, "%s there: %d\n", path, access(path, F_OK) == 0);
}

static void say_mode(struct context *now, const char *path)
{
    struct stat st;

    fprintf(now->out, "%s: mode %o\n", path,
            stat(path, &st) == 0 ? (unsigned)st.st_mode & 07777u : 0u);
}

/* Opens, says what came of it, closes. */
static void open_and_say(struct context *now, const char *path, unsigned flags)
{
    MDB_env *env;
    int rc = try_open(now, path, flags, 0, &env);

    say(now, path, rc);
    if (rc == 0)
        now->api->env_close(env);
}

static void version_takes_null(struct context *now)
{
    int major = 0, minor = 0, patch = 0;

    fprintf(now->out, "%s\n", now->api->version(NULL, NULL, NULL));
    now->api->version(&major, NULL, NULL);
    now->api->version(NULL, &minor, NULL);
    now->api->version(NULL, NULL, &patch);
    fprintf(now->out, "%d.%d.%d\n", major, minor, patch);
}

static void before_open(struct context *now)
{
    MDB_env *env;
    unsigned readers = 0, flags = 9;

    must(now, "env_create", now->api->env_create(&env));
    say(now, "sync", now->api->env_sync(env, 0));
    say(now, "sync, force", now->api->env_sync(env, 1));
    say(now, "map size 0", now->api->env_set_mapsize(env, 0));
    say(now, "map size 1", now->api->env_set_mapsize(env, 1));
    say(now, "map size 12345", now->api->env_set_mapsize(env, 12345));
    say(now, "no databases", now->api->env_set_maxdbs(env, 0));
    say(now, "no readers", now->api->env_set_maxreaders(env, 0));
    say(now, "5 readers", now->api->env_set_maxreaders(env, 5));
    say(now, "readers", now->api->env_get_maxreaders(env, &readers));
    say_number(now, "readers", readers);
    say(now, "flags", now->api->env_get_flags(env, &flags));
    say_number(now, "flags", flags);
    say_number(now, "key size", now->api->env_get_maxkeysize(env));
    now->api->env_close(env);
}

/* Every set of flags is accepted; MDB_FIXEDMAP is left out, since it needs an address that is free. */
static void all_flags(struct context *now)
{
    static const unsigned bits[] = {MDB_NOSYNC,   MDB_RDONLY,    MDB_NOMETASYNC,
                                    MDB_WRITEMAP, MDB_MAPASYNC,  MDB_NOTLS,
                                    MDB_NOLOCK,   MDB_NORDAHEAD, MDB_NOMEMINIT};
    char label[32];

    make_file(now, "file", MDB_NOSUBDIR);
    for (unsigned set = 0; set < 1u << 9; set++) {
        unsigned flags = MDB_NOSUBDIR, shown = 0;
        MDB_env *env;
        for (unsigned i = 0; i < 9; i++)
            flags |= set & 1u << i ? bits[i] : 0;
        snprintf(label, sizeof label, "flags %#x", flags);
        must(now, label, try_open(now, "file", flags, 0, &env));
        now->api->env_get_flags(env, &shown);
        say_number(now, label, shown);
        now->api->env_close(env);
    }
}

static void missing_directories(struct context *now)
{
    open_and_say(now, "none", 0);
    open_and_say(now, "none", MDB_RDONLY);
    open_and_say(now, "none/file", MDB_NOSUBDIR);
    open_and_say(now, "none/file", MDB_NOSUBDIR | MDB_NOLOCK);
    open_and_say(now, "file", MDB_NOSUBDIR | MDB_RDONLY);
    say_exists(now, "file");
    say_exists(now, "file-lock");
    say_exists(now, "none");
}

/* Runs `act` as a user without rights to anything that is not everybody's. */
static void as_nobody(struct context *now, void (*act)(struct context *))
{
    int status = 0;
    pid_t child;

    fflush(now->out);
    child = fork();
    if (child == 0) {
        if (geteuid() == 0 &&
            (setresgid(NOBODY, NOBODY, NOBODY) != 0 || setresuid(NOBODY, NOBODY, NOBODY) != 0))
            _exit(1);
        act(now);
        fflush(now->out);
        _exit(0);
    }
    waitpid(child, &status, 0);
    say(now, "status", status);
}

static void try_without_rights(struct context *now)
{
    open_and_say(now, "data", 0);
    open_and_say(now, "data", MDB_RDONLY);
    open_and_say(now, "lock", 0);
    open_and_say(now, "lock", MDB_RDONLY);
    open_and_say(now, "lock", MDB_RDONLY | MDB_NOLOCK);
    open_and_say(now, "nolock", MDB_RDONLY);
    open_and_say(now, "nolock", MDB_RDONLY | MDB_NOLOCK);
    open_and_say(now, "empty", 0);
    open_and_say(now, "unreadable", MDB_RDONLY | MDB_NOLOCK);
}

static void no_rights(struct context *now)
{
    static const char *const names[] = {"data", "lock", "nolock", "empty", "unreadable"};

    for (size_t i = 0; i < 5; i++) {
        char path[32];
        mkdir(names[i], 0755);
        if (strcmp(names[i], "empty") != 0)
            make_file(now, names[i], 0);
        snprintf(path, sizeof path, "%s/lock.mdb", names[i]);
        if (strcmp(names[i], "data") == 0)
            chmod(path, 0666);
        if (strcmp(names[i], "lock") == 0)
            chmod(path, 0444);
        if (strcmp(names[i], "nolock") == 0)
            unlink(path);
        snprintf(path, sizeof path, "%s/data.mdb", names[i]);
        chmod(path, strcmp(names[i], "unreadable") == 0 ? 0 : 0444);
        chmod(names[i], 0555);
    }
    as_nobody(now, try_without_rights);
}

/* An open that came as far as the data file uses the handle up. */
static void handle_after_failure(struct context *now)
{
    FILE *file = fopen("data.mdb", "w");
    MDB_env *env;

    for (int i = 0; i < 20000; i++)
        fputc(i * 7 + 1, file);
    fclose(file);
    must(now, "env_create", now->api->env_create(&env));
    say(now, "missing", now->api->env_open(env, "none", 0, 0644));
    say(now, "garbage", now->api->env_open(env, ".", 0, 0644));
    unlink("data.mdb");
    say(now, "again", now->api->env_open(env, ".", 0, 0644));
    now->api->env_close(env);
    open_and_say(now, ".", 0);
}

static void modes(struct context *now)
{
    static const unsigned wanted[] = {0777, 0666, 0600, 0644, 0};
    char path[32], lock[48];
    MDB_env *env;

    for (unsigned i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "file%u", i);
        snprintf(lock, sizeof lock, "%s-lock", path);
        must(now, "env_create", now->api->env_create(&env));
        say(now, path, now->api->env_open(env, path, MDB_NOSUBDIR, wanted[i]));
        now->api->env_close(env);
        say_mode(now, path);
        say_mode(now, lock);
    }
    must(now, "env_create", now->api->env_create(&env));
    must(now, "open", now->api->env_open(env, "file0", MDB_NOSUBDIR, 0600));
    now->api->env_close(env);
    say_mode(now, "file0");
}

static void paths_matter_at_open_only(struct context *now)
{
    const char *path = NULL;
    MDB_env *env;
    MDB_txn *txn;

    mkdir("one", 0755);
    must(now, "open", try_open(now, "./one/", 0, 0, &env));
    rename("one", "two");
    mkdir("three", 0755);
    must(now, "chdir", chdir("three"));
    txn = begin(now, env, NULL, 0);
    say(now, "put", put(now, txn, open_dbi(now, txn, NULL, 0), "a", "1"));
    commit(now, txn);
    now->api->env_get_path(env, &path);
    fprintf(now->out, "%s\n", path);
    txn = begin(now, env, NULL, MDB_RDONLY);
    say_get(now, txn, 1, "a");
    now->api->txn_abort(txn);
    now->api->env_close(env);
    must(now, "chdir", chdir(".."));
    open_and_say(now, "two", MDB_RDONLY);
}

/* Only the descriptor that programs may ask for outlives an exec. */
static void descriptors(struct context *now)
{
    MDB_env *env = open_env(now, 0, 0);
    DIR *all = opendir("/proc/self/fd");
    struct dirent *entry;
    char link[512], path[300];
    int fd = -1, inherited = 0, left = 0;

    must(now, "get_fd", now->api->env_get_fd(env, &fd));
    for (int round = 0; round < 2; round++) {
        rewinddir(all);
        while ((entry = readdir(all)) != NULL) {
            snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
            ssize_t size = readlink(path, link, sizeof link - 1);
            link[size > 0 ? size : 0] = '\0';
            if (strstr(link, ".mdb") == NULL)
                continue;
            left += round == 1;
            if (round == 0 && atoi(entry->d_name) != fd)
                inherited += (fcntl(atoi(entry->d_name), F_GETFD) & FD_CLOEXEC) == 0;
        }
        if (round == 0)
            now->api->env_close(env);
    }
    closedir(all);
    say_number(now, "others that an exec would leave open", inherited);
    say_number(now, "open after close", left);
}

/* Each library has a format of its own, and says so of the other's. */
static void foreign_file(struct context *now)
{
    char other[600];
    struct api *api = calloc(1, sizeof *api);
    const struct api *mine = now->api;

    must(now, "load", api_load(api, "other", now->real ? getenv("QS_LMDB") : api_find_real(), 0));
    now->api = api;
    mkdir("theirs", 0755);
    make_file(now, "theirs", 0);
    now->api = mine;
    open_and_say(now, "theirs", 0);
    open_and_say(now, "theirs", MDB_RDONLY);
    open_and_say(now, "theirs", MDB_RDONLY | MDB_NOLOCK);
    snprintf(other, sizeof other, "theirs/data.mdb");
    open_and_say(now, other, MDB_NOSUBDIR);
    free(api);
}

static void fixed_map(struct context *now)
{
    if (!addresses_are_free(now))
        return;
    open_and_say(now, ".", MDB_FIXEDMAP);
    open_and_say(now, ".", MDB_FIXEDMAP);
    open_and_say(now, ".", 0);
}

const struct situation contract_open[] = {
    {"mdb_version with NULL", version_takes_null},
    {"settings and questions before mdb_env_open", before_open},
    {"every set of flags", all_flags},
    {"missing directories and files", missing_directories},
    {"files and directories without rights", no_rights},
    {"mdb_env_open after a failed one", handle_after_failure},
    {"modes of files", modes},
    {"paths after open", paths_matter_at_open_only},
    {"descriptors", descriptors},
    {"a file of the other library", foreign_file},
    {"MDB_FIXEDMAP", fixed_map},
    {NULL, NULL},
};
