/* log.h - the log as one process has it: the records from a checkpoint on, and where they end.
 *
 * Knows the format (format/log.h) and nothing of what the operations mean. Reading follows the chain
 * of records from the anchor; writing goes on behind the last one read. Committing is a step of its own:
 * the caller stores the new end in the lock file.
 * Threads: a struct log under its owner's lock (core's follow_lock); writing under the writer mutex
 * as well.
 */
#ifndef QS_LOG_LOG_H
#define QS_LOG_LOG_H

#include "format/log.h"
#include "os/io.h"

struct store;

/* One page run of the log, and what part of it is used. */
struct log_segment {
    uint64_t pgno;        /* first page */
    uint64_t pages;       /* length */
    uint64_t born;        /* checkpoint in whose time it was first used */
    uint64_t position;    /* of its first record in this log */
    uint64_t offset;      /* of that record, bytes from the start of the segment */
    const uint8_t *bytes; /* the segment in memory; NULL: not asked for yet */
};

/* Where a log ends: what a failed append is undone by. */
struct log_end {
    uint64_t position; /* behind the last record */
    uint64_t checksum; /* of the last record, or the anchor's seed */
    txnid_t txn;       /* newest transaction */
    size_t segments;   /* entries of log->segment */
};

struct log {
    struct log_segment *segment; /* from the anchor's on; the last is where the log ends */
    size_t capacity;             /* room in `segment` */
    uint64_t anchor;             /* position it begins at */
    uint64_t checkpoint;         /* number of the checkpoint it follows */
    uint64_t sound;              /* records before this position need not be verified again */
    struct log_end end;
    bool salted;     /* `salt` has been drawn */
    uint8_t salt[3]; /* of the records written (struct log_record) */
    bool sealed;     /* the last record is a LOG_SEAL */
    /* Bytes of a page run, NULL when the file has no such pages. They stay where they are. */
    const uint8_t *(*run)(struct store *store, uint64_t pgno, uint64_t pages);
    struct store *store; /* for `run` */
};

/* The log that begins at `anchor`, behind transaction `txn` of checkpoint `checkpoint`. ENOMEM. */
int qs_log_open(struct log *log, const struct log_anchor *anchor, uint64_t checkpoint, txnid_t txn);
void qs_log_close(struct log *log);

/* Makes `to`, zeroed or a log, a second reader that stands where `from` does. ENOMEM: `to` stays. */
int qs_log_copy(struct log *to, const struct log *from);

/* The segment in which the log ends; NULL: it has none. */
static inline const struct log_segment *qs_log_tail(const struct log *log)
{
    return log->end.segments > 0 ? &log->segment[log->end.segments - 1] : NULL;
}

/* Offset in the file of a position in `segment`. */
static inline uint64_t qs_log_offset(const struct log_segment *segment, uint64_t position)
{
    return (segment->pgno << QS_PAGE_SHIFT) + segment->offset + (position - segment->position);
}

/* ---- reading (read.c) ---- */

/* The next record, any but LOG_LINK; links are followed on the way, and `end` moves behind it. At
 * position `limit` the log ends. QS_E_NOTFOUND: no record that verifies stands there. ENOMEM. */
int qs_log_next(struct log *log, uint64_t limit, const struct log_record **record);

/* The same where the log ends with a seal that stands next; `bytes` is a copy of the file from the end on.
 * False: look with qs_log_next(). */
bool qs_log_next_seal(struct log *log, const struct log_record bytes[2]);

/* Whether a record stands anywhere behind the end, in the last segment, that says that more than what
 * lies before the end was durable: then what is missing was lost. */
bool qs_log_lost(const struct log *log);

/* ---- writing (append.c) ---- */

/* Whether a record of `size` bytes fits into the last segment, a link behind it. */
bool qs_log_fits(const struct log *log, size_t size);

/* Fills the run with zeros. To be done before qs_log_link(), and flushed (the whole file) before
 * anything in it counts as durable. */
int qs_log_clear_run(const struct qs_io_ops *io, struct qs_io_file *file, uint64_t pgno,
                     uint64_t pages);

/* Goes on in another segment. ENOMEM, errno of the write: nothing changed. */
int qs_log_link(struct log *log, const struct qs_io_ops *io, struct qs_io_file *file,
                uint64_t durable, uint64_t pgno, uint64_t pages);

/* Appends a record that fits. `record` has `size` bytes, whose header is filled in here.
 * errno of the write: nothing changed. */
int qs_log_append(struct log *log, const struct qs_io_ops *io, struct qs_io_file *file,
                  struct log_record *record, size_t size, enum log_kind kind, txnid_t txn,
                  uint64_t durable);

/* The anchor of a checkpoint that contains everything up to `end`, a present or former end. The record
 * behind it follows on `seed`. */
void qs_log_anchor(const struct log *log, const struct log_end *end, uint64_t seed,
                   struct log_anchor *anchor);

/* The log begins at `anchor` now, which lies in it; its end stays. */
void qs_log_pass(struct log *log, const struct log_anchor *anchor, uint64_t checkpoint);

#endif
