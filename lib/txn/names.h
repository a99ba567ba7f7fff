/* names.h - the trees a process knows by name: one struct qs_tree a name, for the life of the file's
 * core. Index 0 is the main tree. Locks: names->lock (rank NAMES), never held while anything else is
 * taken.
 */
#ifndef QS_TXN_NAMES_H
#define QS_TXN_NAMES_H

#include "base/types.h"
#include "tree/tree.h"

#include <pthread.h>

#define TREES_MAX 65536u /* names one process can have used */

struct qs_tree {
    char *name;                 /* NUL-terminated; NULL: the main tree */
    size_t size;                /* bytes in `name` */
    uint32_t index;             /* place in every table of trees */
    struct comparators program; /* functions set for its order */
};

struct names {
    pthread_mutex_t lock;
    struct qs_tree **tree; /* by index; under lock */
    size_t count;
    size_t capacity;
};

int qs_names_open(struct names *names);
void qs_names_close(struct names *names);

/* The tree of that name (NULL: main), made when it is new. ENOMEM. */
int qs_names_get(struct names *names, const char *name, struct qs_tree **tree);

/* The tree at `index`, which exists. */
struct qs_tree *qs_names_at(struct names *names, uint32_t index);

#endif
