/* test_full_disk.c - a file system that is full: what was committed stays, and work goes on when there is space.
 *
 * Owns:       a small file system in memory, in a mount namespace of the test's own.
 * Invariants: D1 a transaction that meets the full disk fails with ENOSPC and leaves nothing behind; reads go
 *             on. D2 with space again, so does writing. D3 what was committed is there after opening anew.
 *             D4 a database that does not grow goes on, however little is free, and has a log that is longer than that.
 */
#define _GNU_SOURCE /* unshare(), mkdtemp() */

#include "quickstep.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

enum { RECORDS_MAX = 60000, ATTEMPTS = 20 };

static char directory[64], data_path[96], lock_path[96];
static struct qs_env *env;
static bool committed[RECORDS_MAX];
static size_t value_bytes;

/* A file system of so many bytes, which goes with the process; skips the test where that is forbidden. */
static void set_up(void)
{
    snprintf(directory, sizeof directory, "/tmp/qs-full-disk-XXXXXX");
    cr_assert(mkdtemp(directory) != NULL);
    snprintf(data_path, sizeof data_path, "%s/data", directory);
    snprintf(lock_path, sizeof lock_path, "%s/lock", directory);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", directory, "tmpfs", 0, "size=6m") != 0) {
        rmdir(directory);
        cr_skip_test("no file system of its own: %s", strerror(errno));
    }
}

static void tear_down(void)
{
    umount2(directory, MNT_DETACH);
    rmdir(directory);
}

static void open_environment(unsigned flags)
{
    struct qs_options options = {.data_path = data_path,
                                 .lock_path = lock_path,
                                 .flags = flags,
                                 .mode = 0600,
                                 .map_size_bytes = 1u << 30};
    cr_assert(qs_env_open(&options, &env) == 0);
}

static void complain(void *context, const char *finding)
{
    fprintf(stderr, "%s: %s\n", (const char *)context, finding);
}

/* Puts or deletes [first, last) in one transaction: 0, or the first error, and then nothing is changed. */
static int change(unsigned first, unsigned last, bool put)
{
    static uint8_t bytes[100000];
    struct qs_txn *txn;
    struct qs_tree *tree;
    int rc = qs_txn_begin(env, NULL, 0, &txn);
    cr_assert(rc == 0, "qs_txn_begin: %s", qs_strerror(rc));
    cr_assert(qs_tree_open(txn, NULL, 0, &tree) == 0);
    for (unsigned i = first; i < last && rc == 0; i++) {
        struct qs_val key = {sizeof i, &i}, value = {value_bytes, bytes};
        memset(bytes, (int)(i * 31), value_bytes);
        rc = put ? qs_put(txn, tree, &key, &value, 0) : qs_del(txn, tree, &key, NULL);
    }
    if (rc == 0)
        rc = qs_txn_commit(txn);
    else
        qs_txn_abort(txn);
    if (rc == 0)
        memset(committed + first, put, last - first);
    return rc;
}

static void expect_committed(void)
{
    struct qs_txn *txn;
    struct qs_tree *tree;
    cr_assert(qs_txn_begin(env, NULL, QS_RDONLY, &txn) == 0);
    cr_assert(qs_tree_open(txn, NULL, 0, &tree) == 0);
    for (unsigned i = 0; i < RECORDS_MAX; i++) {
        struct qs_val key = {sizeof i, &i}, value;
        int rc = qs_get(txn, tree, &key, &value);
        cr_assert(rc == (committed[i] ? 0 : QS_E_NOTFOUND), "record %u: %s", i, qs_strerror(rc));
        const uint8_t *b = value.data;
        cr_assert(rc != 0 || (value.size == value_bytes && b[0] == (uint8_t)(i * 31) &&
                              b[value.size - 1] == b[0]));
    }
    qs_txn_abort(txn);
}

static void fill_and_recover(unsigned flags, unsigned batch, size_t bytes)
{
    struct qs_check_report report;
    unsigned next = 0;
    int rc = 0;
    value_bytes = bytes;
    open_environment(flags);
    for (; rc == 0 && next + batch <= RECORDS_MAX; next += batch)
        rc = change(next, next + batch, true);
    cr_assert(rc == ENOSPC, "a full disk gives %s", qs_strerror(rc)); /* D1 */
    next -= batch;
    expect_committed();
    for (unsigned n = 0; n < ATTEMPTS;
         n++) { /* what small transactions still find room may commit */
        rc = change(next, next + batch, true);
        cr_assert(rc == ENOSPC || rc == 0, "%s", qs_strerror(rc));
        rc = change(n, n + 1, false);
        cr_assert(rc == ENOSPC || rc == 0 || rc == QS_E_NOTFOUND, "%s", qs_strerror(rc));
    }
    expect_committed();
    cr_assert(mount("none", directory, "tmpfs", MS_REMOUNT, "size=40m") == 0);
    for (unsigned i = next / 2; i + batch <= next; i += batch) /* D2 */
        cr_assert((rc = change(i, i + batch, false)) == 0, "%s", qs_strerror(rc));
    cr_assert((rc = change(next, next + batch, true)) == 0, "%s", qs_strerror(rc));
    expect_committed();
    qs_env_close(env);
    cr_assert(qs_check(data_path, complain, (void *)"qs_check", &report) == 0);
    cr_assert(report.faults == 0 && report.pages_lost == 0);
    open_environment(flags);
    expect_committed(); /* D3 */
    qs_env_close(env);
}

Test(full_disk, small_transactions, .init = set_up, .fini = tear_down)
{
    fill_and_recover(0, 20, 300);
}

Test(full_disk, small_transactions_nosync, .init = set_up, .fini = tear_down)
{
    fill_and_recover(QS_NOSYNC, 1, 300);
}

Test(full_disk, large_transactions, .init = set_up, .fini = tear_down)
{
    fill_and_recover(0, 5000, 100);
}

Test(full_disk, large_values, .init = set_up, .fini = tear_down)
{
    fill_and_recover(0, 2, 50000);
}

/* It stays full: what cannot be written is given up, and the file is as it was. */
Test(full_disk, closed_while_full, .init = set_up, .fini = tear_down)
{
    struct qs_check_report report;
    int rc = 0;
    value_bytes = 300;
    open_environment(QS_NOSYNC);
    for (unsigned i = 0; rc == 0; i += 10)
        rc = change(i, i + 10, true);
    cr_assert(rc == ENOSPC);
    qs_env_close(env);
    cr_assert(qs_check(data_path, complain, (void *)"qs_check", &report) == 0);
    cr_assert(report.faults == 0 && report.pages_lost == 0);
    open_environment(0);
    expect_committed();
    qs_env_close(env);
}

/* ---- a database that does not grow (D4) ---- */

/* Another file takes all of the disk but `left` bytes. */
static void fill_disk(size_t left)
{
    static uint8_t bytes[4096];
    char path[96];
    snprintf(path, sizeof path, "%s/other", directory);
    FILE *file = fopen(path, "w");
    cr_assert(file != NULL);
    setvbuf(file, NULL, _IONBF, 0);
    while (fwrite(bytes, sizeof bytes, 1, file) == 1) {
    }
    cr_assert(ftell(file) > (long)left);
    cr_assert(ftruncate(fileno(file), (ftell(file) - (long)left) & ~4095l) == 0);
    fclose(file);
}

static void overwrite(unsigned flags, unsigned records, size_t bytes, unsigned commits, size_t left)
{
    struct qs_check_report report;
    value_bytes = bytes;
    cr_assert(mount("none", directory, "tmpfs", MS_REMOUNT, "size=20m") == 0);
    open_environment(flags);
    for (unsigned i = 0; i < records; i += records / 10)
        cr_assert(change(i, i + records / 10, true) == 0);
    qs_env_close(env);
    open_environment(flags);
    fill_disk(left);
    for (unsigned i = 0; i < commits; i++) {
        unsigned n = i * 7919u % records;
        int rc = change(n, n + 1, i % 3 != 0 || !committed[n]);
        cr_assert(rc == 0, "commit %u: %s", i, qs_strerror(rc));
    }
    expect_committed();
    qs_env_close(env);
    cr_assert(qs_check(data_path, complain, (void *)"qs_check", &report) == 0);
    cr_assert(report.faults == 0 && report.pages_lost == 0);
    open_environment(flags);
    expect_committed();
    qs_env_close(env);
}

Test(full_disk, overwritten, .init = set_up, .fini = tear_down)
{
    overwrite(0, 5000, 300, 40000, 2u << 20);
}

Test(full_disk, overwritten_nosync, .init = set_up, .fini = tear_down)
{
    overwrite(QS_NOSYNC, 5000, 300, 40000, 2u << 20);
}

Test(full_disk, overwritten_with_little_left, .init = set_up, .fini = tear_down)
{
    overwrite(QS_NOSYNC, 5000, 300, 10000, 200u << 10);
}

Test(full_disk, large_values_overwritten, .init = set_up, .fini = tear_down)
{
    overwrite(0, 40, 50000, 2000, 100u << 10);
}
