/* tail.c - large values of a stretch of the log; see tail.h. */
#include "env/tail.h"

#include "base/crc32c.h"
#include "base/vector.h"
#include "tree/writer.h"
#include "txn/redo.h"

static int add(struct tail *tail, const struct large_ref *ref, uint64_t before)
{
    int rc = qs_vector_reserve((void **)&tail->value, &tail->capacity, tail->count + 1,
                               sizeof *tail->value);
    if (rc == 0)
        tail->value[tail->count++] = (struct tail_value){*ref, before, UINT64_MAX, false};
    return rc;
}

int qs_tail_add(struct tail *tail, const struct log_record *record, uint64_t before)
{
    struct redo_values values = qs_redo_values(record);
    const uint8_t *at = values.at;
    size_t size = values.size;
    struct redo_op op;
    struct large_ref ref;
    int rc;
    while ((rc = qs_redo_next(&at, &size, &op)) == 0) {
        for (size_t i = 0; op.kind == LOG_OP_FREED && i < qs_redo_freed_count(&op); i++) {
            ref = (struct large_ref){qs_redo_freed_run(&op, i).pgno, 0, 0, 0};
            rc = add(tail, &ref, before);
            if (rc != 0)
                return rc;
        }
    }
    while (rc == QS_E_NOTFOUND && (rc = qs_redo_next_value(&values, &ref)) == 0) {
        rc = add(tail, &ref, before);
        rc = rc == 0 ? QS_E_NOTFOUND : rc;
    }
    return rc == QS_E_NOTFOUND ? 0 : rc;
}

static int by_page(const void *a, const void *b)
{
    const struct tail_value *x = a, *y = b;
    if (x->ref.pgno != y->ref.pgno)
        return x->ref.pgno > y->ref.pgno ? 1 : -1;
    return (x->from > y->from) - (x->from < y->from);
}

void qs_tail_sort(struct tail *tail)
{
    size_t kept = 0;
    if (tail->count > 0)
        qsort(tail->value, tail->count, sizeof *tail->value, by_page);
    for (size_t i = 0; i < tail->count; i++) {
        struct tail_value *v = &tail->value[i], *last = kept > 0 ? &tail->value[kept - 1] : NULL;
        if (v->ref.size > 0)
            tail->value[kept++] = *v;
        else if (last != NULL && last->ref.pgno == v->ref.pgno && last->until == UINT64_MAX)
            last->until = v->from; /* else the record that placed it stands before the stretch */
    }
    tail->count = kept;
}

void qs_tail_free(struct tail *tail)
{
    free(tail->value);
    *tail = (struct tail){.value = NULL};
}

static bool is_good(struct store *store, const struct large_ref *ref)
{
    const uint8_t *bytes = qs_store_run(store, ref->pgno, qs_large_pages(ref->size));
    return bytes != NULL && qs_crc32c(0, bytes, ref->size) == ref->checksum;
}

uint64_t qs_tail_sound(struct tail *tail, struct store *store, uint64_t end)
{
    for (
        ;
        ;) { /* each round goes back to before a record; there values are needed that were not later */
        uint64_t least = end;
        for (size_t i = 0; i < tail->count; i++) {
            struct tail_value *v = &tail->value[i];
            if (v->from >= least || v->until < end || v->good)
                continue;
            v->good = is_good(store, &v->ref);
            if (!v->good)
                least = v->from;
        }
        if (least == end)
            return end;
        end = least;
    }
}
