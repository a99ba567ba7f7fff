/* search.c - finding the place of a key; see search.h. */
#include "tree/search.h"

#include "base/error.h"

#include <string.h>

/* What a search by the program's order looks at. */
struct search {
    const struct view *view;
    const struct order *order;
    struct path *path;
    const struct page *page; /* inner page whose children are the items */
    unsigned level;          /* of that page */
    struct leaf_pos first;   /* leaf whose entries are the items: its first */
};

static int built_in(struct path *path, struct leaf_pos *pos, const struct view *view,
                    const struct tree_record *record, enum key_order order, const void *key,
                    size_t key_size, bool *equal)
{
    int rc = qs_path_find(path, view, record, order, PATH_KEY, key, key_size);
    if (rc == 0)
        *equal = qs_leaf_seek(pos, &path->image, order, key, key_size);
    return rc;
}

/* The entry before, or at and after, a place, in whatever leaf: QS_E_NOTFOUND. */
static int neighbour(const struct path *path, const struct leaf_pos *pos, const struct view *view,
                     enum key_order order, bool before, struct entry *entry)
{
    struct path at = *path;
    struct leaf_pos near = *pos;
    bool found = before ? qs_leaf_prev(&near, order) : !qs_leaf_at_end(&near);
    while (!found) {
        int rc = before ? qs_path_prev(&at, view) : qs_path_next(&at, view);
        if (rc != 0)
            return rc;
        found =
            before ? qs_leaf_last(&near, &at.image, order) : qs_leaf_first(&near, &at.image, order);
    }
    qs_leaf_get(&near, entry);
    return 0;
}

/* Whether the program's order has the key where the built-in one has it. */
static int confirm(const struct path *path, const struct leaf_pos *pos, const struct view *view,
                   const struct order *order, const struct qs_val *key, bool equal, bool *agrees)
{
    struct entry entry;
    *agrees = false;
    if (equal) {
        qs_leaf_get(pos, &entry);
        *agrees = qs_order_compare(order, key->data, key->size, entry.key, entry.key_size) == 0;
        return 0;
    }
    int rc = neighbour(path, pos, view, order->built_in, true, &entry);
    if (rc == 0 && qs_order_compare(order, key->data, key->size, entry.key, entry.key_size) <= 0)
        return 0;
    if (rc == 0 || rc == QS_E_NOTFOUND)
        rc = neighbour(path, pos, view, order->built_in, false, &entry);
    *agrees = rc == QS_E_NOTFOUND || (rc == 0 && qs_order_compare(order, key->data, key->size,
                                                                  entry.key, entry.key_size) < 0);
    return rc == QS_E_NOTFOUND ? 0 : rc;
}

/* The least key below page `pid`; the separator where all leaves down there are empty. */
static int least_key(const struct search *s, const struct separator *child, struct qs_val *key)
{
    pageid_t pid = child->pid;
    struct image image;
    struct leaf_pos pos;
    struct entry entry = {.key = child->key, .key_size = child->key_size};
    for (unsigned level = s->level; level-- > 0;) {
        int rc = qs_path_page(s->view, pid, level, s->path->leaf_kind, &image);
        if (rc != 0)
            return rc;
        if (level > 0)
            pid = qs_inner_child(image.base, 0);
    }
    if (qs_leaf_first(&pos, &image, s->order->built_in))
        qs_leaf_get(&pos, &entry);
    *key = (struct qs_val){entry.key_size, entry.key};
    return 0;
}

static int item_of_inner(void *keys, unsigned i, struct qs_val *item)
{
    const struct search *s = keys;
    struct separator separator;
    qs_inner_separator(s->page, i, &separator);
    if (!s->order->custom || !s->order->whole)
        return least_key(s, &separator, item);
    *item = (struct qs_val){separator.key_size, separator.key};
    return 0;
}

/* The place of entry `i` of a leaf, or where they end. */
static void go_to(const struct search *s, unsigned i, struct leaf_pos *pos)
{
    *pos = s->first;
    if (pos->image.delta != NULL) {
        while (i-- > 0)
            qs_leaf_next(pos, s->order->built_in);
        return;
    }
    pos->base_i = (uint16_t)i;
    pos->order = i < pos->image.base->count ? 1 : LEAF_END;
}

static int item_of_leaf(void *keys, unsigned i, struct qs_val *item)
{
    struct leaf_pos pos;
    struct entry entry;
    go_to(keys, i, &pos);
    qs_leaf_get(&pos, &entry);
    *item = (struct qs_val){entry.key_size, entry.key};
    return 0;
}

/* The entries of a leaf. */
static unsigned live_count(const struct leaf_pos *first, enum key_order order)
{
    struct leaf_pos pos = *first;
    unsigned n = 0;
    if (pos.image.delta == NULL)
        return pos.image.base->count;
    for (bool more = !qs_leaf_at_end(&pos); more; more = qs_leaf_next(&pos, order))
        n++;
    return n;
}

/* Goes down by the program's order. */
static int by_program(struct search *s, const struct tree_record *record, struct leaf_pos *pos,
                      const struct qs_val *key, bool *equal)
{
    struct path *path = s->path;
    struct image image;
    unsigned at;
    if (record->depth == 0 || record->depth > PATH_STEPS_MAX || record->root >= TREE_ROOT_END)
        return QS_CORRUPT();
    path->steps = record->depth - 1u;
    path->run = 0;
    path->leaf_kind = qs_leaf_kind(record);
    path->leaf = qs_tree_root(record);
    for (unsigned i = 0; i < path->steps; i++) {
        struct path_step *step = &path->step[i];
        s->level = path->steps - i;
        int rc = qs_path_page(s->view, path->leaf, s->level, path->leaf_kind, &image);
        if (rc != 0)
            return rc;
        s->page = image.base;
        rc = qs_order_search(s->order, item_of_inner, s, 1, s->page->count, key, &at, equal);
        if (rc != 0)
            return rc;
        *step = (struct path_step){path->leaf, s->page, *equal ? at : at - 1};
        path->leaf = qs_inner_child(s->page, step->index);
    }
    int rc = qs_path_page(s->view, path->leaf, 0, path->leaf_kind, &path->image);
    if (rc != 0)
        return rc;
    qs_leaf_first(&s->first, &path->image, s->order->built_in);
    unsigned count = live_count(&s->first, s->order->built_in);
    rc = qs_order_search(s->order, item_of_leaf, s, 0, count, key, &at, equal);
    go_to(s, at, pos);
    return rc;
}

int qs_search_asking(struct path *path, struct leaf_pos *pos, const struct view *view,
                     const struct tree_record *record, const struct order *order, const void *key,
                     size_t key_size, bool *equal)
{
    struct search s = {.view = view, .order = order, .path = path};
    const struct qs_val value = {key_size, key};
    bool agrees;
    if (!order->custom) {
        int rc = built_in(path, pos, view, record, order->built_in, key, key_size, equal);
        if (rc == 0)
            rc = confirm(path, pos, view, order, &value, *equal, &agrees);
        if (rc != 0 || agrees)
            return rc;
    }
    return by_program(&s, record, pos, &value, equal);
}

static bool is_exact(const struct leaf_pos *pos, const void *key, size_t key_size)
{
    struct entry entry;
    qs_leaf_get(pos, &entry);
    return entry.key_size == key_size && memcmp(entry.key, key, key_size) == 0;
}

int qs_search_exact(struct path *path, struct leaf_pos *pos, const struct view *view,
                    const struct tree_record *record, const struct order *order, const void *key,
                    size_t key_size, bool *equal)
{
    if (!order->custom)
        return built_in(path, pos, view, record, order->built_in, key, key_size, equal);
    int rc = qs_search(path, pos, view, record, order, key, key_size, equal);
    if (rc != 0 || (*equal && is_exact(pos, key, key_size)))
        return rc;
    /* Not there for who asks this program, or nobody: it may still be somewhere. */
    *equal = false;
    rc = qs_path_find(path, view, record, order->built_in, PATH_FIRST, NULL, 0);
    while (rc == 0) {
        bool more = qs_leaf_first(pos, &path->image, order->built_in);
        for (; more; more = qs_leaf_next(pos, order->built_in)) {
            *equal = is_exact(pos, key, key_size);
            if (*equal)
                return 0;
        }
        rc = qs_path_next(path, view);
    }
    return rc == QS_E_NOTFOUND ? 0 : rc;
}

int qs_search_end(struct path *path, struct leaf_pos *pos, const struct view *view,
                  const struct tree_record *record, enum key_order order, struct entry *last)
{
    int rc = qs_path_find(path, view, record, order, PATH_LAST, NULL, 0);
    if (rc != 0)
        return rc;
    qs_leaf_last(pos, &path->image, order);
    if (!qs_leaf_at_end(pos))
        qs_leaf_next(pos, order);
    return neighbour(path, pos, view, order, true, last);
}
