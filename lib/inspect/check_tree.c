/* check_tree.c - the verifier's walk over trees: shape, order, fences, counts, large values. */
#include "inspect/check.h"

#include "tree/dup.h"
#include "tree/path.h"
#include "tree/writer.h"

#include <stdlib.h>
#include <string.h>

/* One tree being walked. */
struct walk {
    struct check *check;
    const char *name;                                           /* for findings */
    struct order order, dups;                                   /* of its keys, duplicates */
    unsigned flags;                                             /* of the tree */
    enum page_kind leaf_kind;                                   /* of its leaves */
    struct tree_record found;                                   /* what the walk counted */
    uint8_t last[QS_KEY_MAX];                                   /* the greatest key met */
    size_t last_size;                                           /* 0: none yet */
    int (*named)(struct walk *walk, const struct entry *entry); /* main tree: a named one */
};

/* A page and the keys it may hold: low <= key < high, a side of size 0 being open. */
struct place {
    pageid_t pid;
    unsigned level;
    struct separator low, high;
};

static void check_large(struct walk *walk, const struct entry *entry)
{
    struct large_ref ref;
    const void *bytes;
    memcpy(&ref, entry->value, sizeof ref);
    uint64_t pages = qs_large_pages(ref.size);
    walk->found.overflow_pages += pages;
    walk->check->run_pages += pages;
    if (!qs_check_reach(walk->check, ref.pgno, pages, "a large value"))
        return;
    int rc = qs_large_read(&walk->check->file.view, &ref, &bytes);
    if (rc != 0)
        qs_check_fault(walk->check, "%s: the large value at page %llu is damaged", walk->name,
                       (unsigned long long)ref.pgno);
}

static void check_key(struct walk *walk, const struct entry *entry, const struct place *place)
{
    enum key_order order = walk->order.built_in;
    if (walk->order.custom) /* only its program knows */
        return;
    if (walk->last_size != 0 &&
        qs_key_compare(order, walk->last, walk->last_size, entry->key, entry->key_size) >= 0)
        qs_check_fault(walk->check, "%s: keys out of order in page id %u", walk->name, place->pid);
    bool below =
        place->low.key_size != 0 &&
        qs_key_compare(order, entry->key, entry->key_size, place->low.key, place->low.key_size) < 0;
    bool above =
        place->high.key_size != 0 && qs_key_compare(order, entry->key, entry->key_size,
                                                    place->high.key, place->high.key_size) >= 0;
    if (below || above)
        qs_check_fault(walk->check, "%s: page id %u holds a key outside its fences", walk->name,
                       place->pid);
    memcpy(walk->last, entry->key, entry->key_size);
    walk->last_size = entry->key_size;
}

/* Compares what a walk counted with what the tree's record says. */
static void check_counts(struct walk *walk, const struct tree_record *record)
{
    const struct tree_record *found = &walk->found;
    if (found->entries == record->entries && found->leaf_pages == record->leaf_pages &&
        found->branch_pages == record->branch_pages &&
        found->overflow_pages == record->overflow_pages)
        return;
    qs_check_fault(walk->check,
                   "%s: counts %llu entries, %llu leaves, %llu inner pages, %llu overflow "
                   "pages; its record says %llu, %llu, %llu, %llu",
                   walk->name, (unsigned long long)found->entries,
                   (unsigned long long)found->leaf_pages, (unsigned long long)found->branch_pages,
                   (unsigned long long)found->overflow_pages, (unsigned long long)record->entries,
                   (unsigned long long)record->leaf_pages, (unsigned long long)record->branch_pages,
                   (unsigned long long)record->overflow_pages);
}

static void walk_page(struct walk *walk, const struct place *place);

static void walk_from_root(struct walk *walk, const struct tree_record *record)
{
    struct place root = {.pid = qs_tree_root(record), .level = record->depth - 1u};
    if (record->depth == 0 || record->depth > PATH_STEPS_MAX || record->root >= TREE_ROOT_END)
        qs_check_fault(walk->check, "%s: impossible root or depth", walk->name);
    else
        walk_page(walk, &root);
    check_counts(walk, record);
}

/* The duplicates of one key; their number counts for the tree. */
static void check_dups(struct walk *walk, const struct entry *entry, const struct place *place)
{
    struct tree_order sub_order;
    const struct tree_order order = {.dups = walk->dups};
    if ((walk->flags & QS_DUPSORT) == 0) {
        qs_check_fault(walk->check, "%s: duplicates in page id %u", walk->name, place->pid);
    } else if ((entry->flags & ENTRY_SET_TREE) != 0) {
        struct tree_record record;
        memcpy(&record, entry->value, sizeof record);
        qs_dup_orders(&sub_order, &order, &record);
        struct walk sub = {.check = walk->check, .name = walk->name, .order = sub_order.keys};
        if (sub.order.custom && !order.dups.custom)
            qs_check_fault(walk->check, "%s: duplicates in custom order, unknown to its record",
                           walk->name);
        sub.leaf_kind = qs_leaf_kind(&record);
        walk_from_root(&sub, &record);
        walk->found.entries += sub.found.entries - 1;
    } else {
        struct set set;
        qs_dup_set(&set, entry);
        for (unsigned i = 1; i < set.count && !order.dups.custom; i++) {
            struct qs_val a = qs_set_item(&set, i - 1), b = qs_set_item(&set, i);
            if (qs_key_compare(order.dups.built_in, a.data, a.size, b.data, b.size) >= 0)
                qs_check_fault(walk->check, "%s: duplicates out of order in page id %u", walk->name,
                               place->pid);
        }
        walk->found.entries += set.count - 1u;
    }
}

static void check_fixed(struct walk *walk, const struct page *page, const struct place *place)
{
    walk->found.leaf_pages++;
    walk->found.entries += page->count;
    for (unsigned i = 0; i < page->count; i++) {
        struct entry entry;
        qs_fixed_entry(page, i, &entry);
        check_key(walk, &entry, place);
    }
}

static void check_leaf(struct walk *walk, const struct page *page, const struct place *place)
{
    walk->found.leaf_pages++;
    walk->found.entries += page->count;
    for (unsigned i = 0; i < page->count; i++) {
        struct entry entry;
        qs_leaf_entry(page, i, &entry);
        check_key(walk, &entry, place);
        if ((entry.flags & ENTRY_TOMBSTONE) != 0)
            qs_check_fault(walk->check, "%s: a tombstone in page id %u", walk->name, place->pid);
        if ((entry.flags & ENTRY_LARGE) != 0)
            check_large(walk, &entry);
        if ((entry.flags & ENTRY_DUPS) != 0)
            check_dups(walk, &entry, place);
        if ((entry.flags & ENTRY_TREE) != 0 && walk->named != NULL)
            walk->named(walk, &entry);
    }
}

/* Notes the file page behind a page id, and reads it. */
static const struct page *take_page(struct walk *walk, const struct place *place)
{
    struct check *check = walk->check;
    struct image image;
    uint64_t word;
    int rc = qs_path_page(&check->file.view, place->pid, place->level, walk->leaf_kind, &image);
    if (rc == 0)
        rc = qs_map_base(&check->file.map, place->pid, &word);
    if (rc != 0 || place->pid >= check->file.meta.next_pid) {
        qs_check_fault(check, "%s: page id %u cannot be read: %s", walk->name, place->pid,
                       qs_strerror(rc));
        return NULL;
    }
    if (check->pid_seen[place->pid]) {
        qs_check_fault(check, "%s: page id %u is referred to twice", walk->name, place->pid);
        return NULL;
    }
    check->pid_seen[place->pid] = 1;
    check->tree_pages++;
    qs_check_reach(check, word & MAP_WORD_PGNO, 1, "a tree");
    bool custom = (image.base->order & PAGE_CUSTOM) != 0;
    if (!qs_page_check(image.base, walk->order.built_in, true) ||
        qs_page_key_order(image.base) != walk->order.built_in || (custom && !walk->order.custom))
        qs_check_fault(check, "%s: page id %u is malformed", walk->name, place->pid);
    unsigned fence = qs_path_fence(&walk->order, &place->low, &place->high);
    if (image.base->fence > fence && !walk->order.custom)
        qs_check_fault(check, "%s: page id %u claims a fence of %u bytes, it has %u", walk->name,
                       place->pid, image.base->fence, fence);
    return image.base;
}

static void walk_page(struct walk *walk, const struct place *place)
{
    const struct page *page = take_page(walk, place);
    if (page == NULL)
        return;
    if (place->level == 0) {
        if (page->kind == PAGE_FIXED)
            check_fixed(walk, page, place);
        else
            check_leaf(walk, page, place);
        return;
    }
    walk->found.branch_pages++;
    for (unsigned i = 0; i < page->count; i++) {
        struct place child = {qs_inner_child(page, i), place->level - 1, place->low, place->high};
        if (i > 0)
            qs_inner_separator(page, i, &child.low);
        if (i + 1u < page->count)
            qs_inner_separator(page, i + 1, &child.high);
        walk_page(walk, &child);
    }
}

static void walk_tree(struct check *check, const char *name, const struct tree_record *record,
                      int (*named)(struct walk *walk, const struct entry *entry))
{
    struct tree_order order;
    qs_tree_orders(&order, record);
    struct walk walk = {.check = check,
                        .name = name,
                        .order = order.keys,
                        .dups = order.dups,
                        .flags = record->flags,
                        .leaf_kind = PAGE_LEAF,
                        .named = named};
    check->report->trees++;
    if (record->root != TREE_ROOT_NONE)
        walk_from_root(&walk, record);
    else
        check_counts(&walk, record);
    check->report->entries += walk.found.entries;
}

static int walk_named(struct walk *walk, const struct entry *entry)
{
    char name[QS_KEY_MAX + 1];
    struct tree_record record;
    memcpy(name, entry->key, entry->key_size);
    name[entry->key_size] = '\0';
    if (entry->value_size != sizeof record) {
        qs_check_fault(walk->check, "%s: its record has %u bytes", name, entry->value_size);
        return 0;
    }
    memcpy(&record, entry->value, sizeof record);
    walk_tree(walk->check, name, &record, NULL);
    return 0;
}

void qs_check_trees(struct check *check)
{
    walk_tree(check, "main", &check->file.meta.main, walk_named);
}
