/* copy_compact.c - a copy without free space.
 *
 * Page ids stay, file pages are numbered anew in the order they are written, so that the copy needs no
 * seeking: meta pages | tree pages by page id | runs of large values in the order their records were
 * met | map array | bitmap. A first pass counts, so that the meta page can come first.
 */
#include "env/copy.h"

#include "base/crc32c.h"
#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COPY_CHECKPOINT 1u /* what a copy's pages are born in */
#define COPY_PAGES 256u    /* pages gathered before a write */

/* A copy under way. */
struct copy {
    struct qs_txn *txn; /* what is copied */
    int fd;             /* where to */
    uint8_t *buffer;    /* COPY_PAGES pages */
    unsigned gathered;  /* pages in it */
    uint64_t *map_word; /* the copy's mapping table, by page id */
    uint32_t next_pid;  /* words in it */
    uint32_t free_pid;  /* head of its chain of free page ids */
    uint64_t free_pids;
    uint64_t tree_pages; /* counted */
    uint64_t run_pages;  /* counted */
    uint64_t next_run;   /* page the next run goes to */
};

static int flush(struct copy *copy)
{
    int rc = qs_copy_write(copy->fd, copy->buffer, (size_t)copy->gathered * QS_PAGE_BYTES);
    copy->gathered = 0;
    return rc;
}

/* Space for the next page. */
static int next_page(struct copy *copy, void **page)
{
    int rc = copy->gathered == COPY_PAGES ? flush(copy) : 0;
    *page = copy->buffer + (size_t)copy->gathered++ * QS_PAGE_BYTES;
    memset(*page, 0, QS_PAGE_BYTES);
    return rc;
}

/* Calls `visit` for every page the transaction sees; page ids that are not in use are passed to
 * `skipped`, which may be NULL. */
static int each_page(struct copy *copy,
                     int (*visit)(struct copy *copy, pageid_t pid, const struct image *image),
                     void (*skipped)(struct copy *copy, pageid_t pid))
{
    for (pageid_t pid = 1; pid < copy->next_pid; pid++) {
        struct image image;
        int rc = qs_view_image(qs_txn_view(copy->txn), pid, &image);
        if (rc == 0)
            rc = visit(copy, pid, &image);
        else if (rc == QS_E_PAGE_NOTFOUND && skipped != NULL)
            skipped(copy, pid);
        if (rc != 0 && rc != QS_E_PAGE_NOTFOUND)
            return rc;
    }
    return 0;
}

static bool large_of(const struct page *page, unsigned i, struct large_ref *ref, uint8_t **at)
{
    struct entry entry;
    qs_leaf_entry(page, i, &entry);
    if ((entry.flags & ENTRY_LARGE) == 0 || entry.value_size != sizeof *ref)
        return false;
    memcpy(ref, entry.value, sizeof *ref);
    if (at != NULL)
        *at = (uint8_t *)(uintptr_t)entry.value;
    return true;
}

/* The leaf as one page: the base itself, or base and delta merged into `scratch`. */
static const struct page *merged(const struct image *image, struct page *scratch)
{
    if (image->delta == NULL)
        return image->base;
    struct entry entries[LEAF_ENTRIES_MAX];
    enum key_order order = (enum key_order)image->base->order;
    unsigned n = qs_leaf_collect(image, order, entries);
    qs_leaf_build(scratch, QS_PAGE_BYTES, order, entries, n, image->base->fence);
    return scratch;
}

static int count_page(struct copy *copy, pageid_t pid, const struct image *image)
{
    _Alignas(8) uint8_t scratch[QS_PAGE_BYTES];
    const struct page *page = merged(image, (struct page *)scratch);
    (void)pid;
    copy->tree_pages++;
    for (unsigned i = 0; page->kind == PAGE_LEAF && i < page->count; i++) {
        struct large_ref ref;
        if (large_of(page, i, &ref, NULL))
            copy->run_pages += qs_large_pages(ref.size);
    }
    return 0;
}

static void count_free(struct copy *copy, pageid_t pid)
{
    copy->map_word[pid] = MAP_WORD_FREE | copy->free_pid;
    copy->free_pid = pid;
    copy->free_pids++;
}

/* Writes a tree page with its large values' places in the copy. */
static int copy_page(struct copy *copy, pageid_t pid, const struct image *image)
{
    _Alignas(8) uint8_t scratch[QS_PAGE_BYTES];
    void *space;
    int rc = next_page(copy, &space);
    if (rc != 0)
        return rc;
    struct page *page = space;
    memcpy(page, merged(image, (struct page *)scratch), QS_PAGE_BYTES);
    page->pid = pid;
    page->checkpoint = COPY_CHECKPOINT;
    for (unsigned i = 0; page->kind == PAGE_LEAF && i < page->count; i++) {
        struct large_ref ref;
        uint8_t *at;
        if (!large_of(page, i, &ref, &at))
            continue;
        ref.pgno = copy->next_run;
        ref.checkpoint = COPY_CHECKPOINT;
        copy->next_run += qs_large_pages(ref.size);
        memcpy(at, &ref, sizeof ref);
    }
    qs_page_seal(page);
    copy->map_word[pid] = META_PAGES + copy->tree_pages++;
    return 0;
}

/* Writes the runs of a leaf, in the order copy_page() numbered them. */
static int copy_runs(struct copy *copy, pageid_t pid, const struct image *image)
{
    _Alignas(8) uint8_t scratch[QS_PAGE_BYTES];
    const struct page *page = merged(image, (struct page *)scratch);
    int rc = 0;
    (void)pid;
    for (unsigned i = 0; rc == 0 && page->kind == PAGE_LEAF && i < page->count; i++) {
        struct large_ref ref;
        const void *bytes;
        if (!large_of(page, i, &ref, NULL))
            continue;
        rc = qs_large_read(qs_txn_view(copy->txn), &ref, &bytes);
        /* The rest of the last page comes along as it is: nobody reads it. */
        if (rc == 0)
            rc = qs_copy_write(copy->fd, bytes, qs_large_pages(ref.size) << QS_PAGE_SHIFT);
    }
    return rc;
}

/* ---- arrays, written bottom up ---- */

/* Nodes of each level of an array of `words` words. */
static struct array_root array_shape(uint64_t words, uint64_t pgno,
                                     uint64_t count[ARRAY_LEVELS_MAX])
{
    struct array_root root = {0, 0, 0};
    for (uint64_t n = words; n > 1 || root.levels == 0;) {
        n = (n + ARRAY_FANOUT - 1) / ARRAY_FANOUT;
        count[root.levels++] = n;
        root.nodes += (uint32_t)n;
    }
    root.pgno = pgno + root.nodes - 1;
    return root;
}

/* Writes an array of `words` words at page `pgno`. */
static int write_array(struct copy *copy, uint64_t words, uint64_t pgno, uint32_t id,
                       uint64_t (*word)(const struct copy *copy, uint64_t index))
{
    uint64_t count[ARRAY_LEVELS_MAX], first = pgno;
    struct array_root root = array_shape(words, pgno, count);
    for (unsigned level = 0; level < root.levels; level++) {
        uint64_t below = level == 0 ? words : count[level - 1];
        for (uint64_t n = 0; n < count[level]; n++) {
            void *space;
            int rc = next_page(copy, &space);
            if (rc != 0)
                return rc;
            struct array_node *node = space;
            node->header = (struct page){.kind = PAGE_ARRAY,
                                         .level = (uint8_t)level,
                                         .count = ARRAY_FANOUT,
                                         .checkpoint = COPY_CHECKPOINT,
                                         .pid = id,
                                         .size = QS_PAGE_BYTES};
            for (uint64_t i = n * ARRAY_FANOUT; i < below && i < (n + 1) * ARRAY_FANOUT; i++)
                node->word[i % ARRAY_FANOUT] = level == 0 ? word(copy, i) : first + i;
            qs_page_seal(&node->header);
        }
        first += level == 0 ? 0 : count[level - 1];
    }
    return 0;
}

static uint64_t map_word(const struct copy *copy, uint64_t index)
{
    return copy->map_word[index];
}

/* All pages are in use but the meta pages, which are not kept account of. */
static uint64_t bitmap_word(const struct copy *copy, uint64_t index)
{
    uint64_t end = copy->next_run; /* the high water, set before the bitmap is written */
    uint64_t first = index * 64, mask = index == 0 ? ~0ull << META_PAGES : ~0ull;
    return end >= first + 64 ? mask : mask & ((1ull << (end - first)) - 1);
}

/* Fills in the copy's meta page from the counts; *map_at and *bitmap_at are where the arrays go. */
static void plan(const struct copy *copy, struct meta *meta, uint64_t *map_at, uint64_t *bitmap_at)
{
    uint64_t count[ARRAY_LEVELS_MAX];
    *map_at = META_PAGES + copy->tree_pages + copy->run_pages;
    meta->map = array_shape(copy->next_pid, *map_at, count);
    *bitmap_at = *map_at + meta->map.nodes;
    /* The bitmap covers its own pages too. */
    meta->bitmap.nodes = 0;
    do {
        meta->high_water = *bitmap_at + meta->bitmap.nodes;
        meta->bitmap = array_shape((meta->high_water + 63) / 64, *bitmap_at, count);
    } while (*bitmap_at + meta->bitmap.nodes != meta->high_water);
    meta->checkpoint = COPY_CHECKPOINT;
    meta->used_pages = meta->high_water;
    meta->pending = meta->pending_pages = 0;
    meta->free_pid = copy->free_pid;
    meta->free_pids = copy->free_pids;
}

static int write_pages(struct copy *copy, uint64_t map_at)
{
    copy->next_run = META_PAGES + copy->tree_pages;
    copy->tree_pages = 0; /* counted once more while writing */
    int rc = each_page(copy, copy_page, NULL);
    if (rc == 0)
        rc = flush(copy);
    if (rc == 0 && copy->next_run != map_at)
        rc = QS_CORRUPT();
    return rc == 0 ? each_page(copy, copy_runs, NULL) : rc;
}

static int write_copy(struct copy *copy, struct meta *meta)
{
    uint64_t map_at, bitmap_at;
    int rc = each_page(copy, count_page, count_free);
    if (rc != 0)
        return rc;
    plan(copy, meta, &map_at, &bitmap_at);
    rc = qs_copy_metas(copy->fd, meta);
    if (rc == 0)
        rc = write_pages(copy, map_at);
    if (rc == 0)
        rc = write_array(copy, copy->next_pid, map_at, 0, map_word);
    copy->next_run = meta->high_water;
    if (rc == 0)
        rc = write_array(copy, (meta->high_water + 63) / 64, bitmap_at, 1, bitmap_word);
    return rc == 0 ? flush(copy) : rc;
}

/* What the copy's meta page says beside the counts. */
static int begin_meta(struct qs_txn *txn, uint64_t map_size_bytes, struct meta *meta,
                      pageid_t *next_pid)
{
    static const struct qs_tree main_tree = {.index = 0};
    struct core *core = txn->env->core;
    const struct tree_record *record;
    const struct tree_order *order;
    int rc = qs_txn_record(txn, &main_tree, &record, &order);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&core->follow_lock);
    const struct meta *source = &txn->replica->meta;
    qs_meta_init(meta, map_size_bytes, source->file_id);
    *next_pid = meta->next_pid = txn->replica->latest.next_pid;
    pthread_mutex_unlock(&core->follow_lock);
    meta->main = *record;
    meta->txn = record->entries > 0 || record->flags != 0;
    return 0;
}

int qs_copy_compact(struct qs_txn *txn, int fd, uint64_t map_size_bytes)
{
    struct meta meta;
    struct copy copy = {.txn = txn, .fd = fd};
    int rc = begin_meta(txn, map_size_bytes, &meta, &copy.next_pid);
    if (rc != 0)
        return rc;
    copy.buffer = aligned_alloc(QS_PAGE_BYTES, (size_t)COPY_PAGES * QS_PAGE_BYTES);
    copy.map_word = calloc(copy.next_pid, sizeof *copy.map_word);
    rc = copy.buffer != NULL && copy.map_word != NULL ? write_copy(&copy, &meta) : ENOMEM;
    free(copy.buffer);
    free(copy.map_word);
    return rc;
}
