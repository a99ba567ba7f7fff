/* workloads_write.c - filling, putting, deleting; a reader beside a writer.
 *
 * Owns:       the threads of a measurement.
 * Invariants: W3 after the measured time a part of what was written is read back and verified.
 *             W4 keys are drawn from twice as many as the database holds: half of the puts are new.
 * Locks:      none of its own; threads meet at a barrier before the measured time.
 */
#include "stats.h"
#include "workloads.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    FILL_PATIENCE = 15,       /* a fill is a fixed number of records: it may take longer */
    THREADS_MAX = 16,         /* that write */
    READ_BACK_MAX = 20000,    /* records, each thread's */
    LATENCIES_MAX = 1u << 22, /* each thread's */
    GETS_A_SNAPSHOT = 1000,   /* of the reader beside a writer */
};

/* ---- fills ---- */

void workload_load(struct run *run)
{
    run_open(run, MDB_NOSYNC);
    for (uint64_t i = 0; i < run->records;) {
        MDB_txn *txn = run_write(run);
        for (unsigned k = 0; k < RUN_FILL_BATCH && i < run->records; k++, i++)
            run_put(run, txn, i, 0, DATA_VALUE_BYTES);
        run_commit(run, txn);
    }
    run_must(run, run->api.env_sync(run->env, 1), "mdb_env_sync");
    run_expect_entries(run, run->records);
    run_close(run);
}

static void put_in_order(struct run *run, MDB_txn *txn, uint64_t i)
{
    struct data_key key;
    MDB_val name = {sizeof key, &key};
    MDB_val value;

    data_key_in_order(&key, i);
    data_value(&value, &key, 1, DATA_VALUE_BYTES);
    run_must(run, run->api.put(txn, run->dbi, &name, &value, MDB_APPEND), "mdb_put");
}

static uint64_t fill(struct run *run, bool in_order)
{
    uint64_t i = 0;

    while (i < run->records && run_time_left(run)) {
        MDB_txn *txn = run_write(run);
        for (unsigned k = 0; k < run->workload->batch && i < run->records; k++, i++) {
            if (in_order)
                put_in_order(run, txn, i);
            else
                run_put(run, txn, i, 1, DATA_VALUE_BYTES);
        }
        run_commit(run, txn);
    }
    return i;
}

void measure_fill_seq(struct run *run)
{
    run_open(run, run->workload->flags);
    run_start(run, FILL_PATIENCE);
    uint64_t count = fill(run, true);
    run_rate(run, "puts", count);
    run_expect_entries(run, count);
    run_close(run);
}

void measure_fill_random(struct run *run)
{
    run_open(run, run->workload->flags);
    run_start(run, FILL_PATIENCE);
    uint64_t count = fill(run, false);
    run_rate(run, "puts", count);
    run_expect_entries(run, count);
    MDB_txn *txn = run_read(run);
    for (uint64_t i = 0; i < count; i += 1 + count / READ_BACK_MAX)
        run_get(run, txn, i);
    run->api.txn_abort(txn);
    run_close(run);
}

/* ---- puts in small transactions ---- */

struct writer {
    struct run *run;          /* shared by all */
    pthread_barrier_t *start; /* all begin together */
    pthread_t thread;         /* this one */
    uint64_t seed;            /* of its keys */
    uint64_t commits;         /* that returned */
    uint32_t *latency_ns;     /* of each transaction, from its begin; NULL when not wanted */
    size_t latencies;         /* how many */
};

static void note_latency(struct writer *writer, double *before)
{
    double now = run_now();
    double ns = (now - *before) * 1e9;

    if (writer->latencies < LATENCIES_MAX)
        writer->latency_ns[writer->latencies++] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
    *before = now;
}

static void *write_until_deadline(void *argument)
{
    struct writer *writer = argument;
    struct run *run = writer->run;
    struct random random = {writer->seed};

    pthread_barrier_wait(writer->start);
    double before = run_now();
    while (run_time_left(run)) {
        MDB_txn *txn = run_write(run);
        for (unsigned i = 0; i < run->workload->batch; i++)
            run_put(run, txn, random_below(&random, 2 * run->records), writer->seed,
                    DATA_VALUE_BYTES);
        run_commit(run, txn);
        writer->commits++;
        if (writer->latency_ns != NULL)
            note_latency(writer, &before);
    }
    return NULL;
}

static void read_back(struct writer *writer)
{
    struct run *run = writer->run;
    struct random random = {writer->seed};
    uint64_t puts = writer->commits * run->workload->batch;
    MDB_txn *txn = run_read(run);

    for (uint64_t i = 0; i < puts && i < READ_BACK_MAX; i++)
        run_get(run, txn, random_below(&random, 2 * run->records));
    run->api.txn_abort(txn);
}

/* Bytes this process has made the kernel write to devices; -1 when the kernel does not count. */
static double bytes_written(void)
{
    FILE *file = fopen("/proc/self/io", "r");
    char line[100];
    double bytes = -1;

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "write_bytes: ", 13) == 0)
            bytes = strtod(line + 13, NULL);
    if (file != NULL)
        fclose(file);
    return bytes;
}

static void report_latencies(struct run *run, struct writer *writers, unsigned count)
{
    size_t total = 0;
    for (unsigned i = 0; i < count; i++)
        total += writers[i].latencies;
    uint32_t *all = malloc((total + 1) * sizeof *all);
    if (all == NULL)
        run_fail(run, "no memory", 0);
    total = 0;
    for (unsigned i = 0; i < count; i++) {
        memcpy(all + total, writers[i].latency_ns, writers[i].latencies * sizeof *all);
        total += writers[i].latencies;
        free(writers[i].latency_ns);
    }
    stats_sort_u32(all, total);
    run_metric(run, "p50", "us", true, stats_percentile(all, total, 50) / 1e3);
    run_metric(run, "p99", "us", true, stats_percentile(all, total, 99) / 1e3);
    run_metric(run, "p99.9", "us", true, stats_percentile(all, total, 99.9) / 1e3);
    free(all);
}

static void start_writers(struct run *run, struct writer *writers, unsigned count,
                          pthread_barrier_t *start)
{
    pthread_barrier_init(start, NULL, count + 1);
    for (unsigned i = 0; i < count; i++) {
        writers[i] = (struct writer){.run = run, .start = start, .seed = run->seed + 1000 * i};
        if (run->workload->batch == 1) {
            writers[i].latency_ns = malloc(LATENCIES_MAX * sizeof(uint32_t));
            if (writers[i].latency_ns == NULL)
                run_fail(run, "no memory", 0);
        }
        run_must(run, pthread_create(&writers[i].thread, NULL, write_until_deadline, &writers[i]),
                 "pthread_create");
    }
    run_start(run, 1);
    pthread_barrier_wait(start);
}

static uint64_t join_writers(struct writer *writers, unsigned count)
{
    uint64_t commits = 0;
    for (unsigned i = 0; i < count; i++) {
        pthread_join(writers[i].thread, NULL);
        commits += writers[i].commits;
    }
    return commits;
}

void measure_put(struct run *run)
{
    const struct workload *workload = run->workload;
    struct writer writers[THREADS_MAX];
    pthread_barrier_t start;

    run_open(run, workload->flags);
    double bytes = bytes_written();
    start_writers(run, writers, workload->threads, &start);
    uint64_t puts = join_writers(writers, workload->threads) * workload->batch;
    run_rate(run, "puts", puts);
    if ((workload->flags & MDB_NOSYNC) == 0 && workload->threads == 1 && bytes >= 0)
        run_metric(run, "written", "B/put", true, (bytes_written() - bytes) / (double)puts);
    for (unsigned i = 0; i < workload->threads; i++)
        read_back(&writers[i]);
    if (workload->batch == 1)
        report_latencies(run, writers, workload->threads);
    pthread_barrier_destroy(&start);
    run_close(run);
}

/* ---- larger transactions on existing records ---- */

void measure_overwrite(struct run *run)
{
    struct random random = {run->seed};
    struct random again = random;
    uint64_t puts = 0;

    run_open(run, run->workload->flags);
    run_start(run, 1);
    do {
        MDB_txn *txn = run_write(run);
        for (unsigned i = 0; i < run->workload->batch; i++, puts++)
            run_put(run, txn, random_below(&random, run->records), 1, DATA_VALUE_BYTES);
        run_commit(run, txn);
    } while (run_time_left(run));
    run_rate(run, "puts", puts);
    run_expect_entries(run, run->records);
    MDB_txn *txn = run_read(run);
    for (uint64_t i = 0; i < puts && i < READ_BACK_MAX; i++)
        run_get(run, txn, random_below(&again, run->records));
    run->api.txn_abort(txn);
    run_close(run);
}

static void delete_record(struct run *run, MDB_txn *txn, uint64_t i)
{
    struct data_key key;
    MDB_val name = {sizeof key, &key};

    data_key(&key, i);
    run_must(run, run->api.del(txn, run->dbi, &name, NULL), "mdb_del");
}

/* Records are deleted by number, so in an order that has nothing to do with that of their keys. */
void measure_delete(struct run *run)
{
    uint64_t i = 0;

    run_open(run, run->workload->flags);
    run_start(run, 1);
    while (i < run->records && run_time_left(run)) {
        MDB_txn *txn = run_write(run);
        for (unsigned k = 0; k < run->workload->batch && i < run->records; k++, i++)
            delete_record(run, txn, i);
        run_commit(run, txn);
    }
    run_rate(run, "deletes", i);
    run_expect_entries(run, run->records - i);
    MDB_txn *txn = run_read(run);
    for (uint64_t k = i; k < run->records; k += 1 + run->records / READ_BACK_MAX)
        run_get(run, txn, k);
    run->api.txn_abort(txn);
    run_close(run);
}

/* ---- a reader beside a writer ---- */

void measure_beside(struct run *run)
{
    struct random random = {run->seed + 1};
    struct writer writer;
    pthread_barrier_t start;
    uint64_t gets = 0;

    run_open(run, run->workload->flags);
    start_writers(run, &writer, 1, &start);
    do {
        MDB_txn *txn = run_read(run);
        for (unsigned i = 0; i < GETS_A_SNAPSHOT; i++)
            run_get(run, txn, random_below(&random, run->records));
        run->api.txn_abort(txn);
        gets += GETS_A_SNAPSHOT;
    } while (run_time_left(run));
    run_rate(run, "gets", gets);
    run_rate(run, "puts", join_writers(&writer, 1));
    read_back(&writer);
    report_latencies(run, &writer, 1);
    pthread_barrier_destroy(&start);
    run_close(run);
}
