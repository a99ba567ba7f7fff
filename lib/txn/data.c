/* data.c - get, put, delete in a transaction: checks, then the tree; see quickstep.h. */
#include "txn/change.h"

#include "base/error.h"

#include <errno.h>

static bool has_program(const struct qs_tree *tree)
{
    return atomic_load_explicit(&tree->program.keys.function, memory_order_relaxed) != NULL;
}

/* The order, asking the program, in `room`. */
static const struct tree_order *ask(const struct tree_order *order, const struct qs_tree *tree,
                                    struct tree_order *room)
{
    *room = *order;
    qs_txn_ask(room, tree);
    return room;
}

int qs_get(struct qs_txn *txn, struct qs_tree *tree, const struct qs_val *key, struct qs_val *value)
{
    const struct tree_record *record;
    const struct tree_order *order;
    struct tree_order asking;
    struct entry entry;
    if (txn->status != TXN_READY)
        return QS_E_BAD_TXN;
    if (key->size == 0)
        return QS_E_BAD_VALSIZE;
    int rc = qs_txn_record(txn, tree, &record, &order);
    if (rc != 0)
        return rc;
    const struct view *view = qs_txn_view(txn);
    if (has_program(tree))
        order = ask(order, tree, &asking);
    rc = qs_tree_get(view, record, &order->keys, key->data, key->size, &entry);
    return rc == 0 ? qs_tree_value(view, &entry, value) : rc;
}

static int check_write(const struct qs_txn *txn)
{
    if (txn->writer == NULL)
        return EACCES;
    return txn->status == TXN_READY ? 0 : QS_E_BAD_TXN;
}

/* Flags that count in a tree, and the sizes it takes. */
static int check_put(const struct tree_state *state, const struct qs_val *value, unsigned *flags)
{
    bool dups = (state->record.flags & QS_DUPSORT) != 0;
    *flags &= QS_NOOVERWRITE | QS_APPEND | QS_RESERVE |
              (dups ? (unsigned)(QS_NODUPDATA | QS_APPENDDUP) : 0);
    return dups && value->size > QS_KEY_MAX ? QS_E_BAD_VALSIZE : 0;
}

int qs_put(struct qs_txn *txn, struct qs_tree *tree, const struct qs_val *key, struct qs_val *value,
           unsigned flags)
{
    struct txn_tree *state;
    int rc = check_write(txn);
    if (rc != 0)
        return rc;
    if (key->size == 0 || key->size > QS_KEY_MAX || value->size > UINT32_MAX)
        return QS_E_BAD_VALSIZE;
    rc = qs_txn_tree(txn, tree, &state);
    if (rc != 0)
        return rc;
    rc = check_put(&state->state, value, &flags);
    if (rc != 0)
        return rc;
    struct put put = {.key = key->data, .key_size = key->size, .value = *value, .flags = flags};
    rc = qs_txn_put(txn, tree, &put);
    if ((rc == QS_E_KEYEXIST && (flags & QS_NOOVERWRITE) != 0 && (flags & QS_APPEND) == 0) ||
        (rc == 0 && (flags & QS_RESERVE) != 0))
        *value = put.value;
    return rc;
}

int qs_del(struct qs_txn *txn, struct qs_tree *tree, const struct qs_val *key,
           const struct qs_val *value)
{
    int rc = check_write(txn);
    if (rc != 0)
        return rc;
    if (key->size == 0)
        return QS_E_BAD_VALSIZE;
    struct del del = {.key = key->data, .key_size = key->size, .value = value};
    return qs_txn_delete(txn, tree, &del);
}

int qs_compare(struct qs_txn *txn, struct qs_tree *tree, const struct qs_val *a,
               const struct qs_val *b)
{
    const struct tree_record *record;
    static const struct tree_order bytes = {.keys = {.built_in = ORDER_BYTES}};
    const struct tree_order *order = &bytes;
    struct tree_order asking;
    /* A failed writer still knows its trees; a reader that was reset has no snapshot to look in. */
    if (txn->status != TXN_RESET)
        qs_txn_record(txn, tree, &record, &order);
    order = ask(order, tree, &asking);
    return qs_order_compare(&order->keys, a->data, a->size, b->data, b->size);
}
