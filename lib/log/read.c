/* read.c - following the chain of records; see log.h.
 *
 * Bytes from the file are trusted in nothing: a record counts when its checksum, its position and its
 * predecessor are right, and its size stays inside the segment.
 */
#include "log/log.h"

#include "base/error.h"
#include "base/hash64.h"
#include "base/vector.h"

#include <string.h>

int qs_log_open(struct log *log, const struct log_anchor *anchor, uint64_t checkpoint, txnid_t txn)
{
    log->anchor = anchor->position;
    log->checkpoint = checkpoint;
    log->sound = anchor->position;
    log->sealed = false;
    log->end = (struct log_end){anchor->position, anchor->seed, txn, 0};
    if (anchor->pages == 0)
        return 0;
    int rc = qs_vector_reserve((void **)&log->segment, &log->capacity, 1, sizeof *log->segment);
    if (rc != 0)
        return rc;
    log->segment[0] = (struct log_segment){anchor->pgno,     anchor->pages,  anchor->born,
                                           anchor->position, anchor->offset, NULL};
    log->end.segments = 1;
    return 0;
}

void qs_log_close(struct log *log)
{
    free(log->segment);
    log->segment = NULL;
    log->capacity = 0;
    log->end.segments = 0;
}

int qs_log_copy(struct log *to, const struct log *from)
{
    struct log copy = *from;
    int rc = qs_vector_reserve((void **)&to->segment, &to->capacity, from->end.segments,
                               sizeof *to->segment);
    if (rc != 0)
        return rc;
    if (from->end.segments > 0)
        memcpy(to->segment, from->segment, from->end.segments * sizeof *to->segment);
    copy.segment = to->segment;
    copy.capacity = to->capacity;
    *to = copy;
    return 0;
}

/* Bytes of the last segment from position `at` on; NULL when there are none. */
static const uint8_t *rest(const struct log *log, uint64_t at, uint64_t *size)
{
    if (log->end.segments == 0)
        return NULL;
    struct log_segment *s = &log->segment[log->end.segments - 1];
    uint64_t used = s->offset + (at - s->position), bytes = s->pages << QS_PAGE_SHIFT;
    if (used > bytes || bytes - used < sizeof(struct log_record))
        return NULL;
    if (s->bytes == NULL)
        s->bytes = log->run(log->store, s->pgno, s->pages);
    *size = bytes - used;
    return s->bytes != NULL ? s->bytes + used : NULL;
}

/* Whether a record of position `position` stands there; what lies before `sound` is known to be one. */
static bool is_sound(const struct log_record *record, uint64_t position, uint64_t room,
                     uint64_t sound)
{
    if (record->position != position || record->size < sizeof *record || record->size > room ||
        record->size % LOG_ALIGN != 0)
        return false;
    if (position < sound)
        return true;
    size_t covered = record->size - sizeof record->checksum;
    return record->checksum == qs_hash64(0, &record->previous, covered);
}

static bool follows(const struct log *log, const struct log_record *record)
{
    if (record->previous != log->end.checksum)
        return false;
    switch (record->kind) {
    case LOG_TXN:
        return record->txn == log->end.txn + 1;
    case LOG_LINK:
        return record->size == LOG_LINK_BYTES && record->txn == log->end.txn;
    case LOG_SEAL:
    case LOG_TAKEN:
        return record->txn == log->end.txn;
    default:
        return false;
    }
}

static int follow_link(struct log *log, const struct log_record *record)
{
    struct log_link link;
    memcpy(&link, record + 1, sizeof link);
    if (link.pages == 0 || log->run(log->store, link.pgno, link.pages) == NULL)
        return QS_E_NOTFOUND;
    int rc = qs_vector_reserve((void **)&log->segment, &log->capacity, log->end.segments + 1,
                               sizeof *log->segment);
    if (rc != 0)
        return rc;
    /* It may have been linked before the checkpoint that this log follows, but not before its first was. */
    log->segment[log->end.segments++] = (struct log_segment){
        link.pgno, link.pages, log->segment[0].born, log->end.position + record->size, 0, NULL};
    return 0;
}

static void take(struct log *log, const struct log_record *record)
{
    log->end.position += record->size;
    log->end.checksum = record->checksum;
    log->end.txn = record->txn;
    log->sealed = record->kind == LOG_SEAL;
}

bool qs_log_next_seal(struct log *log, const struct log_record bytes[2])
{
    const struct log_record *seal = &bytes[0], *behind = &bytes[1];
    if (seal->kind != LOG_SEAL || seal->size != sizeof *seal ||
        !is_sound(seal, log->end.position, sizeof *seal, 0) || !follows(log, seal) ||
        (behind->position == seal->position + sizeof *seal && behind->previous == seal->checksum))
        return false;
    take(log, seal);
    return true;
}

int qs_log_next(struct log *log, uint64_t limit, const struct log_record **out)
{
    for (;;) {
        uint64_t room = 0;
        if (log->end.position >= limit)
            return QS_E_NOTFOUND;
        const uint8_t *bytes = rest(log, log->end.position, &room);
        const struct log_record *record = (const struct log_record *)(const void *)bytes;
        if (record == NULL || !is_sound(record, log->end.position, room, log->sound) ||
            !follows(log, record))
            return QS_E_NOTFOUND;
        if (record->kind == LOG_LINK) {
            int rc = follow_link(log, record);
            if (rc != 0)
                return rc;
        }
        take(log, record);
        if (record->kind != LOG_LINK) {
            *out = record;
            return 0;
        }
    }
}

bool qs_log_lost(const struct log *log)
{
    uint64_t room = 0, at = log->end.position;
    const uint8_t *bytes = rest(log, at, &room);
    for (; bytes != NULL && room >= sizeof(struct log_record);
         bytes += LOG_ALIGN, at += LOG_ALIGN, room -= LOG_ALIGN) {
        const struct log_record *record = (const struct log_record *)(const void *)bytes;
        if (record->position == at && record->durable > log->end.position &&
            is_sound(record, at, room, 0))
            return true;
    }
    return false;
}
