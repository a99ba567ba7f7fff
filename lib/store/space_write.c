/* space_write.c - free space on its way to and from the file: pending chain and bitmap.
 *
 * The bitmap describes the very pages that it is written to. So the pages are allocated first, until
 * allocating dirties no further leaf, and only then is the bitmap written. What the new checkpoint
 * releases changes no bit: it waits.
 */
#include "store/space_leaf.h"

#include "base/crc32c.h"
#include "base/error.h"
#include "base/vector.h"

#include <stdlib.h>
#include <string.h>

static int chain_page(struct store *store, uint64_t pgno, const struct pending_page **out)
{
    const struct pending_page *page = qs_store_page(store, pgno);
    if (page == NULL || pgno < META_PAGES || page->header.kind != PAGE_PENDING ||
        page->header.count > PENDING_PER_PAGE)
        return QS_CORRUPT();
    if (page->header.checksum !=
        qs_crc32c(0, &page->header.kind, QS_PAGE_BYTES - sizeof page->header.checksum))
        return QS_CORRUPT();
    *out = page;
    return 0;
}

static int chain_add(struct space *space, uint64_t pgno)
{
    int rc = qs_vector_reserve((void **)&space->chain, &space->chain_capacity,
                               space->chain_count + 1, sizeof *space->chain);
    if (rc == 0)
        space->chain[space->chain_count++] = pgno;
    return rc;
}

int qs_space_open(struct space *space, struct store *store, const struct meta *meta)
{
    memset(space, 0, sizeof *space);
    space->store = store;
    space->root = meta->bitmap;
    space->high_water = meta->high_water;
    uint64_t file_pages = qs_store_file_pages(store); /* it may have been cut since */
    space->reach = meta->reach_pages < file_pages ? meta->reach_pages : file_pages;
    space->reach = space->reach > meta->high_water ? space->reach : meta->high_water;
    space->low = META_PAGES;
    space->run_missing = UINT64_MAX;
    space->chain_born = meta->checkpoint;
    int rc = 0;
    uint64_t pgno = meta->pending;
    for (uint64_t n = 0; rc == 0 && pgno != 0; n++) {
        const struct pending_page *page = NULL;
        rc = n < meta->pending_pages ? chain_page(store, pgno, &page) : QS_CORRUPT();
        if (rc == 0)
            rc = chain_add(space, pgno);
        for (unsigned i = 0; rc == 0 && i < page->header.count; i++) {
            const struct pending_run *run = &page->run[i];
            rc = qs_space_release(space, run->pgno, run->pages, run->born, run->freed);
        }
        if (rc == 0)
            pgno = page->next;
    }
    if (rc != 0)
        qs_space_close(space);
    return rc;
}

/* The leaves to be written, ascending; malloc'ed. */
static int dirty_leaves(const struct space *space, uint64_t **leaves, size_t *count)
{
    *count = 0;
    *leaves = malloc((space->leaf_count + 1) * sizeof **leaves);
    if (*leaves == NULL)
        return ENOMEM;
    for (size_t i = 0; i < space->leaf_count; i++)
        if (space->leaf[i].dirty)
            (*leaves)[(*count)++] = i;
    return 0;
}

/* Pages set aside for the nodes of the new bitmap. */
struct node_pages {
    struct space *space; /* whose bitmap it is */
    uint64_t *pgno;      /* the pages */
    size_t count;        /* how many */
    size_t capacity;     /* room in `pgno` */
    size_t next;         /* the first that is not yet a node */
    uint64_t checkpoint; /* being written */
};

/* Allocates node pages until the leaves that this dirties need no more of them. */
static int nodes_reserve(struct node_pages *nodes, uint64_t **leaves, size_t *count)
{
    for (;;) {
        int rc = dirty_leaves(nodes->space, leaves, count);
        if (rc != 0)
            return rc;
        uint64_t need = qs_array_touched(&nodes->space->root, *leaves, *count);
        if (need <= nodes->count)
            return 0;
        free(*leaves);
        *leaves = NULL;
        rc = qs_vector_reserve((void **)&nodes->pgno, &nodes->capacity, need, sizeof *nodes->pgno);
        while (rc == 0 && nodes->count < need) {
            rc = qs_space_allocate(nodes->space, 1, &nodes->pgno[nodes->count]);
            nodes->count += rc == 0;
        }
        if (rc != 0)
            return rc;
    }
}

static int node_allocate(void *context, uint64_t *pgno)
{
    struct node_pages *nodes = context;
    if (nodes->next == nodes->count)
        return ENOSPC;
    *pgno = nodes->pgno[nodes->next++];
    return 0;
}

static int node_release(void *context, uint64_t pgno, uint64_t born)
{
    struct node_pages *nodes = context;
    return qs_space_release(nodes->space, pgno, 1, born, nodes->checkpoint);
}

static void node_fill(void *context, uint64_t leaf, uint64_t *words)
{
    struct node_pages *nodes = context;
    memcpy(words, nodes->space->leaf[leaf].words, ARRAY_FANOUT * sizeof *words);
}

static int bitmap_write(struct node_pages *nodes, struct batch *batch, struct array_root *root)
{
    uint64_t *leaves = NULL;
    size_t count = 0;
    int rc = nodes_reserve(nodes, &leaves, &count);
    if (rc == 0) {
        struct array_update update = {batch,         nodes->checkpoint, 1,        nodes,
                                      node_allocate, node_release,      node_fill};
        rc = qs_array_update(nodes->space->store, root, leaves, count, &update);
    }
    free(leaves);
    return rc;
}

/* Copies runs [from, from + n) of what waits, and of what is loose behind it. */
static void copy_runs(struct pending_run *to, const struct space *space, struct loose_runs loose,
                      size_t from, size_t n)
{
    for (size_t i = from; i < from + n; i++)
        *to++ = i < space->wait_count ? space->wait[i] : loose.run[i - space->wait_count];
}

/* Writes what waits into the pages chain[0..pages), linked. */
static int chain_write(const struct space *space, struct batch *batch, const uint64_t *chain,
                       size_t pages, uint64_t checkpoint, struct loose_runs loose)
{
    size_t done = 0;
    for (size_t i = 0; i < pages; i++) {
        struct page *image;
        int rc = qs_batch_page(batch, chain[i], &image);
        if (rc != 0)
            return rc;
        struct pending_page *page = (struct pending_page *)image;
        memset(page, 0, sizeof *page);
        size_t n = space->wait_count + loose.count - done;
        n = n < PENDING_PER_PAGE ? n : PENDING_PER_PAGE;
        page->header.kind = PAGE_PENDING;
        page->header.count = (uint16_t)n;
        page->header.checkpoint = checkpoint;
        page->header.size = QS_PAGE_BYTES;
        page->next = i + 1 < pages ? chain[i + 1] : 0;
        copy_runs(page->run, space, loose, done, n);
        done += n;
    }
    return 0;
}

/* Allocates the pages of the new chain: enough for all that waits or is loose and the old nodes of the
 * bitmap. */
static int chain_reserve(struct space *space, size_t loose, uint64_t **chain, size_t *pages)
{
    uint64_t runs = space->wait_count + loose + space->root.nodes + ARRAY_LEVELS_MAX;
    *pages = (runs + PENDING_PER_PAGE - 1) / PENDING_PER_PAGE;
    *chain = malloc(*pages * sizeof **chain);
    if (*chain == NULL)
        return ENOMEM;
    /* For chain_adopt(), which cannot fail any more. */
    int rc = qs_vector_reserve((void **)&space->chain, &space->chain_capacity, *pages,
                               sizeof *space->chain);
    for (size_t i = 0; rc == 0 && i < *pages; i++)
        rc = qs_space_allocate(space, 1, &(*chain)[i]);
    return rc;
}

int qs_space_checkpoint(struct space *space, struct batch *batch, struct meta *meta,
                        struct loose_runs loose)
{
    struct node_pages nodes = {.space = space, .checkpoint = meta->checkpoint};
    uint64_t *chain = NULL;
    size_t pages = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < space->chain_count; i++)
        rc = qs_space_release(space, space->chain[i], 1, space->chain_born, meta->checkpoint);
    if (rc == 0)
        rc = chain_reserve(space, loose.count, &chain, &pages);
    if (rc == 0)
        rc = bitmap_write(&nodes, batch, &meta->bitmap);
    /* Node pages that went unused (their leaf was dirty anyway) wait with the rest. */
    while (rc == 0 && nodes.next < nodes.count)
        rc = qs_space_release(space, nodes.pgno[nodes.next++], 1, meta->checkpoint,
                              meta->checkpoint);
    if (rc == 0)
        rc = chain_write(space, batch, chain, pages, meta->checkpoint, loose);
    if (rc == 0) {
        meta->pending = chain[0];
        meta->pending_pages = pages;
        meta->high_water = space->high_water;
        meta->reach_pages = space->reach;
    }
    free(nodes.pgno);
    free(chain);
    return rc;
}

/* Takes over the new chain's page numbers, which the meta page leads to. */
static void chain_adopt(struct space *space, const struct meta *meta)
{
    space->chain_count = 0;
    uint64_t pgno = meta->pending;
    for (uint64_t n = 0; n < meta->pending_pages && pgno != 0; n++) {
        const struct pending_page *page = qs_store_page(space->store, pgno);
        if (page == NULL || chain_add(space, pgno) != 0)
            break; /* cannot be: room was made, and the pages were just written */
        pgno = page->next;
    }
}

void qs_space_commit(struct space *space, const struct meta *meta)
{
    qs_space_leaf_settle(space, false);
    for (size_t i = 0; i < space->leaf_count; i++)
        space->leaf[i].dirty = false;
    space->root = meta->bitmap;
    space->chain_born = meta->checkpoint;
    chain_adopt(space, meta);
}
