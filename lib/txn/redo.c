/* redo.c - recording operations and reading them back; see redo.h. */
#include "txn/redo.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

#define REDO_BYTES_MIN 4096u

void qs_redo_free(struct redo *redo)
{
    free(redo->bytes);
    *redo = (struct redo){.bytes = NULL};
}

void qs_redo_truncate(struct redo *redo, const struct redo_mark *mark)
{
    redo->size = mark->size;
    redo->tree = mark->tree;
    redo->off = mark->off;
    redo->source = NULL;
}

static bool grow(struct redo *redo, size_t wanted)
{
    size_t capacity = redo->capacity != 0 ? redo->capacity : REDO_BYTES_MIN;
    while (capacity < wanted)
        capacity *= 2;
    uint8_t *grown = realloc(redo->bytes, capacity);
    if (grown == NULL)
        return false;
    redo->bytes = grown;
    redo->capacity = capacity;
    return true;
}

void qs_redo_start(struct redo *redo, size_t limit)
{
    redo->size = sizeof(struct log_record);
    redo->limit = limit;
    redo->tree = UINT32_MAX;
    redo->off = redo->capacity == 0 && !grow(redo, REDO_BYTES_MIN);
    redo->source = NULL;
}

static size_t add(struct redo *redo, enum log_op_kind kind, const void *key, size_t key_size,
                  const void *value, size_t value_size)
{
    size_t bytes = log_op_bytes(key_size, value_size), end = redo->size + bytes;
    if (redo->off || end > redo->limit || (end > redo->capacity && !grow(redo, end))) {
        redo->off = true;
        return 0;
    }
    uint8_t *to = redo->bytes + redo->size;
    struct log_op op = {(uint8_t)kind, 0, (uint16_t)key_size, (uint32_t)value_size};
    memset(to + bytes - LOG_ALIGN, 0, LOG_ALIGN); /* the padding */
    memcpy(to, &op, sizeof op);
    if (key_size > 0)
        memcpy(to + sizeof op, key, key_size);
    if (value == NULL)
        memset(to + sizeof op + key_size, 0, value_size);
    else if (value_size > 0)
        memcpy(to + sizeof op + key_size, value, value_size);
    redo->size = end;
    return end - bytes + sizeof op + key_size;
}

size_t qs_redo_add(struct redo *redo, const struct qs_tree *tree, enum log_op_kind kind,
                   const void *key, size_t key_size, const void *value, size_t value_size)
{
    if (tree->index != redo->tree) {
        add(redo, LOG_OP_TREE, tree->name, tree->size, NULL, 0);
        redo->tree = tree->index;
    }
    return add(redo, kind, key, key_size, value, value_size);
}

void qs_redo_flag(struct redo *redo, size_t at, size_t key_size, unsigned flags)
{
    if (!redo->off)
        redo->bytes[at - key_size - sizeof(struct log_op) + offsetof(struct log_op, flags)] |=
            (uint8_t)flags;
}

void qs_redo_defer(struct redo *redo, size_t at, const void *source, size_t size)
{
    redo->source = source;
    redo->source_at = at;
    redo->source_size = size;
}

void qs_redo_settle(struct redo *redo)
{
    if (redo->source != NULL)
        qs_redo_fill(redo, redo->source_at, redo->source, redo->source_size);
    redo->source = NULL;
}

void qs_redo_fill(struct redo *redo, size_t at, const void *value, size_t size)
{
    if (!redo->off && size > 0)
        memcpy(redo->bytes + at, value, size);
}

int qs_redo_next(const uint8_t **bytes, size_t *size, struct redo_op *out)
{
    struct log_op op;
    if (*size == 0)
        return QS_E_NOTFOUND;
    if (*size < sizeof op)
        return QS_CORRUPT();
    memcpy(&op, *bytes, sizeof op);
    size_t all = log_op_bytes(op.key_size, op.value_size);
    if (all > *size)
        return QS_CORRUPT();
    *out = (struct redo_op){
        (enum log_op_kind)op.kind,        op.flags,     *bytes + sizeof op, op.key_size,
        *bytes + sizeof op + op.key_size, op.value_size};
    *bytes += all;
    *size -= all;
    return 0;
}

int qs_redo_next_value(struct redo_values *values, struct large_ref *ref)
{
    struct redo_op op;
    int rc;
    while ((rc = qs_redo_next(&values->at, &values->size, &op)) == 0) {
        if (op.kind != LOG_OP_LARGE || (op.flags & LOG_OP_GONE) != 0)
            continue;
        if (op.value_size != sizeof *ref)
            return QS_CORRUPT();
        memcpy(ref, op.value, sizeof *ref);
        return 0;
    }
    return rc;
}

static int by_page(const void *a, const void *b)
{
    const struct pending_run *x = a, *y = b;
    return (x->pgno > y->pgno) - (x->pgno < y->pgno);
}

void qs_redo_add_freed(struct redo *redo, const struct pending_run *runs, size_t count)
{
    size_t listed = 0;
    for (size_t i = 0; i < count; i++)
        listed += runs[i].freed == RUN_FREED;
    if (listed == 0)
        return;
    size_t at = add(redo, LOG_OP_FREED, NULL, 0, NULL, listed * sizeof(struct log_link));
    for (size_t i = 0; i < count && !redo->off; i++) {
        if (runs[i].freed != RUN_FREED)
            continue;
        const struct log_link run = {runs[i].pgno, runs[i].pages};
        memcpy(redo->bytes + at, &run, sizeof run);
        at += sizeof run;
    }
}

/* Of several values that lay in one run the last counts: an earlier one is marked when it is met again. */
void qs_redo_mark_runs(struct redo *redo, struct pending_run *runs, size_t count)
{
    const uint8_t *at = redo->bytes + sizeof(struct log_record);
    size_t size = redo->size - sizeof(struct log_record);
    struct redo_op op = {.kind = LOG_OP_TREE};
    if (redo->off)
        return;
    if (count > 0) /* else there may be no array at all */
        qsort(runs, count, sizeof *runs, by_page);
    for (size_t i = 0; i < count; i++)
        runs[i].freed = 0; /* unused as yet: place in the buffer of the last value that lies here */
    for (const uint8_t *start = at; qs_redo_next(&at, &size, &op) == 0; start = at) {
        struct large_ref ref;
        struct log_op *header = (struct log_op *)(uintptr_t)start;
        if (op.kind != LOG_OP_LARGE)
            continue;
        memcpy(&ref, op.value, sizeof ref);
        struct pending_run key = {.pgno = ref.pgno}, *run;
        run = count > 0 ? bsearch(&key, runs, count, sizeof *runs, by_page) : NULL;
        header->flags = run == NULL ? LOG_OP_GONE : run->born == RUN_REUSED ? LOG_OP_REUSED : 0;
        if (run != NULL && run->freed != 0)
            ((struct log_op *)(void *)(redo->bytes + run->freed))->flags = LOG_OP_GONE;
        if (run != NULL)
            run->freed = (uint64_t)(start - redo->bytes);
    }
}
