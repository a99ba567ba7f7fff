/* test_dup_cursors.c - cursors among duplicates, under every change.
 *
 * Invariants: M3 cursors stay on their pairs; one whose pair goes stands on the next of its key, or behind
 *             the last; one whose key goes, on the next key.
 */
#define _GNU_SOURCE /* mkdtemp() */

#include "tree/dups.h"

#include <errno.h>

static void expect_here(struct tracked *t)
{
    struct qs_val key, value;
    bool past = t->at.key == KEYS || t->at.value == VALUES;
    int rc = qs_cursor_get(t->cursor, &key, &value, QS_GET_CURRENT);
    cr_assert(rc == (t->unset ? EINVAL : past ? QS_E_NOTFOUND : 0), "rc %d", rc);
    cr_assert(rc != 0 || is_at(&key, &value, t->at));
    t->gone = t->key_gone = false;
}

/* A step, unless its outcome is one of LMDB's oddities at the end of the tree. */
static void step(struct tracked *t, bool forward)
{
    struct at to = t->at;
    struct qs_val key, value;
    struct at last = prev_key(w.there, KEYS);
    if (t->unset || t->at.key == KEYS || (forward && t->at.key == last.key))
        return;
    if (forward && !(t->gone && to.value != VALUES) && !t->key_gone) {
        if (to.value != VALUES)
            to.value = next_value(w.there, to.key, to.value + 1);
        if (to.value == VALUES)
            to = next_key(w.there, to.key + 1);
    } else if (!forward) {
        to.value = prev_value(w.there, to.key, to.value == VALUES ? w.values : to.value);
        if (to.value == VALUES)
            to = prev_key(w.there, to.key);
    }
    int rc = qs_cursor_get(t->cursor, &key, &value, forward ? QS_NEXT : QS_PREV);
    cr_assert(rc == (to.key < KEYS ? 0 : QS_E_NOTFOUND));
    cr_assert(rc != 0 || is_at(&key, &value, to));
    if (rc == 0)
        t->at = to;
    t->gone = t->key_gone = false;
}

static void seek(struct tracked *t)
{
    unsigned k = below(KEYS), v = below(w.values);
    struct qs_val key = val_of(&w.key[k]), value = val_of(&w.value[v]);
    if (next_value(w.there, k, 0) == VALUES)
        return;
    t->at = (struct at){k, next_value(w.there, k, v)};
    t->unset = t->gone = t->key_gone = false;
    int rc = qs_cursor_get(t->cursor, &key, &value, QS_GET_BOTH_RANGE);
    cr_assert(rc == (t->at.value != VALUES ? 0 : QS_E_NOTFOUND));
    if (rc == 0)
        return; /* where a miss leaves it depends on how the one value is stored */
    t->at.value = next_value(w.there, k, 0);
    cr_assert(qs_cursor_get(t->cursor, &key, &value, QS_SET) == 0);
}

/* Deletes or puts through the cursor itself. */
static void change_here(struct tracked *t)
{
    unsigned k = below(KEYS), v = below(w.values);
    if (below(2) == 0) {
        struct qs_val key = val_of(&w.key[k]), value = val_of(&w.value[v]);
        cr_assert(qs_cursor_put(t->cursor, &key, &value, 0) == 0);
        w.there[k][v] = true;
        t->at = (struct at){k, v};
        t->unset = t->gone = t->key_gone = false;
        return;
    }
    bool past = t->at.key == KEYS || t->at.value == VALUES;
    int rc = qs_cursor_del(t->cursor, 0);
    cr_assert(rc == (t->unset ? EINVAL : past ? QS_E_NOTFOUND : 0));
    if (rc != 0)
        return;
    struct at at = t->at;
    w.there[at.key][at.value] = false;
    track_delete(at.key, at.value);
}

static void run_cursors(unsigned steps)
{
    begin();
    for (unsigned n = 0; n < 2000; n++)
        put(below(KEYS), below(w.values));
    for (open_cursors = 0; open_cursors < CURSORS; open_cursors++) {
        tracked[open_cursors] = (struct tracked){.unset = true};
        cr_assert(qs_cursor_open(w.txn, w.tree, &tracked[open_cursors].cursor) == 0);
    }
    for (unsigned n = 0; n < steps; n++) {
        struct tracked *t = &tracked[below(CURSORS)];
        unsigned kind = below(10);
        if (kind < 3)
            step(t, kind < 2);
        else if (kind == 3)
            expect_here(t);
        else if (kind == 4)
            seek(t);
        else if (kind < 7)
            change_here(t);
        else
            change(n / 3000 % 2 == 0 ? 80 : 10);
    }
    open_cursors = 0;
    check_pairs(w.txn, w.there);
    end(true);
    check_committed();
}

#define KIND(name, flags, bytes, values)                                                           \
    Test(dup_cursors, name)                                                                        \
    {                                                                                              \
        set_up(flags, bytes, values, 2);                                                           \
        run_cursors(20000);                                                                        \
        tear_down();                                                                               \
    }

KIND(of_many_sizes, 0, 24, VALUES)
KIND(of_all_sizes, 0, 511, 300)
KIND(reversed, QS_REVERSEDUP, 40, 1500)
KIND(fixed, QS_DUPFIXED, 10, VALUES)
KIND(fixed_large, QS_DUPFIXED, 511, 200)
KIND(integers, QS_DUPFIXED | QS_INTEGERDUP, 4, VALUES)
KIND(integers_not_fixed, QS_INTEGERDUP, 8, 1000)
KIND(fixed_reversed, QS_DUPFIXED | QS_REVERSEDUP, 4, VALUES)
KIND(single_bytes, QS_DUPFIXED, 1, 250)
KIND(descending_of_many_sizes, DESCENDING, 24, VALUES)
KIND(descending_of_all_sizes, DESCENDING, 511, 300)
KIND(descending_fixed, DESCENDING | QS_DUPFIXED, 10, VALUES)

/* QS_CURRENT on one of several: it takes its place in the order, and all cursors on it go along. */
Test(dup_cursors, current_moves_in_the_order)
{
    struct qs_cursor *a, *b;
    struct qs_val key, value;
    set_up(0, 30, 100, 3);
    begin();
    for (unsigned v = 10; v < 50; v += 10) {
        w.there[1][v] = true;
        key = val_of(&w.key[1]);
        value = val_of(&w.value[v]);
        cr_assert(qs_put(w.txn, w.tree, &key, &value, 0) == 0);
    }
    cr_assert(qs_cursor_open(w.txn, w.tree, &a) == 0 && qs_cursor_open(w.txn, w.tree, &b) == 0);
    value = val_of(&w.value[20]);
    cr_assert(qs_cursor_get(a, &key, &value, QS_GET_BOTH) == 0);
    value = val_of(&w.value[20]);
    cr_assert(qs_cursor_get(b, &key, &value, QS_GET_BOTH) == 0);
    value = val_of(&w.value[35]);
    cr_assert(qs_cursor_put(a, &key, &value, QS_CURRENT) == 0);
    w.there[1][20] = false;
    w.there[1][35] = true;
    check_pairs(w.txn, w.there);
    cr_assert(qs_cursor_get(b, &key, &value, QS_GET_CURRENT) == 0 && same(&value, &w.value[35]));
    cr_assert(qs_cursor_get(a, &key, &value, QS_NEXT) == 0 && same(&value, &w.value[40]));
    value = val_of(&w.value[10]); /* one that is there: then there are fewer */
    cr_assert(qs_cursor_put(a, &key, &value, QS_CURRENT) == 0);
    w.there[1][40] = false;
    check_pairs(w.txn, w.there);
    end(true);
    tear_down();
}
