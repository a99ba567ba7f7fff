/* internal.h - what lockfile.c, writer.c and slots.c share: the open lock file. */
#ifndef QS_READERS_INTERNAL_H
#define QS_READERS_INTERNAL_H

#include "readers/lockfile.h"

struct lockfile {
    /* immutable after open */
    int fd;                     /* holds the fcntl locks; closed by close only */
    pid_t pid;                  /* of the process that opened */
    uint64_t self;              /* what this process writes into reader.owner */
    unsigned slots_count;       /* reader slots in the file */
    size_t map_bytes;           /* size of the mapping */
    struct lock_header *header; /* the mapping */
    struct reader *slots;       /* in the mapping, behind the header */

    /* the writer mutex, this process's view */
    _Atomic uint64_t holder; /* pthread_self() of ours that has it, or 0; written under the mutex */
    _Atomic bool panicked;   /* a thread ended holding it; never cleared */
    _Atomic int spinning;    /* enum spin_choice: whether it pays to spin here */

    /* reader slots, this process's view */
    _Atomic unsigned hint; /* index of the slot released last: likely free. Relaxed */
};

/* A reader slot's owner word. */
static inline uint64_t owner_make(pid_t pid, uint32_t nonce)
{
    return (uint64_t)nonce << 32 | (uint32_t)pid;
}

static inline pid_t owner_pid(uint64_t owner)
{
    return (pid_t)(uint32_t)owner;
}

/* CLOCK_MONOTONIC, in nanoseconds. */
int64_t qs_monotonic_ns(void);

/* Initialises the mutex: the first opener's. */
int qs_writer_mutex_init(struct lockfile *lockfile);

/* At close: unlocks when the calling thread holds the mutex (it closes with its write transaction
 * open). False when another thread of ours has it: then the memory must stay mapped, because the
 * kernel looks into it when that thread ends. */
bool qs_writer_abandon(struct lockfile *lockfile);

/* Empties every slot in the file: the first opener's. */
void qs_slots_init(struct lockfile *lockfile);

/* Frees the slots with this process's pid: those of an earlier life of the pid (`earlier`), or
 * those of this one. */
void qs_slots_clear_own(struct lockfile *lockfile, bool earlier);

#endif
