/* cursors.c - cursors of transactions: LMDB's operations in terms of positions; see quickstep.h.
 *
 * Without duplicates the _DUP and _NODUP forms are those without, and what asks for duplicates is
 * QS_E_INCOMPATIBLE. Trees with duplicates are dup_get.c's and dup_put.c's.
 */
#include "txn/change.h"

#include "base/error.h"
#include "base/zeroed.h"
#include "tree/dup_cursor.h"
#include "txn/dup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Points the cursor at its tree as `txn` has it. */
static int attach(struct qs_cursor *cursor, struct qs_txn *txn)
{
    const struct tree_record *record;
    const struct tree_order *order;
    int rc = qs_txn_record(txn, cursor->tree, &record, &order);
    if (rc != 0)
        return rc;
    bool dups = (record->flags & QS_DUPSORT) != 0;
    if (dups && cursor->dup == NULL)
        cursor->dup = malloc(sizeof *cursor->dup);
    if (dups && cursor->dup == NULL)
        return ENOMEM;
    if (txn->writer == NULL) {
        cursor->order = *order;
        qs_txn_ask(&cursor->order, cursor->tree);
        order = &cursor->order;
    }
    qs_cursor_init(&cursor->at, qs_txn_view(txn), record, order);
    if (dups)
        qs_dup_init(&cursor->at, cursor->dup);
    cursor->txn = txn;
    return 0;
}

int qs_cursor_open(struct qs_txn *txn, struct qs_tree *tree, struct qs_cursor **out)
{
    if (txn->status != TXN_READY)
        return QS_E_BAD_TXN;
    struct qs_cursor *cursor = qs_zeroed(sizeof *cursor);
    if (cursor == NULL)
        return ENOMEM;
    cursor->tree = tree;
    int rc = attach(cursor, txn);
    if (rc != 0) {
        free(cursor);
        return rc;
    }
    if (txn->writer != NULL) {
        struct tree_state *state = &txn->tree[tree->index]->state;
        cursor->of_writer = true;
        cursor->next = txn->cursors;
        txn->cursors = cursor;
        cursor->at.next = state->cursors;
        state->cursors = &cursor->at;
    }
    *out = cursor;
    return 0;
}

void qs_cursor_close(struct qs_cursor *cursor)
{
    if (cursor == NULL)
        return;
    if (cursor->of_writer) {
        struct cursor **at = &cursor->txn->tree[cursor->tree->index]->state.cursors;
        while (*at != &cursor->at)
            at = &(*at)->next;
        *at = cursor->at.next;
        struct qs_cursor **link = &cursor->txn->cursors;
        while (*link != cursor)
            link = &(*link)->next;
        *link = cursor->next;
    }
    free(cursor->dup);
    free(cursor);
}

int qs_cursor_renew(struct qs_txn *txn, struct qs_cursor *cursor)
{
    if (txn->writer != NULL || cursor->of_writer)
        return EINVAL;
    if (txn->status != TXN_READY)
        return QS_E_BAD_TXN;
    return attach(cursor, txn);
}

struct qs_txn *qs_cursor_txn(const struct qs_cursor *cursor)
{
    return cursor->txn;
}

struct qs_tree *qs_cursor_tree(const struct qs_cursor *cursor)
{
    return cursor->tree;
}

/* Hands out the item the cursor is on; `key` NULL leaves the key alone. */
static int hand_out_entry(struct qs_cursor *cursor, const struct entry *entry, struct qs_val *key,
                          struct qs_val *value)
{
    if (value != NULL && (entry->flags & ENTRY_LARGE) == 0) {
        *value = (struct qs_val){entry->value_size, entry->value};
    } else if (value != NULL) {
        struct qs_val found;
        int rc = qs_tree_value(cursor->at.view, entry, &found);
        if (rc != 0)
            return rc;
        *value = found;
    }
    if (key != NULL)
        *key = (struct qs_val){entry->key_size, entry->key};
    return 0;
}

static int hand_out(struct qs_cursor *cursor, struct qs_val *key, struct qs_val *value)
{
    struct entry entry;
    int rc = qs_cursor_entry(&cursor->at, &entry);
    return rc == 0 ? hand_out_entry(cursor, &entry, key, value) : rc;
}

static int seek(struct qs_cursor *cursor, struct qs_val *key, struct qs_val *value,
                enum qs_cursor_op op)
{
    bool equal;
    if (key == NULL)
        return EINVAL;
    if (key->size == 0)
        return QS_E_BAD_VALSIZE;
    int rc = qs_cursor_seek(&cursor->at, key->data, key->size, &equal);
    if (rc == 0 && op != QS_SET_RANGE && !equal)
        rc = QS_E_NOTFOUND;
    return rc == 0 ? hand_out(cursor, op == QS_SET ? NULL : key, value) : rc;
}

/* Operations on duplicates, in a tree that has none. */
static int refuse(const struct qs_cursor *cursor, const struct qs_val *value, enum qs_cursor_op op)
{
    bool needs_position = op == QS_FIRST_DUP || op == QS_LAST_DUP || op == QS_GET_MULTIPLE;
    if (value == NULL || (needs_position && cursor->at.state == CURSOR_UNSET))
        return EINVAL;
    return QS_E_INCOMPATIBLE;
}

static int next(struct cursor *at, enum qs_cursor_op op)
{
    /* Right after a delete there is no further duplicate of what was deleted. */
    if (op == QS_NEXT_DUP && at->deleted)
        return QS_E_NOTFOUND;
    return qs_cursor_next(at);
}

static int get(struct qs_cursor *cursor, struct qs_val *key, struct qs_val *value,
               enum qs_cursor_op op)
{
    int rc;
    switch (op) {
    case QS_GET_CURRENT:
        rc = 0;
        break;
    case QS_SET:
    case QS_SET_KEY:
    case QS_SET_RANGE:
        return seek(cursor, key, value, op);
    case QS_FIRST:
        rc = qs_cursor_first(&cursor->at);
        break;
    case QS_LAST:
        rc = qs_cursor_last(&cursor->at);
        break;
    case QS_NEXT:
    case QS_NEXT_DUP:
    case QS_NEXT_NODUP:
        rc = next(&cursor->at, op);
        break;
    case QS_PREV:
    case QS_PREV_DUP:
    case QS_PREV_NODUP:
        rc = qs_cursor_prev(&cursor->at);
        break;
    case QS_GET_BOTH:
    case QS_GET_BOTH_RANGE:
    case QS_FIRST_DUP:
    case QS_LAST_DUP:
    case QS_GET_MULTIPLE:
    case QS_NEXT_MULTIPLE:
    case QS_PREV_MULTIPLE:
        return refuse(cursor, value, op);
    default:
        return EINVAL;
    }
    return rc == 0 ? hand_out(cursor, key, value) : rc;
}

__attribute__((noinline)) static int get_anything(struct qs_cursor *cursor, struct qs_val *key,
                                                  struct qs_val *value, enum qs_cursor_op op)
{
    int rc = get(cursor, key, value, op);
    /* Whatever was asked for, and with whatever result: a step forward steps from here on. */
    cursor->at.deleted = false;
    return rc;
}

int qs_cursor_get(struct qs_cursor *cursor, struct qs_val *key, struct qs_val *value,
                  enum qs_cursor_op op)
{
    struct entry entry;
    if (cursor->txn->status != TXN_READY)
        return QS_E_BAD_TXN;
    if (cursor->at.dup != NULL)
        return qs_dup_cursor_get(&cursor->at, key, value, op);
    if ((op != QS_NEXT && op != QS_PREV) || !qs_cursor_step(&cursor->at, op == QS_NEXT, &entry))
        return get_anything(cursor, key, value, op);
    if (value != NULL && (entry.flags & ENTRY_LARGE) != 0)
        return hand_out_entry(cursor, &entry, key, value);
    if (value != NULL)
        *value = (struct qs_val){entry.value_size, entry.value};
    if (key != NULL)
        *key = (struct qs_val){entry.key_size, entry.key};
    return 0;
}

static int check_write(const struct qs_cursor *cursor)
{
    if (!cursor->of_writer)
        return EACCES;
    return cursor->txn->status == TXN_READY ? 0 : QS_E_BAD_TXN;
}

/* The key of the item under the cursor, for QS_CURRENT. */
static int current_key(struct qs_cursor *cursor, struct put *put)
{
    struct entry entry;
    int rc = qs_cursor_entry(&cursor->at, &entry);
    if (rc == 0) {
        put->key = entry.key;
        put->key_size = entry.key_size;
        put->exact = true;
    }
    return rc;
}

/* Where a put that was refused leaves the cursor: on the key that is there, on the last item. The mark of
 * a deleted item stays on the former, as it does in LMDB. */
static void settle_refused(struct qs_cursor *cursor, const struct put *put)
{
    bool equal, deleted = cursor->at.deleted && (put->flags & QS_APPEND) == 0;
    if ((put->flags & QS_APPEND) != 0)
        qs_cursor_last(&cursor->at);
    else
        qs_cursor_seek(&cursor->at, put->key, put->key_size, &equal);
    cursor->at.deleted = deleted;
}

int qs_cursor_put(struct qs_cursor *cursor, const struct qs_val *key, struct qs_val *value,
                  unsigned flags)
{
    uint8_t key_copy[QS_KEY_MAX];
    int rc = check_write(cursor);
    if (rc != 0)
        return rc;
    if (key->size == 0 || key->size > QS_KEY_MAX || value->size > UINT32_MAX)
        return QS_E_BAD_VALSIZE;
    if (cursor->at.dup != NULL)
        return qs_dup_cursor_put(cursor, key, value, flags);
    struct put put = {.key = key->data,
                      .key_size = key->size,
                      .value = *value,
                      .flags = flags & (QS_NOOVERWRITE | QS_APPEND | QS_RESERVE)};
    if (flags == QS_CURRENT)
        rc = current_key(cursor, &put);
    if (rc != 0)
        return rc;
    memcpy(key_copy, put.key, put.key_size);
    put.key = key_copy;
    rc = qs_txn_put(cursor->txn, cursor->tree, &put);
    if ((rc == QS_E_KEYEXIST && (flags & QS_NOOVERWRITE) != 0 && (flags & QS_APPEND) == 0) ||
        (rc == 0 && (flags & QS_RESERVE) != 0))
        *value = put.value;
    if (rc == 0)
        qs_cursor_place(&cursor->at, put.key, put.key_size);
    else if (rc == QS_E_KEYEXIST)
        settle_refused(cursor, &put);
    return rc;
}

int qs_cursor_del(struct qs_cursor *cursor, unsigned flags)
{
    uint8_t key[QS_KEY_MAX];
    struct entry entry;
    int rc = check_write(cursor);
    if (rc == 0 && cursor->at.dup != NULL)
        return qs_dup_cursor_del(cursor, flags);
    if (rc == 0)
        rc = qs_cursor_entry(&cursor->at, &entry);
    if (rc != 0)
        return rc;
    struct qs_txn *txn = cursor->txn;
    memcpy(key, entry.key, entry.key_size);
    struct del del = {.key = key, .key_size = entry.key_size, .exact = true};
    bool deleted = cursor->at.deleted;
    rc = qs_txn_delete(txn, cursor->tree, &del);
    if (cursor->at.state == CURSOR_UNSET) /* it was the only item: LMDB marks the others on it */
        cursor->at.deleted = deleted;
    return rc;
}
