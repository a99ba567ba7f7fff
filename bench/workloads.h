/* workloads.h - the list of workloads.
 *
 * A workload is a function and its numbers; workloads that differ only in numbers share one.
 */
#ifndef QS_BENCH_WORKLOADS_H
#define QS_BENCH_WORKLOADS_H

#include "run.h"

enum database {
    DATABASE_EMPTY,  /* a new directory */
    DATABASE_SHARED, /* the loaded database, which the workload leaves as it is */
    DATABASE_COPY,   /* a copy of it */
};

struct workload {
    const char *name;              /* on the command line and in results */
    void (*measure)(struct run *); /* the function */
    enum database database;        /* what the directory holds */
    unsigned flags;                /* of mdb_env_open() */
    unsigned threads;              /* that write; processes, where there are several */
    unsigned batch;                /* puts a transaction, records a range, values a key */
    size_t value_bytes;            /* of each value */
};

/* All of them; ends with a NULL name. */
extern const struct workload workloads[];

/* Puts the records 0..run->records into a new environment; not timed. */
void workload_load(struct run *run);

/* workloads_read.c */
void measure_get_random(struct run *run);
void measure_get_missing(struct run *run);
void measure_get_txn(struct run *run);
void measure_scan_forward(struct run *run);
void measure_scan_reverse(struct run *run);
void measure_range(struct run *run);

/* workloads_write.c */
void measure_fill_seq(struct run *run);
void measure_fill_random(struct run *run);
void measure_put(struct run *run);
void measure_overwrite(struct run *run);
void measure_delete(struct run *run);
void measure_beside(struct run *run);

/* workloads_processes.c */
void measure_put_processes(struct run *run);
void measure_beside_process(struct run *run);

/* workloads_large.c */
void measure_put_large(struct run *run);
void measure_get_large(struct run *run);

/* workloads_dup.c */
void measure_dup_put(struct run *run);
void measure_dup_next(struct run *run);
void measure_dup_count(struct run *run);
void measure_dup_multiple(struct run *run);

/* workloads_space.c */
void measure_space(struct run *run);

/* workloads_open.c */
void measure_open(struct run *run);
void measure_open_killed(struct run *run);

#endif
