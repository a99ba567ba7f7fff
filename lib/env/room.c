/* room.c - whether the disk has room for the checkpoint that the log will want.
 *
 * What commits by log is written to pages later on, and the pages of the last checkpoint stay until then. So a disk
 * could be too full for that, and the log too long to go on: nothing would be lost, but nothing done either,
 * where a database that does not grow has every right to work. Hence a transaction commits by log only where
 * the checkpoint would find room behind it: in free pages that the file has blocks for, and in what the file
 * system has left. Else it commits by a checkpoint itself, which has the room that the one before it made sure of,
 * and leaves free what it replaced.
 *
 * Others fill the disk, too, so what was found out holds for a segment of the log, or until it is used up; and a write that the system
 * refuses all the same is the transaction's failure, or makes a checkpoint of it.
 * A large value takes its pages before that, and some time before the commit: so where the log has more tied up than is
 * free, it is made a checkpoint before the next transaction.
 * Owns: core->room_pages, core->room_tight.
 */
#include "env/env.h"

#include "base/error.h"
#include "env/checkpoint.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* What neither readers nor writers of the newest state need, and is not free yet. What was set aside for a checkpoint
 * is free for any. */
static uint64_t waiting_pages(const struct core *core, const struct replica *replica)
{
    const struct latest *latest = &replica->latest;
    const struct log *log = &replica->log;
    uint64_t pages = latest->released_pages + latest->recycle.pages + core->space.chain_count;
    for (size_t i = 0; i < core->space.wait_count; i++)
        pages += core->space.wait[i].pages;
    for (size_t i = 0; i < log->end.segments; i++)
        pages += log->segment[i].pages;
    return pages;
}

/* Free pages of the file with blocks. */
static uint64_t free_in_file(const struct core *core, const struct replica *replica)
{
    struct stat st;
    if (fstat(core->store->fd, &st) != 0)
        return 0;
    uint64_t has = (uint64_t)st.st_blocks * 512 >> QS_PAGE_SHIFT;
    uint64_t needs = replica->latest.used_pages + waiting_pages(core, replica);
    return has > needs ? has - needs : 0;
}

/* What the file system has left; where it does not say, as much as anybody may want. */
static uint64_t free_on_disk(const struct core *core)
{
    struct statvfs st;
    if (fstatvfs(core->store->fd, &st) != 0 || st.f_blocks == 0)
        return UINT64_MAX / 2;
    return st.f_bavail * st.f_frsize >> QS_PAGE_SHIFT;
}

/* Pages that a checkpoint takes at most with the transaction, and its record before: an image for each dirty page,
 * new nodes of map and bitmap, the chain of what waits, a segment. */
static uint64_t pages_wanted(const struct core *core, const struct qs_txn *txn)
{
    const struct replica *replica = txn->replica;
    const struct cache *cache = &replica->cache;
    bool in_force = core->job != NULL && core->job->phase == JOB_LINKING;
    uint64_t dirty =
        cache->dirty_count + txn->writer->own.count + (in_force ? 0 : cache->placing_count);
    uint64_t nodes = replica->meta.map.nodes + replica->meta.bitmap.nodes + 2 * ARRAY_LEVELS_MAX;
    uint64_t most_nodes = ARRAY_LEVELS_MAX * dirty + 2 * ARRAY_LEVELS_MAX;
    uint64_t waits = core->space.wait_count + replica->latest.released_count + 2 * dirty;
    return dirty + (nodes < most_nodes ? nodes : most_nodes) + dirty / ARRAY_FANOUT +
           waits / PENDING_PER_PAGE + 1 + qs_commit_segment_pages(&replica->log, txn->redo->size);
}

/* What the transaction's large values take. */
static uint64_t large_pages(const struct writer *w)
{
    uint64_t pages = 0;
    for (size_t i = 0; i < w->allocated_count; i++)
        pages += w->allocated[i].born != RUN_REUSED ? w->allocated[i].pages : 0;
    return pages;
}

/* What the log keeps from being used again, that a checkpoint would set free. */
static uint64_t tied_pages(const struct replica *replica)
{
    const struct latest *latest = &replica->latest;
    uint64_t logged = (replica->log.end.position - replica->log.anchor) >> QS_PAGE_SHIFT;
    return latest->released_pages + latest->recycle.pages + logged;
}

/* For the pages of the transaction that finds that there is no more, and commits by a checkpoint. */
#define MARGIN_PAGES 32u

bool qs_room_for(struct core *core, const struct qs_txn *txn)
{
    uint64_t wanted = pages_wanted(core, txn) + MARGIN_PAGES;
    uint64_t took = large_pages(txn->writer), tied = tied_pages(txn->replica);
    core->room_pages -= took < core->room_pages ? took : core->room_pages;
    if (wanted + tied > core->room_pages)
        core->room_pages = free_in_file(core, txn->replica) + free_on_disk(core);
    core->room_tight = wanted + tied > core->room_pages;
    return wanted <= core->room_pages;
}

void qs_room_forget(struct core *core)
{
    core->room_pages = 0;
}

int qs_room_make(struct core *core, struct replica *replica)
{
    bool wanted = core->space.denied || core->room_tight;
    core->space.denied = core->room_tight = false;
    if (wanted &&
        qs_commit_log_used(core, replica) > 0) /* or else the next write is refused, too */
        (void)qs_checkpoint_log(core, replica, false);
    return atomic_load(&qs_lockfile_header(core->lockfile)->failed) != 0 ? QS_E_PANIC : 0;
}
