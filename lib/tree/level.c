/* level.c - levels of a writer: what a nested transaction starts from, hands over, gives back. */
#include "tree/writer.h"

#include "base/error.h"
#include "base/vector.h"

#include <errno.h>
#include <string.h>

void qs_writer_init_child(struct writer *child, const struct writer *parent)
{
    memset(child, 0, offsetof(struct writer, scratch));
    qs_own_init(&child->own, &parent->own);
    child->view = parent->view;
    child->view.own = &child->own;
    child->store = parent->store;
    child->space = parent->space;
    child->recycle = parent->recycle;
    child->checkpoint = parent->checkpoint;
    child->txn = parent->txn;
    child->next_pid = parent->next_pid;
    child->free_pid = parent->free_pid;
    child->free_pids = parent->free_pids;
    child->spare = parent->spare;
    child->spare_count = parent->spare_count;
    child->used_pages = parent->used_pages;
    child->limit_pages = parent->limit_pages;
}

static int merge_versions(struct own *parent, struct own *child)
{
    for (size_t i = 0; i < child->capacity; i++) {
        struct own_slot *slot = &child->slot[i];
        struct version *replaced;
        if (slot->version == NULL)
            continue;
        int rc = qs_own_set(parent, slot->pid, slot->version, &replaced);
        if (rc != 0)
            return rc;
        slot->version = NULL;
        qs_version_free(replaced);
    }
    child->count = 0;
    return 0;
}

static int merge_pids(struct writer *parent, const struct writer *child)
{
    int rc = qs_vector_reserve((void **)&parent->freed, &parent->freed_capacity,
                               parent->freed_count + child->freed_count, sizeof *parent->freed);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < child->freed_count; i++)
        parent->freed[parent->freed_count++] = child->freed[i];
    parent->next_pid = child->next_pid;
    parent->free_pid = child->free_pid;
    parent->free_pids = child->free_pids;
    parent->spare_count = child->spare_count;
    return 0;
}

/* Runs the child allocated are the parent's now; those it released are released by the parent. */
static int merge_runs(struct writer *parent, const struct writer *child)
{
    int rc = qs_vector_reserve((void **)&parent->allocated, &parent->allocated_capacity,
                               parent->allocated_count + child->allocated_count,
                               sizeof *parent->allocated);
    for (size_t i = 0; rc == 0 && i < child->allocated_count; i++)
        parent->allocated[parent->allocated_count++] = child->allocated[i];
    for (size_t i = 0; rc == 0 && i < child->released_count; i++)
        rc = qs_large_release_run(parent, &child->released[i]);
    return rc;
}

int qs_writer_merge(struct writer *parent, struct writer *child)
{
    int rc = merge_versions(&parent->own, &child->own);
    if (rc == 0)
        rc = merge_pids(parent, child);
    if (rc == 0)
        rc = merge_runs(parent, child);
    if (rc != 0)
        return rc;
    parent->used_pages = child->used_pages;
    parent->changed |= child->changed;
    parent->gave_back |= child->gave_back;
    parent->view.file = child->view.file;
    return 0;
}

int qs_writer_drop(struct writer *child)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < child->allocated_count; i++)
        rc = qs_large_give_back(child, &child->allocated[i]);
    child->allocated_count = 0;
    return rc;
}
