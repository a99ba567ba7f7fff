/* workloads.c - the list of workloads; bench/README.md says what each does.
 *
 * Owns: nothing. The functions stand in workloads_*.c, by what they measure.
 */
#include "workloads.h"

#define SMALL DATA_VALUE_BYTES
#define KIB 1024u
#define MILLION 1000000u

const struct workload workloads[] = {
    {"get-random", measure_get_random, DATABASE_SHARED, 0, 0, 1, SMALL},
    {"get-missing", measure_get_missing, DATABASE_SHARED, 0, 0, 1, SMALL},
    {"get-txn", measure_get_txn, DATABASE_SHARED, 0, 0, 1, SMALL},
    {"scan-forward", measure_scan_forward, DATABASE_SHARED, 0, 0, 1, SMALL},
    {"scan-reverse", measure_scan_reverse, DATABASE_SHARED, 0, 0, 1, SMALL},
    {"range-10", measure_range, DATABASE_SHARED, 0, 0, 10, SMALL},
    {"range-100", measure_range, DATABASE_SHARED, 0, 0, 100, SMALL},
    {"fill-seq", measure_fill_seq, DATABASE_EMPTY, MDB_NOSYNC, 1, RUN_FILL_BATCH, SMALL},
    {"fill-random", measure_fill_random, DATABASE_EMPTY, MDB_NOSYNC, 1, RUN_FILL_BATCH, SMALL},
    {"put-1-durable", measure_put, DATABASE_COPY, 0, 1, 1, SMALL},
    {"put-1-durable-8t", measure_put, DATABASE_COPY, 0, 8, 1, SMALL},
    {"put-1-durable-16t", measure_put, DATABASE_COPY, 0, 16, 1, SMALL},
    {"put-1-durable-4p", measure_put_processes, DATABASE_COPY, 0, 4, 1, SMALL},
    {"put-1-nosync", measure_put, DATABASE_COPY, MDB_NOSYNC, 1, 1, SMALL},
    {"put-1-nosync-2t", measure_put, DATABASE_COPY, MDB_NOSYNC, 2, 1, SMALL},
    {"put-1000-durable", measure_put, DATABASE_COPY, 0, 1, 1000, SMALL},
    {"put-1000-nosync", measure_put, DATABASE_COPY, MDB_NOSYNC, 1, 1000, SMALL},
    {"overwrite", measure_overwrite, DATABASE_COPY, MDB_NOSYNC, 1, 1000, SMALL},
    {"delete", measure_delete, DATABASE_COPY, MDB_NOSYNC, 1, 1000, SMALL},
    {"beside-writer", measure_beside, DATABASE_COPY, MDB_NOSYNC, 1, 1, SMALL},
    {"beside-process", measure_beside_process, DATABASE_COPY, MDB_NOSYNC, 1, 1, SMALL},
    {"put-4k", measure_put_large, DATABASE_EMPTY, MDB_NOSYNC, 1, 256, 4 * KIB},
    {"put-64k", measure_put_large, DATABASE_EMPTY, MDB_NOSYNC, 1, 16, 64 * KIB},
    {"put-1m", measure_put_large, DATABASE_EMPTY, MDB_NOSYNC, 1, 1, KIB *KIB},
    {"get-4k", measure_get_large, DATABASE_EMPTY, MDB_NOSYNC, 1, 256, 4 * KIB},
    {"get-64k", measure_get_large, DATABASE_EMPTY, MDB_NOSYNC, 1, 16, 64 * KIB},
    {"get-1m", measure_get_large, DATABASE_EMPTY, MDB_NOSYNC, 1, 1, KIB *KIB},
    {"dup-put-100", measure_dup_put, DATABASE_EMPTY, MDB_NOSYNC, 1, 100, 8},
    {"dup-put-1m", measure_dup_put, DATABASE_EMPTY, MDB_NOSYNC, 1, MILLION, 8},
    {"dup-next-100", measure_dup_next, DATABASE_EMPTY, MDB_NOSYNC, 1, 100, 8},
    {"dup-next-1m", measure_dup_next, DATABASE_EMPTY, MDB_NOSYNC, 1, MILLION, 8},
    {"dup-count-100", measure_dup_count, DATABASE_EMPTY, MDB_NOSYNC, 1, 100, 8},
    {"dup-count-5000", measure_dup_count, DATABASE_EMPTY, MDB_NOSYNC, 1, 5000, 8},
    {"dup-multiple-100", measure_dup_multiple, DATABASE_EMPTY, MDB_NOSYNC, 1, 100, 8},
    {"dup-multiple-1m", measure_dup_multiple, DATABASE_EMPTY, MDB_NOSYNC, 1, MILLION, 8},
    {"space", measure_space, DATABASE_EMPTY, MDB_NOSYNC, 1, 1000, SMALL},
    {"open-get-close", measure_open, DATABASE_SHARED, 0, 0, 1, SMALL},
    {"open-killed", measure_open_killed, DATABASE_COPY, 0, 1, 2000, SMALL},
    {0},
};
