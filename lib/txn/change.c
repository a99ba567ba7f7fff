/* change.c - putting and deleting in a transaction, recorded; see change.h. */
#include "txn/change.h"

#include "base/error.h"

#include <string.h>

int qs_txn_settle(struct qs_txn *txn)
{
    int rc = qs_large_settle(txn->writer);
    if (txn->redo != NULL)
        qs_redo_settle(txn->redo);
    return rc;
}

/* Records a put that is about to be done; *at is where its value stands. */
static bool record_put(struct redo *redo, const struct qs_tree *tree, const struct put *put,
                       size_t *at)
{
    bool large = put->key_size + put->value.size > ENTRY_INLINE_MAX;
    size_t size = large ? sizeof(struct large_ref) : put->value.size;
    const void *value = large || (put->flags & QS_RESERVE) != 0 ? NULL : put->value.data;
    *at = qs_redo_add(redo, tree, large ? LOG_OP_LARGE : LOG_OP_PUT, put->key, put->key_size, value,
                      size);
    if ((put->flags & QS_CURRENT) != 0)
        qs_redo_flag(redo, *at, put->key_size, LOG_OP_CURRENT);
    return large;
}

/* What is known of the value only now: where a large one lies, where the user fills one in. */
static void record_value(struct qs_txn *txn, const struct put *put, bool large, size_t at)
{
    const struct writer *w = txn->writer;
    if (large && (put->flags & QS_RESERVE) == 0)
        qs_redo_fill(txn->redo, at, &put->large, sizeof put->large);
    else if (large)
        qs_redo_defer(txn->redo, at, w->reserve.ref, sizeof(struct large_ref));
    else if ((put->flags & QS_RESERVE) != 0)
        qs_redo_defer(txn->redo, at, put->value.data, put->value.size);
}

int qs_txn_put(struct qs_txn *txn, const struct qs_tree *tree, struct put *put)
{
    struct txn_tree *state;
    int rc = qs_txn_tree(txn, tree, &state);
    if (rc != 0)
        return rc;
    struct redo *redo = txn->redo;
    if (redo == NULL)
        return qs_txn_outcome(txn, qs_tree_put(txn->writer, &state->state, put));
    rc = qs_txn_outcome(txn, qs_txn_settle(txn));
    if (rc != 0)
        return rc;
    struct redo_mark mark = qs_redo_mark(redo);
    size_t at;
    size_t key_size = put->key_size;
    bool large = record_put(redo, tree, put, &at);
    rc = qs_txn_outcome(txn, qs_tree_put(txn->writer, &state->state, put));
    if (rc == 0)
        record_value(txn, put, large, at);
    else if (rc == QS_E_KEYEXIST && put->remakes)
        qs_redo_flag(redo, at, key_size, LOG_OP_REFUSED);
    else
        qs_redo_truncate(redo, &mark);
    qs_txn_note_order(txn, state);
    return rc;
}

static int delete (struct qs_txn *txn, struct tree_state *state, const struct del *del)
{
    int rc = qs_txn_outcome(txn, qs_tree_delete(txn->writer, state, del));
    if (rc == QS_E_INCOMPATIBLE)
        qs_txn_fail(txn);
    return rc;
}

static void record_delete(struct redo *redo, const struct qs_tree *tree, bool dups,
                          const struct del *del)
{
    bool pair = dups && del->value != NULL;
    if (del->key_size > QS_KEY_MAX || (pair && del->value->size > QS_KEY_MAX))
        return; /* not found */
    size_t at = qs_redo_add(redo, tree, LOG_OP_DELETE, del->key, del->key_size,
                            pair ? del->value->data : NULL, pair ? del->value->size : 0);
    if (pair)
        qs_redo_flag(redo, at, del->key_size, LOG_OP_PAIR);
}

int qs_txn_delete(struct qs_txn *txn, const struct qs_tree *tree, const struct del *del)
{
    struct txn_tree *state;
    int rc = qs_txn_tree(txn, tree, &state);
    if (rc != 0)
        return rc;
    struct redo *redo = txn->redo;
    if (redo == NULL)
        return delete (txn, &state->state, del);
    rc = qs_txn_outcome(txn, qs_txn_settle(txn));
    if (rc != 0)
        return rc;
    struct redo_mark mark = qs_redo_mark(redo);
    record_delete(redo, tree, (state->state.record.flags & QS_DUPSORT) != 0, del);
    rc = delete (txn, &state->state, del);
    if (rc != 0)
        qs_redo_truncate(redo, &mark);
    qs_txn_note_order(txn, state);
    return rc;
}
