/* cursor.c - positions that survive changes; see cursor.h.
 *
 * A leaf may be empty where its parent has no other child (structure.h): steps pass over it.
 * Source: saving positions by key before a change, as SQLite's btree does, rather than mending
 * pointers in every cursor after it.
 */
#include "tree/cursor.h"

#include "base/error.h"
#include "tree/dup_cursor.h"
#include "tree/search.h"
#include "tree/writer.h"

#include <errno.h>
#include <string.h>

void qs_cursor_init(struct cursor *c, const struct view *view, const struct tree_record *record,
                    const struct tree_order *order)
{
    c->view = view;
    c->record = record;
    c->order = order;
    c->state = CURSOR_UNSET;
    c->deleted = false;
    c->dup = NULL;
    c->next = NULL;
}

static bool tree_is_empty(const struct cursor *c)
{
    return c->record->root == TREE_ROOT_NONE;
}

/* Moves on to the nearest leaf with an item in that direction, and onto its near end. */
static int move_leaf(struct cursor *c, bool forward)
{
    int rc;
    bool found = false;
    do {
        rc = forward ? qs_path_next(&c->path, c->view) : qs_path_prev(&c->path, c->view);
        if (rc == 0)
            found = forward ? qs_leaf_first(&c->pos, &c->path.image, c->order->keys.built_in)
                            : qs_leaf_last(&c->pos, &c->path.image, c->order->keys.built_in);
    } while (rc == 0 && !found);
    return rc;
}

/* The same; the cursor stays where it was when there is none. Where only empty leaves follow it has
 * moved all the same: back to where it came from, the near end of the leaf it left. */
static int cross_leaf(struct cursor *c, bool forward)
{
    struct leaf_pos before = c->pos;
    pageid_t leaf = c->path.leaf;
    int rc = move_leaf(c, forward);
    if (rc == QS_E_NOTFOUND && c->path.leaf != leaf) {
        int back_rc = move_leaf(c, !forward);
        rc = back_rc == 0 ? QS_E_NOTFOUND : back_rc;
    }
    if (rc != 0)
        c->pos = before;
    return rc;
}

static void be_live(struct cursor *c)
{
    c->state = CURSOR_LIVE;
    c->deleted = false;
}

int qs_cursor_first(struct cursor *c)
{
    if (tree_is_empty(c))
        return QS_E_NOTFOUND;
    int rc =
        qs_path_find(&c->path, c->view, c->record, c->order->keys.built_in, PATH_FIRST, NULL, 0);
    if (rc == 0 && !qs_leaf_first(&c->pos, &c->path.image, c->order->keys.built_in))
        rc = move_leaf(c, true);
    if (rc == 0)
        be_live(c);
    return rc;
}

int qs_cursor_last(struct cursor *c)
{
    if (tree_is_empty(c))
        return QS_E_NOTFOUND;
    int rc =
        qs_path_find(&c->path, c->view, c->record, c->order->keys.built_in, PATH_LAST, NULL, 0);
    if (rc == 0 && !qs_leaf_last(&c->pos, &c->path.image, c->order->keys.built_in))
        rc = move_leaf(c, false);
    if (rc == 0)
        be_live(c);
    return rc;
}

static int seek(struct cursor *c, const void *key, size_t key_size, bool exact, bool *equal)
{
    *equal = false;
    c->deleted = false;
    if (tree_is_empty(c)) {
        c->state = CURSOR_UNSET;
        return QS_E_NOTFOUND;
    }
    int rc = exact ? qs_search_exact(&c->path, &c->pos, c->view, c->record, &c->order->keys, key,
                                     key_size, equal)
                   : qs_search(&c->path, &c->pos, c->view, c->record, &c->order->keys, key,
                               key_size, equal);
    if (rc == 0 && qs_leaf_at_end(&c->pos))
        rc = move_leaf(c, true);
    c->state = rc == 0 ? CURSOR_LIVE : CURSOR_END;
    return rc;
}

int qs_cursor_seek(struct cursor *c, const void *key, size_t key_size, bool *equal)
{
    return seek(c, key, key_size, false, equal);
}

/* Its item is there: whoever deletes one moves the cursors that are on it. */
int qs_cursor_restore(struct cursor *c)
{
    if (c->state != CURSOR_SAVED)
        return 0;
    bool deleted = c->deleted, equal;
    uint8_t key[QS_KEY_MAX];
    memcpy(key, c->key, c->key_size);
    int rc = seek(c, key, c->key_size, true, &equal);
    c->deleted = deleted;
    if (rc == 0 && c->dup != NULL)
        rc = qs_dup_restore(c);
    return rc == QS_E_NOTFOUND ? 0 : rc;
}

int qs_cursor_next(struct cursor *c)
{
    int rc = qs_cursor_restore(c);
    if (rc != 0)
        return rc;
    if (c->state == CURSOR_UNSET)
        return qs_cursor_first(c);
    if (c->state == CURSOR_END)
        return QS_E_NOTFOUND;
    if (c->deleted) {
        c->deleted = false;
        return 0;
    }
    struct leaf_pos pos = c->pos;
    if (qs_leaf_next(&pos, c->order->keys.built_in)) {
        c->pos = pos;
        return 0;
    }
    return cross_leaf(c, true);
}

int qs_cursor_prev(struct cursor *c)
{
    int rc = qs_cursor_restore(c);
    if (rc != 0)
        return rc;
    if (c->state == CURSOR_UNSET || c->state == CURSOR_END)
        return qs_cursor_last(c);
    c->deleted = false;
    if (qs_leaf_prev(&c->pos, c->order->keys.built_in))
        return 0;
    return cross_leaf(c, false);
}

int qs_cursor_entry(struct cursor *c, struct entry *entry)
{
    int rc = qs_cursor_restore(c);
    if (rc != 0)
        return rc;
    if (c->state == CURSOR_UNSET)
        return EINVAL;
    if (c->state == CURSOR_END)
        return QS_E_NOTFOUND;
    qs_leaf_get(&c->pos, entry);
    return 0;
}

void qs_cursor_place(struct cursor *c, const void *key, size_t key_size)
{
    memmove(c->key, key, key_size);
    c->key_size = (uint16_t)key_size;
    c->state = CURSOR_SAVED;
    c->deleted = false;
}

int qs_cursors_save(struct tree_state *tree)
{
    for (struct cursor *c = tree->cursors; c != NULL; c = c->next) {
        if (c->state != CURSOR_LIVE)
            continue;
        struct entry entry;
        bool deleted = c->deleted;
        int rc = c->dup != NULL ? qs_dup_save(c) : 0;
        if (rc != 0)
            return rc;
        qs_leaf_get(&c->pos, &entry);
        qs_cursor_place(c, entry.key, entry.key_size);
        c->deleted = deleted;
    }
    return 0;
}

static bool is_on(const struct cursor *c, const void *key, size_t key_size)
{
    return c->state == CURSOR_SAVED && c->key_size == key_size &&
           memcmp(c->key, key, key_size) == 0;
}

int qs_cursors_leave(struct writer *w, struct tree_state *tree, const struct key_place *place)
{
    const void *key = place->old.key;
    size_t key_size = place->old.key_size;
    struct cursor *c = tree->cursors;
    while (c != NULL && !is_on(c, key, key_size))
        c = c->next;
    if (c == NULL)
        return 0;
    struct cursor successor;
    struct entry entry = {.key_size = 0};
    struct qs_val value = {0, NULL};
    qs_cursor_init(&successor, &w->view, &tree->record, &tree->order);
    successor.path = place->path;
    successor.pos = place->pos;
    be_live(&successor);
    int rc = qs_cursor_next(&successor);
    if (rc == 0)
        rc = qs_cursor_entry(&successor, &entry);
    if (rc == 0 && c->dup != NULL)
        rc = qs_tree_value(&w->view, &entry, &value);
    if (rc != 0 && rc != QS_E_NOTFOUND)
        return rc;
    for (; c != NULL; c = c->next) {
        if (!is_on(c, key, key_size))
            continue;
        if (rc != 0)
            c->state = CURSOR_END;
        else if (c->dup != NULL)
            qs_dup_place(c, entry.key, entry.key_size, &value);
        else
            qs_cursor_place(c, entry.key, entry.key_size);
        c->deleted = true;
        if (c->dup != NULL) {
            c->dup->deleted = true;
            c->dup->tree_end |= rc != 0;
        }
    }
    return 0;
}

static bool is_on_dup(const struct cursor *c, const void *key, size_t key_size,
                      const struct qs_val *value)
{
    return c->dup != NULL && is_on(c, key, key_size) && qs_dup_is_on(c->dup, value);
}

bool qs_cursors_on_dup(const struct tree_state *tree, const void *key, size_t key_size,
                       const struct qs_val *value)
{
    const struct cursor *c = tree->cursors;
    while (c != NULL && !is_on_dup(c, key, key_size, value))
        c = c->next;
    return c != NULL;
}

/* The successor is noted at once: what is put later must not come between. */
void qs_cursors_leave_dup(struct tree_state *tree, const void *key, size_t key_size,
                          const struct qs_val *value, const struct qs_val *next)
{
    for (struct cursor *c = tree->cursors; c != NULL; c = c->next)
        if (is_on_dup(c, key, key_size, value))
            qs_dup_leave(c->dup, next);
}

void qs_cursors_dup_moved(struct tree_state *tree, const struct qs_val *key,
                          const struct qs_val *from, const struct qs_val *to)
{
    for (struct cursor *c = tree->cursors; c != NULL; c = c->next)
        if (is_on_dup(c, key->data, key->size, from))
            qs_dup_place(c, key->data, key->size, to);
}

void qs_cursors_unset(struct tree_state *tree)
{
    for (struct cursor *c = tree->cursors; c != NULL; c = c->next)
        c->state = CURSOR_UNSET;
}

void qs_cursors_mark(struct tree_state *tree, const void *key, size_t key_size)
{
    for (struct cursor *c = tree->cursors; c != NULL; c = c->next)
        c->deleted |= is_on(c, key, key_size);
}

void qs_cursors_renamed(struct tree_state *tree, const struct entry *from, const struct entry *to)
{
    for (struct cursor *c = tree->cursors; c != NULL; c = c->next) {
        if (!is_on(c, from->key, from->key_size))
            continue;
        memcpy(c->key, to->key, to->key_size);
        c->key_size = to->key_size;
    }
}
