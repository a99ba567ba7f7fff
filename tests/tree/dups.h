/* dups.h - a tree with duplicates and its model, a grid of pairs: what test_dups.c and
 * test_dup_cursors.c share.
 *
 * Keys and values are made once, in the tree's orders; a pair is there or not.
 */
#ifndef TESTS_TREE_DUPS_H
#define TESTS_TREE_DUPS_H

#include "page/key.h"
#include "quickstep.h"
#include "store/scratch_store.h"

#include <string.h>

enum { KEYS = 24, VALUES = 2600, CURSORS = 6, BYTES = 511 };

struct bytes {
    uint8_t bytes[BYTES];
    uint16_t size;
};

typedef bool grid[KEYS][VALUES];

static struct {
    char directory[64], data_path[96], lock_path[96];
    struct qs_env *env;
    struct qs_tree *tree;
    struct qs_txn *txn;
    uint64_t random;
    unsigned flags;             /* of the tree */
    enum key_order order;       /* of the values */
    bool descending;            /* keys and values are, by functions set for the tree */
    unsigned values;            /* how many of them are used */
    struct bytes key[KEYS];     /* ascending */
    struct bytes value[VALUES]; /* ascending */
    grid there;                 /* as the transaction has it */
    grid committed, outer, snapshot;
} w;

static inline unsigned below(unsigned limit)
{
    return (unsigned)(scratch_random(&w.random) % limit);
}

static inline int descending(void *context, const struct qs_val *a, const struct qs_val *b)
{
    (void)context;
    return -qs_key_compare(ORDER_BYTES, a->data, a->size, b->data, b->size);
}

static inline int compare_values(const void *a, const void *b)
{
    const struct bytes *x = a, *y = b;
    int sign = w.descending ? -1 : 1;
    return sign * qs_key_compare(w.order, x->bytes, x->size, y->bytes, y->size);
}

static inline struct qs_val val_of(const struct bytes *b)
{
    return (struct qs_val){b->size, b->bytes};
}

static inline bool same(const struct qs_val *a, const struct bytes *b)
{
    return a->size == b->size && memcmp(a->data, b->bytes, b->size) == 0;
}

/* Values of one size, or of sizes up to `bytes`; all different. */
static inline void make_values(unsigned bytes)
{
    bool fixed = (w.flags & (QS_DUPFIXED | QS_INTEGERDUP)) != 0;
    for (unsigned i = 0; i < w.values; i++) {
        struct bytes *v = &w.value[i];
        uint32_t number = i * 2654435761u;
        v->size = (uint16_t)(fixed ? bytes : 4 + below(bytes - 3));
        memset(v->bytes, 'v', v->size);
        memcpy(v->bytes, &number, v->size < 4 ? v->size : 4);
        if (v->size < 4)
            memcpy(v->bytes, &i, v->size);
    }
    qsort(w.value, w.values, sizeof w.value[0], compare_values);
}

static inline void open_environment(void)
{
    struct qs_options options = {.data_path = w.data_path,
                                 .lock_path = w.lock_path,
                                 .flags = QS_NOSYNC | QS_NOTLS,
                                 .mode = 0644,
                                 .map_size_bytes = 128u << 20};
    cr_assert(qs_env_open(&options, &w.env) == 0);
}

static inline void begin(void)
{
    cr_assert(qs_txn_begin(w.env, NULL, 0, &w.txn) == 0);
    cr_assert(qs_tree_open(w.txn, "tree", QS_TREE_CREATE | w.flags, &w.tree) == 0);
    if (w.descending) {
        qs_tree_set_key_order(w.tree, descending, NULL);
        qs_tree_set_dup_order(w.tree, descending, NULL);
    }
}

#define DESCENDING 0x10000u /* beside flags of the tree */

static inline void set_up(unsigned flags, unsigned bytes, unsigned values, uint64_t seed)
{
    memset(&w, 0, sizeof w);
    w.descending = (flags & DESCENDING) != 0;
    w.flags = QS_DUPSORT | (flags & ~DESCENDING);
    w.values = values;
    w.order = (flags & QS_INTEGERDUP) != 0   ? ORDER_INTEGER
              : (flags & QS_REVERSEDUP) != 0 ? ORDER_REVERSE
                                             : ORDER_BYTES;
    w.random = scratch_seed(seed);
    strcpy(w.directory, "/tmp/qs-dups-XXXXXX");
    cr_assert(mkdtemp(w.directory) != NULL);
    snprintf(w.data_path, sizeof w.data_path, "%s/data.mdb", w.directory);
    snprintf(w.lock_path, sizeof w.lock_path, "%s/lock.mdb", w.directory);
    for (unsigned i = 0; i < KEYS; i++)
        w.key[i].size = (uint16_t)snprintf((char *)w.key[i].bytes, BYTES, "key %02u",
                                           w.descending ? KEYS - i : i);
    make_values(bytes);
    open_environment();
}

static inline void complain(void *context, const char *sentence)
{
    (void)context;
    cr_log_error("%s", sentence);
}

static inline void expect_sound(const char *path)
{
    struct qs_check_report report;
    cr_assert(qs_check(path, complain, NULL, &report) == 0);
    cr_assert(report.faults == 0 && report.pages_lost == 0, "faults in %s", path);
}

static inline void tear_down(void)
{
    qs_env_close(w.env);
    expect_sound(w.data_path);
    unlink(w.data_path);
    unlink(w.lock_path);
    rmdir(w.directory);
}

/* ---- the model ---- */

/* A place: pair (key, value); value == VALUES: behind the last of the key; key == KEYS: at the end. */
struct at {
    unsigned key, value;
};

static inline unsigned next_value(grid g, unsigned key, unsigned from)
{
    while (from < w.values && !g[key][from])
        from++;
    return from < w.values ? from : VALUES;
}

static inline unsigned prev_value(grid g, unsigned key, unsigned before)
{
    while (before > 0 && !g[key][before - 1])
        before--;
    return before > 0 ? before - 1 : VALUES;
}

/* First pair of the first key at or behind `key`. */
static inline struct at next_key(grid g, unsigned key)
{
    for (; key < KEYS; key++)
        if (next_value(g, key, 0) != VALUES)
            return (struct at){key, next_value(g, key, 0)};
    return (struct at){KEYS, VALUES};
}

/* Last pair of the last key before `key`. */
static inline struct at prev_key(grid g, unsigned key)
{
    while (key-- > 0)
        if (prev_value(g, key, w.values) != VALUES)
            return (struct at){key, prev_value(g, key, w.values)};
    return (struct at){KEYS, VALUES};
}

static inline size_t count_values(grid g, unsigned key)
{
    size_t n = 0;
    for (unsigned v = 0; v < w.values; v++)
        n += g[key][v];
    return n;
}

static inline bool is_at(const struct qs_val *key, const struct qs_val *value, struct at at)
{
    return at.key < KEYS && at.value < VALUES && same(key, &w.key[at.key]) &&
           same(value, &w.value[at.value]);
}

static inline void check_pairs(struct qs_txn *txn, grid g)
{
    struct qs_cursor *cursor;
    struct qs_val key, value;
    struct qs_stat stat;
    uint64_t entries = 0;
    struct at at = {0, 0};
    cr_assert(qs_cursor_open(txn, w.tree, &cursor) == 0);
    for (at = next_key(g, 0); at.key < KEYS; entries++) {
        cr_assert(qs_cursor_get(cursor, &key, &value, QS_NEXT) == 0, "pair %u, %u", at.key,
                  at.value);
        cr_assert(is_at(&key, &value, at));
        at.value = next_value(g, at.key, at.value + 1);
        if (at.value == VALUES)
            at = next_key(g, at.key + 1);
    }
    cr_assert(qs_cursor_get(cursor, &key, &value, QS_NEXT) == QS_E_NOTFOUND);
    for (at = prev_key(g, KEYS); at.key < KEYS;) {
        bool first = at.key == prev_key(g, KEYS).key && at.value == prev_key(g, KEYS).value;
        cr_assert(qs_cursor_get(cursor, &key, &value, first ? QS_LAST : QS_PREV) == 0);
        cr_assert(is_at(&key, &value, at));
        at.value = prev_value(g, at.key, at.value);
        if (at.value == VALUES)
            at = prev_key(g, at.key);
    }
    qs_cursor_close(cursor);
    cr_assert(qs_tree_stat(txn, w.tree, &stat) == 0 && stat.entries == entries);
    cr_assert((stat.depth == 0) == (entries == 0));
}

/* By pair, by count, by chunk. */
static inline void check_key(struct qs_txn *txn, grid g, unsigned k)
{
    struct qs_cursor *cursor;
    struct qs_val key = val_of(&w.key[k]), value;
    size_t count, expected = count_values(g, k), seen = 0;
    unsigned v = below(w.values), found;
    cr_assert(qs_cursor_open(txn, w.tree, &cursor) == 0);
    int rc = qs_cursor_get(cursor, &key, &value, QS_SET);
    cr_assert(rc == (expected > 0 ? 0 : QS_E_NOTFOUND));
    if (rc == 0) {
        cr_assert(same(&value, &w.value[next_value(g, k, 0)]));
        cr_assert(qs_cursor_count(cursor, &count) == 0 && count == expected);
        value = val_of(&w.value[v]);
        rc = qs_cursor_get(cursor, &key, &value, QS_GET_BOTH);
        cr_assert(rc == (g[k][v] ? 0 : QS_E_NOTFOUND));
        value = val_of(&w.value[v]);
        found = next_value(g, k, v);
        rc = qs_cursor_get(cursor, &key, &value, QS_GET_BOTH_RANGE);
        cr_assert(rc == (found != VALUES ? 0 : QS_E_NOTFOUND));
        cr_assert(rc != 0 || same(&value, &w.value[found]));
    }
    if (expected > 1 && (w.flags & QS_DUPFIXED) != 0) {
        cr_assert(qs_cursor_get(cursor, &key, &value, QS_SET) == 0);
        rc = qs_cursor_get(cursor, &key, &value, QS_GET_MULTIPLE);
        for (found = 0; rc == 0; rc = qs_cursor_get(cursor, &key, &value, QS_NEXT_MULTIPLE)) {
            cr_assert(value.size > 0 && value.size <= 4096 && value.size % w.value[0].size == 0);
            for (size_t at = 0; at < value.size; at += w.value[0].size, seen++, found++) {
                found = next_value(g, k, found);
                cr_assert(found != VALUES);
                cr_assert(memcmp((const uint8_t *)value.data + at, w.value[found].bytes,
                                 w.value[0].size) == 0);
            }
        }
        cr_assert(rc == QS_E_NOTFOUND && seen == expected);
    }
    qs_cursor_close(cursor);
}

struct tracked {
    struct qs_cursor *cursor;
    struct at at;  /* where it stands */
    bool unset;    /* it was never anywhere, or all is gone */
    bool key_gone; /* its key went; it stands on the next one */
    bool gone;     /* its pair went; it stands on the next of the key */
};
static struct tracked tracked[CURSORS];
static unsigned open_cursors;

static inline void track_delete(unsigned k, unsigned v)
{
    bool key_gone = next_value(w.there, k, 0) == VALUES;
    for (unsigned c = 0; c < open_cursors; c++) {
        struct tracked *t = &tracked[c];
        if (next_key(w.there, 0).key == KEYS) {
            t->unset = true;
        } else if (!t->unset && t->at.key == k && key_gone) {
            t->at = next_key(w.there, k + 1);
            t->key_gone = true;
            t->gone = false;
        } else if (!t->unset && t->at.key == k && t->at.value == v) {
            t->at.value = next_value(w.there, k, v + 1);
            t->gone = true;
            t->key_gone = false;
        }
    }
}

/* ---- changes ---- */

static inline void put(unsigned k, unsigned v)
{
    static const unsigned flags[] = {0, 0, QS_NODUPDATA, QS_APPENDDUP, QS_NOOVERWRITE};
    struct qs_val key = val_of(&w.key[k]), value = val_of(&w.value[v]);
    unsigned flag = flags[below(5)], last = prev_value(w.there, k, w.values);
    bool refused = (flag == QS_NODUPDATA && w.there[k][v]) ||
                   (flag == QS_NOOVERWRITE && last != VALUES) ||
                   (flag == QS_APPENDDUP && last != VALUES && last >= v);
    int rc = qs_put(w.txn, w.tree, &key, &value, flag);
    cr_assert(rc == (refused ? QS_E_KEYEXIST : 0), "put %u %u flags %x: %d", k, v, flag, rc);
    w.there[k][v] |= !refused;
}

static inline void del(unsigned k, unsigned v)
{
    struct qs_val key = val_of(&w.key[k]), value = val_of(&w.value[v]);
    int rc = qs_del(w.txn, w.tree, &key, &value);
    cr_assert(rc == (w.there[k][v] ? 0 : QS_E_NOTFOUND));
    if (rc != 0)
        return;
    w.there[k][v] = false;
    track_delete(k, v);
}

static inline void del_key(unsigned k)
{
    struct qs_val key = val_of(&w.key[k]);
    bool any = next_value(w.there, k, 0) != VALUES;
    cr_assert(qs_del(w.txn, w.tree, &key, NULL) == (any ? 0 : QS_E_NOTFOUND));
    memset(w.there[k], 0, sizeof w.there[k]);
    if (any)
        track_delete(k, VALUES);
}

/* A run of values into one key, in order. */
static inline void put_many(unsigned k)
{
    static uint8_t items[400 * BYTES];
    struct qs_cursor *cursor;
    unsigned first = below(w.values), n = 0;
    struct qs_val key = val_of(&w.key[k]), item = {w.value[0].size, items};
    if ((w.flags & QS_DUPFIXED) == 0) {
        for (unsigned v = first; v < w.values && n < 300; v++, n++)
            put(k, v);
        return;
    }
    for (unsigned v = first; v < w.values && n < 400; v++, n++) {
        memcpy(items + n * item.size, w.value[v].bytes, item.size);
        w.there[k][v] = true;
    }
    size_t count = n;
    cr_assert(qs_cursor_open(w.txn, w.tree, &cursor) == 0);
    cr_assert(qs_cursor_put_multiple(cursor, &key, &item, &count, 0) == 0 && count == n);
    qs_cursor_close(cursor);
}

/* A pair whose key and value lie in pages of the environment: first values of one key go to another, or
 * another value to the same. */
static inline void put_borrowed(unsigned k)
{
    struct qs_cursor *cursor;
    struct qs_val key = val_of(&w.key[k]), value;
    unsigned v = next_value(w.there, k, 0), other = below(w.values), to = below(KEYS);
    if (v == VALUES)
        return;
    cr_assert(qs_cursor_open(w.txn, w.tree, &cursor) == 0);
    cr_assert(qs_cursor_get(cursor, &key, &value, QS_SET_KEY) == 0);
    qs_cursor_close(cursor);
    if (below(2) == 0) {
        value = val_of(&w.value[other]);
        w.there[k][other] = true;
    } else {
        key = val_of(&w.key[to]);
        w.there[to][v] = true;
    }
    cr_assert(qs_put(w.txn, w.tree, &key, &value, 0) == 0);
}

static inline void change(unsigned put_percent)
{
    unsigned k = below(KEYS) * below(KEYS) / KEYS, v = below(w.values); /* some keys get most */
    if (below(100) < put_percent && below(8) == 0)
        put_borrowed(k);
    else if (below(100) < put_percent)
        put(k, v);
    else if (below(400) == 0)
        del_key(k);
    else if (below(200) == 0 && put_percent > 40)
        put_many(k);
    else
        del(k, next_value(w.there, k, v) != VALUES ? next_value(w.there, k, v) : v);
}

/* ---- transactions ---- */

static inline void end(bool commit)
{
    if (commit) {
        cr_assert(qs_txn_commit(w.txn) == 0);
        memcpy(w.committed, w.there, sizeof(grid));
    } else {
        qs_txn_abort(w.txn);
        memcpy(w.there, w.committed, sizeof(grid));
    }
}

static inline void check_committed(void)
{
    struct qs_txn *txn;
    cr_assert(qs_txn_begin(w.env, NULL, QS_RDONLY, &txn) == 0);
    check_pairs(txn, w.committed);
    for (unsigned k = 0; k < KEYS; k++)
        check_key(txn, w.committed, k);
    qs_txn_abort(txn);
}

#endif
