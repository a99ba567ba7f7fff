/* dump.c - printing what a file holds; see inspect.h. */
#include "inspect/inspect.h"

#include "format/pending.h"
#include "store/array.h"
#include "tree/cursor.h"
#include "tree/dup.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void qs_dump_meta(const struct inspect *inspect)
{
    const struct meta *m = &inspect->meta;
    printf("file id      %016" PRIx64 "%016" PRIx64 "\n", m->file_id[0], m->file_id[1]);
    printf("checkpoint   %" PRIu64 "\ntransaction  %" PRIu64 "\n", m->checkpoint, m->txn);
    printf("map size     %" PRIu64 "\nhigh water   %" PRIu64 " pages\n", m->map_size_bytes,
           m->high_water);
    printf("in use       %" PRIu64 " pages\n", m->used_pages);
    printf("map          page %" PRIu64 ", %u levels, %u nodes\n", m->map.pgno, m->map.levels,
           m->map.nodes);
    printf("bitmap       page %" PRIu64 ", %u levels, %u nodes\n", m->bitmap.pgno, m->bitmap.levels,
           m->bitmap.nodes);
    printf("pending      page %" PRIu64 ", %" PRIu64 " pages\n", m->pending, m->pending_pages);
    printf("log          page %" PRIu64 " + %" PRIu64 " at offset %" PRIu64 ", position %" PRIu64
           "\n",
           m->log.pgno, m->log.pages, m->log.offset, m->log.position);
    printf("page ids     next %u, free %" PRIu64 "\n", m->next_pid, m->free_pids);
}

static void print_tree(const char *name, int name_size, const struct tree_record *r)
{
    struct tree_order order;
    qs_tree_orders(&order, r);
    printf("%-20.*s flags %02x depth %u inner %" PRIu64 " leaves %" PRIu64 " overflow %" PRIu64
           " entries %" PRIu64 "%s%s\n",
           name_size, name, r->flags, r->depth, r->branch_pages, r->leaf_pages, r->overflow_pages,
           r->entries, order.keys.custom ? ", keys in custom order" : "",
           order.dups.custom ? ", duplicates in custom order" : "");
}

int qs_dump_trees(struct inspect *inspect)
{
    struct cursor cursor;
    struct entry entry;
    struct tree_order order;
    const struct tree_record *record = &inspect->meta.main;
    qs_tree_orders(&order, record);
    print_tree("(main)", 6, record);
    qs_cursor_init(&cursor, &inspect->view, record, &order);
    int rc = qs_cursor_first(&cursor);
    for (; rc == 0; rc = qs_cursor_next(&cursor)) {
        rc = qs_cursor_entry(&cursor, &entry);
        if (rc != 0)
            break;
        struct tree_record named;
        if ((entry.flags & ENTRY_TREE) == 0 || entry.value_size != sizeof named)
            continue;
        memcpy(&named, entry.value, sizeof named);
        print_tree(entry.key, entry.key_size, &named);
    }
    return rc == QS_E_NOTFOUND ? 0 : rc;
}

/* The first bytes of a string, printable. */
static void print_bytes(const void *bytes, size_t size)
{
    const unsigned char *b = bytes;
    for (size_t i = 0; i < size && i < 32; i++)
        if (isprint(b[i]) && b[i] != '\\')
            putchar(b[i]);
        else
            printf("\\%02x", b[i]);
    if (size > 32)
        printf("... (%zu)", size);
}

/* The first bytes of the value, or what its flags say of it. */
static void print_value(const struct entry *entry)
{
    if ((entry->flags & ENTRY_DUPS) == 0) {
        print_bytes(entry->value, entry->value_size);
        printf((entry->flags & ENTRY_LARGE) != 0  ? " large\n"
               : (entry->flags & ENTRY_TREE) != 0 ? " tree\n"
                                                  : "\n");
        return;
    }
    struct set set;
    if ((entry->flags & ENTRY_SET_TREE) != 0) {
        struct tree_record record;
        memcpy(&record, entry->value, sizeof record);
        printf("a set of %" PRIu64 ": depth %u, root page id %u\n", record.entries, record.depth,
               qs_tree_root(&record));
        return;
    }
    qs_dup_set(&set, entry);
    printf("a set of %u:", set.count);
    for (unsigned i = 0; i < set.count; i++) {
        struct qs_val item = qs_set_item(&set, i);
        putchar(' ');
        print_bytes(item.data, item.size);
    }
    putchar('\n');
}

static void print_fixed(const struct page *page)
{
    for (unsigned i = 0; i < page->count; i++) {
        printf("  %3u ", i);
        print_bytes(qs_fixed_item(page, i), page->item_size);
        putchar('\n');
    }
}

static void print_leaf(const struct page *page)
{
    for (unsigned i = 0; i < page->count; i++) {
        struct entry entry;
        qs_leaf_entry(page, i, &entry);
        printf("  %3u ", i);
        print_bytes(entry.key, entry.key_size);
        printf(" = ");
        print_value(&entry);
    }
}

static void print_inner(const struct page *page)
{
    for (unsigned i = 0; i < page->count; i++) {
        struct separator separator;
        qs_inner_separator(page, i, &separator);
        printf("  %3u -> page id %u from ", i, separator.pid);
        print_bytes(separator.key, separator.key_size);
        putchar('\n');
    }
}

int qs_dump_page(struct inspect *inspect, uint64_t pgno)
{
    static const char *const kinds[] = {"?", "leaf", "inner", "array", "pending", "fixed"};
    const struct page *page = qs_store_page(inspect->store, pgno);
    if (page == NULL || pgno < META_PAGES)
        return QS_E_PAGE_NOTFOUND;
    bool intact = qs_page_verify(page);
    printf("page %" PRIu64 ": %s, %s, level %u, %u entries, checkpoint %" PRIu64 ", id %u\n", pgno,
           intact ? "intact" : "DAMAGED", kinds[page->kind <= PAGE_FIXED ? page->kind : 0],
           page->level, page->count, page->checkpoint, page->pid);
    bool tree_page =
        page->kind == PAGE_LEAF || page->kind == PAGE_INNER || page->kind == PAGE_FIXED;
    if (!intact || !tree_page || page->size != QS_PAGE_BYTES ||
        !qs_page_check(page, qs_page_key_order(page), false))
        return 0;
    printf("  %sorder %u, heap at %u, garbage %u, prefix %u, fence %u\n",
           (page->order & PAGE_CUSTOM) != 0 ? "custom, instead of " : "",
           (unsigned)qs_page_key_order(page), page->heap, page->garbage, page->prefix, page->fence);
    if (page->kind == PAGE_FIXED)
        print_fixed(page);
    else if (page->kind == PAGE_LEAF)
        print_leaf(page);
    else
        print_inner(page);
    return 0;
}

static int print_free(void *context, const struct array_node *node, uint64_t pgno, uint64_t leaf)
{
    const struct inspect *inspect = context;
    uint64_t in_use = 0;
    (void)pgno;
    if (node->header.level > 0)
        return 0;
    for (unsigned i = 0; i < ARRAY_FANOUT; i++)
        in_use += (uint64_t)__builtin_popcountll(node->word[i]);
    uint64_t first = leaf * ARRAY_FANOUT * 64, end = first + ARRAY_FANOUT * 64;
    end = end < inspect->meta.high_water ? end : inspect->meta.high_water;
    printf("pages %" PRIu64 " to %" PRIu64 ": %" PRIu64 " in use or waiting\n", first, end - 1,
           in_use);
    return 0;
}

int qs_dump_space(struct inspect *inspect)
{
    int rc = qs_array_walk(inspect->store, &inspect->meta.bitmap, print_free, inspect);
    uint64_t pgno = inspect->meta.pending;
    for (uint64_t n = 0; rc == 0 && pgno != 0 && n < inspect->meta.pending_pages; n++) {
        const struct pending_page *page = qs_store_page(inspect->store, pgno);
        if (page == NULL || !qs_page_verify(&page->header) || page->header.count > PENDING_PER_PAGE)
            return QS_E_CORRUPTED;
        for (unsigned i = 0; i < page->header.count; i++)
            printf("waiting: page %" PRIu64 " + %" PRIu64 ", born %" PRIu64 ", freed %" PRIu64 "\n",
                   page->run[i].pgno, page->run[i].pages, page->run[i].born, page->run[i].freed);
        pgno = page->next;
    }
    return rc;
}
