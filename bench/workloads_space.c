/* workloads_space.c - how much of the disk a database takes while it grows, changes, shrinks and grows again.
 *
 * Owns:       nothing.
 * Invariants: F1 sizes are blocks allocated, not lengths: holes take no space.
 */
#include "workloads.h"

#include <stdio.h>
#include <sys/stat.h>

enum { DELETE_PERCENT = 90, SPACE_PATIENCE = 60 };

static double allocated_mb(struct run *run)
{
    char path[512];
    struct stat st;

    snprintf(path, sizeof path, "%s/data.mdb", run->directory);
    if (stat(path, &st) != 0)
        run_fail(run, "stat of data.mdb", 0);
    return (double)st.st_blocks * 512 / 1e6;
}

struct sizes {
    double open_max;  /* the most before a close */
    double close_max; /* the longest close, seconds */
};

/* Ends a phase: closes, notes what is left, opens again. Returns what there was before the close. */
static double phase(struct run *run, const char *name, struct sizes *sizes)
{
    double open = allocated_mb(run);
    double before = run_now();

    run_close(run);
    double took = run_now() - before;
    sizes->close_max = took > sizes->close_max ? took : sizes->close_max;
    sizes->open_max = open > sizes->open_max ? open : sizes->open_max;
    run_metric(run, name, "MB", true, allocated_mb(run));
    run_open(run, run->workload->flags);
    return open;
}

static void put_all(struct run *run, uint64_t from, uint64_t generation)
{
    for (uint64_t i = from; i < run->records;) {
        MDB_txn *txn = run_write(run);
        for (unsigned k = 0; k < run->workload->batch && i < run->records; k++, i++)
            run_put(run, txn, i, generation, DATA_VALUE_BYTES);
        run_commit(run, txn);
    }
}

static void overwrite_some(struct run *run)
{
    struct random random = {run->seed};

    for (uint64_t done = 0; done < run->records;) {
        MDB_txn *txn = run_write(run);
        for (unsigned k = 0; k < run->workload->batch; k++, done++)
            run_put(run, txn, random_below(&random, run->records), 2, DATA_VALUE_BYTES);
        run_commit(run, txn);
    }
}

static void delete_from(struct run *run, uint64_t i)
{
    while (i < run->records) {
        MDB_txn *txn = run_write(run);
        for (unsigned k = 0; k < run->workload->batch && i < run->records; k++, i++) {
            struct data_key key;
            MDB_val name = {sizeof key, &key};
            data_key(&key, i);
            run_must(run, run->api.del(txn, run->dbi, &name, NULL), "mdb_del");
        }
        run_commit(run, txn);
    }
}

void measure_space(struct run *run)
{
    struct sizes sizes = {0};
    uint64_t kept = run->records - run->records * DELETE_PERCENT / 100;

    run_open(run, run->workload->flags);
    run_start(run, SPACE_PATIENCE);
    put_all(run, 0, 1);
    phase(run, "fill", &sizes);
    overwrite_some(run);
    phase(run, "churn", &sizes);
    delete_from(run, kept);
    double open = phase(run, "delete", &sizes);
    run_metric(run, "delete-open", "MB", true, open);
    put_all(run, kept, 3);
    phase(run, "refill", &sizes);
    run_metric(run, "open-max", "MB", true, sizes.open_max);
    run_metric(run, "close-max", "ms", true, sizes.close_max * 1e3);
    run_expect_entries(run, run->records);
    MDB_txn *txn = run_read(run);
    for (uint64_t i = 0; i < run->records; i++)
        run_get(run, txn, i);
    run->api.txn_abort(txn);
    run_close(run);
}
