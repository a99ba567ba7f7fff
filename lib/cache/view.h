/* view.h - what a read sees: a snapshot of the mapping table, plus a writer's own versions.
 *
 * Rule 1: for snapshot S the newest version whose transaction is <= S. Allocates nothing, takes no
 * lock; the first use of a file page in this process verifies it.
 */
#ifndef QS_CACHE_VIEW_H
#define QS_CACHE_VIEW_H

#include "cache/map.h"
#include "cache/own.h"
#include "page/page.h"
#include "readers/inside.h"

struct view {
    struct map *map;          /* page ids */
    const uint8_t *file;      /* the map of the file it reads through (covers its snapshot) */
    txnid_t snapshot;         /* newest transaction it sees */
    uint64_t checkpoint;      /* the one it uses; a writer's: the largest number, it sees all */
    const struct own *own;    /* a write transaction's versions, or NULL */
    struct array_root root;   /* map array of its checkpoint (M3) */
    _Atomic uint64_t *inside; /* where it marks that it follows links (readers/inside.h); NULL:
                                 nobody unlinks anything meanwhile */
};

/* A page as a view sees it: `base`, and where the version is a mini-page, the delta over it. */
struct image {
    const struct page *base;  /* a complete page */
    const struct page *delta; /* entries that take precedence over the base's, or NULL */
};

/* Bytes from the file's beginning to the page that `clean`, at least CLEAN_FIRST, stands for. */
static inline size_t qs_clean_offset(uint32_t clean)
{
    return (size_t)(clean - CLEAN_FIRST) << QS_PAGE_SHIFT;
}

/* Slow path of qs_view_image(). */
int qs_view_resolve(const struct view *view, pageid_t pid, struct image *image);

/* The same for a page whose map entry has a chain; *rc. False: that is gone. */
bool qs_view_chain(const struct view *view, struct map_entry *entry, struct image *image, int *rc);

/* The image of page `pid`. A page that is damaged, is no tree page, or was never written gives
 * QS_E_CORRUPTED or QS_E_PAGE_NOTFOUND. */
static inline int qs_view_image(const struct view *view, pageid_t pid, struct image *image)
{
    struct map_chunk *chunk = NULL;
    if (__builtin_expect(view->own == NULL, 1))
        chunk = qs_map_chunk_of(view->map->table, pid);
    if (__builtin_expect(chunk != NULL, 1)) {
        unsigned i = qs_map_index(pid);
        /* acquire: pairs with the release in qs_map_open_clean(). The common case: no version, a page seen before. */
        uint32_t clean = atomic_load_explicit(&chunk->clean[i], memory_order_acquire);
        int rc;
        if (__builtin_expect(clean >= CLEAN_FIRST, 1)) {
            image->base = (const struct page *)(view->file + qs_clean_offset(clean));
            image->delta = NULL;
            return 0;
        }
        if (clean == CLEAN_CLOSED && qs_view_chain(view, &chunk->entry[i], image, &rc))
            return rc;
    }
    return qs_view_resolve(view, pid, image);
}

/* Ask for a page's map entry; then, that being here, for its newest version, if there is one; then for the bytes of
 * the page, where it was seen before, for a scan in that direction. */
static inline void qs_view_prefetch_entry(const struct view *view, pageid_t pid)
{
    struct map_chunk *chunk = qs_map_chunk_of(view->map->table, pid);
    __asm__ volatile(""); /* as in qs_page_prefetch() */
    if (chunk != NULL)
        __builtin_prefetch(&chunk->clean[qs_map_index(pid)]);
}
static inline void qs_view_prefetch_head(const struct view *view, pageid_t pid)
{
    struct map_chunk *chunk = qs_map_chunk_of(view->map->table, pid);
    __asm__ volatile("");
    /* relaxed, twice: nobody follows them */
    if (chunk != NULL && atomic_load_explicit(&chunk->clean[qs_map_index(pid)],
                                              memory_order_relaxed) == CLEAN_CLOSED)
        __builtin_prefetch(
            atomic_load_explicit(&chunk->entry[qs_map_index(pid)].head, memory_order_relaxed));
}
void qs_view_prefetch(const struct view *view, pageid_t pid, bool forward);

/* The committed state of a page for a writer that is about to make its own version of it: the
 * newest published version (NULL: none) and, where there is none or it is clean, the file page that it is
 * (0: none). Loaded and verified. */
int qs_view_committed(const struct view *view, pageid_t pid, struct version **head, pgno_t *base);

#endif
