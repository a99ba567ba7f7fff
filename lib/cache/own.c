/* own.c - a write transaction's own versions; see own.h. */
#include "cache/own.h"

#include "base/zeroed.h"

#include <errno.h>
#include <stdlib.h>

#define OWN_SLOTS_MIN 16u

void qs_own_init(struct own *own, const struct own *parent)
{
    *own = (struct own){NULL, 0, 0, parent};
}

void qs_own_free(struct own *own)
{
    for (size_t i = 0; i < own->capacity; i++)
        qs_version_free(own->slot[i].version);
    free(own->slot);
    qs_own_init(own, own->parent);
}

void qs_own_forget(struct own *own)
{
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

struct version *qs_own_get(const struct own *own, pageid_t pid)
{
    for (; own != NULL; own = own->parent) {
        struct version *version = own->capacity != 0 ? probe(own, pid)->version : NULL;
        if (version != NULL)
            return version;
    }
    return NULL;
}

static int grow(struct own *own)
{
    struct own bigger = *own;
    bigger.capacity = own->capacity != 0 ? own->capacity * 2 : OWN_SLOTS_MIN;
    bigger.slot = qs_zeroed(bigger.capacity * sizeof *bigger.slot);
    if (bigger.slot == NULL)
        return ENOMEM;
    for (size_t i = 0; i < own->capacity; i++)
        if (own->slot[i].version != NULL)
            *probe(&bigger, own->slot[i].pid) = own->slot[i];
    free(own->slot);
    *own = bigger;
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
