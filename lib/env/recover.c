/* recover.c - what the first opener of a file makes of the log it finds.
 *
 * The chain of records from the meta page's anchor is walked to its end. What its records do not say was
 * durable may be there or not, as far as the medium knows: so it is written once more and flushed before
 * anybody sees it. A large value whose run did not reach the medium ends the log before its record, unless a later
 * record has released it.
 * A record missing from what was durable is corruption.
 * Recovery changes nothing but bytes that stay the same, so it may be cut short and begun again.
 */
#include "env/open.h"

#include "base/error.h"
#include "env/flush.h"
#include "env/tail.h"
#include "log/group.h"

#include <string.h>

struct recovery {
    struct core *core;
    struct log log;
    struct log_end end; /* behind the last record that is accepted */
    uint64_t attested;  /* position up to which the log says that it was durable */
};

static int open_log(struct recovery *r, const struct meta *meta)
{
    r->log.run = qs_store_run;
    r->log.store = r->core->store;
    return qs_log_open(&r->log, &meta->log, meta->checkpoint, meta->txn);
}

/* A log that was left empty: its seal is read without mapping the segment, for all it costs to open. */
static bool find_seal(struct recovery *r)
{
    const struct log_segment *segment = qs_log_tail(&r->log);
    struct log_record bytes[2];
    return segment != NULL &&
           qs_store_read(r->core->store, qs_log_offset(segment, r->log.anchor), bytes,
                         sizeof bytes) == 0 &&
           qs_log_next_seal(&r->log, bytes);
}

/* The first look: how far the chain goes, and how much of it was durable. */
static int find_end(struct recovery *r)
{
    const struct log_record *record;
    int rc;
    r->attested = r->log.anchor;
    if (find_seal(r)) {
        r->end = r->log.end;
        return 0;
    }
    r->end = r->log.end;
    while ((rc = qs_log_next(&r->log, UINT64_MAX, &record)) == 0) {
        if (record->durable > r->attested && record->durable <= r->log.end.position)
            r->attested = record->durable;
        r->end = r->log.end; /* a link that nothing follows is forgotten */
    }
    if (rc == QS_E_NOTFOUND)
        rc = !r->log.sealed && qs_log_lost(&r->log) ? QS_CORRUPT() : 0;
    return rc;
}

/* Whether all of it is known to be durable: only a seal may not be, which says nothing else. */
static bool is_durable(const struct recovery *r)
{
    return r->end.position == r->attested ||
           (r->log.sealed && r->end.position == r->attested + sizeof(struct log_record));
}

/* Walks the log to position `to`; the large values of what is not known to be durable go into `tail`. */
static int walk(struct recovery *r, const struct meta *meta, uint64_t to, struct tail *tail)
{
    const struct log_record *record;
    int rc = open_log(r, meta);
    r->log.sound = r->end.position;
    while (rc == 0 && r->log.end.position < to) {
        uint64_t before = r->log.end.position;
        rc = qs_log_next(&r->log, to, &record);
        if (rc == 0 && tail != NULL && r->log.end.position > r->attested && record->kind == LOG_TXN)
            rc = qs_tail_add(tail, record, before);
    }
    return rc == QS_E_NOTFOUND ? QS_CORRUPT() : rc;
}

/* The second look, at what the first has found sound: records that nobody says were durable are checked
 * for what they refer to; what is accepted of them is written again. */
static int accept_tail(struct recovery *r, const struct meta *meta)
{
    struct store *store = r->core->store;
    struct tail tail = {.value = NULL};
    int rc = walk(r, meta, r->end.position, &tail);
    if (rc == 0) {
        qs_tail_sort(&tail);
        uint64_t sound = qs_tail_sound(&tail, store, r->end.position);
        bool shorter = sound < r->end.position;
        rc = shorter ? walk(r, meta, sound, NULL) : 0;
        r->end = r->log.end;
        r->log.sealed = r->log.sealed && !shorter;
    }
    qs_tail_free(&tail);
    if (rc == 0 && !store->read_only)
        rc = qs_flush_write_again(store, &r->log, r->attested, r->end.position, true);
    return rc;
}

/* Flushes what was accepted, the meta page too, unless all of it is known to be durable. */
static int settle(struct recovery *r, const struct meta *meta)
{
    struct store *store = r->core->store;
    struct lock_header *header = qs_lockfile_header(r->core->lockfile);
    struct meta again = *meta;
    bool known = is_durable(r);
    int rc = 0;
    if (!known && !store->read_only) {
        rc = qs_meta_write(store, &again);
        if (rc == 0)
            rc = store->io->flush(store->file);
        if (rc == 0)
            r->attested = r->end.position;
    }
    if (rc != 0)
        return rc;
    /* Who cannot write leaves that to the first who flushes. */
    atomic_store(&header->flush_unsure, !known && store->read_only);
    atomic_store(&header->suspect, known || store->read_only ? meta->checkpoint : 0);
    atomic_store(&header->checkpoint, meta->checkpoint);
    atomic_store(&header->linked, meta->checkpoint);
    atomic_store(&header->written, r->end.position);
    atomic_store(&header->durable, r->attested);
    atomic_store(&header->visible, r->end.txn);
    return 0;
}

int qs_recover(struct core *core, const struct meta *meta, uint64_t *sound)
{
    struct recovery r = {.core = core};
    int rc = qs_group_init(qs_lockfile_header(core->lockfile));
    if (rc == 0)
        rc = open_log(&r, meta);
    if (rc == 0)
        rc = find_end(&r);
    if (rc == 0 && !is_durable(&r))
        rc = accept_tail(&r, meta);
    if (rc == 0)
        rc = settle(&r, meta);
    *sound = r.end.position;
    qs_log_close(&r.log);
    return rc;
}
