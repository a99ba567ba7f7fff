/* model.h - what the trees of an environment should hold: sorted arrays, and their comparison.
 *
 * Per tree there is one array of all keys, ordered as the tree orders, and arrays of items that say
 * what each key holds: one as the write transaction sees it, one as of the last commit, and one for
 * each snapshot.
 */
#ifndef QS_TEST_MODEL_MODEL_H
#define QS_TEST_MODEL_MODEL_H

#include <quickstep.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TREE_COUNT = 4,       /* the main tree and three named ones */
    READER_COUNT = 4,     /* snapshots held at a time */
    KEY_BYTES_MAX = 511,  /* longest key */
    POOL_BYTES = 4 << 20, /* random bytes that values are cut from */
};

struct scenario {
    const char *name;         /* printed */
    unsigned key_count;       /* in each tree */
    unsigned key_bytes_max;   /* longest key */
    unsigned prefix_bytes;    /* that all keys share */
    unsigned value_bytes_max; /* usual limit */
    unsigned big_per_million; /* chance of a value of up to 1 MiB */
    unsigned ops_per_txn;     /* on average */
    unsigned operations;      /* in total */
    unsigned put_percent;     /* of the changes, the rest deletes */
};

struct key {
    uint8_t bytes[KEY_BYTES_MAX]; /* content */
    unsigned size;                /* bytes */
};

struct item {
    uint32_t at;   /* offset of the value in the pool */
    uint32_t size; /* bytes */
    bool present;  /* the key is in the tree */
};

struct reader {
    struct qs_txn *txn;             /* NULL when the slot is free */
    struct item *items[TREE_COUNT]; /* the model when it began */
    bool exists[TREE_COUNT];        /* trees that existed then */
    struct qs_val held;             /* a value it was given */
    struct item held_item;          /* what that value is */
};

struct model {
    const struct scenario *scenario;    /* what runs */
    uint64_t seed;                      /* printed */
    uint64_t random;                    /* generator state */
    char directory[64];                 /* of the files */
    char data_path[96];                 /* data file */
    char lock_path[96];                 /* lock file */
    struct qs_env *env;                 /* open environment */
    struct qs_txn *txn;                 /* write transaction, NULL when none */
    struct qs_tree *tree[TREE_COUNT];   /* handles */
    struct key *keys[TREE_COUNT];       /* ordered */
    struct item *items[TREE_COUNT];     /* as the write transaction sees them */
    struct item *committed[TREE_COUNT]; /* as of the last commit */
    struct reader reader[READER_COUNT]; /* snapshots */
    uint64_t operations;                /* done so far */
};

extern const char *const model_tree_names[TREE_COUNT]; /* NULL is the main tree */
extern const unsigned model_tree_flags[TREE_COUNT];    /* enum qs_tree_flag */
extern uint8_t *model_pool;                            /* random bytes */

#define EXPECT(model, condition, ...)                                                              \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr,                                                                        \
                    "%s, seed %llu, operation %llu, files in %s: ", (model)->scenario->name,       \
                    (unsigned long long)(model)->seed, (unsigned long long)(model)->operations,    \
                    (model)->directory);                                                           \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fprintf(stderr, "\n");                                                                 \
            cr_assert_fail("the engine and the model differ");                                     \
        }                                                                                          \
    } while (0)

/* Uniform in 0 .. limit - 1. */
unsigned model_below(struct model *model, unsigned limit);

void model_make_pool(void);
/* Makes the keys of a tree and its empty arrays. */
void model_make_keys(struct model *model, unsigned tree);

unsigned model_pick_key(struct model *model, unsigned tree);
struct item model_pick_value(struct model *model);
struct qs_val model_key_of(const struct model *model, unsigned tree, unsigned index);

/* True when the value is what the item says. */
bool model_holds(const struct qs_val *value, const struct item *item);

/* A record of a named tree, which a walk of the main tree meets among the model's keys. */
bool model_is_tree_name(const struct qs_val *key);

/* Compare what the transaction sees with `items`: by a walk, by the count of entries, by a key. */
void model_compare_tree(struct model *model, struct qs_txn *txn, unsigned tree,
                        const struct item *items, bool backward);
void model_compare_count(struct model *model, struct qs_txn *txn, unsigned tree,
                         const struct item *items);
void model_compare_get(struct model *model, struct qs_txn *txn, unsigned tree, unsigned index,
                       const struct item *items, struct qs_val *value);

#endif
