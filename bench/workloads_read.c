/* workloads_read.c - reading a database that is in memory: points, ranges, scans.
 *
 * Owns:       nothing beyond the run.
 * Invariants: W1 each record that is read is verified; a scan also sees ascending (descending) keys
 * and as many as there are. W2 one scan comes before the measured time, so that no library pays for
 * first uses of the file. Locks:      none; one thread.
 */
#include "workloads.h"

enum { GETS_BETWEEN_CLOCKS = 256 };

static MDB_cursor *open_cursor(struct run *run, MDB_txn *txn)
{
    MDB_cursor *cursor;
    run_must(run, run->api.cursor_open(txn, run->dbi, &cursor), "mdb_cursor_open");
    return cursor;
}

static const struct data_key *verified(struct run *run, const MDB_val *key, const MDB_val *value,
                                       struct data_key *copy)
{
    if (key->mv_size != sizeof *copy)
        run_fail(run, "a key has a wrong size", 0);
    memcpy(copy, key->mv_data, sizeof *copy);
    if (!data_verify(copy, value))
        run_fail(run, "a cursor gave a wrong value", 0);
    return copy;
}

static bool key_below(const struct data_key *a, const struct data_key *b)
{
    uint64_t x = __builtin_bswap64(a->word[0]);
    uint64_t y = __builtin_bswap64(b->word[0]);
    return x != y ? x < y : __builtin_bswap64(a->word[1]) < __builtin_bswap64(b->word[1]);
}

/* Reads all records in one direction. How many there were. */
static uint64_t scan(struct run *run, MDB_txn *txn, bool forward)
{
    MDB_cursor *cursor = open_cursor(run, txn);
    MDB_cursor_op step = forward ? MDB_NEXT : MDB_PREV;
    struct data_key keys[2];
    uint64_t count = 0;
    MDB_val key;
    MDB_val value;
    int rc = run->api.cursor_get(cursor, &key, &value, forward ? MDB_FIRST : MDB_LAST);

    while (rc == 0) {
        struct data_key *now = &keys[count % 2];
        const struct data_key *before = &keys[(count + 1) % 2];
        verified(run, &key, &value, now);
        if (count > 0 && !(forward ? key_below(before, now) : key_below(now, before)))
            run_fail(run, "a scan met keys out of order", 0);
        count++;
        rc = run->api.cursor_get(cursor, &key, &value, step);
    }
    if (rc != MDB_NOTFOUND)
        run_fail(run, "mdb_cursor_get", rc);
    run->api.cursor_close(cursor);
    return count;
}

static MDB_txn *open_warm(struct run *run)
{
    run_open(run, run->workload->flags);
    MDB_txn *txn = run_read(run);
    if (scan(run, txn, true) != run->records)
        run_fail(run, "a scan met another number of records than were put", 0);
    return txn;
}

static void close_all(struct run *run, MDB_txn *txn)
{
    run->api.txn_abort(txn);
    run_close(run);
}

void measure_get_random(struct run *run)
{
    struct random random = {run->seed};
    MDB_txn *txn = open_warm(run);
    uint64_t gets = 0;

    run_start(run, 1);
    do {
        for (unsigned i = 0; i < GETS_BETWEEN_CLOCKS; i++)
            run_get(run, txn, random_below(&random, run->records));
        gets += GETS_BETWEEN_CLOCKS;
    } while (run_time_left(run));
    run_rate(run, "gets", gets);
    close_all(run, txn);
}

void measure_get_missing(struct run *run)
{
    struct random random = {run->seed};
    MDB_txn *txn = open_warm(run);
    uint64_t gets = 0;

    run_start(run, 1);
    do {
        for (unsigned i = 0; i < GETS_BETWEEN_CLOCKS; i++) {
            struct data_key key;
            MDB_val name = {sizeof key, &key};
            MDB_val value;
            data_key(&key, run->records + random_below(&random, run->records));
            int rc = run->api.get(txn, run->dbi, &name, &value);
            if (rc != MDB_NOTFOUND)
                run_fail(run, "mdb_get found a record that was never put", rc);
        }
        gets += GETS_BETWEEN_CLOCKS;
    } while (run_time_left(run));
    run_rate(run, "gets", gets);
    close_all(run, txn);
}

void measure_get_txn(struct run *run)
{
    struct random random = {run->seed};
    MDB_txn *txn = open_warm(run);
    uint64_t gets = 0;

    run_start(run, 1);
    do {
        for (unsigned i = 0; i < GETS_BETWEEN_CLOCKS; i++) {
            run->api.txn_reset(txn);
            run_must(run, run->api.txn_renew(txn), "mdb_txn_renew");
            run_get(run, txn, random_below(&random, run->records));
        }
        gets += GETS_BETWEEN_CLOCKS;
    } while (run_time_left(run));
    run_rate(run, "gets", gets);
    close_all(run, txn);
}

static void measure_scan(struct run *run, bool forward)
{
    MDB_txn *txn = open_warm(run);
    uint64_t read = 0;

    run_start(run, 1);
    do {
        uint64_t count = scan(run, txn, forward);
        if (count != run->records)
            run_fail(run, "a scan met another number of records than were put", 0);
        read += count;
    } while (run_time_left(run));
    run_rate(run, "records", read);
    close_all(run, txn);
}

void measure_scan_forward(struct run *run)
{
    measure_scan(run, true);
}

void measure_scan_reverse(struct run *run)
{
    measure_scan(run, false);
}

static void read_range(struct run *run, MDB_cursor *cursor, uint64_t start)
{
    struct data_key first;
    struct data_key now;
    MDB_val key = {sizeof first, &first};
    MDB_val value;

    data_key(&first, start);
    int rc = run->api.cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    if (rc == 0 && memcmp(key.mv_data, &first, sizeof first) != 0)
        run_fail(run, "a range begins at another key", 0);
    for (unsigned i = 0; rc == 0; i++) {
        verified(run, &key, &value, &now);
        if (i + 1 == run->workload->batch)
            return;
        rc = run->api.cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    if (rc != MDB_NOTFOUND)
        run_fail(run, "mdb_cursor_get", rc);
}

void measure_range(struct run *run)
{
    struct random random = {run->seed};
    MDB_txn *txn = open_warm(run);
    MDB_cursor *cursor = open_cursor(run, txn);
    uint64_t ranges = 0;

    run_start(run, 1);
    do {
        for (unsigned i = 0; i < 16; i++)
            read_range(run, cursor, random_below(&random, run->records));
        ranges += 16;
    } while (run_time_left(run));
    run_rate(run, "ranges", ranges);
    run->api.cursor_close(cursor);
    close_all(run, txn);
}
