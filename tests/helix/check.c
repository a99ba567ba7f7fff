/* check.c - the invariants of the graph, in one snapshot.
 *
 * Owns:       nothing.
 * Invariants: G1 as many entries by either end as edges, and each edge has exactly its pair in both.
 *             G2 as many entries in either index as nodes, and each names one.
 *             G3 a neighbour's neighbour is oneself.
 *             G4 document frequencies add up to the postings, and to the terms of all documents.
 *             G5 MDB_stat counts what a walk finds, forwards and backwards.
 * Locks:      none; any thread with a transaction of its own.
 */
#include "helix.h"

#include <string.h>

#define VALUE(bytes, size) ((MDB_val){size, (void *)(bytes)})

struct walker {
    const struct helix *helix; /* open */
    MDB_txn *txn;              /* the snapshot */
    uint64_t sum;              /* of document frequencies */
};

static bool has(const struct walker *walker, enum helix_db db, MDB_val key, MDB_val *data)
{
    MDB_cursor *cursor;
    MDB_val found = data == NULL ? VALUE(NULL, 0) : *data;
    int rc;

    EXPECT_RC(mdb_cursor_open(walker->txn, walker->helix->dbi[db], &cursor), 0);
    rc = mdb_cursor_get(cursor, &key, &found, data == NULL ? MDB_SET : MDB_GET_BOTH);
    EXPECT(rc == 0 || rc == MDB_NOTFOUND);
    mdb_cursor_close(cursor);
    return rc == 0;
}

static void check_edge(struct walker *walker, const MDB_val *key, const MDB_val *data)
{
    const uint8_t *record = data->mv_data;
    uint8_t adjacent[ADJACENT_KEY];
    uint8_t pair[ADJACENT_DATA];

    EXPECT(key->mv_size == ID_SIZE && data->mv_size == 2 * ID_SIZE + 20);
    for (int side = 0; side < 2; side++) {
        MDB_val wanted = VALUE(pair, ADJACENT_DATA);
        helix_adjacent_key(adjacent, record + side * ID_SIZE, record[2 * ID_SIZE]);
        memcpy(pair, key->mv_data, ID_SIZE);
        memcpy(pair + ID_SIZE, record + (1 - side) * ID_SIZE, ID_SIZE);
        EXPECT(has(walker, side == 0 ? DB_OUT : DB_IN, VALUE(adjacent, ADJACENT_KEY), &wanted));
        EXPECT(has(walker, DB_NODES, VALUE(record + side * ID_SIZE, ID_SIZE), NULL));
    }
}

static void check_node(struct walker *walker, const MDB_val *key, const MDB_val *data)
{
    const uint8_t *bytes = data->mv_data;
    uint64_t user = helix_number(key->mv_data);

    (void)walker;
    EXPECT(key->mv_size == ID_SIZE && data->mv_size >= 42);
    EXPECT(bytes[0] == user % 251 && bytes[data->mv_size - 1] == user % 251);
}

static void check_index(struct walker *walker, const MDB_val *key, const MDB_val *data)
{
    (void)key;
    EXPECT(data->mv_size == ID_SIZE && has(walker, DB_NODES, *data, NULL));
}

static void check_neighbour(struct walker *walker, const MDB_val *key, const MDB_val *data)
{
    uint8_t back[NEIGHBOUR_KEY];
    const uint8_t *bytes = key->mv_data;

    EXPECT(key->mv_size == NEIGHBOUR_KEY && data->mv_size == 0);
    helix_neighbour_key(back, bytes + ID_SIZE + 8, bytes);
    EXPECT(has(walker, DB_NEIGHBOURS, VALUE(back, NEIGHBOUR_KEY), NULL));
}

static void check_frequency(struct walker *walker, const MDB_val *key, const MDB_val *data)
{
    MDB_cursor *cursor;
    MDB_val term = *key;
    MDB_val posting;
    size_t count = 0;
    uint32_t documents;

    EXPECT(data->mv_size == sizeof documents);
    memcpy(&documents, data->mv_data, sizeof documents);
    walker->sum += documents;
    EXPECT_RC(mdb_cursor_open(walker->txn, walker->helix->dbi[DB_INVERTED], &cursor), 0);
    if (mdb_cursor_get(cursor, &term, &posting, MDB_SET_KEY) == 0) {
        EXPECT_RC(mdb_cursor_count(cursor, &count), 0);
    }
    EXPECT(count == documents);
    mdb_cursor_close(cursor);
}

/* Every item, in both directions; the first time each is looked at. */
static uint64_t walk(struct walker *walker, enum helix_db db,
                     void (*look)(struct walker *, const MDB_val *, const MDB_val *))
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val data;
    uint64_t forwards = 0;
    uint64_t backwards = 0;
    int op;

    EXPECT_RC(mdb_cursor_open(walker->txn, walker->helix->dbi[db], &cursor), 0);
    for (op = MDB_FIRST; mdb_cursor_get(cursor, &key, &data, op) == 0; op = MDB_NEXT) {
        forwards++;
        if (look != NULL) {
            look(walker, &key, &data);
        }
    }
    for (op = MDB_LAST; mdb_cursor_get(cursor, &key, &data, op) == 0; op = MDB_PREV) {
        backwards++;
    }
    mdb_cursor_close(cursor);
    EXPECT(forwards == backwards);
    EXPECT(forwards == helix_entries(walker->helix, walker->txn, db));
    return forwards;
}

uint64_t helix_check(const struct helix *helix, MDB_txn *txn)
{
    struct walker walker = {helix, txn, 0};
    uint64_t edges = walk(&walker, DB_EDGES, check_edge);
    uint64_t nodes = walk(&walker, DB_NODES, check_node);
    uint64_t postings = walk(&walker, DB_INVERTED, NULL);

    EXPECT(walk(&walker, DB_OUT, NULL) == edges);
    EXPECT(walk(&walker, DB_IN, NULL) == edges);
    EXPECT(walk(&walker, DB_INDEX, check_index) == nodes);
    EXPECT(walk(&walker, DB_UNIQUE, check_index) == nodes);
    EXPECT(walk(&walker, DB_LENGTHS, NULL) == nodes);
    EXPECT(walk(&walker, DB_REVERSE, NULL) == postings);
    walk(&walker, DB_NEIGHBOURS, check_neighbour);
    EXPECT(walk(&walker, DB_VECTORS, NULL) == walk(&walker, DB_VECTOR_DATA, NULL));
    walk(&walker, DB_FREQUENCIES, check_frequency);
    EXPECT(walker.sum == postings);
    return edges;
}

uint64_t helix_check_now(const struct helix *helix)
{
    MDB_txn *txn = helix_begin(helix, MDB_RDONLY);
    uint64_t edges = helix_check(helix, txn);

    mdb_txn_abort(txn);
    return edges;
}
