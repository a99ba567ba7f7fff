/* write.c - beginning and ending the one write transaction.
 *
 * The writer starts from the newest checkpoint, whoever made it: after taking the mutex it follows,
 * takes over the free space as that checkpoint left it, and gives back what readers no longer need.
 */
#include "env/env.h"

#include "base/error.h"
#include "os/hook.h"

#include <errno.h>

/* Pages kept back from the map size for map and bitmap nodes that a commit may add. */
static uint64_t overhead_pages(const struct meta *meta, uint64_t limit)
{
    uint64_t most = limit / ARRAY_FANOUT + (limit < ARRAY_FANOUT ? 2 : 4);
    uint64_t have = meta->map.nodes + meta->bitmap.nodes;
    return most > have ? most - have : 0;
}

static int open_space(struct core *core, const struct replica *replica)
{
    if (core->space_open && core->space_checkpoint == replica->meta.checkpoint)
        return 0;
    if (core->space_open)
        qs_space_close(&core->space);
    core->space_open = false;
    int rc = qs_space_open(&core->space, core->store, &replica->meta);
    if (rc != 0)
        return rc;
    core->space_open = true;
    core->space_checkpoint = replica->meta.checkpoint;
    return 0;
}

/* The checkpoint that a power cut takes the file back to at worst. The newest meta page may not be
 * flushed yet (QS_NOMETASYNC, a writer that was killed, another process), but the one before it was,
 * before the newest was written. With QS_NOSYNC none is sure, and none is waited for. */
static uint64_t durable_checkpoint(struct core *core, uint64_t newest, unsigned flags)
{
    uint64_t known = atomic_load(&core->durable);
    if (qs_env_lazy(flags))
        return newest;
    return known > newest - 1 ? known : newest - 1;
}

/* Pages and versions that only ended readers could see. */
static int reclaim(struct core *core, struct replica *replica, unsigned flags)
{
    qs_core_scan(core);
    qs_cache_trim(&replica->cache, replica->meta.txn, qs_core_live(core));
    txnid_t oldest = QS_TXNID_NONE;
    for (unsigned i = 0; i < core->live_count; i++)
        if (core->live_snapshots[i] < oldest)
            oldest = core->live_snapshots[i];
    qs_retire_run(&replica->retire, oldest);
    uint64_t durable = durable_checkpoint(core, replica->meta.checkpoint, flags);
    return qs_space_reclaim(&core->space, durable, core->live_checkpoints, core->live_count);
}

static int prepare(struct qs_env *env, struct qs_txn *txn, struct replica *replica)
{
    struct core *core = env->core;
    const struct meta *meta = &replica->meta;
    uint64_t limit = atomic_load(&env->map_size_bytes) >> QS_PAGE_SHIFT;
    if (meta->used_pages > atomic_load(&env->accepted_pages))
        return QS_E_MAP_RESIZED;
    int rc = open_space(core, replica);
    QS_HOOK("write.space");
    if (rc == 0)
        rc = reclaim(core, replica, atomic_load(&env->flags));
    if (rc != 0)
        return rc;
    uint64_t overhead = overhead_pages(meta, limit);
    struct writer_base base = {
        .next_pid = meta->next_pid,
        .free_pid = meta->free_pid,
        .free_pids = meta->free_pids,
        .used_pages = meta->used_pages,
        .limit_pages = limit > overhead ? limit - overhead : 0,
        .checkpoint = meta->checkpoint + 1,
        .txn = meta->txn + 1,
    };
    rc = qs_txn_init_write(txn, replica, &core->names, &core->space, &base);
    if (rc == 0)
        qs_space_begin(&core->space);
    return rc;
}

static void unlock_writer(struct core *core)
{
    if (core->has_lock_file)
        qs_writer_unlock(core->lockfile);
}

/* The last writer died holding the mutex. If its meta page is out, that is the newest state,
 * whatever the shared positions say: processes that opened the file since have started from it. */
static int recover(struct core *core)
{
    struct lock_header *header = qs_lockfile_header(core->lockfile);
    struct meta meta;
    bool fresh;
    qs_reader_check_dead(core->lockfile);
    int rc = qs_meta_read(core->store, &meta, &fresh);
    if (rc == 0 && fresh)
        rc = QS_CORRUPT();
    if (rc == 0 && meta.checkpoint <= atomic_load(&header->checkpoint))
        return 0;
    QS_HOOK("recover.found");
    if (rc == 0)
        rc = core->store->io->flush(core->store->file);
    if (rc != 0) {
        /* For good: the next to lock the mutex does not learn that anybody died. */
        atomic_store(&header->failed, 1);
        return rc;
    }
    qs_core_durable(core, meta.checkpoint);
    QS_HOOK("recover.flushed");
    atomic_store(&header->checkpoint, meta.checkpoint);
    return 0;
}

static int lock_writer(struct qs_env *env)
{
    struct core *core = env->core;
    bool recovered = false;
    if (!core->has_lock_file)
        return 0; /* the caller does all locking */
    int rc = qs_writer_lock(core->lockfile, &recovered);
    if (rc == QS_E_PANIC)
        atomic_store(&core->panicked, true);
    if (rc == 0 && recovered) {
        rc = recover(core);
        if (rc != 0)
            unlock_writer(core);
    }
    return rc;
}

/* The newest replica there is, with the mutex held. */
static int newest_replica(struct core *core, struct replica **out)
{
    uint64_t newest = qs_core_newest(core);
    if (newest > atomic_load(&atomic_load(&core->current)->checkpoint)) {
        int rc = qs_core_follow(core, newest);
        if (rc != 0)
            return rc;
    }
    *out = qs_core_use(core);
    return 0;
}

int qs_write_begin(struct qs_env *env, struct qs_txn *txn)
{
    struct core *core = env->core;
    struct replica *replica;
    int rc = lock_writer(env);
    if (rc != 0)
        return rc;
    QS_HOOK("write.locked");
    if (atomic_load(&core->panicked) || atomic_load(&qs_lockfile_header(core->lockfile)->failed))
        rc = QS_E_PANIC;
    if (rc == 0)
        rc = newest_replica(core, &replica);
    if (rc == 0) {
        rc = prepare(env, txn, replica);
        if (rc != 0)
            qs_core_unuse(replica);
    }
    if (rc != 0) {
        unlock_writer(core);
        return rc;
    }
    atomic_store(&env->writing, true);
    QS_HOOK("write.begun");
    return 0;
}

int qs_write_end(struct qs_env *env, struct qs_txn *txn, bool commit)
{
    struct core *core = env->core;
    int rc = 0;
    if (commit && txn->writer->changed)
        rc = qs_checkpoint_commit(env, txn);
    else
        qs_space_rollback(&core->space);
    qs_txn_close(txn);
    qs_core_unuse(txn->replica);
    atomic_store(&env->writing, false);
    QS_HOOK("write.ended");
    unlock_writer(core);
    QS_HOOK("write.unlocked");
    return rc;
}
