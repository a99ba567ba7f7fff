/* model.c - keys and values of the model, and how a tree is compared with it.
 *
 * Owns:       the pool of value bytes, the names and flags of the trees.
 * Invariants: O3 of equal keys only the first is ever present.
 * Locks:      none; one thread.
 */
#define _GNU_SOURCE /* asprintf() and the like in criterion's headers */

#include "model.h"

const char *const model_tree_names[TREE_COUNT] = {NULL, "integers", "reverse", "plain"};
const unsigned model_tree_flags[TREE_COUNT] = {0, QS_INTEGERKEY, QS_REVERSEKEY, 0};
uint8_t *model_pool;

/* ---- making keys and values ------------------------------------------------------------------ */

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

unsigned model_below(struct model *model, unsigned limit)
{
    return (unsigned)((next_random(&model->random) >> 32) * limit >> 32);
}

void model_make_pool(void)
{
    uint64_t state = 7;

    model_pool = malloc(POOL_BYTES);
    cr_assert(model_pool != NULL);
    for (size_t i = 0; i < POOL_BYTES; i += sizeof state) {
        uint64_t word = next_random(&state);
        memcpy(model_pool + i, &word, sizeof word);
    }
}

static int compare_plain(const void *a, const void *b)
{
    const struct key *left = a;
    const struct key *right = b;
    unsigned size = left->size < right->size ? left->size : right->size;
    int order = memcmp(left->bytes, right->bytes, size);

    return order != 0 ? order : (int)left->size - (int)right->size;
}

static int compare_reverse(const void *a, const void *b)
{
    const struct key *left = a;
    const struct key *right = b;

    for (unsigned i = 1; i <= left->size && i <= right->size; i++) {
        int order = (int)left->bytes[left->size - i] - (int)right->bytes[right->size - i];
        if (order != 0) {
            return order;
        }
    }
    return (int)left->size - (int)right->size;
}

static int compare_integer(const void *a, const void *b)
{
    uint64_t left;
    uint64_t right;

    memcpy(&left, ((const struct key *)a)->bytes, sizeof left);
    memcpy(&right, ((const struct key *)b)->bytes, sizeof right);
    return left < right ? -1 : left > right;
}

static void make_key(struct model *model, unsigned tree, struct key *key)
{
    const struct scenario *scenario = model->scenario;

    if (model_tree_flags[tree] & QS_INTEGERKEY) {
        uint64_t number = next_random(&model->random) >> model_below(model, 48);
        key->size = sizeof number;
        memcpy(key->bytes, &number, sizeof number);
        return;
    }
    key->size = scenario->prefix_bytes + 1;
    key->size += model_below(model, scenario->key_bytes_max - scenario->prefix_bytes);
    for (unsigned i = 0; i < key->size; i++) {
        key->bytes[i] = i < scenario->prefix_bytes ? 'p' : (uint8_t)next_random(&model->random);
    }
}

void model_make_keys(struct model *model, unsigned tree)
{
    static int (*const compares[TREE_COUNT])(const void *, const void *) = {
        compare_plain, compare_integer, compare_reverse, compare_plain};
    unsigned count = model->scenario->key_count;
    struct key *keys = calloc(count, sizeof *keys);

    cr_assert(keys != NULL);
    for (unsigned i = 0; i < count; i++) {
        make_key(model, tree, &keys[i]);
    }
    qsort(keys, count, sizeof *keys, compares[tree]);
    model->keys[tree] = keys;
    model->items[tree] = calloc(count, sizeof **model->items);
    model->committed[tree] = calloc(count, sizeof **model->committed);
    cr_assert(model->items[tree] != NULL && model->committed[tree] != NULL);
}

static bool same_key(const struct key *a, const struct key *b)
{
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

/* Of equal keys always the first, so that the others stay absent. */
unsigned model_pick_key(struct model *model, unsigned tree)
{
    unsigned index = model_below(model, model->scenario->key_count);

    while (index > 0 && same_key(&model->keys[tree][index - 1], &model->keys[tree][index])) {
        index--;
    }
    return index;
}

struct item model_pick_value(struct model *model)
{
    const struct scenario *scenario = model->scenario;
    struct item item = {0, 0, true};

    if (model_below(model, 1000000) < scenario->big_per_million) {
        item.size = model_below(model, (1 << 20) + 1);
    } else if (model_below(model, 20) != 0) {
        item.size = model_below(model, scenario->value_bytes_max + 1);
    }
    item.at = model_below(model, POOL_BYTES - item.size);
    return item;
}

struct qs_val model_key_of(const struct model *model, unsigned tree, unsigned index)
{
    const struct key *key = &model->keys[tree][index];

    return (struct qs_val){key->size, key->bytes};
}

bool model_holds(const struct qs_val *value, const struct item *item)
{
    return value->size == item->size && value->data != NULL &&
           memcmp(value->data, model_pool + item->at, item->size) == 0;
}

/* ---- comparing ------------------------------------------------------------------------------- */

/* A record of a named tree, which the walk of the main tree meets among the model's keys. */
bool model_is_tree_name(const struct qs_val *key)
{
    for (unsigned i = 1; i < TREE_COUNT; i++) {
        if (key->size == strlen(model_tree_names[i]) &&
            memcmp(key->data, model_tree_names[i], key->size) == 0) {
            return true;
        }
    }
    return false;
}

/* Walks a whole tree and compares it with `items`. */
void model_compare_tree(struct model *model, struct qs_txn *txn, unsigned tree,
                        const struct item *items, bool backward)
{
    unsigned count = model->scenario->key_count;
    struct qs_cursor *cursor;
    enum qs_cursor_op op = backward ? QS_LAST : QS_FIRST;
    struct qs_val key;
    struct qs_val value;
    int rc = qs_cursor_open(txn, model->tree[tree], &cursor);

    EXPECT(model, rc == 0, "qs_cursor_open: %s", qs_strerror(rc));
    for (unsigned i = 0; i < count; i++) {
        unsigned index = backward ? count - 1 - i : i;
        if (!items[index].present) {
            continue;
        }
        do {
            rc = qs_cursor_get(cursor, &key, &value, op);
            EXPECT(model, rc == 0, "tree %u ends before key %u: %s", tree, index, qs_strerror(rc));
            op = backward ? QS_PREV : QS_NEXT;
        } while (tree == 0 && model_is_tree_name(&key));
        EXPECT(model,
               key.size == model->keys[tree][index].size &&
                   memcmp(key.data, model->keys[tree][index].bytes, key.size) == 0,
               "tree %u: another key where key %u should be", tree, index);
        EXPECT(model, model_holds(&value, &items[index]), "tree %u: wrong value of key %u", tree,
               index);
        model->operations++;
    }
    do {
        rc = qs_cursor_get(cursor, &key, &value, op);
        op = backward ? QS_PREV : QS_NEXT;
    } while (rc == 0 && tree == 0 && model_is_tree_name(&key));
    EXPECT(model, rc == QS_E_NOTFOUND, "tree %u has more than it should (%d)", tree, rc);
    qs_cursor_close(cursor);
}

void model_compare_count(struct model *model, struct qs_txn *txn, unsigned tree,
                         const struct item *items)
{
    struct qs_stat stat;
    uint64_t count = tree == 0 ? TREE_COUNT - 1 : 0;
    int rc = qs_tree_stat(txn, model->tree[tree], &stat);

    for (unsigned i = 0; i < model->scenario->key_count; i++) {
        count += items[i].present;
    }
    EXPECT(model, rc == 0 && stat.entries == count, "tree %u: %llu entries instead of %llu (%d)",
           tree, (unsigned long long)stat.entries, (unsigned long long)count, rc);
}

void model_compare_get(struct model *model, struct qs_txn *txn, unsigned tree, unsigned index,
                       const struct item *items, struct qs_val *value)
{
    struct qs_val key = model_key_of(model, tree, index);
    int rc = qs_get(txn, model->tree[tree], &key, value);

    EXPECT(model, rc == (items[index].present ? 0 : QS_E_NOTFOUND), "tree %u: get of key %u: %d",
           tree, index, rc);
    EXPECT(model, rc != 0 || model_holds(value, &items[index]), "tree %u: wrong value of key %u",
           tree, index);
    model->operations++;
}
