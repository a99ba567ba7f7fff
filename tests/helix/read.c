/* read.c - the mix of what requests read, each in a transaction of its own.
 *
 * Owns:       nothing.
 * Invariants: what one database names, the others have (helix_check() says what).
 * Locks:      none; any number of threads.
 */
#include "helix.h"

#include <string.h>

#define VALUE(bytes, size) ((MDB_val){size, (void *)(bytes)})

static void point_get(const struct helix *helix, MDB_txn *txn, struct random *random)
{
    uint8_t id[ID_SIZE];
    MDB_val key = VALUE(id, ID_SIZE);
    MDB_val data;
    uint32_t user = random_below(random, USERS);
    int rc;

    helix_id(id, 'u', user);
    rc = mdb_get(txn, helix->dbi[DB_NODES], &key, &data);
    EXPECT(rc == MDB_NOTFOUND || (rc == 0 && *(uint8_t *)data.mv_data == user % 251));
}

/* The other ends of a node's edges, each looked up; their number. `only` is a bit that the edge's
 * number must have. */
static uint64_t hop(const struct helix *helix, MDB_txn *txn, const uint8_t id[ID_SIZE],
                    unsigned label, uint64_t only)
{
    uint8_t bytes[ADJACENT_KEY];
    MDB_val key = VALUE(bytes, ADJACENT_KEY);
    MDB_val data;
    MDB_cursor *cursor;
    uint64_t count = 0;
    int rc;

    helix_adjacent_key(bytes, id, label);
    EXPECT_RC(mdb_cursor_open(txn, helix->dbi[DB_OUT], &cursor), 0);
    for (rc = mdb_cursor_get(cursor, &key, &data, MDB_SET); rc == 0;
         rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT_DUP)) {
        MDB_val edge = VALUE(data.mv_data, ID_SIZE);
        MDB_val node = VALUE((uint8_t *)data.mv_data + ID_SIZE, ID_SIZE);
        MDB_val found;
        EXPECT(data.mv_size == ADJACENT_DATA);
        EXPECT_RC(mdb_get(txn, helix->dbi[DB_NODES], &node, &found), 0);
        if ((helix_number(edge.mv_data) & only) == only) {
            EXPECT_RC(mdb_get(txn, helix->dbi[DB_EDGES], &edge, &found), 0);
        }
        count++;
    }
    EXPECT(rc == MDB_NOTFOUND);
    mdb_cursor_close(cursor);
    return count;
}

static void one_hop(const struct helix *helix, MDB_txn *txn, struct random *random, uint64_t only)
{
    uint8_t id[ID_SIZE];

    helix_id(id, 'u', random_below(random, USERS));
    hop(helix, txn, id, random_below(random, LABELS), only);
}

static void by_index(const struct helix *helix, MDB_txn *txn, struct random *random)
{
    char text[32];
    MDB_val key = VALUE(text, 0);
    MDB_val data;
    MDB_val node;
    MDB_cursor *cursor;
    int rc;

    key.mv_size = (size_t)snprintf(text, sizeof text, "city%03u", random_below(random, 97));
    EXPECT_RC(mdb_cursor_open(txn, helix->dbi[DB_INDEX], &cursor), 0);
    for (rc = mdb_cursor_get(cursor, &key, &data, MDB_SET_KEY); rc == 0;
         rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT_DUP)) {
        EXPECT_RC(mdb_get(txn, helix->dbi[DB_NODES], &data, &node), 0);
    }
    mdb_cursor_close(cursor);
}

static void text_query(const struct helix *helix, MDB_txn *txn, struct random *random)
{
    MDB_cursor *cursor;

    EXPECT_RC(mdb_cursor_open(txn, helix->dbi[DB_INVERTED], &cursor), 0);
    for (int i = 0; i < 3; i++) {
        char term[TERM_MAX];
        MDB_val key = VALUE(term, helix_term(term, random_below(random, TERMS)));
        MDB_val data;
        uint64_t postings = 0;
        size_t count = 0;
        int rc = mdb_cursor_get(cursor, &key, &data, MDB_SET);
        if (rc == 0) {
            EXPECT_RC(mdb_cursor_count(cursor, &count), 0);
        }
        for (; rc == 0; rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT_DUP)) {
            uint8_t id[ID_SIZE];
            MDB_val document = VALUE(id, ID_SIZE);
            MDB_val length;
            EXPECT(data.mv_size == POSTING);
            for (unsigned byte = 0; byte < ID_SIZE; byte++) {
                id[byte] = ((uint8_t *)data.mv_data)[ID_SIZE - 1 - byte];
            }
            EXPECT_RC(mdb_get(txn, helix->dbi[DB_LENGTHS], &document, &length), 0);
            postings++;
        }
        EXPECT(postings == count);
    }
    mdb_cursor_close(cursor);
}

static void vector_search(const struct helix *helix, MDB_txn *txn, struct random *random)
{
    MDB_cursor *cursor;

    EXPECT_RC(mdb_cursor_open(txn, helix->dbi[DB_NEIGHBOURS], &cursor), 0);
    for (int scan = 0; scan < 64; scan++) {
        uint8_t id[ID_SIZE];
        MDB_val key = VALUE(id, ID_SIZE);
        MDB_val data;
        int rc;
        helix_id(id, 'v', random_below(random, VECTORS));
        for (rc = mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE);
             rc == 0 && memcmp(key.mv_data, id, ID_SIZE) == 0;
             rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT)) {
            uint8_t bytes[VECTOR_KEY];
            MDB_val vector = VALUE(bytes, VECTOR_KEY);
            helix_vector_key(bytes, (uint8_t *)key.mv_data + ID_SIZE + 8);
            EXPECT_RC(mdb_get(txn, helix->dbi[DB_VECTORS], &vector, &data), 0);
            EXPECT(data.mv_size == sizeof(double) * DIMENSION);
        }
    }
    mdb_cursor_close(cursor);
}

/* Two steps out from a node. */
static void breadth_first(const struct helix *helix, MDB_txn *txn, struct random *random)
{
    uint8_t id[ID_SIZE];
    uint8_t bytes[ADJACENT_KEY];
    MDB_val key = VALUE(bytes, ADJACENT_KEY);
    MDB_val data;
    MDB_cursor *cursor;
    int rc;

    helix_id(id, 'u', random_below(random, USERS));
    helix_adjacent_key(bytes, id, 0);
    EXPECT_RC(mdb_cursor_open(txn, helix->dbi[DB_OUT], &cursor), 0);
    for (rc = mdb_cursor_get(cursor, &key, &data, MDB_SET); rc == 0;
         rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT_DUP)) {
        for (unsigned label = 0; label < LABELS; label++) {
            hop(helix, txn, (uint8_t *)data.mv_data + ID_SIZE, label, 0);
        }
    }
    mdb_cursor_close(cursor);
}

void helix_read(const struct helix *helix, struct random *random)
{
    MDB_txn *txn = helix_begin(helix, MDB_RDONLY);
    uint32_t pick = random_below(random, 100);

    if (pick < 50) {
        point_get(helix, txn, random);
    } else if (pick < 75) {
        one_hop(helix, txn, random, 0);
    } else if (pick < 85) {
        one_hop(helix, txn, random, 1);
    } else if (pick < 90) {
        by_index(helix, txn, random);
    } else if (pick < 95) {
        text_query(helix, txn, random);
    } else if (pick < 99) {
        vector_search(helix, txn, random);
    } else {
        breadth_first(helix, txn, random);
    }
    mdb_txn_abort(txn);
}
