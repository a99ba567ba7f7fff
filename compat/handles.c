/* handles.c - the table of tree handles: giving slots out, publishing them, taking them back.
 *
 * Owns:       the slots of struct handle_table.
 * Invariants: H1 to H3 in handles.h.
 * Locks:      handle_table.lock, a leaf: nothing is called under it but the engine's getters of names and
 *             setters of orders.
 *             Readers of a slot (txn.h) take no lock; that is why a freed slot keeps its tree: a
 *             handle closed under a running lookup, which LMDB forbids, must still not crash.
 */
#include "handles.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int qs_compat_handles_init(struct handle_table *table, size_t named_max)
{
    table->count = named_max + COMPAT_DBI_NAMED;
    table->slot = calloc(table->count, sizeof *table->slot);
    if (table->slot == NULL)
        return ENOMEM;
    if (pthread_mutex_init(&table->lock, NULL) != 0) {
        free(table->slot);
        table->slot = NULL;
        return ENOMEM;
    }
    for (size_t i = 0; i < COMPAT_DBI_NAMED; i++)
        atomic_init(&table->slot[i].generation, 1);
    atomic_init(&table->slot[COMPAT_DBI_MAIN].published, 1);
    atomic_init(&table->epoch, 1);
    atomic_init(&table->used, COMPAT_DBI_NAMED);
    return 0;
}

void qs_compat_handles_free(struct handle_table *table)
{
    pthread_mutex_destroy(&table->lock);
    free(table->slot);
    table->slot = NULL;
    table->count = 0;
}

void qs_compat_handles_forget_orders(struct handle_table *table)
{
    for (size_t i = COMPAT_DBI_MAIN; i < table->used; i++)
        if (table->slot[i].compare != NULL || table->slot[i].dup_compare != NULL)
            qs_compat_handle_order(&table->slot[i], NULL, NULL);
}

static bool in_use(const struct handle *handle)
{
    return handle->holders != 0 ||
           atomic_load_explicit(&handle->published, memory_order_relaxed) != 0;
}

/* Under the lock. Invisible to every transaction before it can be taken again (H1). */
static void free_slot(struct handle *handle)
{
    uint32_t generation = atomic_load_explicit(&handle->generation, memory_order_relaxed) + 1;

    qs_compat_handle_order(handle, NULL, NULL);
    handle->holders = 0;
    atomic_store_explicit(&handle->published, 0, memory_order_relaxed);
    if (generation == 0)
        generation = 1;
    atomic_store_explicit(&handle->generation, generation, memory_order_relaxed);
}

bool qs_compat_handles_room(struct handle_table *table, const char *name)
{
    bool room;

    pthread_mutex_lock(&table->lock);
    room = table->used < table->count;
    for (size_t i = COMPAT_DBI_NAMED; i < table->used && !room; i++) {
        struct handle *handle = &table->slot[i];

        room = !in_use(handle) || strcmp(qs_tree_name(handle->tree), name) == 0;
    }
    pthread_mutex_unlock(&table->lock);
    return room;
}

/* Under the lock: the slot that has the tree, else the lowest free one, else NULL. */
static struct handle *slot_for(struct handle_table *table, const struct qs_tree *tree)
{
    struct handle *lowest = NULL;

    for (size_t i = COMPAT_DBI_NAMED; i < table->used; i++) {
        struct handle *handle = &table->slot[i];

        if (!in_use(handle)) {
            if (lowest == NULL)
                lowest = handle;
        } else if (handle->tree == tree) {
            return handle;
        }
    }
    if (lowest == NULL && table->used < table->count) {
        lowest = &table->slot[table->used];
        atomic_store_explicit(&lowest->generation, 1, memory_order_relaxed);
        table->used++;
    }
    return lowest;
}

bool qs_compat_handle_hold(struct handle_table *table, struct qs_tree *tree, unsigned flags,
                           MDB_dbi *dbi, uint32_t *generation)
{
    struct handle *handle;

    pthread_mutex_lock(&table->lock);
    handle = slot_for(table, tree);
    if (handle != NULL) {
        if (!in_use(handle)) {
            atomic_store_explicit(&handle->tree, tree, memory_order_release);
            handle->flags = flags;
            qs_compat_handle_order(handle, NULL, NULL);
            handle->relocate = NULL;
            handle->relocate_context = NULL;
        }
        handle->holders++;
        *dbi = (MDB_dbi)(handle - table->slot);
        *generation = handle->generation;
    }
    pthread_mutex_unlock(&table->lock);
    return handle != NULL;
}

/* Under the lock. */
static void publish(struct handle_table *table, struct handle *handle)
{
    uint64_t stamp = table->epoch + 1;

    if (handle->published != 0)
        return;
    atomic_store_explicit(&handle->published, stamp, memory_order_relaxed);
    /* release; pairs with the acquire of mdb_txn_begin() and mdb_txn_renew(): who reads this epoch
     * sees the slot complete. */
    atomic_store_explicit(&table->epoch, stamp, memory_order_release);
}

void qs_compat_handles_release(struct handle_table *table, const uint32_t *opened, bool commit)
{
    pthread_mutex_lock(&table->lock);
    for (size_t i = COMPAT_DBI_NAMED; i < table->used; i++) {
        struct handle *handle = &table->slot[i];

        if (opened[i] == 0 || opened[i] != handle->generation || !in_use(handle))
            continue; /* not opened here, or closed since */
        assert(handle->holders > 0);
        handle->holders--;
        if (commit)
            publish(table, handle);
        else if (!in_use(handle))
            free_slot(handle);
    }
    pthread_mutex_unlock(&table->lock);
}

void qs_compat_handle_close(struct handle_table *table, MDB_dbi dbi)
{
    if (dbi < COMPAT_DBI_NAMED || dbi >= table->count)
        return;
    pthread_mutex_lock(&table->lock);
    if (in_use(&table->slot[dbi]))
        free_slot(&table->slot[dbi]);
    pthread_mutex_unlock(&table->lock);
}
