/* dup_put.c - puts and deletes through cursors on trees with duplicates, and counts; see quickstep.h.
 */
#include "txn/dup.h"

#include "base/error.h"
#include "tree/dup_cursor.h"
#include "txn/change.h"

#include <errno.h>
#include <string.h>

static struct tree_state *state_of(const struct qs_cursor *cursor)
{
    return &cursor->txn->tree[cursor->tree->index]->state;
}

/* A pair in memory of its own. */
struct pair {
    struct qs_val key, value;
    uint8_t bytes[2 * QS_KEY_MAX];
};

static void copy_pair(struct pair *to, const void *key, size_t key_size, const struct qs_val *value)
{
    memcpy(to->bytes, key, key_size);
    to->key = (struct qs_val){key_size, to->bytes};
    to->value = (struct qs_val){value->size, to->bytes + QS_KEY_MAX};
    if (value->size > 0)
        memcpy(to->bytes + QS_KEY_MAX, value->data, value->size);
}

/* Where a put that was refused leaves the cursor. The mark of a deleted key stays, as it does in LMDB,
 * where it was for the key that the put was refused. */
static int settle_refused(struct cursor *c, const struct pair *pair, unsigned flags,
                          bool key_refused)
{
    bool append = (flags & QS_APPEND) != 0;
    bool equal, deleted = c->deleted && key_refused && !append;
    int rc = append ? qs_cursor_last(c) : qs_cursor_seek(c, pair->key.data, pair->key.size, &equal);
    if (rc != 0)
        return rc;
    c->deleted = deleted;
    rc = qs_dup_enter(c, append || (!key_refused && (flags & QS_APPENDDUP) != 0));
    if (rc == 0 && !append && !key_refused && (flags & QS_APPENDDUP) == 0)
        rc = qs_dup_seek(c, &pair->value, &equal);
    return rc;
}

/* Puts a pair that lies in memory of its own, `exact`: for a key that is stored; *out is what the put hands back. */
static int put_pair(struct qs_cursor *cursor, const struct pair *pair, unsigned flags, bool exact,
                    struct qs_val *out)
{
    struct put put = {.key = pair->key.data,
                      .key_size = pair->key.size,
                      .value = pair->value,
                      .flags = flags,
                      .exact = exact};
    bool was_empty = state_of(cursor)->record.entries == 0;
    bool was_unset = cursor->at.state == CURSOR_UNSET;
    int rc = qs_txn_put(cursor->txn, cursor->tree, &put);
    /* As LMDB's search for the key treats its mark of having been to the end: from the root, where the
     * cursor was nowhere, it takes that back. */
    if ((flags & QS_APPEND) != 0 && !was_empty)
        cursor->at.dup->tree_end = true;
    else if ((!put.first && !put.last && (flags & QS_CURRENT) == 0) || (was_unset && !was_empty))
        cursor->at.dup->tree_end = false;
    bool key_refused = rc == QS_E_KEYEXIST && (flags & QS_NOOVERWRITE) != 0;
    if (rc == QS_E_KEYEXIST && key_refused && (flags & QS_APPEND) == 0)
        *out = put.value;
    if (rc == 0 && (flags & QS_RESERVE) != 0)
        *out = put.value;
    if (rc == 0) {
        qs_dup_place(&cursor->at, put.key, put.key_size, &pair->value);
        cursor->at.dup->at_end = (flags & QS_APPENDDUP) != 0;
    } else if (rc == QS_E_KEYEXIST)
        settle_refused(&cursor->at, pair, flags, key_refused);
    return rc;
}

/* QS_CURRENT on one of several values: the new one takes its place in the order, and the cursors. */
static int replace(struct qs_cursor *cursor, const struct pair *pair)
{
    struct qs_txn *txn = cursor->txn;
    struct tree_state *state = state_of(cursor);
    struct pair old;
    struct qs_val current, out;
    int rc = qs_dup_get(&cursor->at, &current);
    if (rc != 0)
        return rc;
    bool same_size = current.size == pair->value.size;
    if (pair->value.size == 0 || (!same_size && (state->record.flags & QS_DUPFIXED) != 0))
        return QS_E_BAD_VALSIZE;
    copy_pair(&old, pair->key.data, pair->key.size, &current);
    rc = put_pair(cursor, pair, 0, true, &out);
    if (rc != 0 || (same_size && memcmp(old.value.data, pair->value.data, current.size) == 0))
        return rc;
    qs_cursors_dup_moved(state, &pair->key, &old.value, &pair->value);
    struct del del = {
        .key = pair->key.data, .key_size = pair->key.size, .value = &old.value, .exact = true};
    rc = qs_txn_delete(txn, cursor->tree, &del);
    return rc;
}

/* Makes sure that the cursor is on an item. */
static int on_item(struct cursor *c)
{
    int rc = qs_cursor_restore(c);
    if (rc != 0)
        return rc;
    if (c->state == CURSOR_UNSET)
        return EINVAL;
    return c->state == CURSOR_END ? QS_E_NOTFOUND : 0;
}

int qs_dup_cursor_put(struct qs_cursor *cursor, const struct qs_val *key, struct qs_val *value,
                      unsigned flags)
{
    struct cursor *c = &cursor->at;
    static const uint8_t nothing[QS_KEY_MAX];
    struct pair pair;
    struct qs_val bytes = *value;
    bool current = flags == QS_CURRENT;
    if (value->size > QS_KEY_MAX)
        return QS_E_BAD_VALSIZE;
    int rc = current ? on_item(c) : 0;
    if (rc != 0)
        return rc;
    if ((flags & QS_RESERVE) != 0)
        bytes.data = nothing; /* the caller's pointer means nothing */
    if (current)
        copy_pair(&pair, c->dup->key, c->dup->key_size, &bytes);
    else
        copy_pair(&pair, key->data, key->size, &bytes);
    if (current && c->dup->several)
        return replace(cursor, &pair);
    return put_pair(cursor, &pair, current ? flags : flags & ~(unsigned)QS_CURRENT, current, value);
}

int qs_dup_cursor_del(struct qs_cursor *cursor, unsigned flags)
{
    struct cursor *c = &cursor->at;
    struct pair pair;
    struct qs_val value = {0, NULL};
    int rc = on_item(c);
    if (rc != 0)
        return rc;
    bool one = c->dup->several && (flags & QS_NODUPDATA) == 0;
    if (one)
        rc = qs_dup_get(c, &value);
    if (rc != 0)
        return rc;
    copy_pair(&pair, c->dup->key, c->dup->key_size, &value);
    struct del del = {.key = pair.key.data,
                      .key_size = pair.key.size,
                      .value = one ? &pair.value : NULL,
                      .exact = true};
    bool deleted = c->deleted;
    rc = qs_txn_delete(cursor->txn, cursor->tree, &del);
    if (c->state == CURSOR_UNSET) /* it was the only item: LMDB marks the others on it */
        c->deleted = deleted;
    return rc;
}

int qs_cursor_count(struct qs_cursor *cursor, size_t *count)
{
    struct cursor *c = &cursor->at;
    if (c->dup == NULL)
        return QS_E_INCOMPATIBLE;
    if (cursor->txn->status != TXN_READY)
        return QS_E_BAD_TXN;
    int rc = on_item(c);
    c->dup->tree_end = false; /* LMDB's count takes that back */
    if (rc == 0)
        *count = (size_t)qs_dup_number(c->dup);
    return rc;
}

int qs_cursor_put_multiple(struct qs_cursor *cursor, const struct qs_val *key, struct qs_val *item,
                           size_t *count, unsigned flags)
{
    size_t wanted = *count;
    *count = 0;
    if (cursor->at.dup == NULL || (cursor->at.record->flags & QS_DUPFIXED) == 0)
        return QS_E_INCOMPATIBLE;
    for (bool tree_end = false;;) {
        struct qs_val value = *item;
        int rc = qs_cursor_put(cursor, key, &value, flags);
        if (*count == 0) /* what follows is put where the first was */
            tree_end = cursor->at.dup->tree_end;
        cursor->at.dup->tree_end = tree_end;
        if (rc == QS_E_KEYEXIST && (flags & QS_NOOVERWRITE) != 0)
            *item = value;
        if (rc != 0)
            return rc;
        if (++*count >= wanted)
            return 0;
        item->data = (const uint8_t *)item->data + item->size;
        flags &= ~(unsigned)(QS_NOOVERWRITE | QS_APPEND); /* the key is there by now */
    }
}
