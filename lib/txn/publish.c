/* publish.c - linking a write transaction's changes; see publish.h. */
#include "txn/publish.h"

#include <errno.h>
#include <stdlib.h>

static bool is_changed(const struct txn_tree *state)
{
    return state != NULL && state->state.dirty;
}

int qs_publish_trees(struct publication *p, struct qs_txn *txn)
{
    size_t changed = 0;
    for (uint32_t i = 0; i < txn->tree_count; i++)
        changed += is_changed(txn->tree[i]);
    p->change = changed <= PUBLICATION_FEW ? p->few_changes : calloc(changed, sizeof *p->change);
    if (p->change == NULL)
        return ENOMEM;
    for (uint32_t i = 0; i < txn->tree_count; i++) {
        struct txn_tree *state = txn->tree[i];
        if (!is_changed(state))
            continue;
        struct tree_change *change = &p->change[p->change_count++];
        change->tree = qs_names_at(txn->names, i);
        int rc =
            qs_replica_prepare(txn->replica, change, &state->state.record, state->exists, txn->id);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int qs_publish_prepare(struct publication *p, struct qs_txn *txn)
{
    const struct own *own = &txn->writer->own;
    int rc = qs_publish_trees(p, txn);
    if (rc != 0)
        return rc;
    p->place = own->count <= PUBLICATION_FEW ? p->few_places : calloc(own->count, sizeof *p->place);
    if (p->place == NULL)
        return ENOMEM;
    for (size_t i = 0; p->count < own->count; i++)
        if (own->slot[i].version != NULL)
            p->place[p->count++] =
                (struct placement){.pid = own->slot[i].pid, .own = own->slot[i].version};
    rc = qs_cache_prepare(&txn->replica->cache, p->place, p->count, 0);
    return rc == 0 ? qs_replica_make_room(txn->replica, txn->writer) : rc;
}

void qs_publish_link(struct publication *p, struct qs_txn *txn, struct stamp stamp,
                     struct live live)
{
    qs_cache_publish(&txn->replica->cache, p->place, p->count, stamp, live);
    for (size_t i = 0; i < p->change_count; i++)
        qs_replica_publish(txn->replica, &p->change[i], live);
}

void qs_publish_own(struct publication *p, struct qs_txn *txn, struct live live)
{
    qs_publish_link(p, txn, (struct stamp){txn->id, 0}, live);
    qs_own_forget(&txn->writer->own);
    qs_replica_leave(txn->replica, txn->writer, txn->map_size_bytes);
}

void qs_publish_free(struct publication *p)
{
    if (p->place != NULL)
        qs_cache_forget(p->place, p->count);
    for (size_t i = 0; p->change != NULL && i < p->change_count; i++)
        qs_replica_forget(&p->change[i]);
    if (p->place != p->few_places)
        free(p->place);
    if (p->change != p->few_changes)
        free(p->change);
    p->place = NULL;
    p->change = NULL;
    p->count = p->change_count = 0;
}
