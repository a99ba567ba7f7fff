/* redo.h - the operations of a write transaction, as its log record will hold them (format/log.h).
 *
 * One buffer for a transaction and all that is nested in it: a level that is dropped truncates it. An
 * operation is recorded before it is done, because its inputs may lie in pages that it changes, and taken
 * back when it fails.
 * Threads: the write transaction's.
 */
#ifndef QS_TXN_REDO_H
#define QS_TXN_REDO_H

#include "format/log.h"
#include "format/page.h"
#include "format/pending.h"
#include "tree/writer.h"
#include "txn/names.h"

#include <string.h>

struct redo {
    uint8_t *bytes;     /* room for the record's header, then the operations */
    size_t size;        /* bytes in use */
    size_t capacity;    /* room */
    size_t limit;       /* beyond this the transaction is not logged */
    bool off;           /* nothing is recorded: the transaction commits by checkpoint */
    uint32_t tree;      /* index of the tree the last operation is about, UINT32_MAX: none yet */
    const void *source; /* value the user is still to fill in, NULL: there is none */
    size_t source_size; /* bytes of it */
    size_t source_at;   /* where in `bytes` it goes */
};

/* A place to go back to. */
struct redo_mark {
    size_t size;
    uint32_t tree;
    bool off;
};

/* Empties the buffer for a new transaction; the memory stays. */
void qs_redo_start(struct redo *redo, size_t limit);
void qs_redo_free(struct redo *redo);

static inline struct redo_mark qs_redo_mark(const struct redo *redo)
{
    return (struct redo_mark){redo->size, redo->tree, redo->off};
}
/* Takes back what was recorded since, a value still to be filled in included. */
void qs_redo_truncate(struct redo *redo, const struct redo_mark *mark);

/* Records an operation on a tree. `value` NULL: its bytes come later, and are zero until then. Returns
 * where the value stands; without memory, or beyond the limit, nothing is recorded any more. */
size_t qs_redo_add(struct redo *redo, const struct qs_tree *tree, enum log_op_kind kind,
                   const void *key, size_t key_size, const void *value, size_t value_size);

/* Sets flags of the operation recorded last, whose key has `key_size` bytes; `at` as it was returned. */
void qs_redo_flag(struct redo *redo, size_t at, size_t key_size, unsigned flags);

/* The value at `at` is to be taken from `source` when qs_redo_settle() is called. */
void qs_redo_defer(struct redo *redo, size_t at, const void *source, size_t size);
void qs_redo_settle(struct redo *redo);

/* Puts a value in place at `at`. */
void qs_redo_fill(struct redo *redo, size_t at, const void *value, size_t size);

/* Marks the large values that the transaction itself has given back (LOG_OP_GONE): all but those in `runs`,
 * which is put in order of page; and those in a run that was recycled (LOG_OP_REUSED). */
void qs_redo_mark_runs(struct redo *redo, struct pending_run *runs, size_t count);

/* Records that those of the runs are released that are RUN_FREED. */
void qs_redo_add_freed(struct redo *redo, const struct pending_run *runs, size_t count);

/* ---- reading ---- */

struct redo_op {
    enum log_op_kind kind;
    unsigned flags;
    const void *key;
    size_t key_size;
    const void *value;
    size_t value_size;
};

/* Takes the operation at the front of bytes[0..*size) and moves both behind it. QS_E_NOTFOUND at the
 * end, QS_E_CORRUPTED. */
int qs_redo_next(const uint8_t **bytes, size_t *size, struct redo_op *op);

/* The large values that a record's transaction has left in the file. */
struct redo_values {
    const uint8_t *at; /* the operations not looked at yet */
    size_t size;       /* bytes of them */
};
static inline struct redo_values qs_redo_values(const struct log_record *record)
{
    return (struct redo_values){(const uint8_t *)(record + 1), record->size - sizeof *record};
}
/* The next of them: QS_E_NOTFOUND at the end, QS_E_CORRUPTED. */
int qs_redo_next_value(struct redo_values *values, struct large_ref *ref);

/* A LOG_OP_FREED: how many runs it has, and one of them. */
static inline size_t qs_redo_freed_count(const struct redo_op *op)
{
    return op->value_size / sizeof(struct log_link);
}
static inline struct log_link qs_redo_freed_run(const struct redo_op *op, size_t i)
{
    struct log_link run;
    memcpy(&run, (const uint8_t *)op->value + i * sizeof run, sizeof run);
    return run;
}

#endif
