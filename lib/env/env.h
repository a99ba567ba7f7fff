/* env.h - one environment: a handle on a core with settings of its own. */
#ifndef QS_ENV_ENV_H
#define QS_ENV_ENV_H

#include "env/core.h"
#include "txn/txn.h"

/* A thread's reader slot in one environment. */
struct thread_slot {
    struct qs_env *env;
    struct reader *reader;
    struct thread_slot *next; /* in env->slots; under slots_lock */
};

struct qs_env {
    struct core *core;               /* immutable */
    unsigned open_flags;             /* immutable: enum qs_env_flag at open */
    _Atomic unsigned flags;          /* those in force */
    _Atomic uint64_t map_size_bytes; /* in force */
    _Atomic uint64_t accepted_pages; /* logical use up to which begins go on: the map size, or what
                                        this environment's own commits reached */
    _Atomic bool writing;            /* has a write transaction */
    pthread_key_t slot_key;          /* thread's struct thread_slot; unused with QS_NOTLS */
    bool has_key;                    /* immutable */
    pthread_mutex_t slots_lock;      /* rank SLOTS: nothing is taken while it is held */
    struct thread_slot *slots;       /* of live threads */
};

/* Whether commits wait for no flush at all. */
static inline bool qs_env_lazy(unsigned flags)
{
    return (flags & QS_NOSYNC) != 0 || ((flags & QS_MAPASYNC) != 0 && (flags & QS_WRITEMAP) != 0);
}

/* ---- reader slots of threads (slot.c) ---- */

/* The slot a read transaction is to use: the thread's, or with QS_NOTLS a new one. QS_E_BAD_RSLOT
 * when the thread's is in use; QS_E_READERS_FULL; ENOMEM. */
int qs_slot_get(struct qs_env *env, struct reader **reader);
/* The transaction ends: with QS_NOTLS the slot is free again, else its thread keeps it. */
void qs_slot_put(struct qs_env *env, struct reader *reader);
int qs_slots_open(struct qs_env *env);
void qs_slots_close(struct qs_env *env);

/* ---- transactions (begin.c, write.c) ---- */

/* Takes a snapshot for `txn`, whose slot is set; on failure the slot has none. */
int qs_read_begin(struct qs_env *env, struct qs_txn *txn);
/* Gives it up; the slot stays. */
void qs_read_end(struct qs_txn *txn);

int qs_write_begin(struct qs_env *env, struct qs_txn *txn);
/* Commits (or, with `commit` false or nothing changed, forgets) and releases the writer mutex. */
int qs_write_end(struct qs_env *env, struct qs_txn *txn, bool commit);

/* ---- commit (commit.c) ---- */

/* What a commit has to wait for after the writer mutex is released. */
struct commit_wait {
    txnid_t txn;                /* its number; 0: nothing is to be waited for */
    uint64_t position;          /* end of its record in the log */
    struct log_segment segment; /* where the record is */
};

/* Sets `core->log_limit` for what is in use now. */
void qs_commit_budget(struct core *core, uint64_t used_pages);

/* Commits, by log or by checkpoint, with the writer mutex held. On failure nothing happened, or
 * (QS_E_PANIC and the flush's errno) the environment takes no more writes. */
int qs_commit(struct qs_env *env, struct qs_txn *txn, struct commit_wait *wait);

/* A write transaction that ends without a commit of its own may have seen one that readers do not see yet,
 * whose committer is still at it, or was killed: waits for that, so that what was seen stays seen. */
void qs_commit_seen(struct core *core, const struct replica *replica, struct commit_wait *wait);

/* Waits until the commit is as durable as promised, and lets readers see it. */
int qs_commit_wait(struct core *core, const struct commit_wait *wait);

/* Bytes of log since the checkpoint, and of large values that are free only after the next one. */
uint64_t qs_commit_log_used(const struct core *core, const struct replica *replica);

/* Pages of the segment that a record of `size` bytes would need; 0: it fits into the last one. */
uint64_t qs_commit_segment_pages(const struct log *log, size_t size);

/* Appends a record to the log, in another segment if need be; the caller raises `written`. errno of writing,
 * ENOMEM, QS_E_CORRUPTED: then the log ends where it did. */
int qs_commit_append(struct core *core, struct replica *replica, struct log_record *record,
                     size_t size, enum log_kind kind, txnid_t txn);

/* ---- room.c ---- */

/* Whether there is room for the checkpoint that is needed when the transaction has committed by log. */
bool qs_room_for(struct core *core, const struct qs_txn *txn);
/* Asks the system, the next time. */
void qs_room_forget(struct core *core);
/* Before a transaction: where there is not much, or the last one was denied it, a checkpoint may free some.
 * QS_E_PANIC: it has failed for good. */
int qs_room_make(struct core *core, struct replica *replica);

/* ---- checkpoint (checkpoint.c, checkpoint_carry.c) ---- */

/* Writes the transaction's changes, and everything in the log, as the next checkpoint and makes them
 * visible. Errors as qs_commit(). */
int qs_checkpoint(struct core *core, struct qs_txn *txn);
/* Between transactions: what the log holds, and nothing else. With `move`, when nobody else has the file open, it
 * takes the pages at the end of the file to its beginning, QS_E_NOTFOUND when that gains nothing (shrink.c). */
int qs_checkpoint_log(struct core *core, struct replica *replica, bool move);

/* After a commit by log: does a share of a checkpoint that the log asks for. Takes follow_lock. */
void qs_checkpoint_carry(struct core *core, struct replica *replica);

/* Gives up the one under way, if any; under follow_lock. */
void qs_checkpoint_drop(struct core *core);
/* So that another can be begun: gives it up, or links the rest of it. ENOMEM. Under both locks. */
int qs_checkpoint_settle(struct core *core);

#endif
