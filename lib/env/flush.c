/* flush.c - flushing the file, and its log after a leader has died; see flush.h. */
#include "env/flush.h"

#include "base/error.h"
#include "env/tail.h"
#include "log/group.h"
#include "tree/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES (256u << 10) /* copied at a time */

/* Writes bytes of the file over themselves, piece by piece. */
static int write_over(struct store *store, uint64_t offset, size_t size)
{
    size_t most = size < PIECE_BYTES ? size : PIECE_BYTES;
    void *copy = malloc(most);
    int rc = copy != NULL ? 0 : ENOMEM;
    for (size_t done = 0; rc == 0 && done < size;) {
        size_t piece = size - done < most ? size - done : most;
        struct io_write write = {offset + done, copy, piece};
        memcpy(copy, qs_store_map(store)->base + write.offset, piece);
        rc = store->io->write(store->file, &write, 1);
        done += piece;
    }
    free(copy);
    return rc;
}

/* Not those that were released again: others may be writing there. */
static int write_values(struct store *store, struct tail *tail)
{
    int rc = 0;
    qs_tail_sort(tail);
    for (size_t i = 0; rc == 0 && i < tail->count; i++) {
        const struct large_ref *ref = &tail->value[i].ref;
        if (tail->value[i].until != UINT64_MAX)
            continue;
        if (qs_store_run(store, ref->pgno, qs_large_pages(ref->size)) == NULL)
            return QS_CORRUPT();
        rc = write_over(store, ref->pgno << QS_PAGE_SHIFT, ref->size);
    }
    return rc;
}

/* The values of records in bytes[0..size), which this process has appended or followed. */
static int list_values(struct tail *tail, const uint8_t *bytes, uint64_t size)
{
    int rc = 0;
    while (rc == 0 && size > 0) {
        const struct log_record *record = (const struct log_record *)(const void *)bytes;
        if (size < sizeof *record || record->size < sizeof *record || record->size > size)
            return QS_CORRUPT();
        if (record->kind == LOG_TXN)
            rc = qs_tail_add(tail, record, record->position);
        bytes += record->size;
        size -= record->size;
    }
    return rc;
}

/* Nothing of a segment is durable before its first record is, the zeros behind that not either. While others
 * may append, only the records can be written over. */
static int write_segment(struct store *store, const struct log_segment *segment)
{
    return write_over(store, segment->pgno << QS_PAGE_SHIFT, segment->pages << QS_PAGE_SHIFT);
}

/* The records, segment by segment; the values that they refer to are listed. */
static int write_records(struct store *store, const struct log *log, uint64_t from, uint64_t to,
                         bool alone, struct tail *tail)
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
        uint64_t offset = qs_log_offset(segment, start);
        rc = list_values(tail, qs_store_map(store)->base + offset, end - start);
        if (rc == 0 && alone && i > 0 && segment->position >= from)
            rc = write_segment(store, segment);
        else if (rc == 0)
            rc = write_over(store, offset, (size_t)(end - start));
    }
    return rc;
}

int qs_flush_write_again(struct store *store, const struct log *log, uint64_t from, uint64_t to,
                         bool alone)
{
    struct tail tail = {.value = NULL};
    int rc = write_records(store, log, from, to, alone, &tail);
    if (rc == 0)
        rc = write_values(store, &tail);
    qs_tail_free(&tail);
    return rc;
}

static int write_again(void *context, uint64_t from, uint64_t *to)
{
    struct core *core = context;
    pthread_mutex_lock(&core->follow_lock);
    const struct log *log = &atomic_load(&core->current)->log;
    if (*to > log->end.position)
        *to = log->end.position > from ? log->end.position : from;
    int rc = qs_flush_write_again(core->store, log, from, *to, false);
    pthread_mutex_unlock(&core->follow_lock);
    return rc;
}

/* Nobody writes another meta page into its place meanwhile: a checkpoint flushes first, and there the
 * leader of this flush is waited for. */
static int write_meta(void *context, uint64_t checkpoint)
{
    struct core *core = context;
    struct meta meta;
    int rc = qs_meta_read_number(core->store, checkpoint, &meta);
    return rc == 0 ? qs_meta_write(core->store, &meta) : rc == QS_E_NOTFOUND ? 0 : rc;
}

int qs_flush_wait(struct core *core, uint64_t position, const struct log_segment *segment)
{
    const struct group_log log = {write_again, write_meta, core};
    return qs_group_wait(qs_lockfile_header(core->lockfile), core->store->io, core->store->file,
                         position, segment, &log);
}

int qs_flush_all(struct core *core)
{
    const struct group_log log = {write_again, write_meta, core};
    return qs_group_flush_all(qs_lockfile_header(core->lockfile), core->store->io,
                              core->store->file, &log);
}
