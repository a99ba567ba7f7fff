/* merge.c - merging pages that have become sparse, and shrinking the tree; see structure.h.
 *
 * Two neighbours under one parent become one page, which keeps the left one's page id; the range of
 * keys below the parent does not change, so no other page's fence does. An empty leaf always goes
 * when its parent has another child; an inner page with a single child may stay where its
 * neighbours are too full, and then its leaf, even empty.
 */
#include "tree/structure.h"

#include "base/error.h"
#include "page/fixed.h"
#include "tree/writer.h"

#include <string.h>

/* Two neighbouring children of one inner page. */
struct pair {
    unsigned step;       /* the parent: path->step[step] */
    unsigned left_index; /* the left child's index there */
    pageid_t left, right;
    struct image left_image, right_image;
};

/* The pair made of the child taken at `step` and its left neighbour, or right one for the first. */
static int find_pair(struct writer *w, const struct path *path, unsigned step, struct pair *pair)
{
    const struct page *parent = path->step[step].page;
    unsigned index = path->step[step].index, level = path->steps - step - 1;
    pair->step = step;
    pair->left_index = index > 0 ? index - 1 : 0;
    pair->left = qs_inner_child(parent, pair->left_index);
    pair->right = qs_inner_child(parent, pair->left_index + 1);
    int rc = qs_path_page(&w->view, pair->left, level, path->leaf_kind, &pair->left_image);
    if (rc == 0)
        rc = qs_path_page(&w->view, pair->right, level, path->leaf_kind, &pair->right_image);
    return rc;
}

/* The bytes the live entries of a leaf take. */
static size_t live_bytes(const struct writer *w, pageid_t pid, const struct image *image)
{
    const struct version *v = qs_own_get(&w->own, pid);
    struct version *committed;
    pgno_t base;
    if (v == NULL && image->delta == NULL)
        return qs_page_used(image->base);
    if (v == NULL) {
        if (qs_view_committed(&w->view, pid, &committed, &base) != 0 || committed == NULL)
            return PAGE_CAPACITY; /* not known: leave it */
        v = committed;
    }
    return v->merged_bytes;
}

/* Common prefix of the merged page's range: fences around the pair. */
static unsigned pair_fence(const struct path *path, const struct pair *pair,
                           const struct order *order)
{
    struct path around = *path;
    struct separator low, high, ignored;
    around.step[pair->step].index = pair->left_index;
    qs_path_fences(&around, pair->step + 1, &low, &ignored);
    around.step[pair->step].index = pair->left_index + 1;
    qs_path_fences(&around, pair->step + 1, &ignored, &high);
    return qs_path_fence(order, &low, &high);
}

/* The entries of both leaves in one page. */
static void join_leaves(struct writer *w, const struct tree_state *tree, const struct path *path,
                        const struct pair *pair, struct page *to)
{
    const struct page *left = pair->left_image.base, *right = pair->right_image.base;
    enum key_order order = tree->order.keys.built_in, stored = qs_order_stored(&tree->order.keys);
    if (left->kind == PAGE_FIXED) {
        qs_fixed_build(to, stored, left->item_size, qs_fixed_item(left, 0), left->count);
        qs_fixed_insert(to, left->count, qs_fixed_item(right, 0), right->count);
        return;
    }
    unsigned fence = pair_fence(path, pair, &tree->order.keys);
    unsigned n = qs_leaf_collect(&pair->left_image, order, w->entries);
    n += qs_leaf_collect(&pair->right_image, order, w->entries + n);
    qs_leaf_build(to, QS_PAGE_BYTES, stored, w->entries, n, fence);
}

static int merge_leaves(struct writer *w, struct tree_state *tree, const struct path *path,
                        const struct pair *pair)
{
    struct version *merged, *replaced;
    int rc = qs_writer_replace(w, pair->left, &merged, &replaced);
    if (rc != 0)
        return rc;
    join_leaves(w, tree, path, pair, merged->page);
    merged->merged_bytes = (uint16_t)qs_page_used(merged->page);
    merged->merged_count = merged->page->count;
    qs_version_free(replaced);
    tree->record.leaf_pages--;
    return qs_writer_give_pid(w, pair->right);
}

/* The bytes both leaves take, and how many they may: what is all but gone is not to stay. */
static size_t joined_leaves(const struct writer *w, const struct pair *pair, size_t *limit)
{
    size_t left = live_bytes(w, pair->left, &pair->left_image);
    size_t right = live_bytes(w, pair->right, &pair->right_image);
    *limit = left == 0 || right == 0 ? PAGE_CAPACITY : PAGE_MERGED_MAX;
    return left + right;
}

/* Separators of both pages, the one between them pulled down; bytes they take, and may take. */
static unsigned join_separators(struct writer *w, const struct path *path, const struct pair *pair,
                                size_t *bytes, size_t *limit)
{
    unsigned n = 0;
    const struct page *left = pair->left_image.base, *right = pair->right_image.base;
    for (unsigned i = 0; i < left->count; i++)
        qs_inner_separator(left, i, &w->separators[n++]);
    for (unsigned i = 0; i < right->count && n < LEAF_ENTRIES_MAX; i++)
        qs_inner_separator(right, i, &w->separators[n++]);
    struct separator between;
    qs_inner_separator(path->step[pair->step].page, pair->left_index + 1, &between);
    w->separators[left->count].key = between.key;
    w->separators[left->count].key_size = between.key_size;
    *bytes = 0;
    for (unsigned i = 0; i < n; i++)
        *bytes += qs_separator_bytes(w->separators[i].key_size);
    *limit = left->count == 1 || right->count == 1 ? PAGE_CAPACITY : PAGE_MERGED_MAX;
    return n;
}

static int merge_inner(struct writer *w, struct tree_state *tree, const struct path *path,
                       const struct pair *pair, unsigned count)
{
    struct version *merged, *replaced;
    unsigned fence = pair_fence(path, pair, &tree->order.keys);
    unsigned level = pair->left_image.base->level;
    int rc = qs_writer_replace(w, pair->left, &merged, &replaced);
    if (rc != 0)
        return rc;
    qs_inner_build(merged->page, QS_PAGE_BYTES, qs_order_stored(&tree->order.keys), level,
                   w->separators, count, fence);
    qs_version_free(replaced);
    tree->record.branch_pages--;
    return qs_writer_give_pid(w, pair->right);
}

/* Takes the right child of a merged pair out of its parent, whose own version is left in the path.
 */
static int drop_right(struct writer *w, struct path *path, const struct pair *pair)
{
    struct page *parent;
    int rc = qs_writer_inner(w, path->step[pair->step].pid, &parent);
    if (rc != 0)
        return rc;
    qs_inner_remove(parent, pair->left_index + 1);
    path->step[pair->step].page = parent;
    path->step[pair->step].index = pair->left_index;
    return 0;
}

/* Merges the child taken at `step` with a neighbour if that fits; *merged tells. */
static int try_merge(struct writer *w, struct tree_state *tree, struct path *path, unsigned step,
                     bool *merged)
{
    struct pair pair;
    unsigned count = 0;
    size_t bytes, limit;
    *merged = false;
    if (path->step[step].page->count < 2)
        return 0;
    int rc = find_pair(w, path, step, &pair);
    if (rc != 0)
        return rc;
    bool leaves = step + 1 == path->steps;
    if (leaves)
        bytes = joined_leaves(w, &pair, &limit);
    else
        count = join_separators(w, path, &pair, &bytes, &limit);
    if (bytes > limit)
        return 0;
    rc = leaves ? merge_leaves(w, tree, path, &pair) : merge_inner(w, tree, path, &pair, count);
    if (rc == 0)
        rc = drop_right(w, path, &pair);
    *merged = rc == 0;
    return rc;
}

/* A root with a single child gives way to it. */
static int shrink_root(struct writer *w, struct tree_state *tree)
{
    while (tree->record.depth > 1) {
        struct image image;
        pageid_t root = qs_tree_root(&tree->record);
        int rc = qs_path_page(&w->view, root, tree->record.depth - 1u, PAGE_INNER, &image);
        if (rc != 0)
            return rc;
        if (image.base->count > 1)
            return 0;
        qs_tree_set_root(tree, qs_inner_child(image.base, 0));
        tree->record.depth--;
        tree->record.branch_pages--;
        rc = qs_writer_give_pid(w, root);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int qs_leaf_shrink(struct writer *w, struct tree_state *tree, struct path *path)
{
    size_t used = live_bytes(w, path->leaf, &path->image);
    for (unsigned step = path->steps; step-- > 0 && used < PAGE_SPARSE;) {
        bool merged;
        int rc = try_merge(w, tree, path, step, &merged);
        if (rc != 0)
            return rc;
        if (!merged)
            return 0;
        used = qs_page_used(path->step[step].page);
    }
    return shrink_root(w, tree);
}
