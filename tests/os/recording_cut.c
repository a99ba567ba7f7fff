/* recording_cut.c - builds the files that a power cut could have left.
 *
 * Owns:       nothing; reads the recording, under its mutex.
 * Model:      an event is durable at a cut when a successful flush covers it, lies between it and
 *             the cut, and no failed flush lies before that one: after a failed flush the system
 *             has forgotten which pages were not written. A range flush covers bytes written, not
 *             sizes or holes. Whatever is not durable may be there or not, sector by sector.
 */
#include "recording_io.h"
#include "recording_state.h"
#include "os/posix_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

bool recording_keep_all(void *arg, size_t event, uint64_t offset, uint64_t size)
{
    (void)arg;
    (void)event;
    (void)offset;
    (void)size;
    return true;
}

bool recording_keep_seeded(void *arg, size_t event, uint64_t offset, uint64_t size)
{
    uint64_t hash =
        *(const uint64_t *)arg + event * 0x9e3779b97f4a7c15ull + offset / RECORDING_SECTOR;

    (void)size;
    hash = (hash ^ hash >> 30) * 0xbf58476d1ce4e5b9ull;
    hash = (hash ^ hash >> 27) * 0x94d049bb133111ebull;
    return (hash >> 40 & 1) != 0;
}

static int put(int fd, const struct recorded *event, uint64_t start, uint64_t end)
{
    struct io_write write = {start, event->data + (start - event->offset), (size_t)(end - start)};

    return start < end ? qs_posix_write(fd, &write, 1) : 0;
}

/* Carries out an event as a whole. */
static int apply(int fd, const struct recorded *event)
{
    switch (event->kind) {
    case RECORDED_WRITE:
        return put(fd, event, event->offset, event->offset + event->size);
    case RECORDED_TRUNCATE:
        return qs_posix_truncate(fd, event->offset);
    case RECORDED_PUNCH:
        return qs_posix_punch(fd, event->offset, event->size);
    case RECORDED_FLUSH:
    case RECORDED_FLUSH_RANGE:
        break;
    }
    return 0;
}

/* Carries out what the cut keeps of an event that is not durable. */
static int apply_kept(int fd, const struct recorded *event, size_t index,
                      const struct power_cut *cut)
{
    uint64_t end = event->offset + event->size;
    uint64_t next;
    int rc;

    if (cut->keep == NULL)
        return 0;
    if (event->kind != RECORDED_WRITE || cut->sector_size == 0)
        return cut->keep(cut->arg, index, event->offset, event->size) ? apply(fd, event) : 0;
    for (uint64_t at = event->offset; at < end; at = next) {
        next = (at / cut->sector_size + 1) * cut->sector_size;
        if (next > end)
            next = end;
        if (!cut->keep(cut->arg, index, at, next - at))
            continue;
        rc = put(fd, event, at, next);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static bool is_flush(const struct recorded *event)
{
    return event->kind == RECORDED_FLUSH || event->kind == RECORDED_FLUSH_RANGE;
}

/* Whether a flush reaches into a write; a whole flush reaches everything, a range flush writes
 * only. */
static bool flush_reaches(const struct recorded *flush, const struct recorded *event)
{
    if (flush->kind == RECORDED_FLUSH)
        return true;
    return event->kind == RECORDED_WRITE && flush->offset < event->offset + event->size &&
           event->offset < flush->offset + flush->size;
}

/* Carries out an event as far as it survives the cut: what the flushes after it made durable for
 * certain, and of the rest what the cut keeps. `flushes` are the indices of those flushes. */
static int apply_surviving(int fd, size_t index, const size_t *flushes, size_t count,
                           const struct power_cut *cut)
{
    const struct recorded *event = &recording.log.events[index];
    int rc = 0;

    for (size_t pass = 0; pass < 2 && rc == 0; pass++) {
        for (size_t i = 0; i < count && rc == 0; i++) {
            const struct recorded *flush = &recording.log.events[flushes[i]];
            uint64_t end = event->offset + event->size;
            uint64_t flush_end = flush->offset + flush->size;

            if (!flush_reaches(flush, event))
                continue;
            if (flush->failed)
                break;
            if (flush->kind == RECORDED_FLUSH)
                return apply(fd, event);
            if (pass == 1)
                rc = put(fd, event, event->offset > flush->offset ? event->offset : flush->offset,
                         end < flush_end ? end : flush_end);
        }
        if (pass == 0 && rc == 0)
            rc = apply_kept(fd, event, index, cut);
    }
    return rc;
}

static int apply_all(int fd, const struct power_cut *cut)
{
    size_t end = cut->event < recording.log.count ? cut->event : recording.log.count;
    size_t *flushes = malloc((end + 1) * sizeof *flushes);
    size_t count = 0, passed = 0;
    int rc = 0;

    if (flushes == NULL)
        return ENOMEM;
    for (size_t i = 0; i < end; i++) {
        if (is_flush(&recording.log.events[i]))
            flushes[count++] = i;
    }
    for (size_t i = 0; i < recording.base.count && rc == 0; i++)
        rc = apply(fd, &recording.base.events[i]);
    for (size_t i = 0; i < end && rc == 0; i++) {
        while (passed < count && flushes[passed] <= i)
            passed++;
        if (!is_flush(&recording.log.events[i]))
            rc = apply_surviving(fd, i, flushes + passed, count - passed, cut);
    }
    free(flushes);
    return rc;
}

int recording_materialise(const char *path, const struct power_cut *cut)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int rc;

    if (fd < 0)
        return errno;
    pthread_mutex_lock(&recording.mutex);
    rc = apply_all(fd, cut);
    pthread_mutex_unlock(&recording.mutex);
    close(fd);
    return rc;
}
