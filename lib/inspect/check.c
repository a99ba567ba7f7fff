/* check.c - the verifier: every page reachable exactly once, or waiting, or free; see quickstep.h. */
#include "inspect/check.h"

#include "store/array.h"
#include "format/pending.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void qs_check_fault(struct check *check, const char *format, ...)
{
    char sentence[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    check->report->faults++;
    if (check->complain != NULL)
        check->complain(check->context, sentence);
}

bool qs_check_reach(struct check *check, uint64_t pgno, uint64_t pages, const char *what)
{
    uint64_t end = check->file.meta.high_water;
    if (pgno < META_PAGES || pgno >= end || pages > end - pgno) {
        qs_check_fault(check, "%s refers to pages %llu to %llu, which do not exist", what,
                       (unsigned long long)pgno, (unsigned long long)(pgno + pages - 1));
        return false;
    }
    for (uint64_t p = pgno; p < pgno + pages; p++) {
        if ((check->use[p] & USE_REACHED) != 0)
            qs_check_fault(check, "page %llu is referred to twice, the second time by %s",
                           (unsigned long long)p, what);
        check->use[p] |= USE_REACHED;
        check->report->pages_reachable++;
    }
    return true;
}

static int visit_bitmap(void *context, const struct array_node *node, uint64_t pgno, uint64_t leaf)
{
    struct check *check = context;
    qs_check_reach(check, pgno, 1, "the free-space bitmap");
    for (uint64_t i = 0; node->header.level == 0 && i < ARRAY_FANOUT * 64ull; i++) {
        uint64_t page = leaf * ARRAY_FANOUT * 64 + i;
        if ((node->word[i / 64] >> (i % 64) & 1) == 0)
            continue;
        if (page >= check->file.meta.high_water)
            qs_check_fault(check, "page %llu is marked as in use beyond the high water",
                           (unsigned long long)page);
        else
            check->use[page] |= USE_MARKED;
    }
    return 0;
}

static int visit_map(void *context, const struct array_node *node, uint64_t pgno, uint64_t leaf)
{
    (void)node;
    (void)leaf;
    qs_check_reach(context, pgno, 1, "the map");
    return 0;
}

static void check_array(struct check *check, const struct array_root *root, const char *what,
                        int (*visit)(void *, const struct array_node *, uint64_t, uint64_t))
{
    uint64_t before = check->report->pages_reachable;
    int rc = qs_array_walk(check->file.store, root, visit, check);
    if (rc != 0)
        qs_check_fault(check, "%s cannot be read: %s", what, qs_strerror(rc));
    else if (check->report->pages_reachable - before != root->nodes)
        qs_check_fault(check, "%s has %llu nodes, its root says %u", what,
                       (unsigned long long)(check->report->pages_reachable - before), root->nodes);
}

static void check_run(struct check *check, const struct pending_run *run)
{
    uint64_t end = check->file.meta.high_water;
    if (run->pgno < META_PAGES || run->pgno >= end || run->pages > end - run->pgno ||
        run->freed > check->file.meta.checkpoint || run->born > run->freed) {
        qs_check_fault(check, "the pending chain holds an impossible run at page %llu",
                       (unsigned long long)run->pgno);
        return;
    }
    for (uint64_t p = run->pgno; p < run->pgno + run->pages; p++) {
        if ((check->use[p] & USE_WAITING) != 0)
            qs_check_fault(check, "page %llu waits twice to be free", (unsigned long long)p);
        check->use[p] |= USE_WAITING;
    }
}

static void check_pending(struct check *check)
{
    uint64_t pgno = check->file.meta.pending, n = 0;
    for (; pgno != 0; n++) {
        const struct pending_page *page = qs_store_page(check->file.store, pgno);
        if (n >= check->file.meta.pending_pages || !qs_check_reach(check, pgno, 1, "the chain") ||
            page == NULL || !qs_page_verify(&page->header) || page->header.kind != PAGE_PENDING ||
            page->header.count > PENDING_PER_PAGE) {
            qs_check_fault(check, "the pending chain is broken at page %llu",
                           (unsigned long long)pgno);
            return;
        }
        for (unsigned i = 0; i < page->header.count; i++)
            check_run(check, &page->run[i]);
        pgno = page->next;
    }
    if (n != check->file.meta.pending_pages)
        qs_check_fault(check, "the pending chain has %llu pages, the meta page says %llu",
                       (unsigned long long)n, (unsigned long long)check->file.meta.pending_pages);
}

/* Every page id is in a tree or free; the chain of free ones holds them all. */
static void check_pids(struct check *check)
{
    const struct meta *meta = &check->file.meta;
    uint64_t word, chained = 0;
    for (pageid_t pid = 1; pid < meta->next_pid; pid++) {
        int rc = qs_map_base(&check->file.map, pid, &word);
        if (rc != 0)
            qs_check_fault(check, "page id %u has no map entry: %s", pid, qs_strerror(rc));
        else if ((word & MAP_WORD_FREE) == 0 && !check->pid_seen[pid])
            qs_check_fault(check, "page id %u is in use, but in no tree", pid);
        else if ((word & MAP_WORD_FREE) != 0 && check->pid_seen[pid])
            qs_check_fault(check, "page id %u is in a tree, but free", pid);
    }
    for (pageid_t pid = meta->free_pid; pid != QS_PAGEID_NONE && chained <= meta->free_pids;
         chained++) {
        if (pid >= meta->next_pid || qs_map_base(&check->file.map, pid, &word) != 0 ||
            (word & MAP_WORD_FREE) == 0) {
            qs_check_fault(check, "the chain of free page ids is broken at %u", pid);
            return;
        }
        pid = (pageid_t)(word & UINT32_MAX);
    }
    if (chained != meta->free_pids)
        qs_check_fault(check, "%llu page ids are chained as free, the meta page says %llu",
                       (unsigned long long)chained, (unsigned long long)meta->free_pids);
}

static void check_pages(struct check *check)
{
    const struct meta *meta = &check->file.meta;
    for (uint64_t p = META_PAGES; p < meta->high_water; p++) {
        unsigned use = check->use[p];
        bool taken = (use & (USE_REACHED | USE_WAITING)) != 0;
        if ((use & USE_REACHED) != 0 && (use & USE_WAITING) != 0)
            qs_check_fault(check, "page %llu is in use and waits to be free",
                           (unsigned long long)p);
        if (taken && (use & USE_MARKED) == 0)
            qs_check_fault(check, "page %llu is in use, but free by the bitmap",
                           (unsigned long long)p);
        if (!taken && (use & USE_MARKED) != 0) {
            check->report->pages_lost++;
            qs_check_fault(check, "page %llu is lost: neither reachable nor free",
                           (unsigned long long)p);
        }
        check->report->pages_free +=
            (use & (USE_REACHED | USE_MARKED)) != USE_MARKED && (use & USE_REACHED) == 0;
    }
    uint64_t used =
        META_PAGES + check->tree_pages + check->run_pages + meta->map.nodes + meta->bitmap.nodes;
    if (used != meta->used_pages)
        qs_check_fault(check, "%llu pages are in use, the meta page says %llu",
                       (unsigned long long)used, (unsigned long long)meta->used_pages);
}

int qs_check(const char *data_path, void (*complain)(void *context, const char *sentence),
             void *context, struct qs_check_report *report)
{
    struct check check = {.complain = complain, .context = context, .report = report};
    memset(report, 0, sizeof *report);
    int rc = qs_inspect_open(&check.file, data_path);
    if (rc != 0)
        return rc;
    check.use = calloc(check.file.meta.high_water + 1, 1);
    check.pid_seen = calloc((size_t)check.file.meta.next_pid + 1, 1);
    if (check.use == NULL || check.pid_seen == NULL) {
        rc = ENOMEM;
    } else {
        check_array(&check, &check.file.meta.bitmap, "the free-space bitmap", visit_bitmap);
        check_array(&check, &check.file.meta.map, "the map", visit_map);
        check_pending(&check);
        qs_check_trees(&check);
        qs_check_log(&check);
        check_pids(&check);
        check_pages(&check);
    }
    free(check.use);
    free(check.pid_seen);
    qs_inspect_close(&check.file);
    return rc;
}
