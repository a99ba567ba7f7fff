/* path.c - walking a tree; see path.h.
 *
 * Invariant: P1 a page's level is one less than its parent's, checked at every step, so that bytes
 * from disk never lead in circles.
 */
#include "tree/path.h"

#include "base/error.h"

int qs_path_page(const struct view *view, pageid_t pid, unsigned level, enum page_kind leaf_kind,
                 struct image *image)
{
    int rc = qs_view_image(view, pid, image);
    if (rc != 0)
        return rc;
    const struct page *page = image->base;
    if (level == 0 && leaf_kind != PAGE_FIXED)
        qs_page_prefetch(page);
    return qs_path_fits(page, level, leaf_kind) ? 0 : QS_CORRUPT();
}

/* Goes down from step `at`, whose pid is set, to the leaf. */
static int go_down(struct path *path, const struct view *view, unsigned at, enum key_order order,
                   enum path_goal goal, const void *key, size_t key_size)
{
    for (unsigned i = at; i < path->steps; i++) {
        struct path_step *step = &path->step[i];
        struct image image;
        int rc = qs_path_page(view, step->pid, path->steps - i, path->leaf_kind, &image);
        if (rc != 0)
            return rc;
        step->page = image.base;
        if (goal == PATH_KEY)
            step->index = qs_inner_search(step->page, order, key, key_size);
        else
            step->index = goal == PATH_FIRST ? 0 : step->page->count - 1u;
        pageid_t child = qs_inner_child(step->page, step->index);
        if (i + 1 < path->steps)
            path->step[i + 1].pid = child;
        else
            path->leaf = child;
    }
    int rc = qs_path_page(view, path->leaf, 0, path->leaf_kind, &path->image);
    if (rc == 0 && goal == PATH_KEY && path->leaf_kind == PAGE_FIXED)
        qs_fixed_prefetch(path->image.base);
    return rc;
}

int qs_path_find(struct path *path, const struct view *view, const struct tree_record *record,
                 enum key_order order, enum path_goal goal, const void *key, size_t key_size)
{
    if (record->depth == 0 || record->depth > PATH_STEPS_MAX || record->root >= TREE_ROOT_END)
        return QS_CORRUPT();
    path->steps = record->depth - 1u;
    path->run = 0;
    path->leaf_kind = qs_leaf_kind(record);
    path->step[0].pid = qs_tree_root(record);
    path->leaf = qs_tree_root(record);
    return go_down(path, view, 0, order, goal, key, key_size);
}

/* A scan asks for the leaf after the one it enters, whole, for the version of the one after that, and for the map
 * entry of the next, so that all has come when it gets there. A second leaf in a row makes a scan: short ranges
 * end before. */
static void prefetch_ahead(struct path *path, const struct view *view, bool forward)
{
    if (path->run++ == 0)
        return;
    const struct path_step *step = &path->step[path->steps - 1];
    unsigned count = step->page->count, last = forward ? count - 1u - step->index : step->index;
    unsigned one = forward ? 1 : -1u;
    if (last >= 1)
        qs_view_prefetch(view, qs_inner_child(step->page, step->index + one), forward);
    if (last >= 2)
        qs_view_prefetch_head(view, qs_inner_child(step->page, step->index + 2 * one));
    if (last >= 3)
        qs_view_prefetch_entry(view, qs_inner_child(step->page, step->index + 3 * one));
}

/* Takes the neighbouring child at the lowest step that has one, and its near edge below. */
static int move(struct path *path, const struct view *view, bool forward)
{
    for (unsigned i = path->steps; i-- > 0;) {
        struct path_step *step = &path->step[i];
        if (forward ? step->index + 1 >= step->page->count : step->index == 0)
            continue;
        step->index += forward ? 1 : -1u;
        pageid_t child = qs_inner_child(step->page, step->index);
        if (i + 1 < path->steps)
            path->step[i + 1].pid = child;
        else
            path->leaf = child;
        prefetch_ahead(path, view, forward);
        return go_down(path, view, i + 1, ORDER_BYTES, forward ? PATH_FIRST : PATH_LAST, NULL, 0);
    }
    return QS_E_NOTFOUND;
}

int qs_path_next(struct path *path, const struct view *view)
{
    return move(path, view, true);
}

int qs_path_prev(struct path *path, const struct view *view)
{
    return move(path, view, false);
}

bool qs_path_is_last(const struct path *path)
{
    for (unsigned i = 0; i < path->steps; i++)
        if (path->step[i].index + 1 != path->step[i].page->count)
            return false;
    return true;
}

void qs_path_fences(const struct path *path, unsigned steps, struct separator *low,
                    struct separator *high)
{
    *low = *high = (struct separator){NULL, 0, QS_PAGEID_NONE};
    for (unsigned i = steps; i-- > 0;) {
        const struct path_step *step = &path->step[i];
        if (low->key_size == 0 && step->index > 0)
            qs_inner_separator(step->page, step->index, low);
        if (high->key_size == 0 && step->index + 1 < step->page->count)
            qs_inner_separator(step->page, step->index + 1, high);
    }
}

unsigned qs_path_fence(const struct order *order, const struct separator *low,
                       const struct separator *high)
{
    if (low->key_size == 0 || high->key_size == 0 || order->custom)
        return 0;
    return (unsigned)qs_key_common(order->built_in, low->key, low->key_size, high->key,
                                   high->key_size);
}
