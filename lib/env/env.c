/* env.c - opening, closing and setting environments; see quickstep.h. */
#include "env/env.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define CHANGEABLE_FLAGS (QS_NOSYNC | QS_NOMETASYNC | QS_MAPASYNC)

static uint64_t pages_of(uint64_t size_bytes)
{
    return size_bytes >> QS_PAGE_SHIFT;
}

/* Puts a map size in force: not below what is in use, and mapped. */
static int apply_map_size(struct qs_env *env, uint64_t wanted)
{
    struct core *core = env->core;
    struct replica_state state;
    struct replica *replica = qs_core_use(core);
    qs_replica_state(replica, &state);
    uint64_t size = wanted;
    if (size == 0) {
        struct meta meta;
        bool fresh = false;
        int rc = qs_meta_read(core->store, &meta, &fresh);
        if (rc != 0 || fresh) {
            qs_core_unuse(replica);
            return rc != 0 ? rc : QS_CORRUPT();
        }
        size = meta.map_size_bytes;
    }
    qs_core_unuse(replica);
    if (size < state.used_pages << QS_PAGE_SHIFT)
        size = state.used_pages << QS_PAGE_SHIFT;
    int rc = qs_store_map_reserve(core->store, qs_core_map_pages(size));
    if (rc != 0)
        return rc;
    atomic_store(&env->map_size_bytes, size);
    atomic_store(&env->accepted_pages,
                 pages_of(size) > state.used_pages ? pages_of(size) : state.used_pages);
    return 0;
}

/* QS_WRITEMAP users expect a file as large as the map. */
static int extend_file(struct qs_env *env)
{
    struct store *store = env->core->store;
    uint64_t size = atomic_load(&env->map_size_bytes);
    if ((env->open_flags & QS_WRITEMAP) == 0 || qs_store_reaches(store, 0, pages_of(size)))
        return 0;
    return store->io->truncate(store->file, size);
}

int qs_env_open(const struct qs_options *options, struct qs_env **out)
{
    struct qs_env *env = calloc(1, sizeof *env);
    if (env == NULL)
        return ENOMEM;
    env->open_flags = options->flags;
    if ((env->open_flags & QS_RDONLY) != 0)
        env->open_flags &= ~(unsigned)QS_WRITEMAP;
    atomic_init(&env->flags, env->open_flags);
    int rc = qs_core_open(options, &env->core);
    if (rc != 0)
        goto err_after_alloc;
    rc = apply_map_size(env, options->map_size_bytes);
    if (rc == 0)
        rc = extend_file(env);
    if (rc != 0)
        goto err_after_core;
    rc = qs_slots_open(env);
    if (rc != 0)
        goto err_after_core;
    *out = env;
    return 0;

err_after_core:
    qs_core_close(env->core);
err_after_alloc:
    free(env);
    return rc;
}

void qs_env_close(struct qs_env *env)
{
    if (env == NULL)
        return;
    qs_slots_close(env);
    qs_core_close(env->core);
    free(env);
}

int qs_env_set_map_size(struct qs_env *env, uint64_t size_bytes)
{
    if (atomic_load(&env->writing))
        return EINVAL;
    struct core *core = env->core;
    uint64_t newest = qs_core_newest(core);
    if (newest > atomic_load(&atomic_load(&core->current)->checkpoint)) {
        int rc = qs_core_follow(core, newest);
        if (rc != 0)
            return rc;
    }
    return apply_map_size(env, size_bytes);
}

int qs_env_set_flags(struct qs_env *env, unsigned flags, bool on)
{
    if ((flags & ~(unsigned)CHANGEABLE_FLAGS) != 0)
        return EINVAL;
    if (on)
        atomic_fetch_or(&env->flags, flags);
    else
        atomic_fetch_and(&env->flags, ~flags);
    return 0;
}

int qs_env_sync(struct qs_env *env, bool force)
{
    struct store *store = env->core->store;
    if ((env->open_flags & QS_RDONLY) != 0)
        return EACCES;
    if (!force && (atomic_load(&env->flags) & QS_NOSYNC) != 0)
        return 0;
    uint64_t newest = qs_core_newest(env->core);
    int rc = store->io->flush(store->file);
    if (rc == 0)
        qs_core_durable(env->core, newest);
    else /* what was not written is forgotten: no later flush makes up for it */
        atomic_store(&qs_lockfile_header(env->core->lockfile)->failed, 1);
    return rc;
}

int qs_env_info(struct qs_env *env, struct qs_env_info *info)
{
    struct meta meta;
    struct core *core = env->core;
    int rc = qs_core_newest_meta(core, &meta);
    if (rc != 0)
        return rc;
    info->map_size_bytes = atomic_load(&env->map_size_bytes);
    info->last_page = meta.used_pages - 1;
    info->last_txnid = meta.txn;
    info->max_readers = qs_lockfile_max_readers(core->lockfile);
    info->num_readers = core->has_lock_file ? qs_reader_high_water(core->lockfile) : 0;
    return 0;
}

int qs_env_stat(struct qs_env *env, struct qs_stat *stat)
{
    struct meta meta;
    int rc = qs_core_newest_meta(env->core, &meta);
    if (rc == 0)
        qs_stat_of_record(&meta.main, stat);
    return rc;
}

int qs_env_fd(const struct qs_env *env)
{
    return env->core->store->fd;
}

int qs_reader_visit(struct qs_env *env, int (*visit)(void *context, const struct qs_reader *reader),
                    void *context)
{
    struct lockfile *lockfile = env->core->lockfile;
    if (!env->core->has_lock_file)
        return -1;
    unsigned end = qs_reader_high_water(lockfile);
    for (unsigned i = 0; i < end; i++) {
        struct reader_info info;
        if (!qs_reader_info(lockfile, i, &info))
            continue;
        struct qs_reader reader = {info.pid, info.thread, info.snapshot, info.active};
        int rc = visit(context, &reader);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int qs_reader_check(struct qs_env *env, int *dead)
{
    unsigned cleared = env->core->has_lock_file ? qs_reader_check_dead(env->core->lockfile) : 0;
    if (dead != NULL)
        *dead = (int)cleared;
    return 0;
}
