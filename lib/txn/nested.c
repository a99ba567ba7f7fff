/* nested.c - nested transactions; see nested.h.
 *
 * Invariants: N1 while a child lives, every cursor of its ancestors is in a list of the child's trees,
 *             and is SAVED, END or UNSET, so that nothing points into pages of a level above.
 *             N2 a run that no commit refers to is freed by the level that allocated it: a level frees
 *             its own at once, and leaves those of its ancestors on `released` until it commits.
 */
#include "txn/nested.h"

#include "base/error.h"
#include "tree/dup_cursor.h"
#include "txn/change.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where a cursor of an ancestor was when the child began. */
struct cursor_mark {
    struct cursor_mark *next; /* in child->marks */
    struct cursor *cursor;
    struct qs_txn *txn; /* in which it acted */
    uint32_t tree;      /* index of its tree */
    enum cursor_state state;
    bool deleted;
    uint16_t key_size;
    uint16_t value_size; /* these five of its place among duplicates, if it has one */
    bool past;
    bool dup_deleted;
    bool at_end;
    bool tree_end;
    uint8_t bytes[]; /* with CURSOR_SAVED: key, value */
};

static struct qs_cursor *whole_cursor(struct cursor *at)
{
    return (struct qs_cursor *)(void *)((char *)at - offsetof(struct qs_cursor, at));
}

static void point_cursor(struct cursor *at, struct qs_txn *txn, uint32_t tree)
{
    at->view = &txn->writer->view;
    at->record = &txn->tree[tree]->state.record;
    at->order = &txn->tree[tree]->state.order;
    whole_cursor(at)->txn = txn;
}

/* Remembers where the cursors of one of the parent's trees are. */
static int mark_cursors(struct qs_txn *parent, struct qs_txn *child, uint32_t tree)
{
    struct tree_state *state = &parent->tree[tree]->state;
    int rc = qs_cursors_save(state);
    for (struct cursor *c = state->cursors; rc == 0 && c != NULL; c = c->next) {
        bool saved = c->state == CURSOR_SAVED;
        const struct dup_pos *dup = c->dup;
        size_t key_size = saved ? c->key_size : 0;
        size_t value_size = saved && dup != NULL ? dup->value_size : 0;
        struct cursor_mark *mark = malloc(sizeof *mark + key_size + value_size);
        if (mark == NULL)
            return ENOMEM;
        *mark = (struct cursor_mark){.next = child->marks,
                                     .cursor = c,
                                     .txn = parent,
                                     .tree = tree,
                                     .state = c->state,
                                     .deleted = c->deleted,
                                     .key_size = (uint16_t)key_size};
        memcpy(mark->bytes, c->key, key_size);
        if (dup != NULL) {
            mark->value_size = (uint16_t)value_size;
            mark->past = dup->past;
            mark->dup_deleted = dup->deleted;
            mark->at_end = dup->at_end;
            mark->tree_end = dup->tree_end;
            memcpy(mark->bytes + key_size, dup->value, value_size);
        }
        child->marks = mark;
    }
    return rc;
}

static void free_marks(struct qs_txn *child)
{
    while (child->marks != NULL) {
        struct cursor_mark *mark = child->marks;
        child->marks = mark->next;
        free(mark);
    }
}

/* Copies of the parent's tree states; the cursors come along in take_cursors(). */
static int copy_trees(struct qs_txn *parent, struct qs_txn *child)
{
    child->tree = calloc(parent->tree_count + 1, sizeof(struct txn_tree *));
    if (child->tree == NULL)
        return ENOMEM;
    child->tree_count = parent->tree_count;
    for (uint32_t i = 0; i < parent->tree_count; i++) {
        if (parent->tree[i] == NULL)
            continue;
        child->tree[i] = malloc(sizeof *child->tree[i]);
        if (child->tree[i] == NULL)
            return ENOMEM;
        *child->tree[i] = *parent->tree[i];
        child->tree[i]->state.cursors = NULL;
        /* pages of the parent's level */
        child->tree[i]->state.append_pid = child->tree[i]->state.dup_pid = QS_PAGEID_NONE;
        int rc = mark_cursors(parent, child, i);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* N1. Cannot fail, so that a begin either happens or does not. */
static void take_cursors(struct qs_txn *parent, struct qs_txn *child)
{
    for (uint32_t i = 0; i < parent->tree_count; i++) {
        if (parent->tree[i] == NULL)
            continue;
        child->tree[i]->state.cursors = parent->tree[i]->state.cursors;
        parent->tree[i]->state.cursors = NULL;
        for (struct cursor *c = child->tree[i]->state.cursors; c != NULL; c = c->next)
            point_cursor(c, child, i);
    }
}

int qs_nested_begin(struct qs_txn *parent, struct qs_txn *child)
{
    int rc = qs_txn_outcome(parent, qs_txn_settle(parent));
    if (rc != 0)
        return rc;
    child->writer = malloc(sizeof *child->writer);
    if (child->writer == NULL)
        return ENOMEM;
    qs_writer_init_child(child->writer, parent->writer);
    child->replica = parent->replica;
    child->names = parent->names;
    child->id = parent->id;
    child->redo = parent->redo;
    if (child->redo != NULL)
        child->redo_mark = qs_redo_mark(child->redo);
    rc = copy_trees(parent, child);
    if (rc != 0) {
        free_marks(child);
        qs_txn_close(child);
        return rc;
    }
    take_cursors(parent, child);
    child->status = TXN_READY;
    child->parent = parent;
    parent->status = TXN_PARENT;
    return 0;
}

/* Its own bookkeeping is none: the parent changes nothing while the child lives, so the parent's view is
 * the child's (qs_txn_view()), and the parent's record of a tree the child's (qs_txn_record()). */
int qs_nested_begin_read(struct qs_txn *parent, struct qs_txn *child)
{
    int rc = qs_txn_outcome(parent, qs_txn_settle(parent));
    if (rc != 0)
        return rc;
    child->replica = parent->replica;
    child->names = parent->names;
    child->id = parent->id;
    child->status = TXN_READY;
    child->parent = parent;
    parent->status = TXN_PARENT;
    return 0;
}

void qs_nested_end_read(struct qs_txn *child)
{
    assert(child->writer == NULL && child->parent->status == TXN_PARENT);
    child->parent->status = TXN_READY;
}

/* Frees the cursors that were opened in the child. */
static void close_own_cursors(struct qs_txn *child)
{
    while (child->cursors != NULL)
        qs_cursor_close(child->cursors);
}

/* Hands the child's tree states to the parent, cursors included; they stay where they are. */
static int merge_trees(struct qs_txn *child)
{
    struct qs_txn *parent = child->parent;
    if (child->tree_count > parent->tree_count) {
        struct txn_tree **grown =
            realloc(parent->tree, child->tree_count * sizeof(struct txn_tree *));
        if (grown == NULL)
            return ENOMEM;
        memset(grown + parent->tree_count, 0,
               (child->tree_count - parent->tree_count) * sizeof(struct txn_tree *));
        parent->tree = grown;
        parent->tree_count = child->tree_count;
    }
    for (uint32_t i = 0; i < child->tree_count; i++) {
        if (child->tree[i] == NULL)
            continue;
        qs_cursors_save(&child->tree[i]->state);
        free(parent->tree[i]);
        parent->tree[i] = child->tree[i];
        child->tree[i] = NULL;
        for (struct cursor *c = parent->tree[i]->state.cursors; c != NULL; c = c->next)
            point_cursor(c, parent, i);
    }
    return 0;
}

int qs_nested_commit(struct qs_txn *child)
{
    struct qs_txn *parent = child->parent;
    assert(parent->status == TXN_PARENT);
    int rc = child->status == TXN_READY ? qs_txn_settle(child) : QS_E_BAD_TXN;
    if (rc == 0) {
        close_own_cursors(child);
        rc = merge_trees(child);
    }
    if (rc == 0)
        rc = qs_writer_merge(parent->writer, child->writer);
    if (rc != 0) {
        qs_nested_abort(child);
        parent->status = TXN_FAILED;
        return rc;
    }
    free_marks(child);
    qs_txn_close(child);
    parent->status = TXN_READY;
    return 0;
}

/* Puts the ancestors' cursors back where they were. */
static void restore_cursors(struct qs_txn *child)
{
    for (uint32_t i = 0; i < child->tree_count; i++)
        if (child->tree[i] != NULL)
            child->tree[i]->state.cursors = NULL;
    for (struct cursor_mark *mark = child->marks; mark != NULL; mark = mark->next) {
        struct cursor *c = mark->cursor;
        struct txn_tree *tree = mark->txn->tree[mark->tree];
        c->state = mark->state;
        c->deleted = mark->deleted;
        c->key_size = mark->key_size;
        memcpy(c->key, mark->bytes, mark->key_size);
        if (c->dup != NULL) {
            c->dup->value_size = mark->value_size;
            c->dup->past = mark->past;
            c->dup->deleted = mark->dup_deleted;
            c->dup->at_end = mark->at_end;
            c->dup->tree_end = mark->tree_end;
            memcpy(c->dup->value, mark->bytes + mark->key_size, mark->value_size);
        }
        c->next = tree->state.cursors;
        tree->state.cursors = c;
        point_cursor(c, mark->txn, mark->tree);
    }
}

void qs_nested_abort(struct qs_txn *child)
{
    struct qs_txn *parent = child->parent;
    close_own_cursors(child);
    /* After a commit that failed half way the parent's lists hold what the marks are about to add. */
    for (uint32_t i = 0; i < parent->tree_count; i++)
        if (parent->tree[i] != NULL)
            parent->tree[i]->state.cursors = NULL;
    restore_cursors(child);
    free_marks(child);
    if (child->redo != NULL)
        qs_redo_truncate(child->redo, &child->redo_mark);
    int rc = qs_writer_drop(child->writer);
    qs_txn_close(child);
    parent->status = rc == 0 ? TXN_READY : TXN_FAILED;
}
