/* core.c - finding, opening and closing the core of a data file; following other processes.
 *
 * Owns:       the registry of this process's cores.
 * Invariants: E1 a replica's contents are freed only when it is no longer current and has no users;
 *             a user counts itself in first and then checks that the replica is still current.
 */
#include "env/open.h"

#include "base/error.h"
#include "env/checkpoint.h"
#include "env/env.h"
#include "os/hook.h"
#include "readers/inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct core *registry;

static void close_replicas(struct core *core)
{
    while (core->replicas != NULL) {
        struct replica *replica = core->replicas;
        core->replicas = replica->next;
        qs_replica_free(replica);
    }
}

void qs_core_free(struct core *core)
{
    bool forked = core->pid != getpid();
    QS_HOOK("close.begin");
    qs_checkpoint_drop(core);
    close_replicas(core);
    if (core->space_open)
        qs_space_close(&core->space);
    qs_names_close(&core->names);
    free(core->uses);
    free(core->live_snapshots);
    free(core->live_checkpoints);
    free(core->used_checkpoints);
    qs_redo_free(&core->redo);
    pthread_mutex_destroy(&core->follow_lock);
    if (core->lockfile != NULL)
        qs_lockfile_close(core->lockfile, forked);
    QS_HOOK("close.unlocked");
    qs_store_close(core->store);
    free(core);
}

static struct core *find(const struct stat *st)
{
    for (struct core *core = registry; core != NULL; core = core->next)
        if (core->device == st->st_dev && core->inode == st->st_ino && core->pid == getpid())
            return core;
    return NULL;
}

/* A core opened read-only gets a descriptor that writes. */
static int make_writable(struct core *core, const struct qs_options *options)
{
    if (!core->store->read_only || (options->flags & QS_RDONLY) != 0)
        return 0;
    return qs_open_writable(core, options);
}

int qs_core_open(const struct qs_options *options, struct core **out)
{
    struct stat st;
    int rc = 0;
    pthread_mutex_lock(&registry_lock);
    struct core *core = stat(options->data_path, &st) == 0 ? find(&st) : NULL;
    if (core != NULL) {
        rc = make_writable(core, options);
    } else {
        rc = qs_open_files(options, &core);
        if (rc == 0) {
            core->next = registry;
            registry = core;
        }
    }
    if (rc == 0) {
        core->users++;
        *out = core;
    }
    pthread_mutex_unlock(&registry_lock);
    return rc;
}

void qs_core_close(struct core *core)
{
    pthread_mutex_lock(&registry_lock);
    if (--core->users == 0) {
        struct core **link = &registry;
        while (*link != core)
            link = &(*link)->next;
        *link = core->next;
        qs_core_leave(core);
        qs_core_free(core);
    }
    pthread_mutex_unlock(&registry_lock);
}

struct replica *qs_core_use(struct core *core)
{
    for (;;) {
        /* seq_cst on both sides: either qs_core_follow() sees the user, or we see that the replica
         * is not current any more (E1). */
        struct replica *replica = atomic_load(&core->current);
        atomic_fetch_add(&replica->users, 1);
        if (atomic_load(&core->current) == replica)
            return replica;
        atomic_fetch_sub(&replica->users, 1);
    }
}

void qs_core_unuse(struct replica *replica)
{
    atomic_fetch_sub(&replica->users, 1);
}

uint64_t qs_core_newest(struct core *core)
{
    if (core->has_lock_file)
        /* seq_cst: read again after a slot was published, it decides who saw whom (rule 5) */
        return atomic_load(&qs_lockfile_header(core->lockfile)->checkpoint);
    /* Without shared positions the meta pages themselves are looked at. A number that would be news
     * may stand in a torn page, so then they are read properly. */
    const struct meta *meta = (const struct meta *)(const void *)qs_store_map(core->store)->base;
    uint64_t a = ((const volatile struct meta *)meta)[0].checkpoint;
    uint64_t b = ((const volatile struct meta *)meta)[1].checkpoint;
    uint64_t have = atomic_load(&atomic_load(&core->current)->checkpoint);
    struct meta valid;
    bool fresh;
    if ((a <= have && b <= have) || atomic_load(&core->finishing))
        return have;
    return qs_meta_read(core->store, &valid, &fresh) == 0 && !fresh ? valid.checkpoint : have;
}

void qs_core_durable(struct core *core, uint64_t number)
{
    uint64_t known = atomic_load(&core->durable);
    while (known < number && !atomic_compare_exchange_weak(&core->durable, &known, number))
        ;
}

int qs_core_newest_meta(struct core *core, struct meta *meta)
{
    bool fresh;
    if (!core->has_lock_file) {
        int rc = qs_meta_read(core->store, meta, &fresh);
        return rc == 0 && fresh ? QS_CORRUPT() : rc;
    }
    for (;;) {
        uint64_t newest = qs_core_newest(core);
        int rc = qs_meta_read_number(core->store, newest, meta);
        if (rc != QS_E_NOTFOUND)
            return rc;
        /* Written over since, by the next but one: then there is a newer number, too. */
        if (qs_core_newest(core) == newest)
            return QS_CORRUPT();
    }
}

/* Frees the contents of replicas nobody uses (E1); under follow_lock. */
static void empty_unused(struct core *core)
{
    struct replica *current = atomic_load(&core->current);
    for (struct replica *r = core->replicas; r != NULL; r = r->next)
        if (r != current && !r->retired && atomic_load(&r->users) == 0)
            qs_replica_empty(r);
}

/* A new replica takes the place of the current one; under follow_lock. */
static int start_replica(struct core *core, const struct meta *meta)
{
    struct replica *replica, *reuse = core->replicas;
    while (reuse != NULL && !reuse->retired)
        reuse = reuse->next;
    int rc = qs_store_map_reserve(core->store, meta->high_water);
    if (rc == 0)
        rc = qs_replica_open(core->store, meta, reuse, atomic_load(&core->current), &replica);
    if (rc != 0)
        return rc;
    qs_core_adopt(core, replica);
    if (reuse == NULL) {
        replica->next = core->replicas;
        core->replicas = replica;
    }
    qs_checkpoint_drop(core); /* it was the old replica's */
    core->spare_first = core->spare_end = 0;
    atomic_store(&core->current, replica);
    empty_unused(core);
    return 0;
}

int qs_core_follow(struct core *core, uint64_t newest)
{
    struct meta meta;
    int rc = 0;
    pthread_mutex_lock(&core->follow_lock);
    uint64_t have = atomic_load(&atomic_load(&core->current)->checkpoint);
    if (have < newest && !atomic_load(&core->finishing)) {
        rc = qs_core_newest_meta(core, &meta);
        QS_HOOK("follow.meta");
        if (rc == 0 && meta.checkpoint <= have)
            rc = QS_CORRUPT();
        if (rc == 0)
            rc = start_replica(core, &meta);
        QS_HOOK("follow.started");
    }
    pthread_mutex_unlock(&core->follow_lock);
    return rc;
}

static void add_live(struct core *core, txnid_t snapshot, uint64_t checkpoint)
{
    core->live_snapshots[core->live_count] = snapshot;
    core->live_checkpoints[core->live_count++] = checkpoint;
}

static void add_reader(struct core *core, const struct reader_use *use, txnid_t snapshot)
{
    add_live(core, snapshot, use->checkpoint);
    if (use->and_before)
        add_live(core, snapshot, use->checkpoint - 1);
}

void qs_core_scan(struct core *core, const struct replica *replica)
{
    unsigned max = qs_lockfile_max_readers(core->lockfile);
    const struct lock_header *header = qs_lockfile_header(core->lockfile);
    txnid_t applied = atomic_load(&replica->applied);
    core->live_visible = atomic_load(&header->visible);
    core->live_newest.txn = core->live_visible < applied ? core->live_visible : applied;
    /* While a checkpoint is being linked, who begins may still get what is below one of its versions (H5). */
    core->live_newest.checkpoint =
        atomic_load(&header->checkpoint) - atomic_load(&replica->linking);
    /* seq_cst: what was published before it is seen by every reader whose slot the scan misses */
    atomic_thread_fence(memory_order_seq_cst);
    core->uses_count = qs_reader_scan(core->lockfile, core->uses, max);
    core->used_count = core->live_count = core->behind_count = 0;
    for (unsigned i = 0; i < core->uses_count; i++) {
        const struct reader_use *use = &core->uses[i];
        core->used_checkpoints[core->used_count++] = use->checkpoint;
        if (use->and_before)
            core->used_checkpoints[core->used_count++] = use->checkpoint - 1;
        if (!use->own)
            continue;
        add_reader(core, use, use->snapshot);
        if (use->below == QS_TXNID_NONE)
            continue;
        add_reader(core, use, use->below);
        core->behind_count++;
    }
    if (core->job != NULL && core->job->phase != JOB_LINKING) {
        uint64_t checkpoint = core->job->replica->meta.checkpoint;
        core->used_checkpoints[core->used_count++] = checkpoint;
        add_live(core, core->job->as_of, checkpoint);
    }
}

/* A look at all threads costs microseconds: it is had for so many items. In a debug build for each, so that
 * what was freed too early is found. */
#ifdef QS_DEBUG
#define UNLINKED_MIN 1u
#else
#define UNLINKED_MIN 256u
#endif

void qs_core_free_unlinked(struct core *core, struct replica *replica)
{
    struct retire *versions = &replica->cache.retire, *trees = &replica->retire;
    uint64_t now, oldest;
    if (qs_retire_fresh(versions) + qs_retire_fresh(trees) < UNLINKED_MIN)
        return;
    qs_inside_look(core->lockfile, &now, &oldest);
    qs_retire_run(versions, now, oldest);
    qs_retire_run(trees, now, oldest);
}
