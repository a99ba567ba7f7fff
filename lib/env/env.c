/* env.c - opening, closing and setting environments; see quickstep.h. */
#include "env/env.h"

#include "base/error.h"
#include "env/flush.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define CHANGEABLE_FLAGS (QS_NOSYNC | QS_NOMETASYNC | QS_MAPASYNC)

static uint64_t pages_of(uint64_t size_bytes)
{
    return size_bytes >> QS_PAGE_SHIFT;
}

/* The newest committed state, whoever made it. */
struct state {
    txnid_t txn;
    uint64_t used_pages;
    uint64_t map_size_bytes;
    struct tree_record main;
};

/* What a read transaction sees of it. Under follow_lock: without a slot, too, nothing is freed then. */
static int read_state(struct qs_txn *txn, struct state *state)
{
    static const struct qs_tree main_tree = {.index = 0};
    const struct tree_record *record;
    const struct tree_order *order;
    int rc = qs_txn_record(txn, &main_tree, &record, &order);
    if (rc != 0)
        return rc;
    state->txn = txn->id;
    state->used_pages = atomic_load(&txn->replica->used_pages);
    state->map_size_bytes = txn->replica->latest.map_size_bytes;
    state->main = *record;
    return 0;
}

/* The state as this process has it, if that is the newest. */
static bool known_state(struct core *core, struct state *state)
{
    struct replica_state at;
    bool known = false;
    pthread_mutex_lock(&core->follow_lock);
    struct replica *replica = atomic_load(&core->current);
    txnid_t visible = atomic_load(&qs_lockfile_header(core->lockfile)->visible);
    qs_replica_state(replica, &at);
    if (core->has_lock_file && qs_core_newest(core) == at.checkpoint &&
        atomic_load(&replica->applied) >= visible) {
        struct qs_txn txn = {.slot = NULL};
        qs_txn_init_read(&txn, replica, &core->names, &at, visible > at.txn ? visible : at.txn,
                         NULL);
        known = read_state(&txn, state) == 0;
    }
    pthread_mutex_unlock(&core->follow_lock);
    return known;
}

/* What of it a map of `wanted` bytes (0: as many as are recorded) has to hold, where it is known to be enough
 * without applying the log: true. */
static bool read_use(struct core *core, const struct qs_txn *txn, uint64_t wanted,
                     struct state *state)
{
    if (txn->ahead == NULL || qs_ahead_is_opaque(txn->ahead, txn->view.snapshot))
        return false;
    pthread_mutex_lock(&core->follow_lock);
    state->map_size_bytes = txn->replica->latest.map_size_bytes;
    pthread_mutex_unlock(&core->follow_lock);
    state->used_pages = atomic_load(&txn->ahead->pages);
    return state->used_pages <= pages_of(wanted != 0 ? wanted : state->map_size_bytes);
}

static int read_all(struct core *core, struct qs_txn *txn, struct state *state)
{
    int rc = qs_txn_catch_up(txn);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&core->follow_lock);
    rc = read_state(txn, state);
    pthread_mutex_unlock(&core->follow_lock);
    return rc;
}

/* Else it is read with a slot taken for a moment, whatever the thread's is used for. With `use` only what a map
 * of `wanted` bytes has to hold is wanted, or more. */
static int newest_state(struct qs_env *env, struct state *state, bool use, uint64_t wanted)
{
    struct core *core = env->core;
    struct qs_txn txn = {.env = env};
    struct reader *slot;
    if (known_state(core, state))
        return 0;
    int rc = qs_reader_acquire(core->lockfile, &slot);
    if (rc != 0)
        return rc;
    txn.slot = slot;
    rc = qs_read_begin(env, &txn);
    if (rc == 0) {
        if (!use || !read_use(core, &txn, wanted, state))
            rc = read_all(core, &txn, state);
        qs_read_end(&txn);
    }
    qs_reader_return(core->lockfile, slot);
    return rc;
}

/* Puts a map size in force: not below what is in use, and mapped. */
static int apply_map_size(struct qs_env *env, uint64_t wanted)
{
    struct state state;
    /* A map that is too small for what others wrote is what this is called to mend. */
    atomic_store(&env->accepted_pages, UINT64_MAX);
    int rc = newest_state(env, &state, true, wanted);
    if (rc != 0)
        return rc;
    uint64_t size = wanted != 0 ? wanted : state.map_size_bytes;
    if (size < state.used_pages << QS_PAGE_SHIFT)
        size = state.used_pages << QS_PAGE_SHIFT;
    rc = qs_store_map_reserve(env->core->store, qs_core_map_pages(size));
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
    if ((env->open_flags & QS_RDONLY) != 0)
        return EACCES;
    if (!force && (atomic_load(&env->flags) & QS_NOSYNC) != 0)
        return 0;
    uint64_t newest = qs_core_newest(env->core);
    int rc = qs_flush_all(env->core);
    if (rc == 0)
        qs_core_durable(env->core, newest);
    return rc;
}

int qs_env_info(struct qs_env *env, struct qs_env_info *info)
{
    struct state state;
    struct core *core = env->core;
    int rc = newest_state(env, &state, false, 0);
    if (rc != 0)
        return rc;
    info->map_size_bytes = atomic_load(&env->map_size_bytes);
    info->last_page = state.used_pages - 1;
    info->last_txnid = state.txn;
    info->max_readers = qs_lockfile_max_readers(core->lockfile);
    info->num_readers = core->has_lock_file ? qs_reader_high_water(core->lockfile) : 0;
    return 0;
}

int qs_env_stat(struct qs_env *env, struct qs_stat *stat)
{
    struct state state;
    int rc = newest_state(env, &state, false, 0);
    if (rc == 0)
        qs_stat_of_record(&state.main, stat);
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
