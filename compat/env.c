/* env.c - environments: settings before opening, opening and closing, what one may ask afterwards.
 *
 * Owns:       struct MDB_env and the paths made of the one it is given.
 * Invariants: E1 env->qs != NULL exactly when env->state == ENV_OPEN.
 *             E2 env->flags are what mdb_env_get_flags() shows, never an internal bit.
 * Locks:      none here; the engine has its own, and settings are the program's to order.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* secure_getenv() */
#endif

#include "env.h"

#include "errors.h"
#include "values.h"

#include "quickstep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FLAGS_CHANGEABLE (MDB_NOSYNC | MDB_NOMETASYNC | MDB_MAPASYNC | MDB_NOMEMINIT)
#define FLAGS_AT_OPEN                                                                              \
    (MDB_FIXEDMAP | MDB_NOSUBDIR | MDB_RDONLY | MDB_WRITEMAP | MDB_NOTLS | MDB_NOLOCK |            \
     MDB_NORDAHEAD)
#define READERS_DEFAULT 126

/* LMDB has no call for it: QUICKSTEP_LOG_BYTES bounds the log, and so what recovery has to do. */
static uint64_t log_bytes_wanted(void)
{
    const char *text = secure_getenv("QUICKSTEP_LOG_BYTES");

    return text != NULL ? strtoull(text, NULL, 10) : 0;
}

/* The rest have no engine counterpart: NOSUBDIR names files, FIXEDMAP and NOMEMINIT do nothing. */
static unsigned engine_flags(unsigned flags)
{
    static const struct {
        unsigned lmdb;
        unsigned engine;
    } same[] = {
        {MDB_RDONLY, QS_RDONLY},     {MDB_NOSYNC, QS_NOSYNC},       {MDB_NOMETASYNC, QS_NOMETASYNC},
        {MDB_WRITEMAP, QS_WRITEMAP}, {MDB_MAPASYNC, QS_MAPASYNC},   {MDB_NOTLS, QS_NOTLS},
        {MDB_NOLOCK, QS_NOLOCK},     {MDB_NORDAHEAD, QS_NORDAHEAD},
    };
    unsigned result = 0;

    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        if (flags & same[i].lmdb)
            result |= same[i].engine;
    }
    return result;
}

char *qs_compat_path(const char *path, const char *suffix)
{
    size_t path_bytes = strlen(path);
    size_t suffix_bytes = strlen(suffix) + 1;
    char *joined = malloc(path_bytes + suffix_bytes);

    if (joined != NULL) {
        memcpy(joined, path, path_bytes);
        memcpy(joined + path_bytes, suffix, suffix_bytes);
    }
    return joined;
}

int mdb_env_create(MDB_env **env)
{
    MDB_env *created;

    if (env == NULL)
        return EINVAL;
    created = calloc(1, sizeof *created);
    if (created == NULL)
        return ENOMEM;
    created->state = ENV_NEW;
    created->readers_max = READERS_DEFAULT;
    *env = created;
    return MDB_SUCCESS;
}

/* An attempt that came as far as the data file uses the handle up: LMDB keeps the descriptor and
 * takes the next open for a second one. ENOMEM is that of mapping the file, as far as one can tell.
 */
static bool failed_after_data_file(int rc)
{
    return rc < 0 || rc == ENOMEM;
}

static int open_files(MDB_env *env, const char *path, unsigned flags, mode_t mode)
{
    bool subdir = !(flags & MDB_NOSUBDIR);
    char *data_path = qs_compat_path(path, subdir ? "/data.mdb" : "");
    char *lock_path = qs_compat_path(path, subdir ? "/lock.mdb" : "-lock");
    int rc = ENOMEM;

    if (data_path != NULL && lock_path != NULL) {
        const struct qs_options options = {
            .log_bytes_max = log_bytes_wanted(),
            .data_path = data_path,
            .lock_path = lock_path,
            .flags = engine_flags(flags),
            .mode = mode,
            .map_size_bytes = env->map_size_bytes,
            .max_readers = env->readers_max,
        };

        rc = qs_env_open(&options, &env->qs);
        if (rc != 0) {
            env->qs = NULL;
            if (failed_after_data_file(rc))
                env->state = ENV_SPOILED;
        }
    }
    free(data_path);
    free(lock_path);
    return rc;
}

int mdb_env_open(MDB_env *env, const char *path, unsigned int flags, mdb_mode_t mode)
{
    int rc;

    if (env == NULL || path == NULL || env->state != ENV_NEW ||
        (flags & ~(unsigned)(FLAGS_CHANGEABLE | FLAGS_AT_OPEN)) != 0)
        return EINVAL;
    flags |= env->flags;
    if (flags & MDB_RDONLY)
        flags &= ~(unsigned)MDB_WRITEMAP;

    rc = qs_compat_handles_init(&env->handles, env->named_max);
    if (rc != 0)
        return rc;
    env->path = qs_compat_path(path, "");
    if (env->path == NULL) {
        rc = ENOMEM;
        goto err_handles;
    }
    rc = open_files(env, path, flags, mode);
    if (rc != 0)
        goto err_path;
    env->flags = flags;
    env->state = ENV_OPEN;
    return MDB_SUCCESS;

err_path:
    free(env->path);
    env->path = NULL;
err_handles:
    qs_compat_handles_free(&env->handles);
    return qs_compat_error(rc);
}

void mdb_env_close(MDB_env *env)
{
    if (env == NULL)
        return;
    if (env->state == ENV_OPEN) {
        qs_compat_handles_forget_orders(&env->handles);
        qs_env_close(env->qs);
        qs_compat_handles_free(&env->handles);
    }
    if (atomic_load_explicit(&qs_compat_listening, memory_order_relaxed))
        qs_on_assert(NULL, NULL);
    free(env->path);
    free(env);
}

int mdb_env_set_mapsize(MDB_env *env, size_t size)
{
    if (env == NULL)
        return EINVAL;
    if (env->state == ENV_OPEN)
        return qs_compat_error(qs_env_set_map_size(env->qs, size));
    env->map_size_bytes = size;
    return MDB_SUCCESS;
}

int mdb_env_set_maxreaders(MDB_env *env, unsigned int readers)
{
    if (env == NULL || env->state == ENV_OPEN || readers == 0)
        return EINVAL;
    env->readers_max = readers;
    return MDB_SUCCESS;
}

/* Slots there are: an existing lock file may have more than were asked for. */
static unsigned readers_there_are(const MDB_env *env, const struct qs_env_info *info)
{
    return (env->flags & MDB_NOLOCK) ? env->readers_max : info->max_readers;
}

int mdb_env_get_maxreaders(MDB_env *env, unsigned int *readers)
{
    struct qs_env_info info;
    int rc;

    if (env == NULL || readers == NULL)
        return EINVAL;
    if (env->state != ENV_OPEN) {
        *readers = env->readers_max;
        return MDB_SUCCESS;
    }
    rc = qs_env_info(env->qs, &info);
    if (rc == 0)
        *readers = readers_there_are(env, &info);
    return qs_compat_error(rc);
}

int mdb_env_set_maxdbs(MDB_env *env, MDB_dbi dbs)
{
    if (env == NULL || env->state == ENV_OPEN)
        return EINVAL;
    env->named_max = dbs;
    return MDB_SUCCESS;
}

int mdb_env_get_maxkeysize(MDB_env *env)
{
    (void)env; /* the same for all, opened or not */
    return COMPAT_KEY_MAX;
}

int mdb_env_set_flags(MDB_env *env, unsigned int flags, int onoff)
{
    int rc = 0;

    if (env == NULL || (flags & ~(unsigned)FLAGS_CHANGEABLE) != 0)
        return EINVAL;
    if (env->state == ENV_OPEN && engine_flags(flags) != 0)
        rc = qs_env_set_flags(env->qs, engine_flags(flags), onoff != 0);
    if (rc == 0 && onoff)
        env->flags |= flags;
    else if (rc == 0)
        env->flags &= ~flags;
    return qs_compat_error(rc);
}

int mdb_env_get_flags(MDB_env *env, unsigned int *flags)
{
    if (env == NULL || flags == NULL)
        return EINVAL;
    *flags = env->flags;
    return MDB_SUCCESS;
}

int mdb_env_get_path(MDB_env *env, const char **path)
{
    if (env == NULL || path == NULL)
        return EINVAL;
    *path = env->path;
    return MDB_SUCCESS;
}

int mdb_env_get_fd(MDB_env *env, mdb_filehandle_t *fd)
{
    if (env == NULL || fd == NULL)
        return EINVAL;
    *fd = env->state == ENV_OPEN ? qs_env_fd(env->qs) : -1;
    return MDB_SUCCESS;
}

int mdb_env_set_userctx(MDB_env *env, void *ctx)
{
    if (env == NULL)
        return EINVAL;
    env->user_context = ctx;
    return MDB_SUCCESS;
}

void *mdb_env_get_userctx(MDB_env *env)
{
    return env != NULL ? env->user_context : NULL;
}

_Atomic bool qs_compat_listening;

static void tell_program(void *context, const char *message)
{
    MDB_env *env = context;

    if (env->on_assert != NULL)
        env->on_assert(env, message);
}

void qs_compat_listen_now(MDB_env *env)
{
    qs_on_assert(tell_program, env);
}

int mdb_env_set_assert(MDB_env *env, MDB_assert_func *func)
{
    if (env == NULL)
        return EINVAL;
    env->on_assert = func;
    atomic_store_explicit(&qs_compat_listening, true, memory_order_relaxed);
    qs_compat_listen(env);
    return MDB_SUCCESS;
}

int mdb_env_sync(MDB_env *env, int force)
{
    if (env == NULL)
        return EINVAL;
    if (env->state != ENV_OPEN)
        return EBADF;
    return qs_compat_error(qs_env_sync(env->qs, force != 0));
}

int mdb_env_stat(MDB_env *env, MDB_stat *stat)
{
    struct qs_stat counts;
    int rc;

    if (env == NULL || stat == NULL || env->state != ENV_OPEN)
        return EINVAL;
    rc = qs_env_stat(env->qs, &counts);
    if (rc == 0)
        qs_compat_stat(stat, &counts);
    return qs_compat_error(rc);
}

int mdb_env_info(MDB_env *env, MDB_envinfo *stat)
{
    struct qs_env_info info;
    int rc;

    if (env == NULL || stat == NULL || env->state != ENV_OPEN)
        return EINVAL;
    rc = qs_env_info(env->qs, &info);
    if (rc != 0)
        return qs_compat_error(rc);
    stat->me_mapaddr = NULL; /* no file is ever mapped at a fixed address */
    stat->me_mapsize = info.map_size_bytes;
    stat->me_last_pgno = info.last_page;
    stat->me_last_txnid = info.last_txnid;
    stat->me_maxreaders = readers_there_are(env, &info);
    stat->me_numreaders = info.num_readers;
    return MDB_SUCCESS;
}
