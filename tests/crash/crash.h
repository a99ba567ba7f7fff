/* crash.h - what the crash tests share: contents of an environment, and random work on it.
 *
 * A content is the whole of what a user can see, small enough to be kept for every commit: for each
 * tree whether it exists, and for each of its keys the number of the value it holds. A number says
 * which bytes the value has and how many.
 */
#ifndef TESTS_CRASH_CRASH_H
#define TESTS_CRASH_CRASH_H

#include <quickstep.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CRASH_TREES = 4,             /* the main tree and three named ones */
    CRASH_KEYS = 96,             /* in each tree */
    CRASH_PATH_BYTES = 96,       /* of a path, terminator included */
    CRASH_SENTENCE_BYTES = 200,  /* what is wrong, terminator included */
    CRASH_MAP_BYTES = 4 << 20,   /* map size of the environments */
    CRASH_VALUE_BYTES = 96 << 10 /* longest value */
};

/* Values with numbers from here on are large, all of them different. */
#define CRASH_LARGE (1u << 30)
#define CRASH_BULKY (1u << 31) /* values with numbers from here on are large whatever the shape */

struct crash_content {
    bool exists[CRASH_TREES];                /* [0] is always true */
    uint32_t value[CRASH_TREES][CRASH_KEYS]; /* 0: the key is absent */
};

/* How keys and values are made; both sides of a comparison need the same. */
struct crash_shape {
    unsigned key_bytes_max;   /* longest key; 8 in the integer tree */
    unsigned value_bytes_max; /* usual limit */
    unsigned large_percent;   /* values up to CRASH_VALUE_BYTES */
};

extern const char *const crash_tree_names[CRASH_TREES]; /* [0] is NULL: the main tree */

/* ---- numbers (content.c) ---- */

/* The next number of a generator. */
uint64_t crash_random(uint64_t *state);
/* Uniform in 0 .. limit - 1. */
unsigned crash_below(uint64_t *state, unsigned limit);
/* Scrambles: the same input, the same output. */
uint64_t crash_hash(uint64_t input);

/* ---- contents (content.c) ---- */

/* Call once, before anything that makes values. */
void crash_make_pool(void);

/* `buffer` has room for 512 bytes. */
struct qs_val crash_key(const struct crash_shape *shape, unsigned tree, unsigned index,
                        uint8_t *buffer);
struct qs_val crash_value(const struct crash_shape *shape, uint32_t number);

/* Compares what `txn` sees with `content`. 0 when equal; QS_E_KEYEXIST when something differs, and
 * then `sentence` says what; any other code is what an engine function returned. */
int crash_compare(struct qs_txn *txn, const struct crash_shape *shape,
                  const struct crash_content *content, char *sentence);

/* The same in a read transaction of its own. */
int crash_compare_env(struct qs_env *env, const struct crash_shape *shape,
                      const struct crash_content *content, char *sentence);

/* ---- work (workload.c) ---- */

/* Random transactions. Everything follows from `random`. */
struct crash_workload {
    struct qs_env *env;             /* open, with QS_NOTLS when readers are held */
    struct crash_shape shape;       /* of keys and values */
    uint64_t random;                /* generator state */
    uint32_t next_value;            /* number of the next value that is put */
    struct crash_content committed; /* as of the last commit that returned 0 */
    struct crash_content working;   /* as the write transaction sees it */
};

/* Does random operations, nested transactions among them, in `txn`. 0, or what an operation
 * returned that was not foreseen; then `txn` is to be aborted. QS_E_MAP_FULL is such a code. */
int crash_work(struct crash_workload *work, struct qs_txn *txn, unsigned operations);

/* The same operations whatever the seed: `step` 0, 1, 2, ... each touches all kinds of them. */
int crash_work_fixed(struct crash_workload *work, struct qs_txn *txn, unsigned step);

/* Puts bulky values into the last tree, or deletes what has the same keys: the file grows by two to three
 * MiB and need not be so large any more. */
int crash_work_bulk(struct crash_workload *work, struct qs_txn *txn, bool grow);

/* Overwrites some of few large values, or deletes one: they use the same runs again and again. */
int crash_work_churn(struct crash_workload *work, struct qs_txn *txn);

/* Begins, works, commits; on success `committed` becomes the new content. With `fixed` the steps
 * of crash_work_fixed(). The first error; the transaction is over in every case. */
int crash_transaction(struct crash_workload *work, bool fixed, unsigned step);

#endif
