/* split.c - splitting leaves and inner pages; see structure.h.
 *
 * A page is taken apart into an array of entries that point into its old bytes, and built anew as
 * two; the old version is freed when both stand. The left half keeps the page id.
 * Where inserts come in order, the page is cut behind the last one, so that bulk loads leave full
 * pages behind.
 */
#include "tree/structure.h"

#include "base/error.h"
#include "tree/writer.h"

#include <assert.h>
#include <string.h>

/* The separator and page id that a split adds to the level above. */
struct promotion {
    uint8_t key[QS_KEY_MAX];
    uint16_t key_size;
    pageid_t pid;
};

int qs_tree_plant(struct writer *w, struct tree_state *tree)
{
    struct version *leaf, *replaced;
    pageid_t pid;
    int rc = qs_writer_take_pid(w, &pid);
    if (rc == 0)
        rc = qs_writer_replace(w, pid, &leaf, &replaced);
    if (rc != 0)
        return rc;
    qs_version_free(replaced);
    qs_leaf_build(leaf->page, QS_PAGE_BYTES, qs_order_stored(&tree->order.keys), NULL, 0, 0);
    qs_tree_set_root(tree, pid);
    tree->record.depth = 1;
    tree->record.leaf_pages = 1;
    return 0;
}

/* A new root over the old one and `up`. */
static int grow_root(struct writer *w, struct tree_state *tree, const struct promotion *up)
{
    struct version *root, *replaced;
    pageid_t pid;
    if (tree->record.depth >= PATH_STEPS_MAX)
        return QS_E_MAP_FULL;
    int rc = qs_writer_take_pid(w, &pid);
    if (rc == 0)
        rc = qs_writer_replace(w, pid, &root, &replaced);
    if (rc != 0)
        return rc;
    qs_version_free(replaced);
    struct separator children[2] = {{NULL, 0, qs_tree_root(&tree->record)},
                                    {up->key, up->key_size, up->pid}};
    qs_inner_build(root->page, QS_PAGE_BYTES, qs_order_stored(&tree->order.keys),
                   tree->record.depth, children, 2, 0);
    qs_tree_set_root(tree, pid);
    tree->record.depth++;
    tree->record.branch_pages++;
    return 0;
}

/* Where to cut separators[0..count) so that both parts fit: about the middle, or at the end when the
 * new one is the last. */
static unsigned cut_separators(const struct separator *s, unsigned count, unsigned at)
{
    if (at == count - 1)
        return count - 2 > 0 ? count - 2 : 1;
    size_t total = 0, left = 0;
    for (unsigned i = 0; i < count; i++)
        total += qs_separator_bytes(s[i].key_size);
    unsigned cut = 0;
    while (left < total / 2 && cut < count - 2)
        left += qs_separator_bytes(s[cut++].key_size);
    return cut > 0 ? cut : 1;
}

/* Splits an inner page whose separators, the new one at `at` included, are w->separators[0..count);
 * `up` becomes what its parent gets. */
static int split_inner(struct writer *w, struct tree_state *tree, const struct path *path,
                       unsigned step, unsigned count, unsigned at, struct promotion *up)
{
    struct separator *s = w->separators, low, high;
    struct version *left, *right, *old, *replaced;
    pageid_t pid = path->step[step].pid, right_pid;
    unsigned level = path->steps - step;
    int rc = qs_writer_take_pid(w, &right_pid);
    if (rc == 0)
        rc = qs_writer_replace(w, right_pid, &right, &replaced);
    if (rc != 0)
        return rc;
    qs_version_free(replaced);
    rc = qs_writer_replace(w, pid, &left, &old);
    if (rc != 0)
        return rc;
    unsigned cut = cut_separators(s, count, at);
    qs_path_fences(path, step, &low, &high);
    unsigned left_fence = qs_path_fence(&tree->order.keys, &low, &s[cut]);
    unsigned right_fence = qs_path_fence(&tree->order.keys, &s[cut], &high);
    memcpy(up->key, s[cut].key, s[cut].key_size);
    uint16_t up_size = s[cut].key_size;
    enum key_order order = qs_order_stored(&tree->order.keys);
    qs_inner_build(left->page, QS_PAGE_BYTES, order, level, s, cut, left_fence);
    qs_inner_build(right->page, QS_PAGE_BYTES, order, level, s + cut, count - cut, right_fence);
    up->key_size = up_size;
    up->pid = right_pid;
    tree->record.branch_pages++;
    qs_version_free(old);
    return 0;
}

/* The separators of `page` with `add` put in before `at`, in w->separators. */
static unsigned take_apart(struct writer *w, const struct page *page, unsigned at,
                           const struct separator *add)
{
    unsigned n = 0;
    for (unsigned i = 0; i <= page->count; i++) {
        if (i == at)
            w->separators[n++] = *add;
        if (i < page->count)
            qs_inner_separator(page, i, &w->separators[n++]);
    }
    return n;
}

/* Adds `up` to the pages above path->step[steps), splitting on the way up as far as needed. */
static int promote(struct writer *w, struct tree_state *tree, struct path *path,
                   struct promotion *up)
{
    for (unsigned i = path->steps; i-- > 0;) {
        struct path_step *step = &path->step[i];
        struct separator add = {up->key, up->key_size, up->pid};
        struct page *page;
        int rc = qs_writer_inner(w, step->pid, &page);
        if (rc != 0)
            return rc;
        step->page = page;
        page->order = (uint16_t)qs_order_stored(&tree->order.keys);
        if (qs_inner_insert(page, tree->order.keys.built_in, step->index + 1, &add, &w->scratch))
            return 0;
        /* The key is copied: `up` is about to be filled with the next level's. */
        struct promotion above;
        unsigned count = take_apart(w, page, step->index + 1, &add);
        rc = split_inner(w, tree, path, i, count, step->index + 1, &above);
        if (rc != 0)
            return rc;
        *up = above;
    }
    return grow_root(w, tree, up);
}

/* Where to cut entries[0..count) so that both parts fit. */
static unsigned cut_entries(const struct entry *e, unsigned count, unsigned at, bool sequential)
{
    size_t total = 0, left = 0;
    for (unsigned i = 0; i < count; i++)
        total += qs_entry_bytes(e[i].key_size, e[i].value_size);
    size_t goal = total / 2;
    unsigned cut = 0;
    if (sequential) { /* all before the new one stays, if it fits */
        size_t before = 0;
        for (unsigned i = 0; i < at; i++)
            before += qs_entry_bytes(e[i].key_size, e[i].value_size);
        if (at > 0 && before <= PAGE_CAPACITY && total - before <= PAGE_CAPACITY)
            return at;
    }
    for (; cut < count - 1; cut++) {
        size_t next = left + qs_entry_bytes(e[cut].key_size, e[cut].value_size);
        if (next > PAGE_CAPACITY || (left >= goal && total - left <= PAGE_CAPACITY))
            break;
        left = next;
    }
    return cut > 0 ? cut : 1;
}

static void build_leaf(struct version *v, enum key_order order, const struct entry *entries,
                       unsigned count, unsigned fence)
{
    qs_leaf_build(v->page, QS_PAGE_BYTES, order, entries, count, fence);
    v->merged_bytes = (uint16_t)qs_page_used(v->page);
    v->merged_count = v->page->count;
}

void qs_tree_separator(const struct order *order, const void *left, size_t left_size,
                       const void *right, size_t right_size, const void **separator,
                       size_t *separator_size)
{
    if (!order->custom) {
        qs_key_separator(order->built_in, left, left_size, right, right_size, separator,
                         separator_size);
    } else {
        *separator = right;
        *separator_size = right_size;
    }
}

/* The key between the two halves, and the two halves built. */
static void build_halves(struct writer *w, struct tree_state *tree, const struct path *path,
                         struct version *left, struct version *right, unsigned cut, unsigned count,
                         struct promotion *up)
{
    const struct entry *e = w->entries;
    enum key_order order = qs_order_stored(&tree->order.keys);
    struct separator low, high, middle = {NULL, 0, up->pid};
    const void *key;
    size_t key_size;
    qs_tree_separator(&tree->order.keys, e[cut - 1].key, e[cut - 1].key_size, e[cut].key,
                      e[cut].key_size, &key, &key_size);
    memcpy(up->key, key, key_size);
    up->key_size = (uint16_t)key_size;
    middle.key = up->key;
    middle.key_size = up->key_size;
    qs_path_fences(path, path->steps, &low, &high);
    build_leaf(left, order, e, cut, qs_path_fence(&tree->order.keys, &low, &middle));
    build_leaf(right, order, e + cut, count - cut,
               qs_path_fence(&tree->order.keys, &middle, &high));
}

static bool is_sequential(const struct tree_state *tree, const struct path *path, unsigned count,
                          unsigned at)
{
    if (tree->insert_pid == path->leaf && tree->insert_index + 1 == at)
        return true;
    bool rightmost = at == count - 1;
    for (unsigned i = 0; rightmost && i < path->steps; i++)
        rightmost = path->step[i].index == path->step[i].page->count - 1u;
    return rightmost;
}

int qs_tree_promote(struct writer *w, struct tree_state *tree, struct path *path, const void *key,
                    size_t key_size, pageid_t pid)
{
    struct promotion up = {.key_size = (uint16_t)key_size, .pid = pid};
    memcpy(up.key, key, key_size);
    return promote(w, tree, path, &up);
}

int qs_leaf_split(struct writer *w, struct tree_state *tree, struct path *path, unsigned count,
                  unsigned at)
{
    struct version *left, *right, *old, *replaced;
    struct promotion up;
    assert(count >= 2);
    int rc = qs_writer_take_pid(w, &up.pid);
    if (rc == 0)
        rc = qs_writer_replace(w, up.pid, &right, &replaced);
    if (rc != 0)
        return rc;
    qs_version_free(replaced);
    rc = qs_writer_replace(w, path->leaf, &left, &old);
    if (rc != 0)
        return rc;
    unsigned cut = cut_entries(w->entries, count, at, is_sequential(tree, path, count, at));
    build_halves(w, tree, path, left, right, cut, count, &up);
    qs_version_free(old);
    tree->record.leaf_pages++;
    tree->insert_pid = at < cut ? path->leaf : up.pid;
    tree->insert_index = at < cut ? at : at - cut;
    return promote(w, tree, path, &up);
}
