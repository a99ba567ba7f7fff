/* append.c - writing records behind the end; see log.h.
 *
 * Nothing here is a commit: bytes behind the end that the lock file knows of are garbage until it
 * says otherwise, and are written over by whoever appends next.
 */
#include "log/log.h"

#include "base/hash64.h"
#include "base/vector.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* Written at a time, and a unit of the page cache then: when a page of a larger one changes the system counts it all as
 * written, and as dirty. */
#define CLEAR_PIECE_BYTES QS_PAGE_BYTES

/* Bytes of the last segment behind the end. */
static uint64_t room(const struct log *log)
{
    const struct log_segment *s = qs_log_tail(log);
    return s != NULL ? (s->pages << QS_PAGE_SHIFT) - s->offset - (log->end.position - s->position)
                     : 0;
}

bool qs_log_fits(const struct log *log, size_t size)
{
    return room(log) >= size + LOG_LINK_BYTES;
}

int qs_log_clear_run(const struct qs_io_ops *io, struct qs_io_file *file, uint64_t pgno,
                     uint64_t pages)
{
    static const uint8_t zeros[CLEAR_PIECE_BYTES];
    uint64_t at = pgno << QS_PAGE_SHIFT, end = (pgno + pages) << QS_PAGE_SHIFT;
    int rc = 0;
    for (; rc == 0 && at < end; at += CLEAR_PIECE_BYTES) {
        uint64_t left = end - at;
        struct io_write write = {at, zeros, left < sizeof zeros ? (size_t)left : sizeof zeros};
        rc = io->write(file, &write, 1);
    }
    return rc;
}

static int put_record(struct log *log, const struct qs_io_ops *io, struct qs_io_file *file,
                      struct log_record *record)
{
    if (!log->salted)
        log->salted = getrandom(log->salt, sizeof log->salt, GRND_NONBLOCK) > 0;
    memcpy(record->salt, log->salt, sizeof record->salt);
    record->previous = log->end.checksum;
    record->position = log->end.position;
    record->checksum = qs_hash64(0, &record->previous, record->size - sizeof record->checksum);
    uint64_t offset = qs_log_offset(qs_log_tail(log), log->end.position);
    struct io_write write = {offset, record, record->size};
    int rc = io->write(file, &write, 1);
    if (rc != 0)
        return rc;
    log->end.position += record->size;
    log->end.checksum = record->checksum;
    log->end.txn = record->txn;
    log->sealed = false;
    return 0;
}

int qs_log_link(struct log *log, const struct qs_io_ops *io, struct qs_io_file *file,
                uint64_t durable, uint64_t pgno, uint64_t pages)
{
    struct {
        struct log_record record;
        struct log_link link;
    } bytes = {{.txn = log->end.txn, .durable = durable, .size = LOG_LINK_BYTES, .kind = LOG_LINK},
               {pgno, pages}};
    assert(room(log) >= LOG_LINK_BYTES);
    int rc = qs_vector_reserve((void **)&log->segment, &log->capacity, log->end.segments + 1,
                               sizeof *log->segment);
    if (rc == 0)
        rc = put_record(log, io, file, &bytes.record);
    if (rc == 0)
        log->segment[log->end.segments++] =
            (struct log_segment){pgno, pages, log->checkpoint, log->end.position, 0, NULL};
    return rc;
}

int qs_log_append(struct log *log, const struct qs_io_ops *io, struct qs_io_file *file,
                  struct log_record *record, size_t size, enum log_kind kind, txnid_t txn,
                  uint64_t durable)
{
    assert(size % LOG_ALIGN == 0 && qs_log_fits(log, size));
    record->txn = txn;
    record->durable = durable;
    record->size = (uint32_t)size;
    record->kind = (uint8_t)kind;
    return put_record(log, io, file, record);
}

void qs_log_anchor(const struct log *log, const struct log_end *end, uint64_t seed,
                   struct log_anchor *anchor)
{
    *anchor = (struct log_anchor){.position = end->position, .seed = seed};
    if (end->segments == 0)
        return;
    const struct log_segment *s = &log->segment[end->segments - 1];
    anchor->pgno = s->pgno;
    anchor->pages = s->pages;
    anchor->offset = s->offset + (end->position - s->position);
    anchor->born = s->born;
}

void qs_log_pass(struct log *log, const struct log_anchor *anchor, uint64_t checkpoint)
{
    size_t first = 0;
    while (log->segment[first].pgno != anchor->pgno)
        first++;
    assert(first < log->end.segments);
    log->end.segments -= first;
    memmove(log->segment, log->segment + first, log->end.segments * sizeof *log->segment);
    log->segment[0].position = anchor->position;
    log->segment[0].offset = anchor->offset;
    log->anchor = anchor->position;
    log->checkpoint = checkpoint;
}
