/* copy.c - copies of a live environment; see quickstep.h.
 *
 * Plain: the pages of the newest checkpoint as they lie in the file, behind its meta page, and the log up
 * to the snapshot. A reader slot keeps them from being reused while others write (rule 5); pages free at
 * that checkpoint may be torn in the copy, and nobody will read them.
 */
#include "env/copy.h"

#include "base/error.h"
#include "tree/writer.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int qs_copy_write(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t n = write(fd, at, size < COPY_WRITE_MAX ? size : COPY_WRITE_MAX);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            return EIO;
        at += n;
        size -= (size_t)n;
    }
    return 0;
}

/* The two meta pages a copy starts with: its own, and the one before it that nothing needs. */
int qs_copy_metas(int fd, const struct meta *meta)
{
    _Alignas(QS_PAGE_BYTES) struct meta pages[META_PAGES];
    unsigned slot = meta->checkpoint % META_PAGES;
    pages[slot] = pages[1 - slot] = *meta;
    pages[1 - slot].checkpoint--;
    for (unsigned i = 0; i < META_PAGES; i++)
        qs_meta_seal(&pages[i]);
    return qs_copy_write(fd, pages, sizeof pages);
}

/* What a plain copy takes from the file. */
struct extent {
    uint64_t pages; /* from its start */
    uint64_t cut;   /* offset from which the log's last segment is left out, 0: there is no log */
    uint64_t end;   /* offset of that segment's end */
};

static void extend(struct extent *extent, uint64_t pgno, uint64_t pages)
{
    if (pgno + pages > extent->pages)
        extent->pages = pgno + pages;
}

/* The large values of a record come along. */
static int extend_by_record(struct extent *extent, const struct log_record *record)
{
    struct redo_values values = qs_redo_values(record);
    struct large_ref ref;
    int rc;
    while ((rc = qs_redo_next_value(&values, &ref)) == 0)
        extend(extent, ref.pgno, qs_large_pages(ref.size));
    return rc == QS_E_NOTFOUND ? 0 : rc;
}

/* The log up to a snapshot. */
static int find_extent(struct store *store, const struct meta *meta, txnid_t snapshot,
                       struct extent *extent)
{
    struct log log = {.run = qs_store_run, .store = store};
    const struct log_record *record;
    *extent = (struct extent){.pages = meta->high_water};
    int rc = qs_log_open(&log, &meta->log, meta->checkpoint, meta->txn);
    while (rc == 0 && log.end.txn < snapshot) {
        rc = qs_log_next(&log, UINT64_MAX, &record);
        if (rc == 0 && record->kind == LOG_TXN)
            rc = extend_by_record(extent, record);
    }
    const struct log_segment *tail = qs_log_tail(&log);
    if (rc == 0 && tail != NULL) {
        extent->cut = qs_log_offset(tail, log.end.position);
        extent->end = (tail->pgno + tail->pages) << QS_PAGE_SHIFT;
        for (size_t i = 0; i < log.end.segments; i++)
            extend(extent, log.segment[i].pgno, log.segment[i].pages);
    }
    qs_log_close(&log);
    return rc == QS_E_NOTFOUND ? QS_CORRUPT() : rc;
}

/* The rest of the log's last segment, whose first page may hold the end of the log. */
static int copy_cut(int fd, const uint8_t *base, const struct extent *extent)
{
    static const _Alignas(QS_PAGE_BYTES) uint8_t zeros[16 * QS_PAGE_BYTES];
    _Alignas(QS_PAGE_BYTES) uint8_t page[QS_PAGE_BYTES];
    uint64_t start = extent->cut & ~(uint64_t)(QS_PAGE_BYTES - 1);
    memset(page, 0, sizeof page);
    memcpy(page, base + start, extent->cut - start);
    int rc = start < extent->end ? qs_copy_write(fd, page, sizeof page) : 0;
    for (uint64_t at = start + sizeof page, n; rc == 0 && at < extent->end; at += n) {
        n = extent->end - at < sizeof zeros ? extent->end - at : sizeof zeros;
        rc = qs_copy_write(fd, zeros, n);
    }
    return rc;
}

static int copy_plain(struct core *core, int fd, const struct meta *meta, txnid_t snapshot)
{
    struct extent extent;
    int rc = find_extent(core->store, meta, snapshot, &extent);
    if (rc != 0)
        return rc;
    if (!qs_store_reaches(core->store, 0, extent.pages))
        return QS_CORRUPT();
    const uint8_t *base = qs_store_map(core->store)->base;
    uint64_t from = META_PAGES * QS_PAGE_BYTES, to = extent.pages << QS_PAGE_SHIFT;
    rc = qs_copy_metas(fd, meta);
    if (rc == 0 && extent.cut != 0) {
        uint64_t cut = extent.cut & ~(uint64_t)(QS_PAGE_BYTES - 1);
        rc = qs_copy_write(fd, base + from, cut - from);
        if (rc == 0)
            rc = copy_cut(fd, base, &extent);
        from = extent.end;
    }
    /* The file may end within the last page, behind a large value. */
    return rc == 0 ? qs_copy_write(fd, base + from, to - from) : rc;
}

/* A read transaction and the meta page of the very checkpoint it reads. */
static int begin_copy(struct qs_env *env, struct qs_txn **txn, struct meta *meta)
{
    for (;;) {
        int rc = qs_txn_begin(env, NULL, QS_RDONLY, txn);
        if (rc != 0)
            return rc;
        rc = qs_meta_read_number(env->core->store, (*txn)->checkpoint, meta);
        if (rc == 0)
            return 0;
        bool moved = qs_core_newest(env->core) != (*txn)->checkpoint;
        qs_txn_abort(*txn);
        if (rc != QS_E_NOTFOUND)
            return rc;
        if (!moved)
            return QS_CORRUPT();
        /* Two commits came between: once more. */
    }
}

int qs_env_copy(struct qs_env *env, int fd, bool compact)
{
    struct qs_txn *txn;
    struct meta meta;
    int rc = begin_copy(env, &txn, &meta);
    if (rc != 0)
        return rc;
    rc = compact ? qs_copy_compact(txn, fd, atomic_load(&env->map_size_bytes))
                 : copy_plain(env->core, fd, &meta, txn->id);
    qs_txn_abort(txn);
    return rc;
}
