/* copy.c - copies of a live environment; see quickstep.h.
 *
 * Plain: the pages of the newest checkpoint as they lie in the file, behind its meta page. A reader
 * slot keeps them from being reused while others write (rule 5); pages free at that checkpoint may be
 * torn in the copy, and nobody will read them.
 */
#include "env/copy.h"

#include "base/error.h"

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

static int copy_plain(struct core *core, int fd, const struct meta *meta)
{
    const uint8_t *base = qs_store_map(core->store)->base;
    uint64_t pages = meta->high_water;
    if (!qs_store_reaches(core->store, 0, pages))
        return QS_CORRUPT();
    int rc = qs_copy_metas(fd, meta);
    /* The file may end within the last page, behind a large value. */
    return rc != 0 ? rc
                   : qs_copy_write(fd, base + META_PAGES * QS_PAGE_BYTES,
                                   (pages - META_PAGES) << QS_PAGE_SHIFT);
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
    rc = compact ? qs_copy_compact(txn, fd, &meta, atomic_load(&env->map_size_bytes))
                 : copy_plain(env->core, fd, &meta);
    qs_txn_abort(txn);
    return rc;
}
