/* array.c - persistent arrays; see array.h.
 *
 * Node `n` of level l covers leaves [n * 508^l, (n + 1) * 508^l).
 * Invariants: A1 a node's level is one less than its parent's, and the root's is levels - 1 (checked
 * on every visit: bytes from disk never lead outside the recursion depth).
 */
#include "store/array.h"

#include "base/crc32c.h"
#include "base/error.h"

#include <string.h>

/* Leaves under one child of a node of level `level`. */
static uint64_t child_span(unsigned level)
{
    uint64_t span = 1;
    for (unsigned l = 1; l < level; l++)
        span *= ARRAY_FANOUT;
    return span;
}

static uint64_t levels_capacity(unsigned levels)
{
    return levels == 0 ? 0 : child_span(levels);
}

/* What is said of a node in bytes from the file. */
static int node_check(const struct array_node *node, unsigned level)
{
    if (node->header.kind != PAGE_ARRAY || node->header.level != level)
        return QS_CORRUPT();
    if (node->header.checksum !=
        qs_crc32c(0, &node->header.kind, QS_PAGE_BYTES - sizeof node->header.checksum))
        return QS_CORRUPT();
    return 0;
}

static int node_read(struct store *store, uint64_t pgno, unsigned level,
                     const struct array_node **out)
{
    *out = qs_store_page(store, pgno);
    return *out != NULL && pgno >= META_PAGES ? node_check(*out, level) : QS_CORRUPT();
}

static int node_copy(struct store *store, uint64_t pgno, unsigned level, struct array_node *node)
{
    if (pgno < META_PAGES || pgno > INT64_MAX >> QS_PAGE_SHIFT)
        return QS_CORRUPT();
    int rc = qs_store_read(store, pgno << QS_PAGE_SHIFT, node, sizeof *node);
    if (rc == QS_E_NOTFOUND)
        return QS_CORRUPT();
    return rc == 0 ? node_check(node, level) : rc;
}

/* `copy` NULL: through the map. */
static int find_leaf(struct store *store, const struct array_root *root, uint64_t leaf,
                     struct array_node *copy, const uint64_t **words)
{
    *words = NULL;
    if (root->levels > ARRAY_LEVELS_MAX)
        return QS_CORRUPT();
    if (leaf >= levels_capacity(root->levels))
        return 0;
    uint64_t pgno = root->pgno;
    for (unsigned level = root->levels; level-- > 0;) {
        const struct array_node *node = copy;
        if (pgno == 0)
            return 0;
        int rc = copy != NULL ? node_copy(store, pgno, level, copy)
                              : node_read(store, pgno, level, &node);
        if (rc != 0)
            return rc;
        if (level == 0)
            *words = node->word;
        else
            pgno = node->word[leaf / child_span(level) % ARRAY_FANOUT];
    }
    return 0;
}

int qs_array_leaf(struct store *store, const struct array_root *root, uint64_t leaf,
                  const uint64_t **words)
{
    return find_leaf(store, root, leaf, NULL, words);
}

int qs_array_read(struct store *store, const struct array_root *root, uint64_t leaf,
                  struct array_node *node, const uint64_t **words)
{
    return find_leaf(store, root, leaf, node, words);
}

/* One node of an update under way. */
struct node_job {
    uint64_t pgno;          /* the old node, 0: none */
    unsigned level;         /* 0: leaf */
    uint64_t first;         /* first leaf it covers */
    const uint64_t *leaves; /* leaves below it that change */
    size_t count;           /* how many; at least one */
};

/* Starts the new node with the old one's words, and releases the old. */
static int node_replace(struct store *store, const struct node_job *job,
                        const struct array_update *up, struct array_node *fresh)
{
    memset(fresh, 0, sizeof *fresh);
    if (job->pgno != 0) {
        const struct array_node *old;
        int rc = node_read(store, job->pgno, job->level, &old);
        if (rc != 0)
            return rc;
        memcpy(fresh->word, old->word, sizeof fresh->word);
        rc = up->release(up->context, job->pgno, old->header.checkpoint);
        if (rc != 0)
            return rc;
    }
    fresh->header.kind = PAGE_ARRAY;
    fresh->header.level = (uint8_t)job->level;
    fresh->header.count = ARRAY_FANOUT;
    fresh->header.checkpoint = up->checkpoint;
    fresh->header.pid = up->id;
    fresh->header.size = QS_PAGE_BYTES;
    return 0;
}

/* Leaves at the front of leaves[0..count) that lie before `end`. */
static size_t leaves_before(const uint64_t *leaves, size_t count, uint64_t end)
{
    size_t n = 0;
    while (n < count && leaves[n] < end)
        n++;
    return n;
}

static int node_update(struct store *store, const struct node_job *job,
                       const struct array_update *up, uint64_t *pgno, uint32_t *nodes)
{
    struct array_node fresh;
    int rc = node_replace(store, job, up, &fresh);
    if (rc != 0)
        return rc;
    if (job->level == 0) {
        up->fill(up->context, job->leaves[0], fresh.word);
    } else {
        uint64_t span = child_span(job->level);
        for (size_t i = 0; i < job->count;) {
            uint64_t slot = (job->leaves[i] - job->first) / span;
            uint64_t first = job->first + slot * span;
            size_t n = leaves_before(job->leaves + i, job->count - i, first + span);
            struct node_job child = {fresh.word[slot], job->level - 1, first, job->leaves + i, n};
            rc = node_update(store, &child, up, &fresh.word[slot], nodes);
            if (rc != 0)
                return rc;
            i += n;
        }
    }
    rc = up->allocate(up->context, pgno);
    if (rc != 0)
        return rc;
    struct page *image;
    rc = qs_batch_page(up->batch, *pgno, &image);
    if (rc != 0)
        return rc;
    memcpy(image, &fresh, sizeof fresh);
    *nodes += job->pgno == 0;
    return 0;
}

/* Levels an array needs to hold leaf `leaf`. */
static unsigned levels_for(unsigned levels, uint64_t leaf)
{
    while (leaf >= levels_capacity(levels))
        levels++;
    return levels;
}

int qs_array_update(struct store *store, struct array_root *root, const uint64_t *leaves,
                    size_t count, const struct array_update *up)
{
    if (count == 0)
        return 0;
    unsigned levels = levels_for(root->levels, leaves[count - 1]);
    /* A root that grows: the old one becomes child 0 of a new top, and is rewritten with it. */
    while (root->levels != 0 && root->levels < levels) {
        struct array_node top;
        struct node_job job = {0, root->levels, 0, NULL, 0};
        int rc = node_replace(store, &job, up, &top);
        if (rc != 0)
            return rc;
        top.word[0] = root->pgno;
        struct page *image;
        rc = up->allocate(up->context, &root->pgno);
        if (rc == 0)
            rc = qs_batch_page(up->batch, root->pgno, &image);
        if (rc != 0)
            return rc;
        memcpy(image, &top, sizeof top);
        rc = qs_batch_write(up->batch); /* the recursion below reads it through the map */
        if (rc == 0)
            rc = qs_store_map_reserve(store, root->pgno + 1);
        if (rc != 0)
            return rc;
        root->levels++;
        root->nodes++;
    }
    root->levels = levels;
    struct node_job job = {root->pgno, levels - 1, 0, leaves, count};
    return node_update(store, &job, up, &root->pgno, &root->nodes);
}

uint64_t qs_array_touched(const struct array_root *root, const uint64_t *leaves, size_t count)
{
    if (count == 0)
        return 0;
    unsigned levels = levels_for(root->levels, leaves[count - 1]);
    uint64_t touched = root->levels == 0 ? 0 : levels - root->levels; /* tops written twice */
    for (unsigned level = 0; level < levels; level++) {
        uint64_t span = child_span(level + 1), last = UINT64_MAX;
        for (size_t i = 0; i < count; i++) {
            uint64_t node = leaves[i] / span;
            touched += node != last;
            last = node;
        }
    }
    return touched;
}

struct walk {
    struct store *store; /* where the nodes are */
    int (*visit)(void *context, const struct array_node *node, uint64_t pgno, uint64_t leaf);
    void *context; /* for visit */
};

static int walk_node(const struct walk *walk, uint64_t pgno, unsigned level, uint64_t first)
{
    const struct array_node *node;
    int rc = node_read(walk->store, pgno, level, &node);
    if (rc == 0)
        rc = walk->visit(walk->context, node, pgno, first);
    for (unsigned i = 0; rc == 0 && level > 0 && i < ARRAY_FANOUT; i++)
        if (node->word[i] != 0)
            rc = walk_node(walk, node->word[i], level - 1, first + i * child_span(level));
    return rc;
}

int qs_array_walk(struct store *store, const struct array_root *root,
                  int (*visit)(void *context, const struct array_node *node, uint64_t pgno,
                               uint64_t leaf),
                  void *context)
{
    struct walk walk = {store, visit, context};
    if (root->levels == 0)
        return 0;
    if (root->levels > ARRAY_LEVELS_MAX)
        return QS_CORRUPT();
    return walk_node(&walk, root->pgno, root->levels - 1, 0);
}
