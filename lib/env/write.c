/* write.c - beginning and ending the one write transaction.
 *
 * The writer starts from the newest state, whoever made it: after taking the mutex it follows, takes over
 * the free space as checkpoint and log left it, and gives back what readers no longer need. A commit that
 * is to be durable waits for that after it has let go of the mutex.
 */
#include "env/env.h"

#include "base/error.h"
#include "env/checkpoint.h"
#include "env/flush.h"
#include "log/group.h"
#include "os/hook.h"

#include <errno.h>

/* Pages kept back from the map size for map and bitmap nodes that a commit may add. */
static uint64_t overhead_pages(const struct meta *meta, uint64_t limit)
{
    uint64_t most = limit / ARRAY_FANOUT + (limit < ARRAY_FANOUT ? 2 : 4);
    uint64_t have = meta->map.nodes + meta->bitmap.nodes;
    return most > have ? most - have : 0;
}

/* What the log took since the checkpoint is in use. */
static int claim_logged(struct core *core, const struct replica *replica)
{
    const struct latest *latest = &replica->latest;
    int rc = 0;
    for (; rc == 0 && core->space_runs < latest->runs_count; core->space_runs++) {
        const struct pending_run *run = &latest->runs[core->space_runs];
        rc = qs_space_claim(&core->space, run->pgno, run->pages);
    }
    for (; rc == 0 && core->space_segments < replica->log.end.segments; core->space_segments++) {
        const struct log_segment *segment = &replica->log.segment[core->space_segments];
        rc = qs_space_claim(&core->space, segment->pgno, segment->pages);
    }
    for (; rc == 0 && core->space_taken < latest->taken_count; core->space_taken++) {
        const struct pending_run *run = &latest->taken[core->space_taken];
        rc = qs_space_claim(&core->space, run->pgno, run->pages);
    }
    return rc;
}

int qs_core_space(struct core *core, const struct replica *replica)
{
    if (!core->space_open || core->space_checkpoint != replica->meta.checkpoint) {
        if (core->space_open)
            qs_space_close(&core->space);
        core->space_open = false;
        int rc = qs_space_open(&core->space, core->store, &replica->meta);
        if (rc != 0)
            return rc;
        core->space_open = true;
        core->space_checkpoint = replica->meta.checkpoint;
        core->space_runs = core->space_segments = core->space_taken = 0;
    }
    return claim_logged(core, replica);
}

/* The checkpoint that a power cut takes the file back to at worst. The newest meta page may not be
 * flushed yet (QS_NOMETASYNC, QS_NOSYNC, a writer that was killed, another process), but the one before it
 * was, before the newest was written. */
static uint64_t durable_checkpoint(struct core *core, uint64_t newest)
{
    uint64_t known = atomic_load(&core->durable);
    return known > newest - 1 ? known : newest - 1;
}

/* The newest checkpoint whose releases count. Its maker may still be linking it: then no slot says that the
 * pages of the one before are in use (H5). Those who made older ones have started from a newer. */
static uint64_t settled_checkpoint(struct core *core, uint64_t newest)
{
    uint64_t durable = durable_checkpoint(core, newest);
    bool linked = atomic_load(&qs_lockfile_header(core->lockfile)->linked) >= newest;
    return linked || durable < newest ? durable : newest - 1;
}

/* Pages that only ended readers could see; looked for when that may have changed. */
static int reclaim_pages(struct core *core, const struct replica *replica)
{
    struct reclaimed now = {.newest = replica->meta.checkpoint,
                            .durable = settled_checkpoint(core, replica->meta.checkpoint),
                            .waiting = core->space.wait_count};
    const struct reclaimed *last = &core->reclaimed;
    for (unsigned i = 0; i < core->used_count; i++)
        now.in_use |= 1ull << core->used_checkpoints[i] % 64;
    if (now.newest == last->newest && now.durable == last->durable && now.in_use == last->in_use &&
        now.waiting <= last->waiting)
        return 0;
    int rc = qs_space_reclaim(&core->space, now.durable, core->used_checkpoints, core->used_count);
    now.waiting = core->space.wait_count;
    if (rc == 0)
        core->reclaimed = now;
    return rc;
}

bool qs_core_recycles(const struct core *core, const struct replica *replica)
{
    return core->has_lock_file && core->job == NULL && replica->latest.taken_count == 0;
}

/* What the transaction may take of the runs that the log alone has used (Y1): after a scan of the slots. The flush
 * of a process that has not followed so far could make less durable than is committed: so it is alone. */
static void open_recycle(struct core *core, struct replica *replica)
{
    const struct lock_header *header = qs_lockfile_header(core->lockfile);
    struct recycle *recycle = &replica->latest.recycle;
    recycle->open = false;
    if (recycle->pages == 0 || !qs_core_recycles(core, replica))
        return;
    recycle->oldest = core->live_newest.txn;
    for (unsigned i = 0; i < core->uses_count; i++)
        if (core->uses[i].snapshot < recycle->oldest)
            recycle->oldest = core->uses[i].snapshot;
    recycle->settled =
        !qs_lockfile_shared(core->lockfile) && qs_group_idle(qs_lockfile_header(core->lockfile));
    recycle->durable = atomic_load(&header->durable); /* after: as a flush that ended left it */
    recycle->open = true;
}

int qs_core_reclaim(struct core *core, struct replica *replica)
{
    pthread_mutex_lock(&core->follow_lock);
    qs_link_settle(core, replica);
    qs_core_scan(core, replica);
    qs_replica_renew_ahead(replica, core->behind_count);
    struct live live = qs_core_live(core);
    qs_cache_trim(&replica->cache, live, CACHE_TRIM_STEP);
    qs_core_free_unlinked(core, replica);
    int rc = reclaim_pages(core, replica);
    open_recycle(core, replica);
    pthread_mutex_unlock(&core->follow_lock);
    return rc;
}

static int prepare(struct qs_env *env, struct qs_txn *txn, struct replica *replica)
{
    struct core *core = env->core;
    const struct latest *latest = &replica->latest;
    uint64_t limit = atomic_load(&env->map_size_bytes) >> QS_PAGE_SHIFT;
    if (latest->used_pages > atomic_load(&env->accepted_pages))
        return QS_E_MAP_RESIZED;
    int rc = qs_core_space(core, replica);
    QS_HOOK("write.space");
    if (rc == 0)
        rc = qs_room_make(core, replica);
    if (rc == 0)
        rc = qs_core_reclaim(core, replica);
    if (rc != 0)
        return rc;
    uint64_t overhead = overhead_pages(&replica->meta, limit);
    rc = qs_core_begin_writer(core, txn, replica, limit > overhead ? limit - overhead : 0);
    if (rc != 0)
        return rc;
    qs_space_begin(&core->space);
    if (core->log_limit == 0)
        qs_commit_budget(core, latest->used_pages);
    qs_redo_start(&core->redo, core->log_limit / 4);
    txn->redo = &core->redo;
    return 0;
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
        rc = qs_meta_write(core->store, &meta); /* the dead one may have been told of a failure */
    if (rc == 0)
        rc = qs_flush_all(core);
    if (rc != 0) {
        /* For good: the next to lock the mutex does not learn that anybody died. */
        atomic_store(&header->failed, 1);
        return rc;
    }
    qs_core_durable(core, meta.checkpoint);
    QS_HOOK("recover.flushed");
    atomic_store(&header->checkpoint, meta.checkpoint);
    atomic_store(&header->linked, meta.checkpoint); /* its maker is dead */
    qs_group_raise(&header->visible, meta.txn);
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

/* The newest replica there is, at the end of the log, with the mutex held. */
static int newest_replica(struct core *core, struct replica **out)
{
    struct lock_header *header = qs_lockfile_header(core->lockfile);
    uint64_t newest = qs_core_newest(core);
    int rc = 0;
    if (newest > atomic_load(&atomic_load(&core->current)->checkpoint))
        rc = qs_core_follow(core, newest);
    if (rc != 0)
        return rc;
    *out = qs_core_use(core);
    rc = core->has_lock_file ? qs_core_follow_log(core, *out, atomic_load(&header->written))
                             : qs_core_probe(core, *out);
    if (rc != 0)
        qs_core_unuse(*out);
    return rc;
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
    struct commit_wait wait = {.txn = 0};
    bool commits = commit && txn->writer->changed;
    int rc = 0;
    if (commits)
        rc = qs_commit(env, txn, &wait);
    else
        qs_space_rollback(&core->space);
    if (wait.txn == 0)
        qs_commit_seen(core, txn->replica, &wait);
    qs_recycle_end(&txn->replica->latest.recycle, rc == 0 && commits);
    qs_txn_close(txn);
    qs_core_unuse(txn->replica);
    atomic_store(&env->writing, false);
    QS_HOOK("write.ended");
    unlock_writer(core);
    QS_HOOK("write.unlocked");
    int wait_rc = wait.txn != 0 ? qs_commit_wait(core, &wait) : 0;
    return rc == 0 && commit ? wait_rc : rc;
}
