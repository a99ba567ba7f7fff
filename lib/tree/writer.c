/* writer.c - a write transaction's own versions and page ids; see writer.h.
 *
 * Invariants: W1 an own leaf is a delta over a file page until it outgrows VERSION_DELTA_MAX or is
 *             split or merged; from then on it is whole and never gets a base again (rule 3). Some are
 *             whole from the start.
 *             W2 merged_bytes and merged_count of an own leaf are exact.
 */
#include "tree/writer.h"

#include "base/error.h"
#include "base/vector.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

void qs_writer_init(struct writer *w, struct map *map, struct store *store, struct space *space,
                    const struct writer_base *base)
{
    memset(w, 0, offsetof(struct writer, scratch));
    qs_own_init(&w->own, NULL);
    w->store = store;
    w->space = space;
    w->checkpoint = base->checkpoint;
    w->txn = base->txn;
    w->next_pid = base->next_pid;
    w->free_pid = base->free_pid;
    w->free_pids = base->free_pids;
    w->spare = base->spare;
    w->spare_count = base->spare_count;
    w->used_pages = base->used_pages;
    w->limit_pages = base->limit_pages;
    w->view = (struct view){.map = map,
                            .file = qs_store_map(store)->base,
                            .snapshot = base->txn - 1,
                            .checkpoint = UINT64_MAX,
                            .own = &w->own,
                            .root = map->root};
}

void qs_writer_free(struct writer *w)
{
    qs_own_free(&w->own);
    free(w->freed);
    free(w->released);
    free(w->allocated);
    free(w->reserve.bytes);
    free(w->reserve.spent);
    w->freed = NULL;
    w->released = NULL;
    w->allocated = NULL;
    w->reserve.bytes = w->reserve.spent = NULL;
}

void qs_writer_committed(struct writer *w, txnid_t txn)
{
    w->txn = txn;
    w->allocated_kept = w->allocated_count;
}

/* Where versions come from. */
static struct version_pool *versions_of(const struct writer *w)
{
    return &w->view.map->versions;
}

/* Pops the chain of free page ids that the map holds. */
static int pop_free_pid(struct writer *w, pageid_t *pid)
{
    uint64_t word;
    int rc = qs_map_newest(w->view.map, w->free_pid, &word);
    if (rc != 0 || (word & MAP_WORD_FREE) == 0 || w->free_pids == 0)
        return rc == ENOMEM ? rc : QS_CORRUPT();
    *pid = w->free_pid;
    w->free_pid = (pageid_t)(word & UINT32_MAX);
    w->free_pids--;
    return 0;
}

int qs_writer_take_pid(struct writer *w, pageid_t *pid)
{
    if (w->used_pages + 1 > w->limit_pages)
        return QS_E_MAP_FULL;
    if (w->freed_count > 0) {
        *pid = w->freed[--w->freed_count];
    } else if (w->spare_count > 0) {
        *pid = w->spare[--w->spare_count];
    } else if (w->free_pid != QS_PAGEID_NONE) {
        int rc = pop_free_pid(w, pid);
        if (rc != 0)
            return rc;
    } else if (w->next_pid != UINT32_MAX) {
        *pid = w->next_pid++;
    } else {
        return QS_E_MAP_FULL;
    }
    w->used_pages++;
    return 0;
}

int qs_writer_give_pid(struct writer *w, pageid_t pid)
{
    struct version *gone = qs_version_new(versions_of(w), VERSION_FREED, 0), *replaced;
    if (gone == NULL)
        return ENOMEM;
    int rc = qs_vector_reserve((void **)&w->freed, &w->freed_capacity, w->freed_count + 1,
                               sizeof *w->freed);
    if (rc == 0)
        rc = qs_own_set(&w->own, pid, gone, &replaced);
    if (rc != 0) {
        qs_version_free(gone);
        return rc;
    }
    qs_version_free(replaced);
    w->freed[w->freed_count++] = pid;
    w->used_pages--;
    return 0;
}

void qs_writer_image(const struct writer *w, const struct version *v, struct image *image)
{
    assert(v->kind == VERSION_DELTA || v->kind == VERSION_WHOLE);
    if (v->kind == VERSION_WHOLE)
        *image = (struct image){v->page, NULL};
    else
        *image = (struct image){(const struct page *)(w->view.file + (v->base << QS_PAGE_SHIFT)),
                                v->page};
}

static struct version *copy_version(const struct writer *w, const struct version *from)
{
    struct version *v =
        qs_version_new(versions_of(w), (enum version_kind)from->kind, from->page_bytes);
    if (v == NULL)
        return NULL;
    v->base = from->base;
    v->merged_bytes = from->merged_bytes;
    v->merged_count = from->merged_count;
    memcpy(v->page, from->page, from->page_bytes);
    return v;
}

/* An empty delta over file page `base`; if `whole`, and always of a fixed page, a copy. */
static struct version *new_delta(const struct writer *w, pgno_t base, bool whole)
{
    const struct page *page = (const struct page *)(w->view.file + (base << QS_PAGE_SHIFT));
    whole |= page->kind == PAGE_FIXED;
    struct version *v =
        whole ? qs_version_new(versions_of(w), VERSION_WHOLE, QS_PAGE_BYTES)
              : qs_version_new(versions_of(w), VERSION_DELTA, 4 * VERSION_CLASS_BYTES);
    if (v == NULL)
        return NULL;
    v->merged_bytes = (uint16_t)qs_page_used(page);
    v->merged_count = page->count;
    if (whole) {
        memcpy(v->page, page, QS_PAGE_BYTES);
        return v;
    }
    v->base = base;
    qs_page_init(v->page, PAGE_LEAF, 0, v->page_bytes);
    v->page->order = page->order;
    v->page->fence = page->fence;
    v->page->prefix = page->fence;
    return v;
}

/* A version to edit, as the newest state of the page has it. */
static int begin_version(struct writer *w, pageid_t pid, bool whole, struct version **out)
{
    struct version *from = qs_own_get(w->own.parent, pid), *head;
    pgno_t base = 0;
    if (from == NULL) {
        int rc = qs_view_committed(&w->view, pid, &head, &base);
        if (rc != 0)
            return rc;
        /* The commit will look at it, to see whether it can go (C1). */
        if (head != NULL)
            __builtin_prefetch(atomic_load_explicit(&head->older, memory_order_relaxed));
        from = head;
    }
    if (from != NULL && (from->kind == VERSION_DELTA || from->kind == VERSION_WHOLE))
        *out = copy_version(w, from);
    else if (base == 0 || (from != NULL && from->kind == VERSION_FREED))
        return QS_E_PAGE_NOTFOUND;
    else
        *out = new_delta(w, base, whole);
    return *out != NULL ? 0 : ENOMEM;
}

static int add_version(struct writer *w, pageid_t pid, struct version *v)
{
    struct version *replaced;
    int rc = qs_own_set(&w->own, pid, v, &replaced);
    if (rc != 0) {
        qs_version_free(v);
        return rc;
    }
    assert(replaced == NULL);
    return 0;
}

int qs_writer_leaf(struct writer *w, pageid_t pid, bool whole, struct version **version)
{
    *version = qs_own_here(&w->own, pid);
    if (*version != NULL)
        return (*version)->kind == VERSION_FREED ? QS_CORRUPT() : 0;
    int rc = begin_version(w, pid, whole, version);
    return rc == 0 ? add_version(w, pid, *version) : rc;
}

int qs_writer_inner(struct writer *w, pageid_t pid, struct page **page)
{
    struct version *v = qs_own_here(&w->own, pid);
    if (v == NULL) {
        struct image image;
        int rc = qs_view_image(&w->view, pid, &image);
        if (rc != 0)
            return rc;
        v = qs_version_new(versions_of(w), VERSION_WHOLE, QS_PAGE_BYTES);
        if (v == NULL)
            return ENOMEM;
        memcpy(v->page, image.base, QS_PAGE_BYTES);
        rc = add_version(w, pid, v);
        if (rc != 0)
            return rc;
    }
    if (v->kind != VERSION_WHOLE || v->page->kind != PAGE_INNER)
        return QS_CORRUPT();
    *page = v->page;
    return 0;
}

int qs_writer_replace(struct writer *w, pageid_t pid, struct version **fresh,
                      struct version **replaced)
{
    *fresh = qs_version_new(versions_of(w), VERSION_WHOLE, QS_PAGE_BYTES);
    if (*fresh == NULL)
        return ENOMEM;
    int rc = qs_own_set(&w->own, pid, *fresh, replaced);
    if (rc != 0)
        qs_version_free(*fresh);
    return rc;
}
