/* workloads_dup.c - duplicates: many values of 8 bytes a key, `batch` of them, put and read.
 *
 * Owns:       nothing beyond the run.
 * Invariants: W6 value i belongs to key i % keys, so that every key gets `batch` of them; all differ.
 *             W7 what is read is ascending, and as many as were put. Locks: none; one thread.
 */
#include "workloads.h"

#include <string.h>

enum { COUNTS_BETWEEN_CLOCKS = 256 };

static uint64_t key_count(const struct run *run)
{
    uint64_t keys = run->records / run->workload->batch;
    return keys > 0 ? keys : 1;
}

/* Numbers in no order; stored big-endian, so that they are in that of their bytes. */
static uint64_t value_of(uint64_t i)
{
    uint64_t z = (i + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    return z ^ z >> 27;
}

static void open_dups(struct run *run)
{
    run_open(run, run->workload->flags);
    MDB_txn *txn = run_write(run);
    run_must(run, run->api.dbi_open(txn, NULL, MDB_DUPSORT | MDB_DUPFIXED, &run->dbi),
             "mdb_dbi_open");
    run_commit(run, txn);
}

/* One transaction of puts, from value *next on. */
static void put_batch(struct run *run, uint64_t *next)
{
    MDB_txn *txn = run_write(run);
    uint64_t keys = key_count(run);
    for (unsigned i = 0; i < RUN_FILL_BATCH && *next < run->records; i++, (*next)++) {
        uint64_t name = __builtin_bswap64(*next % keys);
        uint64_t number = __builtin_bswap64(value_of(*next));
        MDB_val key = {sizeof name, &name}, value = {sizeof number, &number};
        run_must(run, run->api.put(txn, run->dbi, &key, &value, 0), "mdb_put");
    }
    run_commit(run, txn);
}

/* Opens, fills, and gives a cursor in a read transaction. */
static MDB_cursor *filled(struct run *run, MDB_txn **txn)
{
    MDB_cursor *cursor;
    uint64_t next = 0;
    open_dups(run);
    while (next < run->records)
        put_batch(run, &next);
    run_expect_entries(run, run->records);
    *txn = run_read(run);
    run_must(run, run->api.cursor_open(*txn, run->dbi, &cursor), "mdb_cursor_open");
    return cursor;
}

static void close_all(struct run *run, MDB_txn *txn, MDB_cursor *cursor)
{
    run->api.cursor_close(cursor);
    run->api.txn_abort(txn);
    run_close(run);
}

/* Takes in `count` values of one key; *last is the one before them (0: the first of the key). */
static void verify(struct run *run, const MDB_val *values, uint64_t *last)
{
    for (size_t at = 0; at < values->mv_size; at += sizeof *last) {
        uint64_t number;
        memcpy(&number, (const char *)values->mv_data + at, sizeof number);
        number = __builtin_bswap64(number);
        if (number <= *last)
            run_fail(run, "duplicates out of order", 0);
        *last = number;
    }
}

void measure_dup_put(struct run *run)
{
    uint64_t next = 0;
    open_dups(run);
    run_start(run, 1);
    do {
        put_batch(run, &next);
    } while (next < run->records && run_time_left(run));
    run_rate(run, "puts", next);
    run_expect_entries(run, next);
    run_close(run);
}

void measure_dup_next(struct run *run)
{
    MDB_txn *txn;
    MDB_cursor *cursor = filled(run, &txn);
    uint64_t read = 0;
    run_start(run, 1);
    do {
        MDB_val key, value;
        uint64_t last = 0, seen = 0;
        int rc = run->api.cursor_get(cursor, &key, &value, MDB_FIRST);
        for (; rc == 0; rc = run->api.cursor_get(cursor, &key, &value, MDB_NEXT)) {
            if (seen++ % run->workload->batch == 0 && key_count(run) > 1)
                last = 0;
            verify(run, &value, &last);
        }
        if (rc != MDB_NOTFOUND || seen != run->records)
            run_fail(run, "a scan met another number of values than were put", rc);
        read += seen;
    } while (run_time_left(run));
    run_rate(run, "values", read);
    close_all(run, txn, cursor);
}

void measure_dup_count(struct run *run)
{
    struct random random = {run->seed};
    MDB_txn *txn;
    MDB_cursor *cursor = filled(run, &txn);
    uint64_t counts = 0, keys = key_count(run);
    run_start(run, 1);
    do {
        for (unsigned i = 0; i < COUNTS_BETWEEN_CLOCKS; i++) {
            uint64_t name = __builtin_bswap64(random_below(&random, keys));
            MDB_val key = {sizeof name, &name}, value;
            size_t count;
            run_must(run, run->api.cursor_get(cursor, &key, &value, MDB_SET), "mdb_cursor_get");
            run_must(run, run->api.cursor_count(cursor, &count), "mdb_cursor_count");
            if (count != run->records / keys)
                run_fail(run, "a key has another number of values than were put", 0);
        }
        counts += COUNTS_BETWEEN_CLOCKS;
    } while (run_time_left(run));
    run_rate(run, "counts", counts);
    close_all(run, txn, cursor);
}

void measure_dup_multiple(struct run *run)
{
    MDB_txn *txn;
    MDB_cursor *cursor = filled(run, &txn);
    uint64_t read = 0;
    run_start(run, 1);
    do {
        MDB_val key, value;
        uint64_t seen = 0;
        int rc = run->api.cursor_get(cursor, &key, &value, MDB_FIRST);
        for (; rc == 0; rc = run->api.cursor_get(cursor, &key, &value, MDB_NEXT_NODUP)) {
            uint64_t last = 0;
            int part = run->api.cursor_get(cursor, &key, &value, MDB_GET_MULTIPLE);
            for (; part == 0; part = run->api.cursor_get(cursor, &key, &value, MDB_NEXT_MULTIPLE)) {
                verify(run, &value, &last);
                seen += value.mv_size / sizeof last;
            }
        }
        if (rc != MDB_NOTFOUND || seen != run->records)
            run_fail(run, "chunks held another number of values than were put", rc);
        read += seen;
    } while (run_time_left(run));
    run_rate(run, "values", read);
    close_all(run, txn, cursor);
}
