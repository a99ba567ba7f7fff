/* dup_cursor.h - the part of a cursor that stands among the duplicates of a key.
 *
 * Good while the cursor is LIVE, when it follows the entry the cursor is on: qs_dup_enter() after each
 * move of the cursor itself. While it is SAVED the value is remembered, as the key is. Behind the last
 * duplicate (`past`) is a place of its own, apart from the end of the tree.
 * Threads: the cursor's.
 */
#ifndef QS_TREE_DUP_CURSOR_H
#define QS_TREE_DUP_CURSOR_H

#include "tree/cursor.h"
#include "tree/dup.h"

struct dup_pos {
    struct tree_order order; /* of the duplicates: they are the keys of a large set */
    bool several;            /* LIVE: the entry holds a set, be it of one */
    bool large;              /* LIVE: which is a tree */
    bool past;               /* behind the last one; with `at_end`, that was deleted */
    bool deleted;            /* the one it was on is gone; it stands on the successor */
    bool at_end;             /* it got here going for the end: QS_GET_MULTIPLE gives nothing */
    bool tree_end;           /* the cursor did, going for the end of the tree: no step forward while
                                  its key is the last, even where duplicates follow */
    uint16_t key_size;       /* LIVE: bytes of `key` */
    uint16_t value_size;     /* SAVED: bytes of `value` */
    unsigned index;          /* LIVE, not large: which one */
    const void *key;         /* LIVE: the key in its leaf */
    struct set set;          /* LIVE, not large: all of them */
    struct tree_record record; /* LIVE, large: their tree */
    struct cursor sub;         /* LIVE, large: which one */
    uint8_t value[QS_KEY_MAX]; /* SAVED: which one */
};

/* Gives a cursor on a tree with duplicates its place among them. */
void qs_dup_init(struct cursor *cursor, struct dup_pos *dup);

/* The cursor has come to an entry: onto its first, or last, duplicate. */
int qs_dup_enter(struct cursor *cursor, bool last);

/* The same, onto the first duplicate >= `value`, as qs_dup_seek(). */
int qs_dup_enter_at(struct cursor *cursor, const struct qs_val *value, bool *equal);

/* Movements within the key: 0, or QS_E_NOTFOUND with the position kept. First and last leave the mark
 * `deleted` alone, as LMDB's do. */
int qs_dup_first(struct cursor *cursor);
int qs_dup_last(struct cursor *cursor);
int qs_dup_next(struct cursor *cursor);
int qs_dup_prev(struct cursor *cursor);

/* The common case of a step within the key, with the duplicate: true when it lies in the same set or leaf
 * and nothing is in the way; false, nothing changed, otherwise. */
static inline bool qs_dup_step(struct cursor *c, bool forward, struct qs_val *value)
{
    struct dup_pos *d = c->dup;
    unsigned one =
        forward ? 1 : -1u; /* before the first, the number wraps round and is too large */
    if (c->state != CURSOR_LIVE || c->deleted || d->deleted || d->past || (forward && d->tree_end))
        return false;
    if (!d->large) {
        if (d->index + one >= d->set.count)
            return false;
        d->index += one;
        *value = qs_set_item(&d->set, d->index);
    } else {
        const struct page *page = d->sub.pos.image.base;
        unsigned i = d->sub.pos.base_i + one;
        struct entry entry;
        if (d->sub.pos.image.delta != NULL || i >= page->count)
            return false;
        d->sub.pos.base_i = (uint16_t)i;
        if (page->kind == PAGE_FIXED)
            qs_fixed_entry(page, i, &entry);
        else
            qs_leaf_entry(page, i, &entry);
        *value = (struct qs_val){entry.key_size, entry.key};
    }
    d->at_end = d->tree_end = false;
    return true;
}

/* First duplicate >= `value`; QS_E_NOTFOUND: there is none, it is past the last. */
int qs_dup_seek(struct cursor *cursor, const struct qs_val *value, bool *equal);

/* The duplicate it is on: QS_E_NOTFOUND past the last. */
int qs_dup_get(struct cursor *cursor, struct qs_val *value);

/* The duplicates (of one size) that lie together with the one it is on; it moves to their last. */
int qs_dup_chunk(struct cursor *cursor, struct qs_val *values);
/* To the last of those that lie before: QS_E_NOTFOUND. */
int qs_dup_chunk_prev(struct cursor *cursor);

/* How many there are. */
static inline uint64_t qs_dup_number(const struct dup_pos *dup)
{
    return dup->large ? dup->record.entries : dup->set.count;
}

/* SAVED on a pair that the caller knows to be in the tree. */
void qs_dup_place(struct cursor *cursor, const void *key, size_t key_size,
                  const struct qs_val *value);

/* ---- for cursor.c ---- */

int qs_dup_save(struct cursor *cursor);
int qs_dup_restore(struct cursor *cursor);
/* Whether a SAVED one is on `value`. */
bool qs_dup_is_on(const struct dup_pos *dup, const struct qs_val *value);
/* A SAVED one is about to lose its value: it goes to `next`, NULL: behind the last one. */
void qs_dup_leave(struct dup_pos *dup, const struct qs_val *next);

#endif
