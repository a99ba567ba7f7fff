/* recycle.c - runs for large values that no checkpoint knows of; see recycle.h. */
#include "store/recycle.h"

#include "base/vector.h"

#include <string.h>

#define LOOKED_AT 64u /* runs that are looked at for one that is long enough */

void qs_recycle_reset(struct recycle *r, uint64_t anchor)
{
    r->first = r->count = r->took_count = r->placed_count = 0;
    r->pages = 0;
    r->open = false;
    r->anchor = r->position = anchor;
    if (r->placed != NULL)
        memset(r->placed, 0, r->placed_capacity * sizeof *r->placed);
}

void qs_recycle_free(struct recycle *r)
{
    free(r->run);
    free(r->took);
    free(r->placed);
    memset(r, 0, sizeof *r);
}

/* ---- where runs were placed ---- */

static struct placed_run *probe(struct placed_run *table, size_t capacity, uint64_t pgno)
{
    size_t i = (size_t)(pgno * 0x9e3779b97f4a7c15u >> 32) & (capacity - 1);
    while (table[i].pgno != 0 && table[i].pgno != pgno)
        i = (i + 1) & (capacity - 1);
    return &table[i];
}

bool qs_recycle_knows(const struct recycle *r, uint64_t pgno)
{
    if (r->placed_count == 0)
        return false;
    const struct placed_run *slot = probe(r->placed, r->placed_capacity, pgno);
    return slot->pgno == pgno && slot->position >= r->anchor;
}

/* Room for `more` entries. What a checkpoint contains by now is left behind. */
static int grow_table(struct recycle *r, size_t more)
{
    size_t kept = 0, capacity = 64;
    if ((r->placed_count + more) * 2 <= r->placed_capacity)
        return 0;
    for (size_t i = 0; i < r->placed_capacity; i++)
        kept += r->placed[i].pgno != 0 && r->placed[i].position >= r->anchor;
    while (capacity < (kept + more) * 4)
        capacity *= 2;
    struct placed_run *table = calloc(capacity, sizeof *table);
    if (table == NULL)
        return ENOMEM;
    for (size_t i = 0; i < r->placed_capacity; i++)
        if (r->placed[i].pgno != 0 && r->placed[i].position >= r->anchor)
            *probe(table, capacity, r->placed[i].pgno) = r->placed[i];
    free(r->placed);
    r->placed = table;
    r->placed_count = kept;
    r->placed_capacity = capacity;
    return 0;
}

void qs_recycle_placed(struct recycle *r, uint64_t pgno, uint64_t position, bool earliest)
{
    struct placed_run *slot = probe(r->placed, r->placed_capacity, pgno);
    bool known = slot->pgno == pgno && slot->position >= r->anchor;
    r->placed_count += slot->pgno == 0;
    if (!known || !earliest)
        *slot = (struct placed_run){pgno, position};
}

/* ---- the list ---- */

static void push(struct recycle *r, const struct recycled *run)
{
    r->run[r->count++] = *run;
    r->pages += run->pages;
}

int qs_recycle_make_room(struct recycle *r, size_t runs)
{
    if (r->first > r->count / 2) {
        memmove(r->run, r->run + r->first, (r->count - r->first) * sizeof *r->run);
        r->count -= r->first;
        r->first = 0;
    }
    /* Each that is cut may become two. */
    int rc = qs_vector_reserve((void **)&r->run, &r->capacity, 2 * r->count + r->took_count + runs,
                               sizeof *r->run);
    return rc == 0 ? grow_table(r, runs) : rc;
}

bool qs_recycle_add(struct recycle *r, const struct pending_run *run, uint64_t freed, txnid_t txn)
{
    if (!qs_recycle_knows(r, run->pgno))
        return false;
    uint64_t placed = probe(r->placed, r->placed_capacity, run->pgno)->position;
    push(r, &(struct recycled){run->pgno, run->pages, run->born, placed, freed, txn, false});
    r->added++;
    return true;
}

/* Takes [pgno, pgno + pages) out of a run that has it; what is left of that stays. */
static void cut(struct recycle *r, struct recycled *run, uint64_t pgno, uint64_t pages)
{
    struct recycled behind = *run;
    behind.pgno = pgno + pages;
    behind.pages = run->pgno + run->pages - behind.pgno;
    r->pages -= run->pages;
    run->pages = pgno - run->pgno;
    if (run->pages == 0) { /* it keeps its place in the order */
        *run = behind;
        r->pages += run->pages;
    } else {
        r->pages += run->pages;
        if (behind.pages > 0)
            push(r, &behind);
    }
    while (r->first < r->count && r->run[r->first].pages == 0)
        r->first++;
}

/* Whoever took it may have made one run of several. Where transactions are followed together a page may be
 * listed twice: once it is cut out here. */
void qs_recycle_cut(struct recycle *r, uint64_t pgno, uint64_t pages)
{
    for (size_t i = r->first; i < r->count && pages > 0; i++) {
        struct recycled *run = &r->run[i];
        uint64_t end = pgno + pages, run_end = run->pgno + run->pages;
        uint64_t from = run->pgno > pgno ? run->pgno : pgno, to = run_end < end ? run_end : end;
        if (from >= to)
            continue;
        cut(r, run, from, to - from);
        qs_recycle_cut(r, pgno, from - pgno);
        pgno = to;
        pages = end - to;
    }
}

void qs_recycle_pass(struct recycle *r, txnid_t txn, uint64_t anchor)
{
    size_t kept = 0;
    r->pages = 0;
    for (size_t i = r->first; i < r->count; i++) {
        if (r->run[i].txn <= txn)
            continue;
        r->pages += r->run[i].pages;
        r->run[kept++] = r->run[i];
    }
    r->first = 0;
    r->count = kept;
    r->anchor = anchor;
}

/* ---- taking ---- */

/* Y1 */
static bool may_take(const struct recycle *r, const struct recycled *run)
{
    return run->placed >= r->anchor && run->txn <= r->oldest &&
           (run->freed <= r->durable || (r->settled && run->placed >= r->durable));
}

static int by_page(const void *a, const void *b)
{
    const struct recycled *x = a, *y = b;
    return (x->pgno > y->pgno) - (x->pgno < y->pgno);
}

/* Neighbours become one run, as young as the younger: small ones would be left over. */
static void join(struct recycle *r)
{
    size_t kept = 0;
    struct recycled *run = r->run + r->first, *last = NULL;
    qsort(run, r->count - r->first, sizeof *run, by_page);
    for (size_t i = 0; i < r->count - r->first; i++) {
        const struct recycled now = run[i];
        if (now.pages == 0)
            continue;
        if (last == NULL || last->pgno + last->pages != now.pgno) {
            last = &run[kept++];
            *last = now;
            continue;
        }
        last->pages += now.pages;
        last->born = now.born < last->born ? now.born : last->born;
        last->placed = now.placed < last->placed ? now.placed : last->placed;
        last->freed = now.freed > last->freed ? now.freed : last->freed;
        last->txn = now.txn > last->txn ? now.txn : last->txn;
    }
    r->count = r->first + kept;
    r->added = 0;
}

static bool take(struct recycle *r, uint64_t pages, uint64_t *pgno)
{
    size_t end = r->count - r->first > LOOKED_AT ? r->first + LOOKED_AT : r->count;
    for (size_t i = r->first; i < end; i++) {
        struct recycled run = r->run[i];
        if (run.pages < pages || !may_take(r, &run))
            continue;
        cut(r, &r->run[i], run.pgno, pages);
        *pgno = run.pgno;
        run.pages = pages;
        r->took[r->took_count++] = run;
        return true;
    }
    return false;
}

bool qs_recycle_take(struct recycle *r, uint64_t pages, uint64_t *pgno)
{
    if (!r->open || r->first == r->count || qs_recycle_make_room(r, 2) != 0 ||
        qs_vector_reserve((void **)&r->took, &r->took_capacity, r->took_count + 1,
                          sizeof *r->took) != 0)
        return false;
    if (take(r, pages, pgno))
        return true;
    if (r->added > (r->count - r->first) / 4) {
        join(r);
        return take(r, pages, pgno);
    }
    /* What was looked at in vain shall not stand in the way for ever. */
    struct recycled run = r->run[r->first++];
    r->pages -= run.pages;
    push(r, &run);
    return false;
}

void qs_recycle_back(struct recycle *r, uint64_t pgno)
{
    for (size_t i = r->took_count; i-- > 0;)
        if (r->took[i].pgno == pgno && !r->took[i].back) {
            r->took[i].back = true;
            return;
        }
}

static void put_back(struct recycle *r, bool all)
{
    size_t kept = 0;
    for (size_t i = 0; i < r->took_count; i++) {
        struct recycled run = r->took[i];
        if (!all && !run.back) {
            r->took[kept++] = run;
            continue;
        }
        run.back = false;
        push(r, &run); /* there is room since it was taken */
    }
    r->took_count = kept;
}

void qs_recycle_settle(struct recycle *r)
{
    put_back(r, false);
}

void qs_recycle_end(struct recycle *r, bool committed)
{
    put_back(r, !committed);
    r->took_count = 0;
    r->open = false;
}
