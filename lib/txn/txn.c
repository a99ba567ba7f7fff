/* txn.c - what a transaction holds; see txn.h. */
#include "txn/txn.h"

#include "base/error.h"
#include "base/zeroed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void qs_txn_init_read(struct qs_txn *txn, struct replica *replica, struct names *names,
                      const struct replica_state *state, txnid_t snapshot, _Atomic uint64_t *inside)
{
    txn->replica = replica;
    txn->names = names;
    txn->id = snapshot;
    txn->checkpoint = state->checkpoint;
    txn->ahead = NULL;
    txn->known = txn->known_behind = NULL;
    txn->status = TXN_READY;
    txn->view = (struct view){.map = &replica->cache.map,
                              .file = qs_store_map(replica->store)->base,
                              .snapshot = snapshot,
                              .checkpoint = state->checkpoint,
                              .root = state->map,
                              .inside = inside};
}

/* The memory of the last writer, whose buffers are large: one write transaction follows the other. */
static _Atomic(struct writer *) spare_writer;

static struct writer *take_writer(void)
{
    /* acq_rel, here and below: who takes the memory comes after who gave it */
    struct writer *spare = atomic_exchange_explicit(&spare_writer, NULL, memory_order_acq_rel);
    return spare != NULL ? spare : malloc(sizeof *spare);
}

static void give_writer(struct writer *writer)
{
    free(atomic_exchange_explicit(&spare_writer, writer, memory_order_acq_rel));
}

int qs_txn_init_write(struct qs_txn *txn, struct replica *replica, struct names *names,
                      struct space *space, const struct writer_base *base)
{
    txn->writer = take_writer();
    if (txn->writer == NULL)
        return ENOMEM;
    txn->replica = replica;
    txn->names = names;
    txn->id = base->txn;
    txn->map_size_bytes = 0;
    txn->status = TXN_READY;
    qs_writer_init(txn->writer, &replica->cache.map, replica->store, space, base);
    return 0;
}

void qs_txn_close(struct qs_txn *txn)
{
    if (txn->writer == NULL)
        return;
    while (txn->cursors != NULL) {
        struct qs_cursor *cursor = txn->cursors;
        txn->cursors = cursor->next;
        free(cursor->dup);
        free(cursor);
    }
    for (size_t i = 0; i < txn->tree_count; i++)
        free(txn->tree[i]);
    free(txn->tree);
    qs_writer_free(txn->writer);
    give_writer(txn->writer);
}

static int reserve_tree(struct qs_txn *txn, uint32_t index)
{
    if (index < txn->tree_count)
        return 0;
    size_t count = index + 8u;
    struct txn_tree **grown = realloc(txn->tree, count * sizeof(struct txn_tree *));
    if (grown == NULL)
        return ENOMEM;
    memset(grown + txn->tree_count, 0, (count - txn->tree_count) * sizeof(struct txn_tree *));
    txn->tree = grown;
    txn->tree_count = count;
    return 0;
}

/* A replay asks nobody. */
static void set_program(struct qs_txn *txn, const struct qs_tree *tree, struct tree_order *order)
{
    if (txn->redo != NULL)
        qs_txn_ask(order, qs_names_at(txn->names, tree->index));
}

int qs_txn_tree_slot(struct qs_txn *txn, const struct qs_tree *tree, struct txn_tree **out)
{
    int rc = reserve_tree(txn, tree->index);
    if (rc != 0)
        return rc;
    struct txn_tree *state = txn->tree[tree->index];
    if (state == NULL) {
        const struct tree_version *version;
        rc = qs_replica_tree(txn->replica, &txn->writer->view, tree, &version);
        /* INCOMPATIBLE: the committed main tree has a plain record of that name. */
        if (rc != 0 && rc != QS_E_NOTFOUND && rc != QS_E_INCOMPATIBLE)
            return rc;
        state = qs_zeroed(sizeof *state);
        if (state == NULL)
            return ENOMEM;
        state->exists = rc == 0;
        if (rc == 0) {
            state->state.record = version->record;
            state->state.order = version->order;
        }
        set_program(txn, tree, &state->state.order);
        txn->tree[tree->index] = state;
    }
    *out = state;
    return 0;
}

int qs_txn_tree(struct qs_txn *txn, const struct qs_tree *tree, struct txn_tree **out)
{
    int rc = qs_txn_tree_slot(txn, tree, out);
    if (rc != 0)
        return rc;
    return (*out)->exists ? 0 : QS_E_NOTFOUND;
}

int qs_txn_apply_ahead(struct qs_txn *txn)
{
    struct replica *replica = txn->replica;
    int rc = replica->catch_up(replica->core, replica, txn->id, txn->log_limit);
    if (rc != 0)
        return rc;
    /* What was read before stays where it is: the slot names the older view until the end. */
    txn->view.file = qs_store_map(replica->store)->base;
    txn->view.snapshot = txn->id;
    txn->ahead = NULL;
    return 0;
}

int qs_txn_record(struct qs_txn *txn, const struct qs_tree *tree, const struct tree_record **record,
                  const struct tree_order **order)
{
    if (txn->writer != NULL) {
        struct txn_tree *state;
        int rc = qs_txn_tree(txn, tree, &state);
        if (rc != 0)
            return rc;
        *record = &state->state.record;
        *order = &state->state.order;
        return 0;
    }
    if (txn->parent != NULL)
        return qs_txn_record(txn->parent, tree, record, order);
    const struct tree_version *version;
    int rc = qs_txn_catch_up(txn);
    if (rc == 0)
        rc = qs_replica_tree(txn->replica, &txn->view, tree, &version);
    if (rc != 0)
        return rc;
    txn->known = version;
    *record = &version->record;
    *order = &version->order;
    return 0;
}

const struct tree_version *qs_txn_behind(struct qs_txn *txn, const struct qs_tree *tree)
{
    const struct tree_version *version = txn->known_behind;
    if (version != NULL && version->index == tree->index)
        return version;
    /* Flags change, and trees come and go, by operations that only a replay understands. */
    if (qs_ahead_is_opaque(txn->ahead, txn->view.snapshot) ||
        qs_replica_tree(txn->replica, &txn->view, tree, &version) != 0)
        return NULL;
    txn->known_behind = version;
    return version;
}

int qs_txn_kind(struct qs_txn *txn, const struct qs_tree *tree, const struct tree_record **record,
                const struct tree_order **order)
{
    const struct tree_version *version = txn->ahead != NULL ? qs_txn_behind(txn, tree) : NULL;
    if (version == NULL)
        return qs_txn_record(txn, tree, record, order);
    *record = &version->record;
    *order = &version->order;
    return 0;
}

void qs_txn_note_order(struct qs_txn *txn, const struct txn_tree *state)
{
    if (state->state.unlogged && txn->redo != NULL)
        txn->redo->off = true;
}

int qs_txn_outcome(struct qs_txn *txn, int rc)
{
    switch (rc) {
    case 0:
    case QS_E_KEYEXIST:
    case QS_E_NOTFOUND:
    case QS_E_INCOMPATIBLE:
    case QS_E_BAD_VALSIZE:
    case EINVAL:
    case EACCES:
        return rc;
    default:
        txn->status = TXN_FAILED;
        return rc;
    }
}

uint64_t qs_txn_id(const struct qs_txn *txn)
{
    return txn->id;
}

void qs_txn_fail(struct qs_txn *txn)
{
    if (txn->writer != NULL)
        txn->status = TXN_FAILED;
}

bool qs_txn_failed(const struct qs_txn *txn)
{
    return txn->status == TXN_FAILED;
}

bool qs_txn_dirty(const struct qs_txn *txn)
{
    return txn->writer != NULL && txn->writer->changed;
}
