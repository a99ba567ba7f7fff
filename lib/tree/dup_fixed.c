/* dup_fixed.c - large sets of items of one size: trees whose leaves are fixed pages; see dup.h.
 *
 * Their versions are whole pages: an array has no place for tombstones, and a copy of one costs less
 * than merging would at every chunk that is handed out.
 */
#include "tree/dup.h"

#include "base/error.h"
#include "page/fixed.h"
#include "tree/structure.h"
#include "tree/writer.h"

/* An own whole page of `count` items. */
static int new_page(struct writer *w, const struct tree_state *sub, pageid_t *pid, size_t item_size,
                    const void *items, unsigned count, struct version **v)
{
    struct version *replaced;
    int rc = qs_writer_take_pid(w, pid);
    if (rc == 0)
        rc = qs_writer_replace(w, *pid, v, &replaced);
    if (rc != 0)
        return rc;
    qs_version_free(replaced);
    qs_fixed_build((*v)->page, qs_order_stored(&sub->order.keys), item_size, items, count);
    return 0;
}

/* W2 */
static void note_size(struct version *v)
{
    v->merged_count = v->page->count;
    v->merged_bytes = (uint16_t)qs_page_used(v->page);
}

int qs_fixed_plant(struct writer *w, struct tree_state *sub, size_t item_size, const void *items,
                   unsigned count)
{
    struct version *v;
    pageid_t pid;
    int rc = new_page(w, sub, &pid, item_size, items, count, &v);
    if (rc != 0)
        return rc;
    note_size(v);
    sub->record.pad = (uint32_t)item_size;
    qs_tree_set_root(sub, pid);
    sub->record.depth = 1;
    sub->record.leaf_pages = 1;
    sub->record.entries = count;
    return 0;
}

/* The leaf is full: the upper half, or with an append nothing but the new item, moves to a new page. */
static int split(struct writer *w, struct tree_state *sub, struct path *path, struct version *left,
                 unsigned at, const struct qs_val *item)
{
    struct version *right;
    struct page *page = left->page;
    pageid_t pid;
    unsigned count = page->count, keep = at == count && qs_path_is_last(path) ? count : count / 2;
    int rc = new_page(w, sub, &pid, item->size, qs_fixed_item(page, keep), count - keep, &right);
    if (rc != 0)
        return rc;
    page->count = (uint16_t)keep;
    if (at < keep)
        qs_fixed_insert(page, at, item->data, 1);
    else
        qs_fixed_insert(right->page, at - keep, item->data, 1);
    note_size(left);
    note_size(right);
    sub->record.leaf_pages++;
    sub->insert_pid = at < keep ? path->leaf : pid;
    const void *key;
    size_t key_size;
    qs_tree_separator(&sub->order.keys, qs_fixed_item(page, page->count - 1u), item->size,
                      qs_fixed_item(right->page, 0), item->size, &key, &key_size);
    return qs_tree_promote(w, sub, path, key, key_size, pid);
}

/* Finds the item's place. Who appends, where the program is asked, is asked about the last item only. */
static int find(struct writer *w, const struct tree_state *sub, const struct qs_val *item,
                bool append, struct key_place *place, bool *last)
{
    struct entry end;
    *last = false;
    if (!append || !qs_order_asks(&sub->order.keys)) {
        int rc = qs_place_find(&w->view, sub, item->data, item->size, place);
        return rc == 0 ? qs_place_is_last(w, sub, place, last) : rc;
    }
    int rc = qs_place_find_end(&w->view, sub, place, &end);
    *last = rc == 0 &&
            qs_order_compare(&sub->order.keys, item->data, item->size, end.key, end.key_size) > 0;
    return rc;
}

int qs_fixed_put(struct writer *w, struct tree_state *sub, const struct qs_val *item, bool append,
                 bool *last)
{
    struct key_place place;
    struct version *v;
    int rc = find(w, sub, item, append, &place, last);
    if (rc == 0 && (place.exists || (append && !*last)))
        rc = QS_E_KEYEXIST;
    if (rc == 0)
        rc = qs_place_check_order(&w->view, sub, &place, item->data, item->size);
    if (rc == 0)
        rc = qs_writer_leaf(w, place.path.leaf, true, &v);
    if (rc != 0)
        return rc;
    /* The item may lie in this page: a copy is what moves it. */
    uint8_t copy[QS_KEY_MAX];
    struct qs_val value = {item->size, memcpy(copy, item->data, item->size)};
    unsigned at = place.pos.base_i;
    v->page->order = (uint16_t)qs_order_stored(&sub->order.keys);
    sub->record.entries++;
    sub->insert_pid = place.path.leaf;
    if (v->page->count == qs_fixed_capacity(item->size))
        return split(w, sub, &place.path, v, at, &value);
    qs_fixed_insert(v->page, at, value.data, 1);
    note_size(v);
    return 0;
}

int qs_fixed_remove_at(struct writer *w, struct tree_state *sub, struct key_place *place)
{
    struct version *v;
    int rc = qs_writer_leaf(w, place->path.leaf, true, &v);
    if (rc != 0)
        return rc;
    qs_fixed_remove(v->page, place->pos.base_i);
    note_size(v);
    sub->record.entries--;
    qs_writer_image(w, v, &place->path.image);
    return qs_leaf_shrink(w, sub, &place->path);
}
