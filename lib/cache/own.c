/* own.c - a write transaction's own versions; see own.h. */
#include "cache/own.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void qs_own_init(struct own *own, const struct own *parent)
{
    own->slot = own->few;
    own->capacity = OWN_FEW;
    own->count = 0;
    own->parent = parent;
    memset(own->few, 0, sizeof own->few);
}

void qs_own_free(struct own *own)
{
    for (size_t i = 0; own->count > 0 && i < own->capacity; i++)
        qs_version_free(own->slot[i].version);
    qs_own_forget(own);
}

void qs_own_forget(struct own *own)
{
    if (own->slot != own->few)
        free(own->slot);
    qs_own_init(own, own->parent);
}

static struct own_slot *probe(const struct own *own, pageid_t pid)
{
    /* Page ids are dense numbers: a multiplication spreads them over the table. */
    size_t i = (pid * 2654435761u) & (own->capacity - 1);
    while (own->slot[i].version != NULL && own->slot[i].pid != pid)
        i = (i + 1) & (own->capacity - 1);
    return &own->slot[i];
}

struct version *qs_own_here(const struct own *own, pageid_t pid)
{
    return probe(own, pid)->version;
}

struct version *qs_own_get(const struct own *own, pageid_t pid)
{
    struct version *version = NULL;
    for (; own != NULL && version == NULL; own = own->parent)
        version = qs_own_here(own, pid);
    return version;
}

static int grow(struct own *own)
{
    struct own_slot *old = own->slot, *slot = calloc(own->capacity * 2, sizeof *slot);
    size_t capacity = own->capacity;
    if (slot == NULL)
        return ENOMEM;
    own->slot = slot;
    own->capacity = capacity * 2;
    for (size_t i = 0; i < capacity; i++)
        if (old[i].version != NULL)
            *probe(own, old[i].pid) = old[i];
    if (old != own->few)
        free(old);
    return 0;
}

int qs_own_set(struct own *own, pageid_t pid, struct version *version, struct version **replaced)
{
    if (own->count * 2 >= own->capacity) {
        int rc = grow(own);
        if (rc != 0)
            return rc;
    }
    struct own_slot *slot = probe(own, pid);
    *replaced = slot->version;
    own->count += slot->version == NULL;
    *slot = (struct own_slot){version, pid};
    return 0;
}
