/* run.h - one measurement: what every workload has at hand.
 *
 * A measurement is a process of its own, so whatever goes wrong in it is written to the outcome and
 * ends the process: workloads have no error paths.
 */
#ifndef QS_BENCH_RUN_H
#define QS_BENCH_RUN_H

#include "api.h"
#include "data.h"

struct workload;

enum { METRICS_MAX = 8, RUN_FILL_BATCH = 10000 };

struct metric {
    char name[16]; /* what was measured */
    char unit[12]; /* per second, microseconds ... */
    bool low;      /* less is better */
    double value;  /* of this measurement */
};

/* Written by the measuring process, read by the driver after its end. */
struct outcome {
    struct metric metric[METRICS_MAX]; /* the first `count` are set */
    unsigned count;                    /* metrics */
    bool done;                         /* the workload came to its end */
    char error[200];                   /* why not */
};

struct run {
    const struct workload *workload; /* what is measured */
    const char *library;             /* path of the LMDB library */
    const char *directory;           /* of the environment: the loaded one, a copy, or empty */
    uint64_t records;                /* in the loaded database; to fill */
    uint64_t seed;                   /* the same for both libraries of a pair */
    double seconds;                  /* to measure */
    struct outcome *outcome;         /* shared with the driver */
    struct api api;                  /* the library, once loaded */
    MDB_env *env;                    /* open environment */
    MDB_dbi dbi;                     /* its main database */
    double begun;                    /* run_start() */
    double deadline;                 /* run_start() + seconds */
};

/* ---- ending with an error ---- */

__attribute__((noreturn)) void run_fail(struct run *run, const char *what, int rc);

static inline void run_must(struct run *run, int rc, const char *what)
{
    if (__builtin_expect(rc != 0, 0))
        run_fail(run, what, rc);
}

/* ---- environment ---- */

void run_load_library(struct run *run);
/* Loads the library when that has not been done, opens environment and main database. */
void run_open(struct run *run, unsigned flags);
void run_close(struct run *run);
MDB_txn *run_read(struct run *run);
MDB_txn *run_write(struct run *run);
void run_commit(struct run *run, MDB_txn *txn);
/* Puts record i. */
void run_put(struct run *run, MDB_txn *txn, uint64_t i, uint64_t generation, size_t size);
/* Reads record i and verifies it. */
void run_get(struct run *run, MDB_txn *txn, uint64_t i);
/* Fails unless the database has exactly `entries`. */
void run_expect_entries(struct run *run, uint64_t entries);

/* ---- time and results ---- */

double run_now(void); /* seconds */
/* Begins the measured time, which may end early or after `seconds` times `patience`. */
void run_start(struct run *run, double patience);
bool run_time_left(const struct run *run);
void run_metric(struct run *run, const char *name, const char *unit, bool low, double value);
/* Ends the measured time: `count` things in it, as a rate. */
void run_rate(struct run *run, const char *name, uint64_t count);

#endif
