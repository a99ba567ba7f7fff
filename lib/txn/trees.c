/* trees.c - the catalog: opening, creating, dropping trees in a transaction; see quickstep.h.
 *
 * A named tree is a record in the main tree (format/tree_record.h), marked as one, written when the
 * tree is created and again by every commit that changed the tree.
 */
#include "txn/change.h"

#include "base/error.h"
#include "base/vector.h"
#include "tree/dup.h"

#include <errno.h>
#include <string.h>

#define DUP_FLAGS (QS_DUPSORT | QS_DUPFIXED | QS_INTEGERDUP | QS_REVERSEDUP)

const char *qs_tree_name(const struct qs_tree *tree)
{
    return tree->name;
}

/* Records what was done to a tree, with the flags given it. */
static void record(struct qs_txn *txn, const struct qs_tree *tree, enum log_op_kind kind,
                   uint32_t flags)
{
    size_t size = kind == LOG_OP_CREATE || kind == LOG_OP_FLAGS ? sizeof flags : 0;
    if (txn->redo != NULL)
        qs_redo_add(txn->redo, tree, kind, NULL, 0, &flags, size);
}

static int put_record(struct qs_txn *txn, const struct qs_tree *tree,
                      const struct tree_record *record)
{
    static const struct qs_tree main_tree = {.index = 0};
    struct txn_tree *main_state;
    int rc = qs_txn_tree(txn, &main_tree, &main_state);
    if (rc != 0)
        return rc;
    struct put put = {.key = tree->name,
                      .key_size = tree->size,
                      .value = {sizeof *record, record},
                      .tree_record = true};
    rc = qs_tree_put(txn->writer, &main_state->state, &put);
    qs_txn_note_order(txn, main_state);
    return rc;
}

/* Adds flags to the main tree's. */
static int open_main(struct qs_txn *txn, struct qs_tree *tree, unsigned flags)
{
    struct txn_tree *state;
    if (txn->writer == NULL || flags == 0)
        return 0;
    int rc = qs_txn_tree(txn, tree, &state);
    struct tree_state *main_state = &state->state;
    if (rc != 0 || (main_state->record.flags & flags) == flags)
        return rc;
    /* What is there was stored without duplicates, or in another order of them. */
    if ((flags & ~main_state->record.flags & DUP_FLAGS) != 0 && main_state->record.entries > 0)
        return QS_E_INCOMPATIBLE;
    main_state->record.flags |= (uint16_t)flags;
    main_state->order.keys.built_in = qs_tree_order(main_state->record.flags);
    main_state->order.dups.built_in = qs_dup_order(main_state->record.flags);
    main_state->dirty = txn->writer->changed = true;
    record(txn, tree, LOG_OP_FLAGS, flags);
    return 0;
}

static int create(struct qs_txn *txn, struct qs_tree *tree, unsigned flags)
{
    struct tree_record fresh = {.flags = (uint16_t)flags, .root = TREE_ROOT_NONE};
    struct txn_tree *state;
    int rc = qs_txn_tree_slot(txn, tree, &state);
    if (rc == 0)
        rc = qs_txn_settle(txn);
    if (rc == 0)
        rc = put_record(txn, tree, &fresh);
    if (rc != 0)
        return qs_txn_outcome(txn, rc);
    struct cursor *cursors = state->state.cursors;
    struct tree_order order = state->state.order;
    order.keys.built_in = qs_tree_order(flags);
    order.dups.built_in = qs_dup_order(flags);
    state->state =
        (struct tree_state){.record = fresh, .order = order, .dirty = true, .cursors = cursors};
    state->exists = true;
    record(txn, tree, LOG_OP_CREATE, flags);
    return 0;
}

/* What the main tree holds under a name that is no tree: a plain record is in the way. */
static int blocked_by_record(struct qs_txn *txn, const char *name)
{
    static const struct qs_tree main_tree = {.index = 0};
    const struct tree_record *record;
    const struct tree_order *order;
    struct entry entry;
    int rc = qs_txn_kind(txn, &main_tree, &record, &order);
    if (rc == 0)
        rc = qs_tree_find(qs_txn_view(txn), record, &order->keys, name, strlen(name), &entry);
    if (txn->ahead != NULL && (rc != 0 || (entry.flags & ENTRY_TREE) == 0)) {
        /* No tree, as far as the older view tells: a record may have come, or gone. */
        rc = qs_txn_catch_up(txn);
        return rc == 0 ? blocked_by_record(txn, name) : rc;
    }
    if (rc != 0)
        return rc;
    return (entry.flags & ENTRY_TREE) != 0 ? 0 : QS_E_INCOMPATIBLE;
}

int qs_tree_open(struct qs_txn *txn, const char *name, unsigned flags, struct qs_tree **out)
{
    const struct tree_record *record;
    const struct tree_order *order;
    unsigned stored_flags = flags & TREE_FLAGS;
    if (txn->status != TXN_READY)
        return QS_E_BAD_TXN;
    if (name == NULL) {
        int rc = qs_names_get(txn->names, NULL, out);
        return rc == 0 ? open_main(txn, *out, stored_flags) : rc;
    }
    if (name[0] == '\0')
        return QS_E_BAD_VALSIZE;
    int rc = blocked_by_record(txn, name);
    if (rc != 0 && rc != QS_E_NOTFOUND)
        return rc;
    if (rc == QS_E_NOTFOUND && (flags & QS_TREE_CREATE) == 0)
        return rc;
    if (rc == QS_E_NOTFOUND && txn->writer == NULL)
        return EACCES;
    if (rc == QS_E_NOTFOUND && strlen(name) > QS_KEY_MAX)
        return QS_E_BAD_VALSIZE;
    bool missing = rc == QS_E_NOTFOUND;
    rc = qs_names_get(txn->names, name, out);
    if (rc == 0 && missing)
        rc = create(txn, *out, stored_flags);
    else if (rc == 0)
        rc = qs_txn_kind(txn, *out, &record, &order);
    return rc;
}

static void set_order(struct comparator *comparator, qs_compare_function *compare, void *context)
{
    atomic_store_explicit(&comparator->context, context, memory_order_relaxed);
    /* release; pairs with the acquire of qs_order_function() */
    atomic_store_explicit(&comparator->function, compare, memory_order_release);
}

void qs_tree_set_key_order(struct qs_tree *tree, qs_compare_function *compare, void *context)
{
    set_order(&tree->program.keys, compare, context);
}

void qs_tree_set_dup_order(struct qs_tree *tree, qs_compare_function *compare, void *context)
{
    set_order(&tree->program.dups, compare, context);
}

int qs_tree_flags(struct qs_txn *txn, struct qs_tree *tree, unsigned *flags)
{
    const struct tree_record *record;
    const struct tree_order *order;
    if (txn->status == TXN_RESET)
        return QS_E_BAD_TXN;
    int rc = qs_txn_kind(txn, tree, &record, &order);
    if (rc == 0)
        *flags = record->flags;
    return rc;
}

void qs_stat_of_record(const struct tree_record *record, struct qs_stat *stat)
{
    stat->depth = record->depth;
    stat->branch_pages = record->branch_pages;
    stat->leaf_pages = record->leaf_pages;
    stat->overflow_pages = record->overflow_pages;
    stat->entries = record->entries;
}

int qs_tree_stat(struct qs_txn *txn, struct qs_tree *tree, struct qs_stat *stat)
{
    const struct tree_record *record;
    const struct tree_order *order;
    if (txn->status != TXN_READY)
        return QS_E_BAD_TXN;
    int rc = qs_txn_record(txn, tree, &record, &order);
    if (rc == 0)
        qs_stat_of_record(record, stat);
    return rc;
}

static int drop_named(struct qs_txn *txn, const struct qs_tree *tree, bool remove)
{
    static const struct qs_tree main_tree = {.index = 0};
    struct txn_tree *state, *main_state;
    int rc = qs_txn_tree(txn, tree, &state);
    if (rc == 0)
        rc = qs_tree_empty(txn->writer, &state->state);
    if (rc != 0 || !remove)
        return rc;
    state->exists = false;
    rc = qs_txn_tree(txn, &main_tree, &main_state);
    if (rc != 0)
        return rc;
    struct del del = {.key = tree->name, .key_size = tree->size, .tree_record = true};
    rc = qs_tree_delete(txn->writer, &main_state->state, &del);
    qs_txn_note_order(txn, main_state);
    return rc;
}

/* Moves on to the next named tree's record in the main tree. */
static int next_named(struct cursor *cursor, char name[QS_KEY_MAX + 1])
{
    struct entry entry;
    for (;;) {
        int rc = qs_cursor_next(cursor);
        if (rc == 0)
            rc = qs_cursor_entry(cursor, &entry);
        if (rc != 0)
            return rc;
        if ((entry.flags & ENTRY_TREE) == 0)
            continue;
        memcpy(name, entry.key, entry.key_size);
        name[entry.key_size] = '\0';
        return 0;
    }
}

/* Removes every named tree, then all plain records. */
static int drop_main(struct qs_txn *txn, struct qs_tree *tree)
{
    struct txn_tree *state;
    char name[QS_KEY_MAX + 1];
    int rc = qs_txn_tree(txn, tree, &state);
    if (rc != 0)
        return rc;
    struct cursor cursor;
    qs_cursor_init(&cursor, &txn->writer->view, &state->state.record, &state->state.order);
    cursor.next = state->state.cursors;
    state->state.cursors = &cursor; /* so that the deletes below keep it in place */
    while (rc == 0 && (rc = next_named(&cursor, name)) == 0) {
        struct qs_tree *named;
        rc = qs_names_get(txn->names, name, &named);
        if (rc == 0)
            rc = drop_named(txn, named, true);
    }
    state->state.cursors = cursor.next;
    return rc == QS_E_NOTFOUND ? qs_tree_empty(txn->writer, &state->state) : rc;
}

int qs_tree_drop(struct qs_txn *txn, struct qs_tree *tree, bool remove)
{
    if (txn->writer == NULL)
        return EACCES;
    if (txn->status != TXN_READY)
        return QS_E_BAD_TXN;
    int rc = qs_txn_settle(txn);
    if (rc == 0)
        rc = tree->name == NULL ? drop_main(txn, tree) : drop_named(txn, tree, remove);
    if (rc == 0)
        record(txn, tree, remove && tree->name != NULL ? LOG_OP_DROP : LOG_OP_EMPTY, 0);
    return qs_txn_outcome(txn, rc);
}

int qs_txn_flush_catalog(struct qs_txn *txn)
{
    int rc = 0;
    for (uint32_t i = 1; rc == 0 && i < txn->tree_count; i++) {
        struct txn_tree *state = txn->tree[i];
        if (state == NULL || !state->exists || !state->state.dirty)
            continue;
        rc = put_record(txn, qs_names_at(txn->names, i), &state->state.record);
    }
    return rc;
}
