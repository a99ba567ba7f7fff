/* internal.h - what lockfile.c, writer.c, slots.c and alive.c share: the open lock file. */
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

static inline uint32_t owner_nonce(uint64_t owner)
{
    return (uint32_t)(owner >> 32);
}

/* alive.c: sets a lock on one byte (F_RDLCK, F_WRLCK, F_UNLCK) without waiting: EAGAIN when it is taken. */
int qs_byte_lock(int fd, short type, off_t byte);

/* Draws this process's nonce, never 0 and no living process's of this file, shows that it lives by the lock
 * on the nonce's byte, and sets lockfile->self. errno of fcntl(2). */
int qs_alive_announce(struct lockfile *lockfile);

/* The same where nobody else can look. */
void qs_alive_alone(struct lockfile *lockfile);

/* True when the process that wrote this owner word, another than this one, has ended. In doubt it lives. */
bool qs_alive_is_dead(const struct lockfile *lockfile, uint64_t owner);

/* What tells this process's pid namespace from others; 0 where /proc does not say. */
uint64_t qs_alive_pid_space(void);

/* Notes in the header that there are processes of more than one pid namespace, and gives those who sleep on
 * the writer mutex the time to see it: to be called before this one locks it. */
void qs_writer_strangers(struct lockfile *lockfile);

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

/* Frees this process's slots. */
void qs_slots_clear_own(struct lockfile *lockfile);

/* Frees the slots of dead processes that had this one's pid: it came round, or this one was exec'd. */
void qs_slots_clear_earlier(struct lockfile *lockfile);

#endif
