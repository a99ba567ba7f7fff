/* dup_cursor.c - positions among duplicates; see dup_cursor.h.
 *
 * A value that stands alone is seen as a set of one, so that there are two cases and not three.
 */
#include "tree/dup_cursor.h"

#include "base/error.h"

#include <string.h>

void qs_dup_init(struct cursor *c, struct dup_pos *d)
{
    d->order.keys = c->order->dups;
    d->past = d->deleted = d->at_end = d->tree_end = false;
    c->dup = d;
}

/* Opens the set of the entry the cursor is on. */
static int open_set(struct cursor *c)
{
    struct dup_pos *d = c->dup;
    struct entry entry;
    qs_leaf_get(&c->pos, &entry);
    d->key = entry.key;
    d->key_size = entry.key_size;
    d->several = (entry.flags & ENTRY_DUPS) != 0;
    d->large = (entry.flags & ENTRY_SET_TREE) != 0;
    if (d->large) {
        memcpy(&d->record, entry.value, sizeof d->record);
        qs_dup_orders(&d->order, c->order, &d->record);
        qs_cursor_init(&d->sub, c->view, &d->record, &d->order);
    } else if ((entry.flags & (ENTRY_LARGE | ENTRY_TREE)) != 0) {
        return QS_CORRUPT();
    } else {
        d->order.keys = c->order->dups;
        qs_dup_set(&d->set, &entry);
    }
    return 0;
}

int qs_dup_enter(struct cursor *c, bool last)
{
    int rc = open_set(c);
    if (rc != 0)
        return rc;
    c->dup->deleted = false;
    return last ? qs_dup_last(c) : qs_dup_first(c);
}

int qs_dup_enter_at(struct cursor *c, const struct qs_val *value, bool *equal)
{
    int rc = open_set(c);
    return rc == 0 ? qs_dup_seek(c, value, equal) : rc;
}

/* A set is never empty: a tree that says so is damaged. */
static int never_empty(int rc)
{
    return rc == QS_E_NOTFOUND ? QS_CORRUPT() : rc;
}

int qs_dup_first(struct cursor *c)
{
    struct dup_pos *d = c->dup;
    d->past = d->at_end = false;
    d->index = 0;
    return d->large ? never_empty(qs_cursor_first(&d->sub)) : 0;
}

int qs_dup_last(struct cursor *c)
{
    struct dup_pos *d = c->dup;
    d->past = false;
    d->at_end = true;
    if (d->large)
        return never_empty(qs_cursor_last(&d->sub));
    d->index = d->set.count - 1u;
    return 0;
}

/* Whether nothing follows, as far as that can be told without a move. */
static bool is_last(const struct dup_pos *d)
{
    if (d->past || !d->large)
        return d->past || d->index + 1 >= d->set.count;
    return d->sub.pos.base_i + 1u >= d->sub.path.image.base->count;
}

int qs_dup_next(struct cursor *c)
{
    struct dup_pos *d = c->dup;
    if (d->past || (d->at_end && is_last(d))) {
        d->at_end = true;
        return QS_E_NOTFOUND;
    }
    if (d->deleted) {
        d->deleted = d->at_end = false;
        return 0;
    }
    int rc = QS_E_NOTFOUND;
    if (d->large) {
        rc = qs_cursor_next(&d->sub);
    } else if (!is_last(d)) {
        d->index++;
        rc = 0;
    }
    d->at_end = rc == QS_E_NOTFOUND;
    return rc;
}

int qs_dup_prev(struct cursor *c)
{
    struct dup_pos *d = c->dup;
    d->deleted = d->at_end = false;
    if (d->past) {
        int rc = qs_dup_last(c);
        d->at_end = false;
        return rc;
    }
    if (d->large)
        return qs_cursor_prev(&d->sub);
    if (d->index == 0)
        return QS_E_NOTFOUND;
    d->index--;
    return 0;
}

/* Notes where a search in a small set has ended. */
static int arrive(struct dup_pos *d, unsigned index)
{
    d->index = index;
    return index < d->set.count ? 0 : QS_E_NOTFOUND;
}

int qs_dup_seek(struct cursor *c, const struct qs_val *value, bool *equal)
{
    struct dup_pos *d = c->dup;
    int rc;
    d->deleted = d->at_end = false;
    if (d->large)
        rc = qs_cursor_seek(&d->sub, value->data, value->size, equal);
    else
        rc = arrive(d, qs_order_search_set(&d->order.keys, &d->set, value, equal));
    d->past = rc == QS_E_NOTFOUND;
    return rc;
}

/* Onto the duplicate that the cursor was on. */
static int seek_saved(struct dup_pos *d)
{
    const struct qs_val value = {d->value_size, d->value};
    bool equal;
    int rc;
    if (d->large) {
        qs_cursor_place(&d->sub, value.data, value.size);
        rc = qs_cursor_restore(&d->sub);
        if (rc == 0 && d->sub.state == CURSOR_END)
            rc = QS_E_NOTFOUND;
    } else {
        rc = arrive(d, qs_order_find_set(&d->order.keys, &d->set, &value, &equal));
    }
    d->past = rc == QS_E_NOTFOUND;
    return rc;
}

int qs_dup_get(struct cursor *c, struct qs_val *value)
{
    struct dup_pos *d = c->dup;
    struct entry entry;
    if (d->past)
        return QS_E_NOTFOUND;
    if (!d->large) {
        *value = qs_set_item(&d->set, d->index);
        return 0;
    }
    int rc = qs_cursor_entry(&d->sub, &entry);
    if (rc == 0)
        *value = (struct qs_val){entry.key_size, entry.key};
    return rc;
}

int qs_dup_chunk(struct cursor *c, struct qs_val *values)
{
    struct dup_pos *d = c->dup;
    if (!d->large) {
        if (d->set.ends != NULL)
            return QS_CORRUPT();
        d->past = false;
        *values = (struct qs_val){(size_t)d->set.count * d->set.item_size, d->set.items};
        d->index = d->set.count - 1u;
        return 0;
    }
    int rc = d->past ? never_empty(qs_cursor_last(&d->sub)) : 0;
    if (rc != 0)
        return rc;
    d->past = false;
    const struct page *page = d->sub.path.image.base;
    if (page->kind != PAGE_FIXED)
        return QS_CORRUPT();
    *values = (struct qs_val){(size_t)page->count * page->item_size, qs_fixed_item(page, 0)};
    d->sub.pos.base_i = (uint16_t)(page->count - 1u);
    return 0;
}

int qs_dup_chunk_prev(struct cursor *c)
{
    struct dup_pos *d = c->dup;
    if (!d->large)
        return QS_E_NOTFOUND;
    if (d->past)
        qs_dup_last(c);
    struct leaf_pos before = d->sub.pos;
    unsigned i = d->sub.pos.base_i;
    d->sub.pos.base_i = 0;
    int rc = qs_cursor_prev(&d->sub);
    if (rc != 0) {
        d->sub.pos = before;
        d->sub.pos.base_i = (uint16_t)i;
    }
    return rc;
}

void qs_dup_place(struct cursor *c, const void *key, size_t key_size, const struct qs_val *value)
{
    struct dup_pos *d = c->dup;
    d->value_size = (uint16_t)value->size;
    if (value->size > 0)
        memmove(d->value, value->data, value->size);
    d->past = d->deleted = d->at_end = false;
    qs_cursor_place(c, key, key_size);
}

int qs_dup_save(struct cursor *c)
{
    struct dup_pos *d = c->dup;
    struct qs_val value = {0, NULL};
    int rc = d->past ? 0 : qs_dup_get(c, &value);
    if (rc != 0)
        return rc;
    d->value_size = (uint16_t)value.size;
    if (value.size > 0)
        memcpy(d->value, value.data, value.size);
    return 0;
}

int qs_dup_restore(struct cursor *c)
{
    struct dup_pos *d = c->dup;
    bool past = d->past, at_end = d->at_end, deleted = d->deleted;
    int rc = open_set(c);
    if (rc != 0)
        return rc;
    if (past || !d->several) {
        rc = past ? qs_dup_last(c) : qs_dup_first(c);
        d->past = past;
    } else {
        rc = seek_saved(d);
    }
    d->deleted = deleted;
    d->at_end = at_end;
    return rc == QS_E_NOTFOUND ? 0 : rc;
}

bool qs_dup_is_on(const struct dup_pos *d, const struct qs_val *value)
{
    return !d->past && d->value_size == value->size &&
           (value->size == 0 || memcmp(d->value, value->data, value->size) == 0);
}

void qs_dup_leave(struct dup_pos *d, const struct qs_val *next)
{
    d->deleted = true;
    d->past = d->at_end = next == NULL;
    d->value_size = 0;
    if (next != NULL) {
        d->value_size = (uint16_t)next->size;
        memcpy(d->value, next->data, next->size);
    }
}
