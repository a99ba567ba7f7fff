/* flush.c - flushing the file, and its log after a leader has died; see flush.h. */
#include "env/flush.h"

#include "log/group.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Writes bytes of the file over themselves. */
static int write_over(struct store *store, uint64_t offset, size_t size)
{
    void *copy = malloc(size);
    if (copy == NULL)
        return ENOMEM;
    memcpy(copy, qs_store_map(store)->base + offset, size);
    struct io_write write = {offset, copy, size};
    int rc = store->io->write(store->file, &write, 1);
    free(copy);
    return rc;
}

int qs_flush_write_again(struct store *store, const struct log *log, uint64_t from, uint64_t to)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < log->end.segments; i++) {
        const struct log_segment *segment = &log->segment[i];
        bool last = i + 1 == log->end.segments;
        uint64_t end = last ? log->end.position : segment[1].position;
        uint64_t start = from > segment->position ? from : segment->position;
        if (end > to)
            end = to;
        if (start >= end)
            continue;
        if (qs_store_run(store, segment->pgno, segment->pages) == NULL)
            return EIO;
        rc = write_over(store, qs_log_offset(segment, start), (size_t)(end - start));
    }
    return rc;
}

static int write_again(void *context, uint64_t from, uint64_t *to)
{
    struct core *core = context;
    pthread_mutex_lock(&core->follow_lock);
    const struct log *log = &atomic_load(&core->current)->log;
    if (*to > log->end.position)
        *to = log->end.position > from ? log->end.position : from;
    int rc = qs_flush_write_again(core->store, log, from, *to);
    pthread_mutex_unlock(&core->follow_lock);
    return rc;
}

int qs_flush_wait(struct core *core, uint64_t position, const struct log_segment *segment)
{
    const struct group_log log = {write_again, core};
    return qs_group_wait(qs_lockfile_header(core->lockfile), core->store->io, core->store->file,
                         position, segment, &log);
}

int qs_flush_all(struct core *core)
{
    const struct group_log log = {write_again, core};
    return qs_group_flush_all(qs_lockfile_header(core->lockfile), core->store->io,
                              core->store->file, &log);
}
