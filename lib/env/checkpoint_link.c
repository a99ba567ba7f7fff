/* checkpoint_link.c - a carried checkpoint in force: what it wrote is linked, a share a commit.
 *
 * The file and the log are the new checkpoint's, for all processes; what its maker has in memory still names the
 * pages of the one before. Of those, what was not changed since t becomes clean, and what was goes on over the new
 * page: as versions of the newest transaction that only readers of the new checkpoint see (cache/version.h).
 * Nothing of that is urgent. Who makes the next checkpoint links the rest first; where it is another process,
 * this one starts from that, and leaves it as it is.
 * Invariants: H5 who begins while it is being linked says in its slot that it uses the pages of both checkpoints:
 *             it gets the old one of what is not linked yet. What this one released is in use until all is
 *             linked, by nobody's slot (lock_header.linked); and it is all visible then, so that who uses
 *             this checkpoint alone finds each page as it left it.
 */
#include "env/checkpoint.h"

#include "env/env.h"
#include "os/hook.h"

#define PUNCH_SHARE_PAGES 128u /* so many are given back at a time: a third of a millisecond */

/* So many at a time are linked: some microseconds. In a debug build few, so that much happens in between. */
#ifdef QS_DEBUG
#define LINK_PAGES_MIN 8u
#else
#define LINK_PAGES_MIN 32u
#endif

/* How many pages are to be linked by now, so that all are when a sixteenth of the budget has been logged. */
static size_t links_due(const struct job *job)
{
    uint64_t span = job->core->log_limit / 16 | 1;
    uint64_t gone = job->replica->log.end.position - job->link_from;
    size_t count = job->publication.count, due = job->linked + LINK_PAGES_MIN;
    if (gone >= span || due > count)
        return count;
    return due > count * gone / span ? due : count * gone / span;
}

/* Links pages until `due` of them are. */
static int link_pages(struct job *job, size_t due)
{
    struct cache *cache = &job->replica->cache;
    struct placement *place = &job->publication.place[job->linked];
    struct stamp stamp = {job->replica->latest.txn, job->meta.checkpoint};
    size_t count = due - job->linked;
    int rc = qs_cache_prepare(cache, place, count, job->as_of);
    if (rc != 0) {
        qs_cache_forget(place, count);
        return rc;
    }
    qs_cache_publish(cache, place, count, stamp, qs_core_live(job->core));
    job->linked = due;
    job->replica->linked_txn = stamp.txn;
    QS_HOOK("carry.linked");
    return 0;
}

/* All is linked: free pages go back to the file system, some at a time. True when there may be more. */
static bool punch_share(struct job *job)
{
    if (job->punched >= PUNCH_PAGES_MAX)
        return false;
    job->punched += PUNCH_SHARE_PAGES;
    return qs_space_punch(&job->core->space, job->replica->latest.used_pages, PUNCH_SHARE_PAGES);
}

/* H5: when readers see what was linked. */
static bool end_linking(struct core *core, struct replica *replica)
{
    struct lock_header *header = qs_lockfile_header(core->lockfile);
    if (atomic_load(&header->visible) < replica->linked_txn)
        return false;
    qs_replica_linked(replica);
    qs_map_settled(&replica->cache.map);
    atomic_store(&header->linked, replica->meta.checkpoint);
    QS_HOOK("carry.ended");
    return true;
}

/* A share of what is to be done once it is in force. What fails for want of memory the next commit tries again. */
void qs_job_link_share(struct core *core)
{
    struct job *job = core->job;
    if (job->linked < job->publication.count)
        (void)link_pages(job, links_due(job));
    else if (!punch_share(job) && end_linking(core, job->replica))
        qs_checkpoint_drop(core);
}

void qs_link_settle(struct core *core, struct replica *replica)
{
    struct lock_header *header = qs_lockfile_header(core->lockfile);
    uint64_t number = replica->meta.checkpoint;
    if (core->job != NULL || atomic_load(&header->linked) >= number)
        return;
    if (atomic_load(&replica->linking))
        end_linking(core, replica);
    else if (core->has_lock_file && !qs_lockfile_shared(core->lockfile))
        atomic_store(&header->linked, number); /* who has it linked in part is gone */
}

void qs_link_leave(struct core *core)
{
    const struct replica *replica = atomic_load(&core->current);
    uint64_t number = replica->meta.checkpoint, before = number - 1;
    if (core->has_lock_file && atomic_load(&replica->linking))
        atomic_compare_exchange_strong(&qs_lockfile_header(core->lockfile)->linked, &before,
                                       number);
}

void qs_job_link_all(struct core *core)
{
    pthread_mutex_lock(&core->follow_lock);
    (void)link_pages(core->job, core->job->publication.count);
    pthread_mutex_unlock(&core->follow_lock);
}

int qs_checkpoint_settle(struct core *core)
{
    struct job *job = core->job;
    bool linking = job != NULL && job->phase == JOB_LINKING;
    int rc = linking ? link_pages(job, job->publication.count) : 0;
    if (rc == 0)
        qs_checkpoint_drop(core);
    return rc;
}
