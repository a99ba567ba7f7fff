/* large.c - values too large for a leaf, in page runs of their own.
 *
 * A run holds the value's bytes and nothing else; its checksum lies in the record that owns it. It is
 * written when the value is put, into pages nothing refers to, so that an abort only frees them.
 */
#include "tree/writer.h"

#include "base/crc32c.h"
#include "base/error.h"
#include "base/vector.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* Room to map ahead of the file's end, so that a growing file is not mapped anew at every step. */
#define MAP_AHEAD_PAGES 4096u

static int write_run(struct writer *w, const void *bytes, const struct large_ref *ref)
{
    struct io_write write = {ref->pgno << QS_PAGE_SHIFT, bytes, ref->size};
    int rc = w->store->io->write(w->store->file, &write, 1);
    if (qs_store_is_full(rc) && w->space != NULL)
        w->space->denied = true;
    return rc;
}

/* Makes the pages before `end` readable through the writer's view. */
static int extend_map(struct writer *w, uint64_t end)
{
    if (qs_store_map(w->store)->pages < end) {
        int rc = qs_store_map_reserve(w->store, end * 2 + MAP_AHEAD_PAGES);
        if (rc != 0)
            return rc;
    }
    w->view.file = qs_store_map(w->store)->base;
    return 0;
}

/* A level remembers what it allocated: what it may free at once, what its abort gives back (N2), and
 * what a log record will refer to. */
static int remember_run(struct writer *w, uint64_t pgno, uint64_t pages, bool reused)
{
    struct pending_run run = {pgno, reused ? RUN_REUSED : w->checkpoint, 0, pages};
    int rc = qs_vector_reserve((void **)&w->allocated, &w->allocated_capacity,
                               w->allocated_count + 1, sizeof *w->allocated);
    if (rc == 0)
        w->allocated[w->allocated_count++] = run;
    else if (w->space != NULL)
        qs_large_give_back(w, &run);
    return rc;
}

int qs_large_give_back(struct writer *w, const struct pending_run *run)
{
    if (run->born != RUN_REUSED)
        return qs_space_free(w->space, run->pgno, run->pages);
    qs_recycle_back(w->recycle, run->pgno);
    return 0;
}

/* Takes a run off the list of those this level allocated and no record refers to; true when it was on it. */
static bool forget_run(struct writer *w, uint64_t pgno, struct pending_run *run)
{
    for (size_t i = w->allocated_count; i-- > w->allocated_kept;) {
        if (w->allocated[i].pgno != pgno)
            continue;
        *run = w->allocated[i];
        w->allocated[i] = w->allocated[--w->allocated_count];
        return true;
    }
    return false;
}

int qs_large_write(struct writer *w, const void *bytes, size_t size, struct large_ref *ref)
{
    uint64_t pages = qs_large_pages(size);
    if (w->used_pages + pages > w->limit_pages)
        return QS_E_MAP_FULL;
    *ref = (struct large_ref){0, w->checkpoint, (uint32_t)size, 0};
    bool reused = qs_recycle_take(w->recycle, pages, &ref->pgno);
    int rc = reused ? 0 : qs_space_allocate_aligned(w->space, pages, &ref->pgno);
    if (rc == 0)
        rc = remember_run(w, ref->pgno, pages, reused);
    if (rc == 0)
        rc = extend_map(w, ref->pgno + pages);
    if (rc != 0)
        return rc;
    w->used_pages += pages;
    if (bytes != NULL) {
        ref->checksum = qs_crc32c(0, bytes, size);
        rc = write_run(w, bytes, ref);
    } else {
        w->reserve.bytes = calloc(1, size);
        w->reserve.pgno = ref->pgno;
        rc = w->reserve.bytes != NULL ? 0 : ENOMEM;
    }
    qs_map_run_set(w->view.map, ref->pgno, bytes != NULL);
    return rc;
}

int qs_large_place(struct writer *w, const struct large_ref *ref, bool reused)
{
    uint64_t pages = qs_large_pages(ref->size);
    int rc = extend_map(w, ref->pgno + pages);
    if (rc == 0)
        rc = remember_run(w, ref->pgno, pages, reused);
    if (rc != 0)
        return rc;
    w->used_pages += pages;
    qs_map_run_set(w->view.map, ref->pgno, false);
    return 0;
}

int qs_large_settle(struct writer *w)
{
    if (w->reserve.bytes == NULL)
        return 0;
    struct large_ref ref;
    memcpy(&ref, w->reserve.ref, sizeof ref);
    ref.checksum = qs_crc32c(0, w->reserve.bytes, ref.size);
    memcpy(w->reserve.ref, &ref, sizeof ref);
    int rc = write_run(w, w->reserve.bytes, &ref);
    free(w->reserve.spent);
    w->reserve.spent = w->reserve.bytes;
    w->reserve.bytes = NULL;
    return rc;
}

int qs_large_release(struct writer *w, const struct large_ref *ref)
{
    uint64_t pages = qs_large_pages(ref->size);
    struct pending_run run = {ref->pgno, ref->checkpoint, 0, pages};
    w->used_pages -= pages;
    return qs_large_release_run(w, &run);
}

int qs_large_release_run(struct writer *w, const struct pending_run *run)
{
    /* Where a record is done again behind a later checkpoint, its runs were born before that. */
    bool may_be_own = run->born == w->checkpoint || w->space == NULL;
    struct pending_run own;
    if (may_be_own && forget_run(w, run->pgno, &own)) {
        w->gave_back = true;
        return w->space != NULL ? qs_large_give_back(w, &own) : 0;
    }
    int rc = qs_vector_reserve((void **)&w->released, &w->released_capacity, w->released_count + 1,
                               sizeof *w->released);
    if (rc == 0)
        w->released[w->released_count++] = *run;
    return rc;
}

/* The view of a write transaction is always the one inside its writer. */
static const struct writer *writer_of(const struct view *view)
{
    return (const struct writer *)(const void *)((const char *)view -
                                                 offsetof(struct writer, view));
}

int qs_large_read(const struct view *view, const struct large_ref *ref, const void **bytes)
{
    if (view->own != NULL) {
        const struct reserve *reserve = &writer_of(view)->reserve;
        if (reserve->bytes != NULL && reserve->pgno == ref->pgno) {
            *bytes = reserve->bytes; /* being filled by the user: not in the file yet */
            return 0;
        }
    }
    *bytes = view->file + (ref->pgno << QS_PAGE_SHIFT);
    if (qs_map_run_verified(view->map, ref->pgno))
        return 0;
    if (ref->pgno < META_PAGES ||
        !qs_store_reaches(view->map->store, ref->pgno, qs_large_pages(ref->size)) ||
        qs_crc32c(0, *bytes, ref->size) != ref->checksum)
        return QS_CORRUPT();
    qs_map_run_set(view->map, ref->pgno, true);
    return 0;
}
