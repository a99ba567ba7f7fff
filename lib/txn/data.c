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

/* What the operation says that its key is. */
static int value_of_op(const struct view *view, const struct log_op *op, struct qs_val *value)
{
    struct entry entry = {.value = (const uint8_t *)(op + 1) + op->key_size,
                          .value_size = (uint16_t)op->value_size,
                          .flags = ENTRY_LARGE};
    switch ((enum log_op_kind)op->kind) {
    case LOG_OP_DELETE:
        return QS_E_NOTFOUND;
    case LOG_OP_LARGE:
        return qs_tree_value(view, &entry, value);
    default:
        *value = (struct qs_val){op->value_size, entry.value};
        return 0;
    }
}

/* In a transaction whose view lies behind its snapshot: from an operation since, or from a record that none has
 * changed. *done false: the view has to catch up first, since records alone do not tell. */
static int get_behind(struct qs_txn *txn, const struct qs_tree *tree, const struct qs_val *key,
                      struct qs_val *value, bool *done)
{
    const struct tree_version *version = qs_txn_behind(txn, tree);
    const struct view *view = &txn->view;
    struct ahead_key ahead_key = {key->data, key->size, tree->index, 0};
    struct entry entry;
    *done = false;
    if (version == NULL || (version->record.flags & QS_DUPSORT) != 0 || has_program(tree))
        return 0;
    qs_ahead_prefetch(txn->ahead, &ahead_key);
    int rc =
        qs_tree_get(view, &version->record, &version->order.keys, key->data, key->size, &entry);
    if (rc == 0 && (entry.flags & ENTRY_TREE) != 0)
        return 0; /* changes in that tree have changed it */
    *done = true;
    const struct log_op *op = qs_ahead_find(txn->ahead, &ahead_key, view->snapshot, txn->id);
    if (op != NULL)
        return value_of_op(view, op, value);
    return rc == 0 ? qs_tree_value(view, &entry, value) : rc;
}

static inline int get_of_tree(const struct view *view, const struct qs_tree *tree,
                              const struct tree_record *record, const struct tree_order *order,
                              const struct qs_val *key, struct qs_val *value)
{
    struct tree_order asking;
    struct entry entry;
    if (__builtin_expect(has_program(tree), 0))
        order = ask(order, tree, &asking);
    int rc = qs_tree_get(view, record, &order->keys, key->data, key->size, &entry);
    return rc == 0 ? qs_tree_value(view, &entry, value) : rc;
}

/* Where the tree is not known, in write transactions, and what is not to be done at all. */
__attribute__((noinline)) static int get_of_txn(struct qs_txn *txn, const struct qs_tree *tree,
                                                const struct qs_val *key, struct qs_val *value)
{
    const struct tree_record *record;
    const struct tree_order *order;
    if (txn->status != TXN_READY)
        return QS_E_BAD_TXN;
    if (key->size == 0)
        return QS_E_BAD_VALSIZE;
    if (txn->ahead != NULL) {
        bool done;
        int behind_rc = get_behind(txn, tree, key, value, &done);
        if (done)
            return behind_rc;
    }
    int rc = qs_txn_record(txn, tree, &record, &order);
    return rc == 0 ? get_of_tree(qs_txn_view(txn), tree, record, order, key, value) : rc;
}

int qs_get(struct qs_txn *txn, struct qs_tree *tree, const struct qs_val *key, struct qs_val *value)
{
    /* One pointer, which leads to whose it is: threads that share a transaction may not, and would
     * at least not get another tree's record. */
    const struct tree_version *known = txn->known;
    if (known == NULL || known->index != tree->index || key->size == 0)
        return get_of_txn(txn, tree, key, value);
    return get_of_tree(&txn->view, tree, &known->record, &known->order, key, value);
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
        qs_txn_kind(txn, tree, &record, &order);
    order = ask(order, tree, &asking);
    return qs_order_compare(&order->keys, a->data, a->size, b->data, b->size);
}
