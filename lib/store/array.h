/* array.h - persistent arrays of 64-bit words in copy-on-write pages (format/array.h).
 *
 * An array is its root; there is no other state. An update writes new nodes and leaves the old ones
 * as they are, so a failed update is undone by forgetting its root.
 * Threads: reading from any thread; updating under the writer mutex.
 */
#ifndef QS_STORE_ARRAY_H
#define QS_STORE_ARRAY_H

#include "format/array.h"
#include "store/batch.h"

/* The 508 words of leaf `leaf` (words leaf*508 ...); *words is NULL when they are all zero. The
 * page's checksum is verified. QS_E_CORRUPTED. */
int qs_array_leaf(struct store *store, const struct array_root *root, uint64_t leaf,
                  const uint64_t **words);

/* The same, read into *node, where the words then are: who needs few leaves once saves mapping their
 * pages, and those of the nodes above. errno of reading. */
int qs_array_read(struct store *store, const struct array_root *root, uint64_t leaf,
                  struct array_node *node, const uint64_t **words);

/* What an update needs from outside. */
struct array_update {
    struct batch *batch; /* takes the new nodes */
    uint64_t checkpoint; /* number they are born in */
    uint32_t id;         /* stored in the nodes' pid field: which array they belong to */
    void *context;       /* for the functions below */

    int (*allocate)(void *context, uint64_t *pgno);
    /* A node is replaced: page `pgno`, born in `born`. */
    int (*release)(void *context, uint64_t pgno, uint64_t born);
    /* Changes the words of leaf `leaf`, which hold what the old leaf held. */
    void (*fill)(void *context, uint64_t leaf, uint64_t *words);
};

/* Rewrites the leaves named in `leaves` (ascending) and the nodes above them; *root becomes the new
 * array's. On failure *root is unspecified. */
int qs_array_update(struct store *store, struct array_root *root, const uint64_t *leaves,
                    size_t count, const struct array_update *update);

/* How many nodes such an update writes. */
uint64_t qs_array_touched(const struct array_root *root, const uint64_t *leaves, size_t count);

/* Calls `visit` for every node's page (level 0: leaves). Stops at a nonzero result and returns it. */
int qs_array_walk(struct store *store, const struct array_root *root,
                  int (*visit)(void *context, const struct array_node *node, uint64_t pgno,
                               uint64_t leaf),
                  void *context);

#endif
