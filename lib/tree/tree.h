/* tree.h - ordered trees: look up, put, delete, drop.
 *
 * A tree is its record (root, counts, flags); pages come from a view. Structure changes happen in the
 * writer's own versions, inside the transaction that needs them (rule 6). The tree never does I/O,
 * but for large values, which go to their page runs at once.
 * Threads: reading with any view; changing under the writer mutex.
 * Errors common to all: QS_E_CORRUPTED, QS_E_PAGE_NOTFOUND, ENOMEM. An error of a changing function
 * other than QS_E_KEYEXIST, QS_E_NOTFOUND, QS_E_INCOMPATIBLE, QS_E_BAD_VALSIZE and EINVAL leaves the
 * tree half changed: the transaction must be aborted.
 */
#ifndef QS_TREE_TREE_H
#define QS_TREE_TREE_H

#include "format/tree_record.h"
#include "page/order.h"
#include "quickstep.h"
#include "tree/leaf.h"

struct writer;
struct cursor;

/* The functions a program has set for a tree. */
struct comparators {
    struct comparator keys;
    struct comparator dups;
};

/* How a tree is ordered. */
struct tree_order {
    struct order keys;
    struct order dups; /* duplicates of small sets; a large one's tree has its own marks */
};

/* One tree as one transaction has it. */
struct tree_state {
    struct tree_record record; /* as of now in this transaction */
    struct tree_order order;   /* from the flags, and what the program says */
    bool dirty;                /* differs from what the transaction began with */
    bool unlogged;             /* changed where a replay, which asks nobody, might not: commit by
                                  checkpoint */
    struct cursor *cursors;    /* cursors open on it (write transactions) */
    pageid_t insert_pid;       /* leaf of the last insert, and its key's index there: an insert */
    unsigned insert_index;     /* right behind it is taken as a part of a sequential run */
    pageid_t append_pid;       /* the last leaf, an own whole page, when the last change was an
                                  append to it; else QS_PAGEID_NONE */
    pageid_t dup_pid;   /* the last change put a value into a set of duplicates: entry dup_index
                                  of the own version of insert_pid. Its tree's last leaf, where the
                                  value went, or insert_pid for a small set; else QS_PAGEID_NONE */
    unsigned dup_index; /* with dup_pid */
};

/* Built-in order of a tree's keys. */
enum key_order qs_tree_order(unsigned flags);

/* The orders that a record tells; nobody is asked. */
void qs_tree_orders(struct tree_order *order, const struct tree_record *record);

/* Gives the tree another root; its marks stay. */
void qs_tree_set_root(struct tree_state *tree, pageid_t root);

/* From here on the keys are in custom order: of a tree that is not yet. */
void qs_tree_mark_custom(struct tree_state *tree);
/* The same of the duplicates of some key. */
void qs_tree_mark_custom_dups(struct tree_state *tree);

/* The entry of `key`: 0 or QS_E_NOTFOUND. */
int qs_tree_get(const struct view *view, const struct tree_record *record,
                const struct order *order, const void *key, size_t key_size, struct entry *entry);
/* The entry with exactly this key, without asking the program. */
int qs_tree_find(const struct view *view, const struct tree_record *record,
                 const struct order *order, const void *key, size_t key_size, struct entry *entry);

/* Where an entry's value lies, whole (large values through their run, verified on first use); of a set
 * of duplicates, the first. */
int qs_tree_value_apart(const struct view *view, const struct entry *entry, struct qs_val *value);
static inline int qs_tree_value(const struct view *view, const struct entry *entry,
                                struct qs_val *value)
{
    if (__builtin_expect((entry->flags & (ENTRY_LARGE | ENTRY_DUPS)) != 0, 0))
        return qs_tree_value_apart(view, entry, value);
    *value = (struct qs_val){entry->value_size, entry->value};
    return 0;
}

/* What a put is about. */
struct put {
    const void *key; /* 1..QS_KEY_MAX bytes. Out: what is stored, which may be an equal one */
    size_t key_size;
    struct qs_val value;    /* in: bytes to store (QS_RESERVE: size only). Out: QS_E_KEYEXIST from
                            QS_NOOVERWRITE: what is there; QS_RESERVE: space to be filled */
    unsigned flags;         /* QS_NOOVERWRITE, QS_APPEND, QS_RESERVE; with duplicates also
                               QS_NODUPDATA, QS_APPENDDUP, and QS_CURRENT: replace the only one */
    bool tree_record;       /* the value is a named tree's record: may replace one, and only one */
    bool exact;             /* the key is one that is stored: nobody is asked where */
    bool behind;            /* it goes behind all others: nobody is asked whether */
    bool first, last;       /* out: the key is new, and no other is before it, behind it */
    bool remakes;           /* out: QS_APPENDDUP was refused, but has made a single value a set.
                               In, for a replay: do just that, whatever the order */
    bool placed;            /* the value lies in the file already, as `large` says */
    bool reused;            /* with `placed`: in a run that was recycled */
    struct large_ref large; /* in with `placed`; out: where a large value went */
};

/* Stores a key, or adds a duplicate to it: QS_E_KEYEXIST, QS_E_INCOMPATIBLE (a named tree's record is in
 * the way), QS_E_MAP_FULL, errno of writing a large value; with duplicates also QS_E_BAD_VALSIZE (empty,
 * or not of the size the others have in a QS_DUPFIXED tree) and EINVAL (QS_RESERVE beside others), with
 * nothing changed. Cursors on the tree stay on their items. */
int qs_tree_put(struct writer *writer, struct tree_state *tree, struct put *put);

/* What a delete is about. */
struct del {
    const void *key; /* up to QS_KEY_MAX bytes, or longer and not found */
    size_t key_size;
    const struct qs_val *value; /* with duplicates: the one to remove. NULL: all of the key */
    bool tree_record;           /* it is a named tree's record */
    bool exact;                 /* key and value are those that are stored: nobody is asked where */
};

/* Removes a key or one duplicate: QS_E_NOTFOUND; QS_E_INCOMPATIBLE for a named tree's record unless
 * `tree_record`; QS_E_BAD_VALSIZE for an empty value that is sought among several. */
int qs_tree_delete(struct writer *writer, struct tree_state *tree, const struct del *del);

/* Frees every page and run; the tree is empty. Cursors become unpositioned. */
int qs_tree_empty(struct writer *writer, struct tree_state *tree);

#endif
