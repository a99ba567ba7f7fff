/* lockfile.h - layout of the lock file.
 *
 *      0     magic u64 | 8 format u32 | 12 slots u32 | 16 identity (32 bytes) | 48 pid namespace u64
 *            | 56 strangers u32
 *      64    writer mutex (robust, process-shared) | owner pid i32
 *      128   flush mutex (robust, process-shared) | flushes u32 | flush unsure u32
 *      192   positions: checkpoint u64 | written u64 | durable u64 | visible u64 | full sync up to u64
 *            | suspect u64 | failed u32 | linked u64 at 248
 *      256   high water of slots u32
 *      320   reader slots, 64 bytes each: snapshot u64 | checkpoint u64 | owner u64 | thread u64
 *            | inside u64 | below u64
 *
 * Locks on bytes of the file (fcntl, so the kernel drops them when a process ends):
 *      0           read: has the file open; write: is the only one, initialising or closing
 *      1           write: is opening; one process at a time
 *      2^31 + n    write: the process lives whose nonce is n (the upper half of reader.owner)
 *
 * Volatile: the first opener starts it afresh. Not portable between architectures, and need not be.
 */
#ifndef QS_FORMAT_LOCKFILE_H
#define QS_FORMAT_LOCKFILE_H

#include "base/types.h"

#include <assert.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>

#define LOCKFILE_MAGIC 0x6b636f6c70657473ull /* "stepLock" */
#define LOCKFILE_FORMAT 5u
#define LOCKFILE_SLOTS_OFFSET 320u
#define LOCKFILE_USE_BYTE 0
#define LOCKFILE_OPENING_BYTE 1
#define LOCKFILE_LIFE_BYTES (INT64_C(1) << 31) /* + nonce */

/* Which data file a lock file belongs to. */
struct data_identity {
    uint64_t device;     /* st_dev */
    uint64_t inode;      /* st_ino */
    uint64_t file_id[2]; /* random, from the meta page; 0 while the file is being created */
};

struct lock_header {
    /* written once by the first opener */
    uint64_t magic;                /* LOCKFILE_MAGIC */
    uint32_t format;               /* LOCKFILE_FORMAT */
    uint32_t slots;                /* reader slots in the file */
    struct data_identity identity; /* qs_lockfile_bind() */
    uint64_t pid_space;            /* the first opener's pid namespace; 0: unknown */
    _Atomic uint32_t strangers; /* set for good when a process of another one has opened the file:
                                    * thread ids do not tell holders of the mutex apart any more */

    alignas(64) pthread_mutex_t writer; /* one writer of all processes */
    _Atomic int32_t owner;              /* pid of the holder, 0 when free; under `writer`. Who finds
                                         * it set on taking the mutex knows: the holder died */

    alignas(64) pthread_mutex_t flush; /* who flushes the log (log/group.c) */
    _Atomic uint32_t flushes;          /* grows when one has ended; committers wait on it (futex) */
    _Atomic uint32_t flush_unsure;     /* whoever flushed died: nobody knows what came of it */

    /* `checkpoint`, `written` and `full_sync_upto` under `writer`; read by everybody */
    alignas(64) _Atomic uint64_t checkpoint; /* number of the newest checkpoint */
    _Atomic uint64_t written;                /* log position: what lies before is committed */
    _Atomic uint64_t durable; /* log position: what lies before survives a power cut; grows */
    _Atomic txnid_t visible;  /* newest transaction that readers may see; grows */
    _Atomic uint64_t full_sync_upto; /* log position: flushing what lies before takes more than a
                                        flush of the log's range */
    _Atomic uint64_t suspect; /* number of a checkpoint whose meta page may never have reached the
                                 medium, 0: none. Before a commit behind it counts as durable, that page
                                 is written once more and the whole file flushed */
    _Atomic uint32_t failed;  /* set for good when a meta write or flush failed */
    _Atomic uint64_t
        linked; /* newest checkpoint that its maker's memory agrees with: the process may
                                 still use pages that a newer one has released */

    alignas(64) _Atomic uint32_t high_water; /* slots ever used */
};
static_assert(sizeof(struct lock_header) == LOCKFILE_SLOTS_OFFSET, "lock header");
static_assert(offsetof(struct lock_header, writer) == 64, "lock header: writer");
static_assert(offsetof(struct lock_header, checkpoint) == 192, "lock header: positions");
static_assert(offsetof(struct lock_header, high_water) == 256, "lock header: high water");

#define READER_AND_BEFORE (1ull << 63)

struct reader {
    _Atomic uint64_t snapshot; /* QS_TXNID_NONE: nothing in use; always so in a free slot */
    _Atomic uint64_t
        checkpoint;          /* valid while snapshot is; with READER_AND_BEFORE, the pages of the
                                  * checkpoint before are in use as well */
    _Atomic uint64_t owner;  /* 0: the slot is free. Low half pid, high half a nonce that no two
                                  * living processes share; changed by compare-and-swap */
    _Atomic uint64_t thread; /* pthread_self() of the holder; 0 while claiming */
    _Atomic uint64_t inside; /* 0, or since when the holder follows links in its process's memory:
                                  * of interest to that process only (readers/inside.h) */
    _Atomic uint64_t below;  /* an older transaction whose pages the holder reads as well, or
                                  * QS_TXNID_NONE; of interest to its process only, valid while
                                  * snapshot is */
    uint8_t spare[16];       /* a slot is a cache line: no two readers share one */
};
static_assert(sizeof(struct reader) == 64, "reader slot");

#endif
