/* workload.c - random transactions on an environment, with the content they should lead to.
 *
 * Owns:       nothing.
 * Invariants: L1 `working` is what the innermost open transaction sees; an abort of a child puts
 *             back what it was when the child began.
 * Locks:      none; one thread.
 */
#include "crash.h"

#include <string.h>

#define DEPTH_MAX 3u /* nested transactions */

static const unsigned tree_flags[CRASH_TREES] = {0, QS_INTEGERKEY, QS_REVERSEKEY, 0};

/* The tree's handle, NULL when it does not exist; with `create` it does then. */
static int open_tree(struct crash_workload *work, struct qs_txn *txn, unsigned tree, bool create,
                     struct qs_tree **handle)
{
    unsigned flags = create && tree != 0 ? tree_flags[tree] | QS_TREE_CREATE : 0;
    int rc;

    *handle = NULL;
    if (!create && !work->working.exists[tree])
        return 0;
    rc = qs_tree_open(txn, crash_tree_names[tree], flags, handle);
    if (rc == 0)
        work->working.exists[tree] = true;
    return rc;
}

static int put_value(struct crash_workload *work, struct qs_txn *txn, unsigned tree, unsigned index,
                     uint32_t number, bool reserve)
{
    struct qs_tree *handle;
    uint8_t buffer[512];
    struct qs_val key = crash_key(&work->shape, tree, index, buffer);
    struct qs_val want = crash_value(&work->shape, number);
    struct qs_val value = want;
    int rc = open_tree(work, txn, tree, true, &handle);

    if (rc == 0)
        rc = qs_put(txn, handle, &key, &value, reserve ? QS_RESERVE : 0);
    if (rc != 0)
        return rc;
    if (reserve)
        memcpy((void *)(uintptr_t)value.data, want.data, want.size);
    work->working.value[tree][index] = number;
    return 0;
}

static int put_number(struct crash_workload *work, struct qs_txn *txn, unsigned tree,
                      unsigned index, bool reserve)
{
    return put_value(work, txn, tree, index, work->next_value++, reserve);
}

static int delete_key(struct crash_workload *work, struct qs_txn *txn, unsigned tree,
                      unsigned index)
{
    uint32_t *slot = &work->working.value[tree][index];
    struct qs_tree *handle;
    uint8_t buffer[512];
    struct qs_val key = crash_key(&work->shape, tree, index, buffer);
    int rc = open_tree(work, txn, tree, false, &handle);

    if (rc != 0 || handle == NULL)
        return rc;
    rc = qs_del(txn, handle, &key, NULL);
    if (rc == (*slot == 0 ? QS_E_NOTFOUND : 0))
        rc = 0;
    else if (rc == 0 || rc == QS_E_NOTFOUND)
        rc = QS_E_KEYEXIST; /* the content is not what it should be */
    *slot = 0;
    return rc;
}

/* Puts or deletes a stretch of neighbours: this is what makes pages split and merge. */
static int change_stretch(struct crash_workload *work, struct qs_txn *txn, unsigned tree,
                          unsigned first, unsigned count, bool delete)
{
    int rc = 0;

    for (unsigned i = 0; i < count && rc == 0; i++) {
        unsigned index = (first + i) % CRASH_KEYS;

        rc =
            delete ? delete_key(work, txn, tree, index) : put_number(work, txn, tree, index, false);
    }
    return rc;
}

static int drop(struct crash_workload *work, struct qs_txn *txn, unsigned tree, bool remove)
{
    struct qs_tree *handle;
    int rc = open_tree(work, txn, tree, false, &handle);

    if (rc != 0 || handle == NULL)
        return rc;
    rc = qs_tree_drop(txn, handle, remove);
    memset(work->working.value[tree], 0, sizeof work->working.value[tree]);
    if (tree != 0)
        work->working.exists[tree] = !remove;
    for (unsigned i = 1; tree == 0 && i < CRASH_TREES; i++) {
        work->working.exists[i] = false;
        memset(work->working.value[i], 0, sizeof work->working.value[i]);
    }
    return rc;
}

static int one_operation(struct crash_workload *work, struct qs_txn *txn)
{
    uint64_t *random = &work->random;
    unsigned tree = crash_below(random, CRASH_TREES);
    unsigned index = crash_below(random, CRASH_KEYS);
    unsigned dice = crash_below(random, 200);

    if (dice < 100)
        return put_number(work, txn, tree, index, dice < 10);
    if (dice < 150)
        return delete_key(work, txn, tree, index);
    if (dice < 195)
        return change_stretch(work, txn, tree, index, 5 + crash_below(random, 40), dice < 170);
    return drop(work, txn, dice == 195 ? 0 : tree, dice < 198);
}

static int work_at(struct crash_workload *work, struct qs_txn *txn, unsigned operations,
                   unsigned depth)
{
    int rc = 0;

    while (operations-- > 0 && rc == 0) {
        struct crash_content before = work->working;
        struct qs_txn *child;

        if (depth == DEPTH_MAX || crash_below(&work->random, 12) != 0) {
            rc = one_operation(work, txn);
            continue;
        }
        rc = qs_txn_begin(work->env, txn, 0, &child);
        if (rc != 0)
            break;
        rc = work_at(work, child, crash_below(&work->random, 6), depth + 1);
        if (rc == 0 && crash_below(&work->random, 3) != 0) {
            rc = qs_txn_commit(child);
            continue;
        }
        qs_txn_abort(child);
        work->working = before; /* L1 */
    }
    return rc;
}

int crash_work(struct crash_workload *work, struct qs_txn *txn, unsigned operations)
{
    return work_at(work, txn, operations, 0);
}

/* A child that puts large values and is committed or not. */
static int fixed_child(struct crash_workload *work, struct qs_txn *txn, unsigned step, bool commit)
{
    struct crash_content before = work->working;
    struct qs_txn *child;
    int rc = qs_txn_begin(work->env, txn, 0, &child);

    if (rc != 0)
        return rc;
    rc = change_stretch(work, child, 1 + step % 3, 7 * step, 12, step % 4 == 3);
    if (rc == 0)
        rc = put_number(work, child, 3, step, true);
    if (rc == 0 && commit)
        return qs_txn_commit(child);
    qs_txn_abort(child);
    work->working = before; /* L1 */
    return rc;
}

int crash_work_bulk(struct crash_workload *work, struct qs_txn *txn, bool grow)
{
    const unsigned tree = CRASH_TREES - 1, values = 32;
    int rc = 0;

    for (unsigned index = 0; index < values && rc == 0; index++)
        rc = grow ? put_value(work, txn, tree, index, CRASH_BULKY | work->next_value++, index == 7)
                  : delete_key(work, txn, tree, index);
    return rc;
}

int crash_work_churn(struct crash_workload *work, struct qs_txn *txn)
{
    const unsigned tree = CRASH_TREES - 1, keys = 8;
    unsigned count = 1 + crash_below(&work->random, 4);
    int rc = 0;

    for (unsigned i = 0; i < count && rc == 0; i++) {
        unsigned index = crash_below(&work->random, keys), dice = crash_below(&work->random, 10);
        uint32_t number = CRASH_LARGE | work->next_value++;

        rc = dice == 0 ? delete_key(work, txn, tree, index)
                       : put_value(work, txn, tree, index, number, dice == 1);
    }
    return rc;
}

int crash_work_fixed(struct crash_workload *work, struct qs_txn *txn, unsigned step)
{
    unsigned tree = step % CRASH_TREES;
    int rc = change_stretch(work, txn, tree, 31 * step, 25, false);

    if (rc == 0)
        rc = change_stretch(work, txn, (tree + 3) % CRASH_TREES, 31 * step - 20, 30, true);
    if (rc == 0)
        rc = put_number(work, txn, tree, 5 * step % CRASH_KEYS, step % 2 == 1);
    if (rc == 0)
        rc = fixed_child(work, txn, step, true);
    if (rc == 0)
        rc = fixed_child(work, txn, step + 1, false);
    if (rc == 0 && step % 5 == 4)
        rc = drop(work, txn, 2 + step % 2, step % 2 == 0);
    if (rc == 0 && (step == 2 || step == 6))
        rc = crash_work_bulk(work, txn, step == 2);
    return rc;
}

int crash_transaction(struct crash_workload *work, bool fixed, unsigned step)
{
    struct qs_txn *txn;
    int rc = qs_txn_begin(work->env, NULL, 0, &txn);

    if (rc != 0)
        return rc;
    work->working = work->committed;
    rc = fixed ? crash_work_fixed(work, txn, step)
               : crash_work(work, txn, 1 + crash_below(&work->random, 12));
    if (rc != 0) {
        qs_txn_abort(txn);
        return rc;
    }
    rc = qs_txn_commit(txn);
    if (rc == 0)
        work->committed = work->working;
    return rc;
}
