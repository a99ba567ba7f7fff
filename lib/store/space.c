/* space.c - free space: the bitmap in memory, allocation and release; see space.h.
 *
 * Invariants:
 *   S1 A page below the high water is free exactly when its bit is clear; bits from the high water
 *      on are clear.
 *   S2 Bits are cleared only by qs_space_free() of the transaction's own pages and by reclaim.
 *   S3 A leaf changed since qs_space_begin() has a shadow: its words as they were then.
 * Source: first fit from the low end, so that the file stays compact and its tail comes free.
 */
#include "store/space_leaf.h"

#include "base/error.h"
#include "base/vector.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNED_PAGES_MAX 512u /* 2 MiB: no unit of the page cache is larger */

void qs_space_close(struct space *space)
{
    for (size_t i = 0; i < space->leaf_count; i++) {
        free(space->leaf[i].words);
        free(space->leaf[i].shadow);
    }
    free(space->leaf);
    free(space->wait);
    free(space->chain);
    memset(space, 0, sizeof *space);
}

int qs_space_leaf_load(struct space *space, uint64_t index)
{
    if (index < space->leaf_count && space->leaf[index].words != NULL)
        return 0;
    if (index >= space->leaf_count) {
        size_t count = index + 16;
        struct space_leaf *grown = realloc(space->leaf, count * sizeof *grown);
        if (grown == NULL)
            return ENOMEM;
        memset(grown + space->leaf_count, 0, (count - space->leaf_count) * sizeof *grown);
        space->leaf = grown;
        space->leaf_count = count;
    }
    const uint64_t *stored;
    int rc = qs_array_leaf(space->store, &space->root, index, &stored);
    if (rc != 0)
        return rc;
    uint64_t *words = calloc(ARRAY_FANOUT, sizeof *words);
    if (words == NULL)
        return ENOMEM;
    if (stored != NULL)
        memcpy(words, stored, ARRAY_FANOUT * sizeof *words);
    space->leaf[index].words = words;
    return 0;
}

int qs_space_leaf_edit(struct space *space, uint64_t index, uint64_t **words)
{
    int rc = qs_space_leaf_load(space, index);
    if (rc != 0)
        return rc;
    struct space_leaf *leaf = &space->leaf[index];
    if (leaf->shadow == NULL) {
        leaf->shadow = malloc(ARRAY_FANOUT * sizeof *leaf->shadow);
        if (leaf->shadow == NULL)
            return ENOMEM;
        space->shadow_count++;
        memcpy(leaf->shadow, leaf->words, ARRAY_FANOUT * sizeof *leaf->shadow);
        leaf->dirty_before = leaf->dirty;
    }
    leaf->dirty = true;
    *words = leaf->words;
    return 0;
}

/* The bits of run [pgno, end) that lie in the word of page `pgno`. */
static uint64_t word_mask(uint64_t pgno, uint64_t end, uint64_t *pages)
{
    uint64_t shift = pgno % 64;
    *pages = end - pgno < 64 - shift ? end - pgno : 64 - shift;
    return (*pages == 64 ? ~0ull : (1ull << *pages) - 1) << shift;
}

static uint64_t *word_of(struct space *space, uint64_t pgno)
{
    return &space->leaf[pgno / SPACE_LEAF_PAGES].words[pgno % SPACE_LEAF_PAGES / 64];
}

/* Sets or clears the bits of a run: all of them or, on failure, none. A page that is taken or freed
 * twice (S1, S2) is the file's fault: it says what is used, and what is to be freed. */
static int mark(struct space *space, uint64_t pgno, uint64_t count, bool used)
{
    uint64_t end = pgno + count, *words, n;
    for (uint64_t i = pgno / SPACE_LEAF_PAGES; i * SPACE_LEAF_PAGES < end; i++) {
        int rc = qs_space_leaf_edit(space, i, &words);
        if (rc != 0)
            return rc;
    }
    for (uint64_t at = pgno; at < end; at += n) {
        uint64_t mask = word_mask(at, end, &n);
        if ((*word_of(space, at) & mask) != (used ? 0 : mask))
            return QS_CORRUPT();
    }
    for (; pgno < end; pgno += n) {
        uint64_t mask = word_mask(pgno, end, &n);
        *word_of(space, pgno) ^= mask;
    }
    return 0;
}

void qs_space_begin(struct space *space)
{
    space->wait_mark = space->wait_count;
    space->high_water_mark = space->high_water;
    qs_space_leaf_settle(space, false);
}

void qs_space_rollback(struct space *space)
{
    qs_space_leaf_settle(space, true);
    space->wait_count = space->wait_mark;
    space->high_water = space->high_water_mark;
    space->low = META_PAGES;
    space->run_missing = UINT64_MAX;
}

void qs_space_leaf_settle(struct space *space, bool restore)
{
    for (size_t i = 0; space->shadow_count > 0 && i < space->leaf_count; i++) {
        struct space_leaf *leaf = &space->leaf[i];
        if (leaf->shadow == NULL)
            continue;
        if (restore) {
            memcpy(leaf->words, leaf->shadow, ARRAY_FANOUT * sizeof *leaf->words);
            leaf->dirty = leaf->dirty_before;
        }
        free(leaf->shadow);
        leaf->shadow = NULL;
        space->shadow_count--;
    }
}

/* First page >= `from` and < high water whose bit is `used`, or the high water. */
static int next_page(struct space *space, uint64_t from, bool used, uint64_t *page)
{
    while (from < space->high_water) {
        int rc = qs_space_leaf_load(space, from / SPACE_LEAF_PAGES);
        if (rc != 0)
            return rc;
        uint64_t bit = from % SPACE_LEAF_PAGES;
        uint64_t word = space->leaf[from / SPACE_LEAF_PAGES].words[bit / 64];
        uint64_t hits = (used ? word : ~word) >> (bit % 64);
        if (hits != 0) {
            from += (uint64_t)__builtin_ctzll(hits);
            break;
        }
        from += 64 - bit % 64;
    }
    *page = from < space->high_water ? from : space->high_water;
    return 0;
}

int qs_space_run_start(struct space *space, uint64_t end, bool used, uint64_t *start)
{
    *start = end;
    if (end > space->high_water) {
        if (used)
            return 0;
        end = space->high_water;
    }
    while (end > META_PAGES) {
        int rc = qs_space_leaf_load(space, (end - 1) / SPACE_LEAF_PAGES);
        if (rc != 0)
            return rc;
        uint64_t bit = (end - 1) % SPACE_LEAF_PAGES;
        uint64_t word = space->leaf[(end - 1) / SPACE_LEAF_PAGES].words[bit / 64];
        uint64_t other = (used ? ~word : word) << (63 - bit % 64);
        if (other != 0) {
            end -= (uint64_t)__builtin_clzll(other);
            break;
        }
        end -= bit % 64 + 1;
    }
    *start = end > META_PAGES ? end : META_PAGES;
    return 0;
}

/* Length of the free run at `pgno` (free itself, or the high water), up to `most`; the part beyond
 * the high water counts, since the file can grow there. */
static int run_length(struct space *space, uint64_t pgno, uint64_t most, uint64_t *length)
{
    uint64_t end;
    int rc = next_page(space, pgno, true, &end);
    if (rc != 0)
        return rc;
    *length = end == space->high_water || end - pgno > most ? most : end - pgno;
    return 0;
}

static void extend_to(struct space *space, uint64_t end)
{
    if (end > space->high_water)
        space->high_water = end;
    if (end > space->reach)
        space->reach = end;
}

static int take(struct space *space, uint64_t pgno, uint64_t count)
{
    int rc = mark(space, pgno, count, true);
    if (rc != 0)
        return rc;
    extend_to(space, pgno + count);
    return 0;
}

int qs_space_allocate_some(struct space *space, uint64_t most, uint64_t *pgno, uint64_t *count)
{
    int rc = next_page(space, space->low, false, pgno);
    if (rc == 0)
        rc = run_length(space, *pgno, most, count);
    if (rc == 0)
        rc = take(space, *pgno, *count);
    if (rc == 0)
        space->low = *pgno + *count;
    return rc;
}

/* Moves a free run up to where it is aligned as its length is, if that is free as well: what is written at once
 * then lies in few large units of the page cache, and is read the faster. */
static int align(struct space *space, uint64_t *pgno, uint64_t count)
{
    uint64_t unit = count & -count, got;
    unit = unit < ALIGNED_PAGES_MAX ? unit : ALIGNED_PAGES_MAX;
    uint64_t gap = -*pgno & (unit - 1);
    int rc = run_length(space, *pgno, gap + count, &got);
    if (rc == 0 && got == gap + count)
        *pgno += gap;
    return rc;
}

/* The first free run of `count` pages, or the tail. */
static int find_run(struct space *space, uint64_t count, uint64_t *pgno)
{
    uint64_t got, at = space->low;
    if (count >= space->run_missing) /* only the tail can do */
        at = space->high_water;
    int rc = 0;
    for (;; at += got) {
        rc = next_page(space, at, false, &at);
        if (rc == 0)
            rc = run_length(space, at, count, &got);
        if (rc != 0)
            return rc;
        if (got == count)
            break;
    }
    if (at + count > space->high_water && count < space->run_missing)
        space->run_missing = count;
    *pgno = at;
    return 0;
}

int qs_space_allocate(struct space *space, uint64_t count, uint64_t *pgno)
{
    uint64_t got;
    if (count == 1)
        return qs_space_allocate_some(space, 1, pgno, &got);
    int rc = find_run(space, count, pgno);
    return rc == 0 ? take(space, *pgno, count) : rc;
}

int qs_space_allocate_aligned(struct space *space, uint64_t count, uint64_t *pgno)
{
    if (count == 1)
        return qs_space_allocate(space, count, pgno);
    int rc = find_run(space, count, pgno);
    if (rc == 0)
        rc = align(space, pgno, count);
    return rc == 0 ? take(space, *pgno, count) : rc;
}

/* Clears the bits of a run and remembers that there is room. */
static int give(struct space *space, uint64_t pgno, uint64_t count)
{
    int rc = mark(space, pgno, count, false);
    if (rc != 0)
        return rc;
    if (pgno < space->low)
        space->low = pgno;
    space->run_missing = UINT64_MAX;
    uint64_t start;
    if (pgno + count == space->high_water)
        space->high_water = qs_space_run_start(space, pgno, false, &start) == 0 ? start : pgno;
    return 0;
}

int qs_space_free(struct space *space, uint64_t pgno, uint64_t count)
{
    return give(space, pgno, count);
}

int qs_space_release(struct space *space, uint64_t pgno, uint64_t count, uint64_t born,
                     uint64_t freed)
{
    if (pgno < META_PAGES || pgno > space->high_water || count > space->high_water - pgno)
        return QS_CORRUPT();
    if (space->wait_count > space->wait_mark) {
        struct pending_run *last = &space->wait[space->wait_count - 1];
        if (last->pgno + last->pages == pgno && last->born == born && last->freed == freed) {
            last->pages += count;
            return 0;
        }
    }
    int rc = qs_vector_reserve((void **)&space->wait, &space->wait_capacity, space->wait_count + 1,
                               sizeof *space->wait);
    if (rc != 0)
        return rc;
    space->wait[space->wait_count++] = (struct pending_run){pgno, born, freed, count};
    return 0;
}

static bool in_use(const struct pending_run *run, const uint64_t *used, size_t used_count)
{
    for (size_t i = 0; i < used_count; i++)
        if (used[i] >= run->born && used[i] < run->freed)
            return true;
    return false;
}

int qs_space_reclaim(struct space *space, uint64_t durable, const uint64_t *used, size_t used_count)
{
    size_t kept = 0;
    int rc = 0;
    for (size_t i = 0; i < space->wait_count; i++) {
        struct pending_run run = space->wait[i];
        bool free_now = rc == 0 && run.freed <= durable && !in_use(&run, used, used_count);
        if (free_now)
            rc = give(space, run.pgno, run.pages);
        if (!free_now || rc != 0)
            space->wait[kept++] = run;
    }
    space->wait_count = kept;
    return rc;
}

/* Takes [pgno, end) out of the waiting run at `index`; what is left of it goes on waiting. */
static int cut_wait(struct space *space, size_t index, uint64_t pgno, uint64_t end)
{
    struct pending_run run = space->wait[index];
    uint64_t run_end = run.pgno + run.pages;
    struct pending_run before = {run.pgno, run.born, run.freed,
                                 pgno > run.pgno ? pgno - run.pgno : 0};
    struct pending_run after = {end, run.born, run.freed, run_end > end ? run_end - end : 0};
    int rc = qs_vector_reserve((void **)&space->wait, &space->wait_capacity, space->wait_count + 1,
                               sizeof *space->wait);
    if (rc != 0)
        return rc;
    if (before.pages == 0 && after.pages == 0) {
        space->wait[index] = space->wait[--space->wait_count];
        return 0;
    }
    space->wait[index] = before.pages > 0 ? before : after;
    if (before.pages > 0 && after.pages > 0)
        space->wait[space->wait_count++] = after;
    return 0;
}

int qs_space_claim(struct space *space, uint64_t pgno, uint64_t count)
{
    uint64_t end = pgno + count, n, *words;
    if (pgno < META_PAGES || end < pgno)
        return QS_CORRUPT();
    for (size_t i = space->wait_count;
         i-- > 0;) { /* downwards: one may take the place of another */
        const struct pending_run *run = &space->wait[i];
        if (run->pgno >= end || run->pgno + run->pages <= pgno)
            continue;
        int rc = cut_wait(space, i, pgno, end);
        if (rc != 0)
            return rc;
    }
    for (uint64_t at = pgno; at < end; at += n) {
        int rc = qs_space_leaf_edit(space, at / SPACE_LEAF_PAGES, &words);
        if (rc != 0)
            return rc;
        *word_of(space, at) |= word_mask(at, end, &n);
    }
    extend_to(space, end);
    return 0;
}
