/* own.h - a write transaction's own versions: page id -> version, unseen by everybody else (rule 2).
 *
 * One table a nesting level; a lookup that misses goes on in the parent's. Abort frees the table.
 * Threads: the transaction's.
 */
#ifndef QS_CACHE_OWN_H
#define QS_CACHE_OWN_H

#include "cache/version.h"

struct own_slot {
    struct version *version; /* NULL: the slot is empty */
    pageid_t pid;            /* key */
};

#define OWN_FEW 16u

struct own {
    struct own_slot *slot;        /* open addressing, linear probing: `few`, or a larger block */
    size_t capacity;              /* slots, a power of two */
    size_t count;                 /* slots in use */
    const struct own *parent;     /* next level out, or NULL */
    struct own_slot few[OWN_FEW]; /* so that small transactions allocate no table */
};

/* Not to be moved afterwards. */
void qs_own_init(struct own *own, const struct own *parent);
/* Frees the table and every version in it. */
void qs_own_free(struct own *own);

/* Forgets this level's versions, which belong to somebody else now. */
void qs_own_forget(struct own *own);

/* This level's version of a page, NULL when it has none. */
struct version *qs_own_here(const struct own *own, pageid_t pid);
/* The newest own version of a page, NULL when no level has one. */
struct version *qs_own_get(const struct own *own, pageid_t pid);

/* Puts `version` in place of this level's version of `pid`, if any, which it returns through
 * `replaced` (the caller's to free). ENOMEM. */
int qs_own_set(struct own *own, pageid_t pid, struct version *version, struct version **replaced);

#endif
