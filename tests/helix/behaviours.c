/* behaviours.c - what a graph database relies on, call by call.
 *
 * Owns:       nothing; what it changes it undoes by aborting.
 * Invariants: none.
 * Locks:      none; one thread.
 */
#include "helix.h"

#include <string.h>

#define VALUE(bytes, size) ((MDB_val){size, (void *)(bytes)})

/* MDB_APPEND with a key that is not beyond the last is refused, and the transaction goes on. */
static void append_refused(const struct helix *helix, MDB_txn *txn)
{
    uint8_t id[ID_SIZE];
    MDB_val key = VALUE(id, ID_SIZE);
    MDB_val data = VALUE("x", 1);

    helix_id(id, 'u', 0);
    EXPECT_RC(mdb_put(txn, helix->dbi[DB_NODES], &key, &data, MDB_APPEND), MDB_KEYEXIST);
    EXPECT(data.mv_size == 1);
    helix_id(id, 'z', 1u << 30);
    EXPECT_RC(mdb_put(txn, helix->dbi[DB_NODES], &key, &data, MDB_APPEND), 0);
}

/* MDB_APPENDDUP needs the last item of the key, not the last key. */
static void append_to_any_key(const struct helix *helix, MDB_txn *txn)
{
    MDB_val key = VALUE("city000", 7);
    MDB_val last = VALUE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 16);
    MDB_val first = VALUE("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);

    EXPECT_RC(mdb_put(txn, helix->dbi[DB_INDEX], &key, &last, MDB_APPENDDUP), 0);
    EXPECT_RC(mdb_put(txn, helix->dbi[DB_INDEX], &key, &last, MDB_APPENDDUP), MDB_KEYEXIST);
    EXPECT_RC(mdb_put(txn, helix->dbi[DB_INDEX], &key, &first, MDB_APPENDDUP), MDB_KEYEXIST);
    EXPECT_RC(mdb_put(txn, helix->dbi[DB_INDEX], &key, &first, 0), 0);
}

/* MDB_NOOVERWRITE gives the value that is there. */
static void existing_value(const struct helix *helix, MDB_txn *txn)
{
    MDB_val key = VALUE("unique key", 10);
    MDB_val data = VALUE("first value", 11);

    EXPECT_RC(mdb_put(txn, helix->dbi[DB_UNIQUE], &key, &data, MDB_NOOVERWRITE), 0);
    data = VALUE("second", 6);
    EXPECT_RC(mdb_put(txn, helix->dbi[DB_UNIQUE], &key, &data, MDB_NOOVERWRITE), MDB_KEYEXIST);
    EXPECT(data.mv_size == 11 && memcmp(data.mv_data, "first value", 11) == 0);
    /* Data given to mdb_del() do not count here. */
    data = VALUE("neither", 7);
    EXPECT_RC(mdb_del(txn, helix->dbi[DB_UNIQUE], &key, &data), 0);
    EXPECT_RC(mdb_get(txn, helix->dbi[DB_UNIQUE], &key, &data), MDB_NOTFOUND);
}

/* A database keeps its flags though it is opened with none. */
static void flags_kept(const struct helix *helix, MDB_txn *txn)
{
    MDB_dbi dbi;
    unsigned flags;

    EXPECT_RC(mdb_dbi_open(txn, "out_edges", 0, &dbi), 0);
    EXPECT(dbi == helix->dbi[DB_OUT]);
    EXPECT_RC(mdb_dbi_flags(txn, dbi, &flags), 0);
    EXPECT(flags == (MDB_DUPSORT | MDB_DUPFIXED));
}

static void cursor_habits(const struct helix *helix, MDB_txn *txn)
{
    MDB_cursor *cursor;
    uint8_t beyond[ADJACENT_KEY];
    uint8_t last[ADJACENT_KEY];
    MDB_val key;
    MDB_val data;
    MDB_val again;

    EXPECT_RC(mdb_cursor_open(txn, helix->dbi[DB_OUT], &cursor), 0);
    EXPECT_RC(mdb_cursor_get(cursor, &key, &data, MDB_LAST), 0);
    memcpy(last, key.mv_data, ADJACENT_KEY);
    EXPECT_RC(mdb_cursor_get(cursor, NULL, &data, MDB_FIRST_DUP), 0);
    EXPECT_RC(mdb_cursor_get(cursor, &key, &again, MDB_GET_CURRENT), 0);
    EXPECT(memcmp(data.mv_data, again.mv_data, ADJACENT_DATA) == 0);
    EXPECT(memcmp(key.mv_data, last, ADJACENT_KEY) == 0);
    memset(beyond, 0xff, sizeof beyond);
    key = VALUE(beyond, sizeof beyond);
    EXPECT_RC(mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE), MDB_NOTFOUND);
    EXPECT_RC(mdb_cursor_get(cursor, &key, &data, MDB_PREV_NODUP), 0);
    EXPECT(key.mv_size == ADJACENT_KEY && memcmp(key.mv_data, last, ADJACENT_KEY) == 0);
    mdb_cursor_close(cursor);
}

/* Each value is written anew with its size, under the cursor that goes through them. */
static void replace_while_iterating(const struct helix *helix, MDB_txn *txn)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val data;
    uint64_t seen = 0;
    uint64_t all = helix_entries(helix, txn, DB_FREQUENCIES);

    EXPECT_RC(mdb_cursor_open(txn, helix->dbi[DB_FREQUENCIES], &cursor), 0);
    while (mdb_cursor_get(cursor, &key, &data, MDB_NEXT) == 0) {
        uint32_t count;
        char term[TERM_MAX];
        memcpy(&count, data.mv_data, sizeof count);
        memcpy(term, key.mv_data, key.mv_size);
        count += 1000;
        key.mv_data = term;
        data = VALUE(&count, sizeof count);
        EXPECT_RC(mdb_cursor_put(cursor, &key, &data, MDB_CURRENT), 0);
        EXPECT_RC(mdb_cursor_get(cursor, &key, &data, MDB_GET_CURRENT), 0);
        EXPECT(memcmp(data.mv_data, &count, sizeof count) == 0);
        seen++;
    }
    EXPECT(seen == all);
    mdb_cursor_close(cursor);
}

/* What a reader was given stays what and where it is through 100,000 more gets, with a writer in the
 * same thread. */
static void pointers_stay(const struct helix *helix)
{
    MDB_txn *reader = helix_begin(helix, MDB_RDONLY);
    MDB_txn *writer = helix_begin(helix, 0);
    struct random random = {3};
    uint8_t id[ID_SIZE];
    uint8_t vector_key[VECTOR_KEY];
    uint8_t copy[sizeof(double) * DIMENSION];
    MDB_val key = VALUE(vector_key, VECTOR_KEY);
    MDB_val kept;
    MDB_val data;

    helix_id(id, 'v', 7);
    helix_vector_key(vector_key, id);
    EXPECT_RC(mdb_get(reader, helix->dbi[DB_VECTORS], &key, &kept), 0);
    EXPECT(kept.mv_size == sizeof copy);
    memcpy(copy, kept.mv_data, sizeof copy);
    for (int i = 0; i < 100000; i++) {
        helix_id(id, 'v', random_below(&random, VECTORS));
        helix_vector_key(vector_key, id);
        EXPECT_RC(mdb_get(reader, helix->dbi[DB_VECTORS], &key, &data), 0);
        if (i % 1000 == 0) {
            data = VALUE(copy, i % 400);
            EXPECT_RC(mdb_put(writer, helix->dbi[DB_VECTORS], &key, &data, 0), 0);
        }
    }
    EXPECT(memcmp(kept.mv_data, copy, sizeof copy) == 0);
    mdb_txn_abort(writer);
    EXPECT(memcmp(kept.mv_data, copy, sizeof copy) == 0);
    mdb_txn_abort(reader);
}

void helix_behaviours(const struct helix *helix)
{
    MDB_txn *txn = helix_begin(helix, 0);

    append_refused(helix, txn);
    append_to_any_key(helix, txn);
    existing_value(helix, txn);
    flags_kept(helix, txn);
    cursor_habits(helix, txn);
    replace_while_iterating(helix, txn);
    mdb_txn_abort(txn);
    pointers_stay(helix);
}
