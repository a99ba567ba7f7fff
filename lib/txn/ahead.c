/* ahead.c - finding operations of the log by key; see ahead.h.
 *
 * The table has open addressing: a slot is the upper half of a key's hash and the number of its newest entry,
 * counted from 1; 0: empty.
 */
#include "txn/ahead.h"

#include "base/error.h"
#include "base/hash64.h"
#include "base/zeroed.h"
#include "tree/writer.h"
#include "txn/redo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MIN 4096u
#define PAGE_BYTES_LEAST 1024u /* of operations, for each page that they may add */
#define PAGES_SPARE 16u

struct ahead_table {
    struct ahead_table *smaller; /* the one it replaced (A2) */
    uint32_t mask;               /* slots less one */
    _Atomic uint64_t slot[];
};

static uint32_t hash_of(const struct ahead_key *key)
{
    return (uint32_t)(qs_hash64(key->tree, key->bytes, key->size) >> 32);
}

static struct ahead_entry *entry_at(const struct ahead *a, uint32_t number)
{
    unsigned chunk = 31u - (unsigned)__builtin_clz(number / AHEAD_CHUNK_MIN + 1);
    uint32_t first = ((1u << chunk) - 1) * AHEAD_CHUNK_MIN;
    /* relaxed: whoever has the number has it from a slot, which was stored later */
    return atomic_load_explicit(&a->chunk[chunk], memory_order_relaxed) + (number - first);
}

static bool is_of(const struct ahead_entry *entry, const struct ahead_key *key)
{
    return entry->tree == key->tree && entry->op->key_size == key->size &&
           memcmp(entry->op + 1, key->bytes, key->size) == 0;
}

/* The slot of a key, or the empty one where it would be. */
static _Atomic uint64_t *slot_of(const struct ahead *a, struct ahead_table *table,
                                 const struct ahead_key *key, uint32_t *number)
{
    for (uint32_t i = key->hash & table->mask;; i = (i + 1) & table->mask) {
        /* acquire: pairs with the release in add() */
        uint64_t slot = atomic_load_explicit(&table->slot[i], memory_order_acquire);
        *number = (uint32_t)slot;
        if (slot == 0 || (slot >> 32 == key->hash && is_of(entry_at(a, *number - 1), key)))
            return &table->slot[i];
    }
}

void qs_ahead_prefetch(const struct ahead *a, struct ahead_key *key)
{
    struct ahead_table *table = atomic_load_explicit(&a->table, memory_order_acquire);
    key->hash = hash_of(key);
    if (table != NULL)
        __builtin_prefetch((const void *)&table->slot[key->hash & table->mask], 0, 0);
}

const struct log_op *qs_ahead_find(const struct ahead *a, const struct ahead_key *key, txnid_t from,
                                   txnid_t upto)
{
    /* acquire: pairs with the release in grow() */
    struct ahead_table *table = atomic_load_explicit(&a->table, memory_order_acquire);
    uint32_t number;
    if (table == NULL)
        return NULL;
    slot_of(a, table, key, &number);
    while (number != 0) {
        const struct ahead_entry *entry = entry_at(a, number - 1);
        if (entry->txn <= upto)
            return entry->txn > from ? entry->op : NULL;
        number = entry->older;
    }
    return NULL;
}

struct ahead *qs_ahead_new(void)
{
    return qs_zeroed(sizeof(struct ahead));
}

static void free_one(struct ahead *a)
{
    struct ahead_table *table = atomic_load_explicit(&a->table, memory_order_relaxed);
    while (table != NULL) {
        struct ahead_table *smaller = table->smaller;
        free(table);
        table = smaller;
    }
    for (unsigned i = 0; i < AHEAD_CHUNKS; i++)
        free(atomic_load_explicit(&a->chunk[i], memory_order_relaxed));
    qs_log_close(&a->log);
    free(a);
}

void qs_ahead_free(struct ahead *a)
{
    while (a != NULL) {
        struct ahead *before = a->retired;
        free_one(a);
        a = before;
    }
}

/* Puts the slots of the table in use into a larger one. */
static void take_slots(struct ahead_table *table, const struct ahead_table *from)
{
    for (uint32_t i = 0; i <= from->mask; i++) {
        uint64_t slot = atomic_load_explicit(&from->slot[i], memory_order_relaxed);
        uint32_t at = (uint32_t)(slot >> 32) & table->mask;
        if (slot == 0)
            continue;
        while (atomic_load_explicit(&table->slot[at], memory_order_relaxed) != 0)
            at = (at + 1) & table->mask;
        atomic_store_explicit(&table->slot[at], slot, memory_order_relaxed);
    }
}

/* Makes room for one more entry. At most half of the slots are in use. */
static int grow(struct ahead *a)
{
    struct ahead_table *table = atomic_load_explicit(&a->table, memory_order_relaxed);
    unsigned chunk = 31u - (unsigned)__builtin_clz(a->count / AHEAD_CHUNK_MIN + 1);
    if (chunk >= AHEAD_CHUNKS)
        return ENOMEM;
    if (atomic_load_explicit(&a->chunk[chunk], memory_order_relaxed) == NULL) {
        struct ahead_entry *entries = malloc(((size_t)AHEAD_CHUNK_MIN << chunk) * sizeof *entries);
        if (entries == NULL)
            return ENOMEM;
        atomic_store_explicit(&a->chunk[chunk], entries, memory_order_relaxed);
    }
    if (table != NULL && a->count < table->mask / 2)
        return 0;
    size_t slots = table != NULL ? 4 * ((size_t)table->mask + 1) : SLOTS_MIN;
    struct ahead_table *larger = calloc(1, sizeof *larger + slots * sizeof larger->slot[0]);
    if (larger == NULL)
        return ENOMEM;
    larger->mask = (uint32_t)slots - 1;
    larger->smaller = table;
    if (table != NULL)
        take_slots(larger, table);
    atomic_store_explicit(&a->table, larger, memory_order_release);
    return 0;
}

static int add(struct ahead *a, const struct redo_op *op, txnid_t txn)
{
    struct ahead_key key = {op->key, op->key_size, a->tree->index, 0};
    uint32_t number;
    int rc = grow(a);
    if (rc != 0)
        return rc;
    struct ahead_table *table = atomic_load_explicit(&a->table, memory_order_relaxed);
    key.hash = hash_of(&key);
    _Atomic uint64_t *slot = slot_of(a, table, &key, &number);
    *entry_at(a, a->count++) = (struct ahead_entry){
        (const struct log_op *)(const void *)((const uint8_t *)op->key - sizeof(struct log_op)),
        txn, key.tree, number};
    /* release: who takes the slot finds the entry */
    atomic_store_explicit(slot, (uint64_t)key.hash << 32 | a->count, memory_order_release);
    return 0;
}

static int select_tree(struct ahead *a, const struct redo_op *op, struct names *names)
{
    char name[QS_KEY_MAX + 1];
    struct qs_tree *tree;
    const struct qs_tree *last = a->tree;
    if (op->key_size > QS_KEY_MAX)
        return QS_CORRUPT();
    if (last != NULL && last->size == op->key_size &&
        (op->key_size == 0 || memcmp(last->name, op->key, op->key_size) == 0))
        return 0;
    memcpy(name, op->key, op->key_size);
    name[op->key_size] = '\0';
    int rc = qs_names_get(names, op->key_size > 0 ? name : NULL, &tree);
    if (rc == 0)
        a->tree = tree;
    return rc;
}

/* What only a replay can do. */
static int leave_out(struct ahead *a, txnid_t txn)
{
    atomic_store_explicit(&a->opaque, txn, memory_order_relaxed);
    return 0;
}

static int note(struct ahead *a, const struct redo_op *op, struct names *names, txnid_t txn)
{
    struct large_ref ref;
    switch (op->kind) {
    case LOG_OP_TREE:
        return select_tree(a, op, names);
    case LOG_OP_FREED: /* of interest to who writes */
        return 0;
    case LOG_OP_LARGE:
        if (op->value_size != sizeof ref)
            return QS_CORRUPT();
        memcpy(&ref, op->value, sizeof ref);
        a->large_pages += qs_large_pages(ref.size);
        break;
    case LOG_OP_PUT:
    case LOG_OP_DELETE:
        break;
    default:
        return leave_out(a, txn);
    }
    if (a->tree == NULL)
        return QS_CORRUPT();
    return (op->flags & ~(unsigned)LOG_OP_REUSED) == 0 ? add(a, op, txn) : leave_out(a, txn);
}

static int note_record(struct ahead *a, const struct log_record *record, struct names *names)
{
    const uint8_t *at = (const uint8_t *)(record + 1);
    size_t size = record->size - sizeof *record;
    struct redo_op op;
    int rc;
    if (record->kind != LOG_TXN)
        return 0;
    while ((rc = qs_redo_next(&at, &size, &op)) == 0) {
        rc = note(a, &op, names, record->txn);
        if (rc != 0)
            return rc;
    }
    return rc == QS_E_NOTFOUND ? 0 : rc;
}

int qs_ahead_read(struct ahead *a, const struct log *applied, uint64_t used_pages,
                  struct names *names, uint64_t limit)
{
    const struct log_record *record;
    int rc = 0;
    if (a->log.end.position <= applied->end.position)
        rc = qs_log_copy(&a->log, applied);
    while (rc == 0 && a->log.end.position < limit) {
        struct log_end before = a->log.end;
        rc = qs_log_next(&a->log, limit, &record);
        if (rc == 0)
            rc = note_record(a, record, names);
        if (rc != 0) /* noted once more, another time, it says the same */
            a->log.end = before;
    }
    uint64_t bytes = a->log.end.position - applied->end.position;
    atomic_store_explicit(&a->pages,
                          used_pages + a->large_pages + bytes / PAGE_BYTES_LEAST + PAGES_SPARE,
                          memory_order_relaxed);
    /* release: who finds it finds the entries, and all that was stored above */
    atomic_store_explicit(&a->upto, a->log.end.txn, memory_order_release);
    if (rc == QS_E_NOTFOUND) /* a record of another kind may be the last before the limit */
        rc = a->log.end.position == limit ? 0 : QS_CORRUPT();
    return rc;
}
