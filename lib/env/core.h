/* core.h - one open data file in one process, shared by every environment that opens it.
 *
 * Owns:    the store, the lock file, the names, the replicas with their logs, the writer's free space.
 * Life:    made by the first open of the file in this process, found by (device, inode) by the next,
 *          closed by the last close. A forked child does not find its parent's: it opens anew.
 * Locks:   in the order they are taken: writer mutex (lock file), registry (open and close only),
 *          flush mutex (lock file), follow_lock, the floors below.
 */
#ifndef QS_ENV_CORE_H
#define QS_ENV_CORE_H

#include "quickstep.h"
#include "readers/lockfile.h"
#include "store/space.h"
#include "txn/redo.h"
#include "txn/replica.h"

struct job;

/* For what the runs that wait were last looked through: before one of these is another, or more of them wait,
 * none of them can have come free. */
struct reclaimed {
    uint64_t newest;  /* checkpoint */
    uint64_t durable; /* checkpoint */
    uint64_t
        in_use; /* bit n mod 64 for each checkpoint n in a reader slot: the set, but that two may
                         share a bit: then they wait for the next checkpoint */
    size_t waiting; /* runs that were left */
};

struct core {
    /* under the registry's lock */
    struct core *next; /* in the registry */
    unsigned users;    /* environments */

    /* immutable */
    dev_t device; /* of the data file */
    ino_t inode;
    pid_t pid; /* of the process that opened it */
    struct store *store;
    struct lockfile *lockfile; /* private memory where there is no lock file */
    bool has_lock_file;        /* false: QS_NOLOCK, or a read-only file system */
    uint64_t log_bytes_max;    /* from the options */
    struct names names;

    /* atomic */
    _Atomic(struct replica *) current; /* newest replica; seq_cst, see core_use_replica() */
    _Atomic bool panicked;             /* a thread died writing: nothing goes on */
    _Atomic uint64_t durable;          /* newest checkpoint known to be durable; only grows */
    _Atomic bool
        finishing; /* without a lock file: the meta page may be newer than the current replica, which
                                 is about to have it; changed under follow_lock */

    /* under follow_lock */
    pthread_mutex_t follow_lock;
    struct replica *replicas; /* all of them, current included */
    struct reader_use *uses;  /* room for a scan of all slots */
    unsigned uses_count;
    uint64_t *used_checkpoints; /* of all processes, as the scan found them; two of some readers */
    unsigned used_count;
    txnid_t
        *live_snapshots; /* of this process's readers: versions are private; up to four of one */
    uint64_t *live_checkpoints; /* of the same */
    unsigned live_count;
    unsigned behind_count;    /* of them that read pages older than their snapshot (txn/ahead.h) */
    txnid_t live_visible;     /* visible transaction before the scan */
    struct stamp live_newest; /* what a reader begins with that the scan missed, at least: of the
                                 pages it reads, and the checkpoint */
    struct job *job;          /* checkpoint under way, or NULL; under the writer mutex too, but for
                                 its end when another process's checkpoint has come */

    /* under the writer mutex */
    struct space space;
    bool space_open; /* `space` is the one of space_checkpoint and what the log took since */
    uint64_t space_checkpoint;
    struct reclaimed reclaimed;
    size_t space_runs;     /* large values of the log that it knows of */
    size_t space_segments; /* segments of the log that it knows of */
    size_t space_taken;    /* runs set aside that it knows of */
    size_t
        spare_first; /* those of them that a checkpoint of this process had set aside which was given up: from */
    size_t spare_end;    /* this one of latest.taken up to that one */
    uint64_t carry_from; /* log position before which no checkpoint is begun to be carried */
    struct redo redo;    /* operations of the running transaction */
    uint64_t log_limit;  /* bytes of log after which a checkpoint is made */
    uint64_t
        room_pages; /* what a checkpoint would have found to allocate, when that was last looked at */
    bool room_tight; /* the log has more tied up than was free then */
    uint64_t cut;    /* the last close moves what lies from this page on; 0 before */
};

/* The core of the file that `options` names, opened or found. Errors as qs_env_open(). */
int qs_core_open(const struct qs_options *options, struct core **core);
void qs_core_close(struct core *core);

/* Counts the caller in as a user of the newest replica. */
struct replica *qs_core_use(struct core *core);
void qs_core_unuse(struct replica *replica);

/* Number of the newest checkpoint there is, whoever made it. */
uint64_t qs_core_newest(struct core *core);

/* Starts a write transaction off from a replica's newest state: the writer's, or one that is replayed. */
int qs_core_begin_writer(struct core *core, struct qs_txn *txn, struct replica *replica,
                         uint64_t limit_pages);

/* Makes `core->space` that of the replica's newest state, under the writer mutex. */
int qs_core_space(struct core *core, const struct replica *replica);

/* Gives back file pages and versions that only ended readers could see; under the writer mutex. */
int qs_core_reclaim(struct core *core, struct replica *replica);

/* Whether runs that the log alone has used may be used by it again: not while a checkpoint is carried, by
 * whomever, which may contain them. */
bool qs_core_recycles(const struct core *core, const struct replica *replica);

/* Brings a replica up to log position `limit`, or with UINT64_MAX as far as there are sound records.
 * Whoever calls has a reader slot that names its checkpoint, or the writer mutex. */
int qs_core_follow_log(struct core *core, struct replica *replica, uint64_t limit);

/* Has what others appended up to log position `limit` noted for who reads snapshot `snapshot`, unless all of it is
 * applied. */
int qs_core_look_ahead(struct core *core, struct replica *replica, txnid_t snapshot,
                       uint64_t limit);

/* Has it applied: what replica->catch_up is. */
int qs_core_catch_up(void *core, struct replica *replica, txnid_t snapshot, uint64_t limit);

/* A replica that was just opened is the core's. */
static inline void qs_core_adopt(struct core *core, struct replica *replica)
{
    replica->catch_up = qs_core_catch_up;
    replica->core = core;
}

/* Without shared positions: what others have appended is news once it is found. */
int qs_core_probe(struct core *core, struct replica *replica);

/* Notes that checkpoint `number` is durable. */
void qs_core_durable(struct core *core, uint64_t number);

/* The meta page of that checkpoint. */
int qs_core_newest_meta(struct core *core, struct meta *meta);

/* Makes the current replica one that has checkpoint `newest` or a later one. */
int qs_core_follow(struct core *core, uint64_t newest);

/* Frees what was unlinked in a replica and nobody looks at, when enough has gathered; under follow_lock. */
void qs_core_free_unlinked(struct core *core, struct replica *replica);

/* Scans the reader slots into used_* and live_*, with the snapshot that a checkpoint under way holds, to unlink
 * what is in `replica`; under follow_lock. */
void qs_core_scan(struct core *core, const struct replica *replica);
static inline struct live qs_core_live(const struct core *core)
{
    return (struct live){core->live_snapshots, core->live_checkpoints, core->live_count,
                         core->live_newest};
}

/* Pages to map for a map size: files are larger than their logical use. */
static inline uint64_t qs_core_map_pages(uint64_t map_size_bytes)
{
    uint64_t pages = (map_size_bytes + QS_PAGE_BYTES - 1) >> QS_PAGE_SHIFT;
    return pages + pages / 4 + 4096;
}

#define MAP_SIZE_DEFAULT 1048576u

#endif
