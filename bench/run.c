/* run.c - what workloads share; see run.h.
 *
 * Owns:       the environment of the measuring process.
 * Invariants: R1 the outcome is complete when the process ends, in whichever way.
 * Locks:      none.
 */
#include "run.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* Address space only, more than any workload needs. */
#define MAP_BYTES ((size_t)16 << 30)

void run_fail(struct run *run, const char *what, int rc)
{
    const char *why = rc == 0 || run->api.strerror == NULL ? NULL : run->api.strerror(rc);

    snprintf(run->outcome->error, sizeof run->outcome->error, "%s%s%s", what,
             why != NULL ? ": " : "", why != NULL ? why : "");
    _exit(1);
}

void run_load_library(struct run *run)
{
    const char *error = api_load(&run->api, run->library);
    if (error != NULL)
        run_fail(run, error, 0);
}

void run_open(struct run *run, unsigned flags)
{
    MDB_txn *txn;

    if (run->api.handle == NULL)
        run_load_library(run);
    run_must(run, run->api.env_create(&run->env), "mdb_env_create");
    run_must(run, run->api.env_set_mapsize(run->env, MAP_BYTES), "mdb_env_set_mapsize");
    run_must(run, run->api.env_open(run->env, run->directory, flags, 0644), "mdb_env_open");
    run_must(run, run->api.txn_begin(run->env, NULL, MDB_RDONLY, &txn), "mdb_txn_begin");
    run_must(run, run->api.dbi_open(txn, NULL, 0, &run->dbi), "mdb_dbi_open");
    run->api.txn_abort(txn);
}

void run_close(struct run *run)
{
    run->api.env_close(run->env);
    run->env = NULL;
}

MDB_txn *run_read(struct run *run)
{
    MDB_txn *txn;
    run_must(run, run->api.txn_begin(run->env, NULL, MDB_RDONLY, &txn), "mdb_txn_begin");
    return txn;
}

MDB_txn *run_write(struct run *run)
{
    MDB_txn *txn;
    run_must(run, run->api.txn_begin(run->env, NULL, 0, &txn), "mdb_txn_begin");
    return txn;
}

void run_commit(struct run *run, MDB_txn *txn)
{
    run_must(run, run->api.txn_commit(txn), "mdb_txn_commit");
}

void run_put(struct run *run, MDB_txn *txn, uint64_t i, uint64_t generation, size_t size)
{
    struct data_key key;
    MDB_val value;

    data_key(&key, i);
    data_value(&value, &key, generation, size);
    MDB_val name = {sizeof key, &key};
    run_must(run, run->api.put(txn, run->dbi, &name, &value, 0), "mdb_put");
}

void run_get(struct run *run, MDB_txn *txn, uint64_t i)
{
    struct data_key key;
    MDB_val value;

    data_key(&key, i);
    MDB_val name = {sizeof key, &key};
    run_must(run, run->api.get(txn, run->dbi, &name, &value), "mdb_get");
    if (!data_verify(&key, &value))
        run_fail(run, "mdb_get gave a wrong value", 0);
}

void run_expect_entries(struct run *run, uint64_t entries)
{
    MDB_txn *txn = run_read(run);
    MDB_stat stat;

    run_must(run, run->api.stat(txn, run->dbi, &stat), "mdb_stat");
    run->api.txn_abort(txn);
    if (stat.ms_entries != entries)
        run_fail(run, "mdb_stat counts other entries than were put", 0);
}

double run_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void run_start(struct run *run, double patience)
{
    run->begun = run_now();
    run->deadline = run->begun + run->seconds * patience;
}

bool run_time_left(const struct run *run)
{
    return run_now() < run->deadline;
}

void run_metric(struct run *run, const char *name, const char *unit, bool low, double value)
{
    struct outcome *outcome = run->outcome;
    struct metric *metric = &outcome->metric[outcome->count];

    if (outcome->count == METRICS_MAX)
        run_fail(run, "too many metrics", 0);
    snprintf(metric->name, sizeof metric->name, "%s", name);
    snprintf(metric->unit, sizeof metric->unit, "%s", unit);
    metric->low = low;
    metric->value = value;
    outcome->count++;
}

void run_rate(struct run *run, const char *name, uint64_t count)
{
    run_metric(run, name, "/s", false, (double)count / (run_now() - run->begun));
}
