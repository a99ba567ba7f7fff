/* check_log.c - verifying the log behind a checkpoint; see check.h.
 *
 * Its first segment belongs to the checkpoint. Later ones, and the large values its records refer to, were
 * free then, or waited to be.
 */
#include "inspect/check.h"

#include "log/log.h"
#include "txn/redo.h"
#include "tree/writer.h"

#include <string.h>

static void expect_free(struct check *check, uint64_t pgno, uint64_t pages, const char *what)
{
    for (uint64_t p = pgno; p < pgno + pages && p < check->file.meta.high_water; p++) {
        if ((check->use[p] & USE_REACHED) == 0)
            continue;
        qs_check_fault(check, "page %llu is in use, and also %s of the log", (unsigned long long)p,
                       what);
        return;
    }
}

static void check_values(struct check *check, const struct log_record *record)
{
    struct redo_values values = qs_redo_values(record);
    struct large_ref ref;
    int rc;
    while ((rc = qs_redo_next_value(&values, &ref)) == 0)
        expect_free(check, ref.pgno, qs_large_pages(ref.size), "in a large value");
    if (rc != QS_E_NOTFOUND)
        qs_check_fault(check, "the record of transaction %llu makes no sense",
                       (unsigned long long)record->txn);
}

void qs_check_log(struct check *check)
{
    const struct meta *meta = &check->file.meta;
    struct log log = {.run = qs_store_run, .store = check->file.store};
    const struct log_record *record;
    if (meta->log.pages == 0)
        return;
    int rc = qs_check_reach(check, meta->log.pgno, meta->log.pages, "the log")
                 ? qs_log_open(&log, &meta->log, meta->checkpoint, meta->txn)
                 : QS_E_CORRUPTED;
    while (rc == 0 && (rc = qs_log_next(&log, UINT64_MAX, &record)) == 0)
        if (record->kind == LOG_TXN)
            check_values(check, record);
    for (size_t i = 1; i < log.end.segments; i++)
        expect_free(check, log.segment[i].pgno, log.segment[i].pages, "in a segment");
    if (rc == QS_E_NOTFOUND && qs_log_lost(&log))
        qs_check_fault(check, "the log breaks off at position %llu, before what was durable",
                       (unsigned long long)log.end.position);
    qs_log_close(&log);
}
