/* test_dups.c - trees with duplicates against a grid of pairs: small and large sets, of one size and of
 * many, in every order; nesting, snapshots, copies.
 *
 * Invariants: M1 after each transaction the tree, forwards and backwards, by pair and by count, is the
 *             model. M2 what is aborted, at any level, changes nothing. M4 a snapshot stays as it was.
 */
#define _GNU_SOURCE /* mkdtemp() */

#include "tree/dups.h"

#include <fcntl.h>

/* Some changes in a child, which is kept or not (M2). */
static void nest(unsigned put_percent)
{
    struct qs_txn *parent = w.txn;
    memcpy(w.outer, w.there, sizeof(grid));
    cr_assert(qs_txn_begin(w.env, parent, 0, &w.txn) == 0);
    for (unsigned n = below(100); n > 0; n--)
        change(put_percent);
    if (below(2) == 0) {
        cr_assert(qs_txn_commit(w.txn) == 0);
    } else {
        qs_txn_abort(w.txn);
        memcpy(w.there, w.outer, sizeof(grid));
    }
    w.txn = parent;
}

static void check_copies(void)
{
    char path[128];
    for (int compact = 0; compact < 2; compact++) {
        snprintf(path, sizeof path, "%s/copy", w.directory);
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
        cr_assert(fd >= 0 && qs_env_copy(w.env, fd, compact) == 0);
        close(fd);
        expect_sound(path);
        unlink(path);
    }
}

static void run_rounds(unsigned rounds)
{
    struct qs_txn *reader = NULL;
    begin();
    end(true);
    for (unsigned round = 0; round < rounds; round++) {
        unsigned percent = round / 6 % 2 == 0 ? 50 + below(50) : below(60);
        begin();
        for (unsigned n = below(round % 3 == 0 ? 6000 : 60); n > 0; n--)
            change(percent);
        if (round % 4 == 1)
            nest(percent);
        if (round % 8 == 0)
            check_pairs(w.txn, w.there);
        end(below(5) != 0);
        check_committed();
        if (round % 5 == 4 && reader == NULL) {
            cr_assert(qs_txn_begin(w.env, NULL, QS_RDONLY, &reader) == 0);
            memcpy(w.snapshot, w.committed, sizeof(grid));
        } else if (round % 5 == 3 && reader != NULL) {
            check_pairs(reader, w.snapshot); /* M4 */
            qs_txn_abort(reader);
            reader = NULL;
            check_copies();
            qs_env_close(w.env);
            expect_sound(w.data_path);
            open_environment();
            begin();
            end(true);
        }
    }
    if (reader != NULL)
        qs_txn_abort(reader);
}

#define KIND(name, flags, bytes, values)                                                           \
    Test(dups, name)                                                                               \
    {                                                                                              \
        set_up(flags, bytes, values, 1);                                                           \
        run_rounds(30);                                                                            \
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

/* Duplicates cannot be turned on where plain values are. */
Test(dups, not_over_plain_values)
{
    struct qs_tree *main_tree;
    struct qs_val key = {1, "k"}, value = {1, "v"};
    set_up(0, 30, 10, 4);
    cr_assert(qs_txn_begin(w.env, NULL, 0, &w.txn) == 0);
    cr_assert(qs_tree_open(w.txn, NULL, 0, &main_tree) == 0);
    cr_assert(qs_put(w.txn, main_tree, &key, &value, 0) == 0);
    cr_assert(qs_tree_open(w.txn, NULL, QS_DUPSORT, &main_tree) == QS_E_INCOMPATIBLE);
    qs_txn_abort(w.txn);
    tear_down();
}
