/* recording_io.h - file I/O for tests: records every write and flush, fails on demand, and builds
 * the files that a power cut could have left.
 *
 * One recording at a time, of one file: the first that is attached after recording_start(), through
 * any number of attachments. Other files pass through. Flushes are recorded but not carried out:
 * the medium is the recording. Any thread.
 */
#ifndef TESTS_OS_RECORDING_IO_H
#define TESTS_OS_RECORDING_IO_H

#include "os/io.h"

#include <stdbool.h>

extern const struct qs_io_ops recording_io;

/* ---- recording ---- */

/* Forgets what was recorded and all faults; the next attach takes the file's base image. With
 * `watch_mapping`, each flush first compares the file with what was written through this interface,
 * and records the 512-byte sectors that differ as writes: stores to a mapping become visible so. */
void recording_start(bool watch_mapping);

/* As recording_start(), and frees the memory. Nothing is recorded until the next start. */
void recording_stop(void);

enum recorded_kind {
    RECORDED_WRITE, /* one piece of a batch */
    RECORDED_FLUSH,
    RECORDED_FLUSH_RANGE,
    RECORDED_TRUNCATE, /* offset: the new size */
    RECORDED_PUNCH,
};

struct recorded {
    enum recorded_kind kind;
    uint64_t offset;     /* bytes from the start of the file */
    uint64_t size;       /* bytes */
    unsigned char *data; /* of a write, `size` bytes; else NULL */
    uint64_t call;       /* number of the call it was part of, from 1 */
    bool failed;         /* a flush that was made to fail: made nothing durable, then or ever */
};

size_t recording_events(void);
/* Valid until the next call of recording_start() or recording_stop(); `index` below the count. */
struct recorded recording_event(size_t index);

/* ---- faults ---- */

enum recording_fault {
    FAULT_NONE,
    FAULT_EIO,
    FAULT_ENOSPC, /* flushes are given EIO instead */
    FAULT_SHORT,  /* a write stops in the middle of the batch, then EIO; others: EIO */
};

/* Calls that count: all but attach and close, since the recording started. */
uint64_t recording_calls(void);

/* Makes the `nth` call from now fail (1: the next one), and with `sticky` all after it. */
void recording_fail(uint64_t nth, enum recording_fault fault, bool sticky);

/* ---- power cuts ---- */

/* Whether this part of an unflushed event reached the medium. */
typedef bool recording_keep(void *arg, size_t event, uint64_t offset, uint64_t size);

struct power_cut {
    size_t event;         /* events [0, event) had happened */
    unsigned sector_size; /* bytes kept or lost together: 512, 4096; 0: whole writes only */
    recording_keep *keep; /* decides for all that is not durable; NULL: all of it is lost */
    void *arg;            /* for keep */
};

/* Ready-made deciders: everything; by a hash of *(uint64_t *)arg, event and offset. */
recording_keep recording_keep_all;
recording_keep recording_keep_seeded;

/* Creates (or overwrites) `path` as the cut would leave the file: the base image, everything
 * durable, and of the rest what cut->keep chooses, in the order of the recording. 0 or errno. */
int recording_materialise(const char *path, const struct power_cut *cut);

#endif
