/* replay.c - doing the operations of a log record again; see change.h.
 *
 * The same code serves a process that follows another and one that recovers after a crash. What a
 * record says was right when it was written, so an operation that cannot be done means that the file is
 * damaged.
 */
#include "txn/change.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>

static int u32_of(const struct redo_op *op, uint32_t *number)
{
    if (op->value_size != sizeof *number)
        return QS_CORRUPT();
    memcpy(number, op->value, sizeof *number);
    return 0;
}

/* The tree that is named, which may be about to be created. */
static int select_tree(struct qs_txn *txn, const struct redo_op *op, struct qs_tree **tree)
{
    char name[QS_KEY_MAX + 1];
    if (op->key_size > QS_KEY_MAX)
        return QS_CORRUPT();
    memcpy(name, op->key, op->key_size);
    name[op->key_size] = '\0';
    return qs_names_get(txn->names, op->key_size > 0 ? name : NULL, tree);
}

static int create(struct qs_txn *txn, const struct qs_tree *tree, const struct redo_op *op)
{
    uint32_t flags = 0;
    struct qs_tree *opened;
    int rc = u32_of(op, &flags);
    if (rc != 0)
        return rc;
    return qs_tree_open(txn, tree->name, flags | (tree->name != NULL ? QS_TREE_CREATE : 0),
                        &opened);
}

static int put(struct qs_txn *txn, const struct qs_tree *tree, const struct redo_op *op)
{
    struct put put = {
        .key = op->key, .key_size = op->key_size, .value = {op->value_size, op->value}};
    if (op->key_size == 0 || op->key_size > QS_KEY_MAX)
        return QS_CORRUPT();
    if ((op->flags & LOG_OP_CURRENT) != 0)
        put.flags = QS_CURRENT;
    if (op->kind == LOG_OP_LARGE) {
        if (op->value_size != sizeof put.large)
            return QS_CORRUPT();
        memcpy(&put.large, op->value, sizeof put.large);
        put.placed = true;
        put.reused = (op->flags & LOG_OP_REUSED) != 0;
        put.value = (struct qs_val){put.large.size, NULL};
    }
    put.remakes = (op->flags & LOG_OP_REFUSED) != 0;
    if (put.remakes)
        put.flags = QS_APPENDDUP;
    int rc = qs_txn_put(txn, tree, &put);
    return rc == QS_E_KEYEXIST && put.remakes ? 0 : rc;
}

static int delete (struct qs_txn *txn, const struct qs_tree *tree, const struct redo_op *op)
{
    struct qs_val value = {op->value_size, op->value};
    struct del del = {.key = op->key, .key_size = op->key_size};
    if ((op->flags & LOG_OP_PAIR) != 0)
        del.value = &value;
    return qs_txn_delete(txn, tree, &del);
}

static int take_size(struct qs_txn *txn, const struct redo_op *op)
{
    uint64_t size;
    if (op->value_size != sizeof size)
        return QS_CORRUPT();
    memcpy(&size, op->value, sizeof size);
    if (size > txn->map_size_bytes)
        txn->map_size_bytes = size;
    return 0;
}

/* The record's transaction has released them: so has the replay. In the same order, where all was alike. */
static int take_freed(struct qs_txn *txn, const struct redo_op *op)
{
    struct writer *w = txn->writer;
    size_t at = 0;
    if (op->value_size % sizeof(struct log_link) != 0)
        return QS_CORRUPT();
    for (size_t i = 0; i < qs_redo_freed_count(op); i++) {
        struct log_link run = qs_redo_freed_run(op, i);
        size_t looked = 0;
        while (looked < w->released_count &&
               (w->released[at].pgno != run.pgno || w->released[at].freed == RUN_FREED)) {
            at = at + 1 < w->released_count ? at + 1 : 0;
            looked++;
        }
        if (looked == w->released_count)
            return QS_CORRUPT();
        w->released[at].freed = RUN_FREED;
    }
    return 0;
}

static int replay_one(struct qs_txn *txn, struct qs_tree **tree, const struct redo_op *op)
{
    if (op->kind == LOG_OP_TREE)
        return select_tree(txn, op, tree);
    if (op->kind == LOG_OP_SIZE)
        return take_size(txn, op);
    if (op->kind == LOG_OP_FREED)
        return take_freed(txn, op);
    if (*tree == NULL)
        return QS_CORRUPT();
    switch (op->kind) {
    case LOG_OP_CREATE:
    case LOG_OP_FLAGS:
        return create(txn, *tree, op);
    case LOG_OP_EMPTY:
    case LOG_OP_DROP:
        return qs_tree_drop(txn, *tree, op->kind == LOG_OP_DROP);
    case LOG_OP_PUT:
    case LOG_OP_LARGE:
        return put(txn, *tree, op);
    case LOG_OP_DELETE:
        return delete (txn, *tree, op);
    default:
        return QS_CORRUPT();
    }
}

int qs_txn_replay(struct qs_txn *txn, const struct log_record *record)
{
    const uint8_t *at = (const uint8_t *)(record + 1);
    size_t size = record->size - sizeof *record;
    struct qs_tree *tree = NULL;
    struct redo_op op;
    int rc;
    while ((rc = qs_redo_next(&at, &size, &op)) == 0) {
        rc = replay_one(txn, &tree, &op);
        if (rc != 0)
            return rc == ENOMEM ? rc : QS_CORRUPT();
    }
    if (rc != QS_E_NOTFOUND)
        return rc;
    txn->id = record->txn;
    qs_writer_committed(txn->writer, record->txn);
    return 0;
}
