/* workloads_large.c - values of 4 KiB and more, put and read.
 *
 * Owns:       nothing beyond the run.
 * Invariants: W5 as many records as make LARGE_TOTAL_BYTES, put over and over: the file stays in
 * memory. Locks:      none; one thread.
 */
#include "workloads.h"

#define LARGE_TOTAL_BYTES ((size_t)256 << 20)

static uint64_t large_records(const struct run *run)
{
    return LARGE_TOTAL_BYTES / run->workload->value_bytes;
}

/* One transaction: the next `batch` records, round and round. */
static void put_batch(struct run *run, uint64_t *next)
{
    MDB_txn *txn = run_write(run);

    for (unsigned i = 0; i < run->workload->batch; i++, (*next)++)
        run_put(run, txn, *next % large_records(run), *next, run->workload->value_bytes);
    run_commit(run, txn);
}

static void read_back(struct run *run, uint64_t count)
{
    MDB_txn *txn = run_read(run);
    for (uint64_t i = 0; i < count && i < large_records(run); i++)
        run_get(run, txn, i);
    run->api.txn_abort(txn);
}

void measure_put_large(struct run *run)
{
    uint64_t next = 0;

    data_prepare(run->workload->value_bytes);
    run_open(run, run->workload->flags);
    run_start(run, 1);
    do {
        put_batch(run, &next);
    } while (run_time_left(run));
    run_rate(run, "puts", next);
    read_back(run, next);
    run_close(run);
}

void measure_get_large(struct run *run)
{
    struct random random = {run->seed};
    uint64_t gets = 0;
    uint64_t next = 0;

    data_prepare(run->workload->value_bytes);
    run_open(run, run->workload->flags);
    while (next < large_records(run))
        put_batch(run, &next);
    read_back(run, next);
    MDB_txn *txn = run_read(run);
    run_start(run, 1);
    do {
        for (unsigned i = 0; i < 16; i++)
            run_get(run, txn, random_below(&random, large_records(run)));
        gets += 16;
    } while (run_time_left(run));
    run_rate(run, "gets", gets);
    run->api.txn_abort(txn);
    run_close(run);
}
