/* recording_io.c - the recording and faulting file I/O of the tests.
 *
 * Owns:       the one recording: base image, events, faults to come.
 * Invariants: events stand in the order in which they took effect on the real file; an event is
 *             there only when its real call succeeded (a failed flush excepted).
 * Locks:      one mutex around everything, held across the real calls.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* SEEK_DATA, fallocate() */
#endif

#include "recording_io.h"
#include "recording_state.h"
#include "os/posix_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE 65536u /* bytes read at a time */

struct qs_io_file {
    int fd;        /* ours to close */
    bool recorded; /* it is the file of the recording */
    bool ahead;    /* a flush ahead has begun, and nobody has asked since */
};

struct recording recording = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void *must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

/* ---- events ---- */

static void list_clear(struct event_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->events[i].data);
    free(list->events);
    memset(list, 0, sizeof *list);
}

static struct recorded *list_add(struct event_list *list, enum recorded_kind kind, uint64_t offset,
                                 uint64_t size)
{
    if (list->count == list->room) {
        list->room = list->room == 0 ? 64 : list->room * 2;
        list->events = must(realloc(list->events, list->room * sizeof *list->events));
    }
    list->events[list->count] =
        (struct recorded){.kind = kind, .offset = offset, .size = size, .call = recording.calls};
    return &list->events[list->count++];
}

static void list_add_write(struct event_list *list, uint64_t offset, const void *data, size_t size)
{
    struct recorded *event = list_add(list, RECORDED_WRITE, offset, size);

    event->data = must(malloc(size));
    memcpy(event->data, data, size);
}

static void image_resize(uint64_t size)
{
    if (!recording.watch || size == recording.image_size)
        return;
    recording.image = must(realloc(recording.image, size + 1));
    if (size > recording.image_size)
        memset(recording.image + recording.image_size, 0, size - recording.image_size);
    recording.image_size = size;
}

static void image_grow(uint64_t size)
{
    if (size > recording.image_size)
        image_resize(size);
}

static void image_put(uint64_t offset, const void *data, size_t size)
{
    if (!recording.watch)
        return;
    image_grow(offset + size);
    memcpy(recording.image + offset, data, size);
}

static void record_write(uint64_t offset, const void *data, size_t size)
{
    if (size == 0)
        return;
    list_add_write(&recording.log, offset, data, size);
    image_put(offset, data, size);
}

/* Reads what there is of [offset, offset + size); what is not there reads as zeros. */
static void read_zero_filled(int fd, void *buffer, size_t size, uint64_t offset)
{
    ssize_t got = pread(fd, buffer, size, (off_t)offset);

    if (got < 0)
        got = 0;
    memset((char *)buffer + got, 0, size - (size_t)got);
}

/* Records, as writes, what somebody stored in the file past us. */
static void record_stores(int fd)
{
    unsigned char piece[PIECE];
    struct stat st;

    if (!recording.watch || fstat(fd, &st) != 0)
        return;
    image_grow((uint64_t)st.st_size);
    for (uint64_t at = 0; at < (uint64_t)st.st_size; at += PIECE) {
        uint64_t left = (uint64_t)st.st_size - at;
        size_t size = left < PIECE ? (size_t)left : PIECE;

        read_zero_filled(fd, piece, size, at);
        if (memcmp(piece, recording.image + at, size) == 0)
            continue;
        for (size_t i = 0; i < size; i += RECORDING_SECTOR) {
            size_t sector = size - i < RECORDING_SECTOR ? size - i : RECORDING_SECTOR;

            if (memcmp(piece + i, recording.image + at + i, sector) != 0)
                record_write(at + i, piece + i, sector);
        }
    }
}

/* Takes the base image: the file's data, hole by hole. */
static void take_base(int fd, const struct stat *st)
{
    unsigned char piece[PIECE];
    off_t at = 0;

    recording.based = true;
    recording.device = st->st_dev;
    recording.inode = st->st_ino;
    list_add(&recording.base, RECORDED_TRUNCATE, (uint64_t)st->st_size, 0);
    image_resize((uint64_t)st->st_size);
    while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
        off_t end = lseek(fd, at, SEEK_HOLE);

        for (; at < end; at += PIECE) {
            size_t size = end - at < (off_t)PIECE ? (size_t)(end - at) : PIECE;

            read_zero_filled(fd, piece, size, (uint64_t)at);
            list_add_write(&recording.base, (uint64_t)at, piece, size);
            image_put((uint64_t)at, piece, size);
        }
        at = end;
    }
}

static void forget(bool on, bool watch)
{
    pthread_mutex_lock(&recording.mutex);
    list_clear(&recording.base);
    list_clear(&recording.log);
    free(recording.image);
    recording.image = NULL;
    recording.image_size = 0;
    recording.on = on;
    recording.watch = watch;
    recording.based = false;
    recording.calls = 0;
    recording.fail_call = 0;
    pthread_mutex_unlock(&recording.mutex);
}

void recording_start(bool watch_mapping)
{
    forget(true, watch_mapping);
}

void recording_stop(void)
{
    forget(false, false);
}

size_t recording_events(void)
{
    size_t count;

    pthread_mutex_lock(&recording.mutex);
    count = recording.log.count;
    pthread_mutex_unlock(&recording.mutex);
    return count;
}

struct recorded recording_event(size_t index)
{
    struct recorded event;

    pthread_mutex_lock(&recording.mutex);
    event = recording.log.events[index];
    pthread_mutex_unlock(&recording.mutex);
    return event;
}

/* ---- faults ---- */

uint64_t recording_calls(void)
{
    uint64_t calls;

    pthread_mutex_lock(&recording.mutex);
    calls = recording.calls;
    pthread_mutex_unlock(&recording.mutex);
    return calls;
}

void recording_fail(uint64_t nth, enum recording_fault fault, bool sticky)
{
    pthread_mutex_lock(&recording.mutex);
    recording.fail_call = nth == 0 ? 0 : recording.calls + nth;
    recording.fault = fault;
    recording.sticky = sticky;
    pthread_mutex_unlock(&recording.mutex);
}

/* Locks, counts the call, and says how it is to fail. */
static enum recording_fault call_begin(const struct qs_io_file *file)
{
    pthread_mutex_lock(&recording.mutex);
    if (!file->recorded || !recording.on)
        return FAULT_NONE;
    recording.calls++;
    if (recording.fail_call == 0 || recording.calls < recording.fail_call)
        return FAULT_NONE;
    return recording.calls == recording.fail_call || recording.sticky ? recording.fault
                                                                      : FAULT_NONE;
}

static int call_end(int rc)
{
    pthread_mutex_unlock(&recording.mutex);
    return rc;
}

static int fault_errno(enum recording_fault fault)
{
    return fault == FAULT_ENOSPC ? ENOSPC : EIO;
}

static bool is_recording(const struct qs_io_file *file)
{
    return file->recorded && recording.on;
}

/* ---- the operations ---- */

static int recording_attach(int fd, struct qs_io_file **file)
{
    struct qs_io_file *made = must(calloc(1, sizeof *made));
    struct stat st;

    made->fd = fd;
    pthread_mutex_lock(&recording.mutex);
    if (recording.on && fstat(fd, &st) == 0) {
        if (!recording.based)
            take_base(fd, &st);
        made->recorded = st.st_dev == recording.device && st.st_ino == recording.inode;
    }
    pthread_mutex_unlock(&recording.mutex);
    *file = made;
    return 0;
}

static void recording_close(struct qs_io_file *file)
{
    close(file->fd);
    free(file);
}

/* Writes and records the pieces, up to `limit` bytes in all. */
static int write_some(struct qs_io_file *file, const struct io_write *writes, size_t count,
                      uint64_t limit)
{
    for (size_t i = 0; i < count && limit > 0; i++) {
        struct io_write part = writes[i];
        int rc;

        if (part.size > limit)
            part.size = (size_t)limit;
        limit -= part.size;
        rc = qs_posix_write(file->fd, &part, 1);
        if (rc != 0)
            return rc;
        if (is_recording(file))
            record_write(part.offset, part.data, part.size);
    }
    return 0;
}

static int recording_write(struct qs_io_file *file, const struct io_write *writes, size_t count)
{
    enum recording_fault fault = call_begin(file);
    uint64_t total = 0;
    int rc;

    for (size_t i = 0; i < count; i++)
        total += writes[i].size;
    if (fault == FAULT_NONE) {
        rc = write_some(file, writes, count, total);
    } else {
        rc = fault_errno(fault);
        if (fault == FAULT_SHORT)
            write_some(file, writes, count, total / 2);
    }
    return call_end(rc);
}

static int flush_any(struct qs_io_file *file, enum recorded_kind kind, uint64_t offset,
                     uint64_t size)
{
    enum recording_fault fault = call_begin(file);

    if (is_recording(file)) {
        record_stores(file->fd);
        list_add(&recording.log, kind, offset, size)->failed = fault != FAULT_NONE;
    }
    return call_end(fault == FAULT_NONE ? 0 : EIO);
}

static int recording_flush(struct qs_io_file *file)
{
    return flush_any(file, RECORDED_FLUSH, 0, UINT64_MAX);
}

static int recording_flush_range(struct qs_io_file *file, uint64_t offset, uint64_t size)
{
    return flush_any(file, RECORDED_FLUSH_RANGE, offset, size);
}

static int recording_truncate(struct qs_io_file *file, uint64_t size)
{
    enum recording_fault fault = call_begin(file);
    int rc = fault == FAULT_NONE ? qs_posix_truncate(file->fd, size) : fault_errno(fault);

    if (rc == 0 && is_recording(file)) {
        list_add(&recording.log, RECORDED_TRUNCATE, size, 0);
        image_resize(size);
    }
    return call_end(rc);
}

/* A hint changes no state that a power cut can leave: what was written may be on the medium anyway. */
static void recording_write_out(struct qs_io_file *file, uint64_t offset, uint64_t size)
{
    (void)file;
    (void)offset;
    (void)size;
}

static void recording_flush_ahead(struct qs_io_file *file)
{
    file->ahead = true;
}

/* It takes until the next question but one. */
static bool recording_flush_ahead_ended(struct qs_io_file *file)
{
    bool ended = !file->ahead;

    file->ahead = false;
    return ended;
}

static int recording_punch(struct qs_io_file *file, uint64_t offset, uint64_t size)
{
    enum recording_fault fault = call_begin(file);
    int rc = fault == FAULT_NONE ? qs_posix_punch(file->fd, offset, size) : fault_errno(fault);

    if (rc == 0 && is_recording(file)) {
        list_add(&recording.log, RECORDED_PUNCH, offset, size);
        if (recording.watch && offset < recording.image_size) {
            uint64_t left = recording.image_size - offset;

            memset(recording.image + offset, 0, size < left ? size : left);
        }
    }
    return call_end(rc);
}

const struct qs_io_ops recording_io = {
    .name = "recording",
    .attach = recording_attach,
    .close = recording_close,
    .write = recording_write,
    .flush = recording_flush,
    .flush_range = recording_flush_range,
    .flush_ahead = recording_flush_ahead,
    .flush_ahead_ended = recording_flush_ahead_ended,
    .truncate = recording_truncate,
    .write_out = recording_write_out,
    .punch = recording_punch,
};
