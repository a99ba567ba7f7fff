/* path.h - the way from a tree's root to a leaf, and from leaf to leaf.
 *
 * Pages a path names stay as they are as long as its view does not change: for a read transaction to
 * its end, for a write transaction to its next change in this tree.
 */
#ifndef QS_TREE_PATH_H
#define QS_TREE_PATH_H

#include "format/tree_record.h"
#include "page/order.h"
#include "tree/leaf.h"

#define PATH_STEPS_MAX 16u /* deeper than 2^32 pages can make a tree */

/* One inner page on the way. */
struct path_step {
    pageid_t pid;            /* the inner page */
    const struct page *page; /* as the view has it */
    unsigned index;          /* child taken */
};

struct path {
    struct path_step step[PATH_STEPS_MAX]; /* from the root down */
    unsigned steps;                        /* inner pages: depth - 1 */
    unsigned run;                          /* leaves moved to since it was found */
    enum page_kind leaf_kind;              /* PAGE_LEAF, or PAGE_FIXED */
    pageid_t leaf;                         /* where it ends */
    struct image image;                    /* that leaf */
};

/* Where a path goes at each inner page. */
enum path_goal { PATH_KEY, PATH_FIRST, PATH_LAST };

/* Walks down a tree that is not empty; `key` counts with PATH_KEY only. */
int qs_path_find(struct path *path, const struct view *view, const struct tree_record *record,
                 enum key_order order, enum path_goal goal, const void *key, size_t key_size);

/* Whether the path leads to the last leaf. */
bool qs_path_is_last(const struct path *path);

/* Moves to the next / previous leaf: QS_E_NOTFOUND, path unmoved, when there is none. */
int qs_path_next(struct path *path, const struct view *view);
int qs_path_prev(struct path *path, const struct view *view);

/* Page id of a tree's root. */
static inline pageid_t qs_tree_root(const struct tree_record *record)
{
    return (pageid_t)(record->root & UINT32_MAX);
}

/* Kind of a tree's leaves. */
static inline enum page_kind qs_leaf_kind(const struct tree_record *record)
{
    return record->pad != 0 ? PAGE_FIXED : PAGE_LEAF;
}

/* Whether a page can be what a path finds at `level` (P1). */
static inline bool qs_path_fits(const struct page *page, unsigned level, enum page_kind leaf_kind)
{
    return level == 0 ? page->kind == leaf_kind
                      : page->kind == PAGE_INNER && page->level == level && page->count > 0;
}

/* Image of page `pid`, which must be of `level`, and at level 0 of `leaf_kind`. */
int qs_path_page(const struct view *view, pageid_t pid, unsigned level, enum page_kind leaf_kind,
                 struct image *image);

/* The separators around what lies below step[0..steps): `low` <= keys < `high`; a key_size of 0 means
 * that side is open. They point into the path's pages. */
void qs_path_fences(const struct path *path, unsigned steps, struct separator *low,
                    struct separator *high);

/* Normalized bytes that all keys from `low` to below `high` share (0 where a side is open, and in custom
 * order). */
unsigned qs_path_fence(const struct order *order, const struct separator *low,
                       const struct separator *high);

#endif
