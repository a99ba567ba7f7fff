/* cursor.h - a position in a tree that survives changes.
 *
 *              first/last/seek                     change in the tree
 *   UNSET ---------------------------> LIVE  -----------------------------> SAVED
 *     ^                                 ^ |                                   |
 *     | tree emptied                    | | seek beyond the last item         | next use: seek
 *     +---------------- any             | v                                   v
 *                                      END <------------------------------ LIVE or END
 *
 * LIVE holds a path and a place in its leaf, good while nothing changes. Before a change every LIVE
 * cursor on the tree saves its key and lets go of the pages. `deleted` marks that the cursor's own
 * item was removed and it stands on the successor, which the first step forward returns.
 * Threads: those of its view.
 */
#ifndef QS_TREE_CURSOR_H
#define QS_TREE_CURSOR_H

#include "tree/place.h"
#include "tree/tree.h"

enum cursor_state { CURSOR_UNSET, CURSOR_LIVE, CURSOR_SAVED, CURSOR_END };

struct cursor {
    const struct view *view;          /* what it reads */
    const struct tree_record *record; /* the tree, as the view's transaction has it */
    const struct tree_order *order;   /* of the tree, as the transaction has it */
    enum cursor_state state;
    bool deleted;            /* the item it was on is gone */
    struct path path;        /* LIVE */
    struct leaf_pos pos;     /* LIVE */
    struct dup_pos *dup;     /* where it is among the key's duplicates (dup_cursor.h); NULL: a tree
                                without, or nobody asks */
    struct cursor *next;     /* in its tree_state's list (write transactions) */
    uint16_t key_size;       /* SAVED: bytes in `key` */
    uint8_t key[QS_KEY_MAX]; /* SAVED: the item it is on */
};

/* `dup` becomes NULL. */
void qs_cursor_init(struct cursor *cursor, const struct view *view,
                    const struct tree_record *record, const struct tree_order *order);

/* Movements: 0, or QS_E_NOTFOUND with the position kept (UNSET stays UNSET). */
int qs_cursor_first(struct cursor *cursor);
int qs_cursor_last(struct cursor *cursor);
int qs_cursor_next(struct cursor *cursor);
int qs_cursor_prev(struct cursor *cursor);

/* The common case of qs_cursor_next() and qs_cursor_prev(), with the entry: true when the item lies in
 * the same leaf and nothing is in the way; false, nothing changed, otherwise. */
static inline bool qs_cursor_step(struct cursor *c, bool forward, struct entry *entry)
{
    const struct page *base = c->pos.image.base;
    if (c->state != CURSOR_LIVE || c->deleted || c->pos.image.delta != NULL)
        return false;
    /* Before the first, the number wraps round and is too large as well. */
    unsigned i = forward ? c->pos.base_i + 1u : c->pos.base_i - 1u;
    if (i >= base->count)
        return false;
    c->pos.base_i = (uint16_t)i;
    qs_leaf_entry(base, i, entry);
    return true;
}

/* On the first item >= `key` by the tree's order; *equal tells. QS_E_NOTFOUND: there is none, the cursor is at END. */
int qs_cursor_seek(struct cursor *cursor, const void *key, size_t key_size, bool *equal);

/* The item: EINVAL when UNSET, QS_E_NOTFOUND at END. Makes a SAVED cursor LIVE again. */
int qs_cursor_entry(struct cursor *cursor, struct entry *entry);

/* Makes a SAVED cursor LIVE (or END) again. */
int qs_cursor_restore(struct cursor *cursor);

/* SAVED on `key`, which the caller knows to be in the tree. */
void qs_cursor_place(struct cursor *cursor, const void *key, size_t key_size);

/* ---- for changes in a tree ---- */

/* Saves every LIVE cursor on the tree. */
int qs_cursors_save(struct tree_state *tree);
/* The key at `place` is about to be deleted, not the only one: cursors on it (SAVED) go on to its successor,
 * with `deleted` set. */
int qs_cursors_leave(struct writer *writer, struct tree_state *tree, const struct key_place *place);
/* Whether a cursor (SAVED) is on this duplicate. */
bool qs_cursors_on_dup(const struct tree_state *tree, const void *key, size_t key_size,
                       const struct qs_val *value);
/* One of several duplicates of `key` is deleted: likewise, within the key. `next` NULL: it is the last. */
void qs_cursors_leave_dup(struct tree_state *tree, const void *key, size_t key_size,
                          const struct qs_val *value, const struct qs_val *next);
/* The duplicate `to` takes the place of `from`: cursors on that (SAVED) are on it. */
void qs_cursors_dup_moved(struct tree_state *tree, const struct qs_val *key,
                          const struct qs_val *from, const struct qs_val *to);
/* An equal key of other bytes has taken the place of `from`: cursors on that (SAVED) are on it. */
void qs_cursors_renamed(struct tree_state *tree, const struct entry *from, const struct entry *to);
/* `key`, the only one, is about to be deleted: cursors on it (SAVED) are `deleted`. */
void qs_cursors_mark(struct tree_state *tree, const void *key, size_t key_size);
/* The tree is empty: every cursor on it is UNSET; `deleted` stays as it is. */
void qs_cursors_unset(struct tree_state *tree);

#endif
