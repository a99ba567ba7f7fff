/* dup_get.c - cursor operations on trees with duplicates, in terms of positions; see quickstep.h.
 *
 * Codes, and what is written on success, are LMDB's for the state and operation. Two marks make a step
 * forward stay where it is: `deleted` of the cursor (its key is gone) and of its place among the
 * duplicates (its value is gone).
 */
#include "txn/dup.h"

#include "base/error.h"
#include "tree/dup_cursor.h"

#include <errno.h>

/* Hands out the pair the cursor is on; past the last duplicate, the key alone, and that is an error only
 * where the value was asked for. */
static int hand_out(struct cursor *c, struct qs_val *key, struct qs_val *value)
{
    const struct dup_pos *d = c->dup;
    if (key != NULL)
        *key = (struct qs_val){d->key_size, d->key};
    return value != NULL ? qs_dup_get(c, value) : 0;
}

/* Ends a movement of the cursor itself. */
static int arrive(struct cursor *c, int rc, bool last, struct qs_val *key, struct qs_val *value)
{
    if (rc == 0)
        rc = qs_dup_enter(c, last);
    return rc == 0 ? hand_out(c, key, value) : rc;
}

static int first(struct cursor *c, struct qs_val *key, struct qs_val *value)
{
    c->dup->tree_end = false;
    return arrive(c, qs_cursor_first(c), false, key, value);
}

static int last(struct cursor *c, struct qs_val *key, struct qs_val *value)
{
    int rc = qs_cursor_last(c);
    c->dup->tree_end = rc == 0;
    return arrive(c, rc, true, key, value);
}

/* Whether a cursor that has been to the end of the tree is still on the last key. */
static int check_end(struct cursor *c)
{
    bool deleted = c->deleted;
    c->deleted = false;
    int rc = qs_cursor_next(c);
    if (rc == 0) {
        c->dup->tree_end = false;
        rc = qs_cursor_prev(c);
    }
    c->deleted = deleted;
    return rc;
}

static int next(struct cursor *c, struct qs_val *key, struct qs_val *value, enum qs_cursor_op op)
{
    struct dup_pos *d = c->dup;
    if (c->state == CURSOR_UNSET)
        return first(c, key, value);
    if (c->state == CURSOR_END || (c->deleted && op == QS_NEXT_DUP))
        return QS_E_NOTFOUND;
    int rc = d->tree_end ? check_end(c) : 0;
    if (rc != 0)
        return rc;
    if (op != QS_NEXT_NODUP && d->several) {
        rc = qs_dup_next(c);
        if (rc == 0)
            return hand_out(c, key, value);
        if (rc != QS_E_NOTFOUND || op == QS_NEXT_DUP)
            return rc;
    } else if (op == QS_NEXT_DUP) {
        return QS_E_NOTFOUND;
    }
    if (d->past) /* there is nothing to stay on */
        c->deleted = false;
    rc = qs_cursor_next(c);
    d->tree_end = rc == QS_E_NOTFOUND;
    return arrive(c, rc, false, key, value);
}

static int prev(struct cursor *c, struct qs_val *key, struct qs_val *value, enum qs_cursor_op op)
{
    struct dup_pos *d = c->dup;
    if (c->state == CURSOR_UNSET)
        return last(c, key, value);
    if (c->state == CURSOR_END)
        return op == QS_PREV_DUP ? QS_E_NOTFOUND : last(c, key, value);
    if (op != QS_PREV_NODUP && d->several) {
        int rc = qs_dup_prev(c);
        if (rc == 0) {
            d->tree_end = false;
            return hand_out(c, key, value);
        }
        if (rc != QS_E_NOTFOUND || op == QS_PREV_DUP)
            return rc;
    } else if (op == QS_PREV_DUP) {
        return QS_E_NOTFOUND;
    }
    d->tree_end = false;
    return arrive(c, qs_cursor_prev(c), true, key, value);
}

/* Onto a value of the key that was found. */
static int seek_value(struct cursor *c, struct qs_val *value, bool exactly)
{
    bool equal;
    int rc = qs_dup_enter_at(c, value, &equal);
    if (rc != 0 && rc != QS_E_NOTFOUND)
        return rc;
    if (value->size == 0 && c->dup->several)
        return QS_E_BAD_VALSIZE;
    if (!c->dup->several) /* with one value it stays on that, whatever comes out */
        c->dup->past = false, c->dup->index = 0;
    if (rc == 0 && exactly && !equal)
        rc = QS_E_NOTFOUND;
    return rc == 0 ? qs_dup_get(c, value) : rc;
}

static int seek(struct cursor *c, struct qs_val *key, struct qs_val *value, enum qs_cursor_op op)
{
    bool equal, both = op == QS_GET_BOTH || op == QS_GET_BOTH_RANGE;
    if (key == NULL || (both && value == NULL))
        return EINVAL;
    if (key->size == 0)
        return QS_E_BAD_VALSIZE;
    bool was_unset = c->state == CURSOR_UNSET;
    int rc = qs_cursor_seek(c, key->data, key->size, &equal);
    if (rc == 0)
        c->dup->tree_end = false;
    else if (op == QS_SET_RANGE && was_unset)
        c->dup->tree_end = rc == QS_E_NOTFOUND; /* LMDB went there page by page */
    if (rc == 0 && both && equal)
        return seek_value(c, value, op == QS_GET_BOTH);
    if (rc == 0)
        rc = qs_dup_enter(c, false);
    if (rc == 0 && op != QS_SET_RANGE && !equal)
        rc = QS_E_NOTFOUND;
    if (rc != 0)
        return rc;
    return hand_out(c, op == QS_SET ? NULL : key, value);
}

/* The first or last duplicate of the key; that key is told only where there is but one. */
static int edge(struct cursor *c, struct qs_val *key, struct qs_val *value, bool to_last)
{
    if (value == NULL || c->state == CURSOR_UNSET)
        return EINVAL;
    if (c->state == CURSOR_END)
        return QS_E_NOTFOUND;
    c->dup->tree_end = false;
    c->dup->deleted &= !c->deleted; /* it outlives this within a key only */
    int rc = to_last ? qs_dup_last(c) : qs_dup_first(c);
    return rc == 0 ? hand_out(c, c->dup->several ? NULL : key, value) : rc;
}

static int chunk(struct cursor *c, struct qs_val *key, struct qs_val *value, enum qs_cursor_op op)
{
    int rc = 0;
    if (value == NULL || (op == QS_GET_MULTIPLE && c->state == CURSOR_UNSET))
        return EINVAL;
    if ((c->record->flags & QS_DUPFIXED) == 0)
        return QS_E_INCOMPATIBLE;
    if (op == QS_GET_MULTIPLE) {
        if (c->state == CURSOR_END || !c->dup->several || c->dup->at_end)
            return 0; /* and nothing is written */
    } else if (op == QS_NEXT_MULTIPLE) {
        rc = next(c, key, value, QS_NEXT_DUP);
    } else {
        rc = c->state == CURSOR_UNSET ? last(c, key, value) : 0;
        if (rc == 0)
            rc = c->state == CURSOR_END || !c->dup->several ? QS_E_NOTFOUND : qs_dup_chunk_prev(c);
    }
    if (rc == 0 && !c->dup->several)
        rc = QS_E_NOTFOUND;
    return rc == 0 ? qs_dup_chunk(c, value) : rc;
}

static int get(struct cursor *c, struct qs_val *key, struct qs_val *value, enum qs_cursor_op op)
{
    switch (op) {
    case QS_GET_CURRENT:
        if (c->state == CURSOR_UNSET || c->state == CURSOR_END)
            return c->state == CURSOR_UNSET ? EINVAL : QS_E_NOTFOUND;
        if (value != NULL) /* LMDB looks at the place among the duplicates only for the value */
            c->dup->deleted = false;
        return hand_out(c, key, value);
    case QS_FIRST:
        return first(c, key, value);
    case QS_LAST:
        return last(c, key, value);
    case QS_NEXT:
    case QS_NEXT_DUP:
    case QS_NEXT_NODUP:
        return next(c, key, value, op);
    case QS_PREV:
    case QS_PREV_DUP:
    case QS_PREV_NODUP:
        return prev(c, key, value, op);
    case QS_SET:
    case QS_SET_KEY:
    case QS_SET_RANGE:
    case QS_GET_BOTH:
    case QS_GET_BOTH_RANGE:
        return seek(c, key, value, op);
    case QS_FIRST_DUP:
    case QS_LAST_DUP:
        return edge(c, key, value, op == QS_LAST_DUP);
    case QS_GET_MULTIPLE:
    case QS_NEXT_MULTIPLE:
    case QS_PREV_MULTIPLE:
        return chunk(c, key, value, op);
    }
    return EINVAL;
}

/* Out of line, here and in cursors.c: the common case needs no registers saved. */
__attribute__((noinline)) static int get_anything(struct cursor *c, struct qs_val *key,
                                                  struct qs_val *value, enum qs_cursor_op op)
{
    int rc = qs_cursor_restore(c);
    if (rc == 0)
        rc = get(c, key, value, op);
    c->deleted = false;
    return rc;
}

int qs_dup_cursor_get(struct cursor *c, struct qs_val *key, struct qs_val *value,
                      enum qs_cursor_op op)
{
    const struct dup_pos *d = c->dup;
    struct qs_val stepped;
    bool step = op == QS_NEXT || op == QS_PREV || op == QS_NEXT_DUP || op == QS_PREV_DUP;
    if (!step || !qs_dup_step(c, op == QS_NEXT || op == QS_NEXT_DUP, &stepped))
        return get_anything(c, key, value, op);
    if (key != NULL)
        *key = (struct qs_val){d->key_size, d->key};
    if (value != NULL)
        *value = stepped;
    return 0;
}
