/* write.c - what writing transactions do: users, vectors, edges, updates, deletions.
 *
 * Owns:       nothing.
 * Invariants: each function leaves those of helix_check() as they were.
 * Locks:      none; called by one writer.
 */
#include "helix.h"

#include <string.h>

enum { BATCH = 1000, SINGLE_EDGES = 500, NODE_MAX = 800 };

#define VALUE(bytes, size) ((MDB_val){size, (void *)(bytes)})

static void put(const struct helix *helix, MDB_txn *txn, enum helix_db db, MDB_val key,
                MDB_val data, unsigned flags)
{
    EXPECT_RC(mdb_put(txn, helix->dbi[db], &key, &data, flags), 0);
}

static int get(const struct helix *helix, MDB_txn *txn, enum helix_db db, MDB_val key,
               MDB_val *data)
{
    return mdb_get(txn, helix->dbi[db], &key, data);
}

static void delete (const struct helix *helix, MDB_txn *txn, enum helix_db db, MDB_val key,
                    MDB_val *data)
{
    EXPECT_RC(mdb_del(txn, helix->dbi[db], &key, data), 0);
}

/* ---- users ----------------------------------------------------------------------------------- */

/* A property that several users share. */
static size_t property(char text[32], unsigned user)
{
    return (size_t)snprintf(text, 32, "city%03u", user % 97);
}

static uint32_t frequency(const struct helix *helix, MDB_txn *txn, MDB_val term)
{
    MDB_val data;
    uint32_t count = 0;

    if (get(helix, txn, DB_FREQUENCIES, term, &data) == 0) {
        EXPECT(data.mv_size == sizeof count);
        memcpy(&count, data.mv_data, sizeof count);
    }
    return count;
}

/* The record of all documents is written again for each. */
static void count_documents(const struct helix *helix, MDB_txn *txn)
{
    uint64_t record[3] = {helix_entries(helix, txn, DB_LENGTHS), 1, 2};

    put(helix, txn, DB_METADATA, VALUE("meta", 4), VALUE(record, sizeof record), 0);
}

static void add_terms(const struct helix *helix, MDB_txn *txn, const uint8_t id[ID_SIZE],
                      unsigned user)
{
    uint32_t length = TERMS_PER_USER;

    for (unsigned i = 0; i < TERMS_PER_USER; i++) {
        char term[TERM_MAX];
        uint8_t posting[POSTING];
        uint8_t reverse[TERM_MAX + 4];
        uint32_t count = 1 + i % 3;
        MDB_val key = VALUE(term, helix_term(term, (user * 7 + i * 61) % TERMS));
        uint32_t documents = frequency(helix, txn, key) + 1;
        for (unsigned byte = 0; byte < ID_SIZE; byte++) { /* little-endian: in no order */
            posting[byte] = id[ID_SIZE - 1 - byte];
        }
        memcpy(posting + ID_SIZE, &count, sizeof count);
        memcpy(reverse, term, key.mv_size);
        memcpy(reverse + key.mv_size, &count, sizeof count);
        put(helix, txn, DB_INVERTED, key, VALUE(posting, POSTING), 0);
        put(helix, txn, DB_REVERSE, VALUE(id, ID_SIZE), VALUE(reverse, key.mv_size + 4), 0);
        put(helix, txn, DB_FREQUENCIES, key, VALUE(&documents, sizeof documents), 0);
    }
    put(helix, txn, DB_LENGTHS, VALUE(id, ID_SIZE), VALUE(&length, sizeof length), 0);
    count_documents(helix, txn);
}

void helix_add_user(const struct helix *helix, MDB_txn *txn, unsigned user, struct random *random)
{
    uint8_t id[ID_SIZE];
    uint8_t node[NODE_MAX];
    char text[32];
    size_t size = property(text, user);

    helix_id(id, 'u', user);
    memset(node, (int)(user % 251), sizeof node);
    put(helix, txn, DB_INDEX, VALUE(text, size), VALUE(id, ID_SIZE), MDB_APPENDDUP);
    size = (size_t)snprintf(text, sizeof text, "mail%u@example", user);
    put(helix, txn, DB_UNIQUE, VALUE(text, size), VALUE(id, ID_SIZE), MDB_NOOVERWRITE);
    put(helix, txn, DB_NODES, VALUE(id, ID_SIZE),
        VALUE(node, 42 + random_below(random, NODE_MAX - 42)), MDB_APPEND);
    add_terms(helix, txn, id, user);
}

void helix_update_user(const struct helix *helix, MDB_txn *txn, unsigned user,
                       struct random *random)
{
    uint8_t id[ID_SIZE];
    uint8_t node[NODE_MAX];
    MDB_val data;

    helix_id(id, 'u', user);
    if (get(helix, txn, DB_NODES, VALUE(id, ID_SIZE), &data) == 0) {
        memset(node, (int)(user % 251), sizeof node);
        put(helix, txn, DB_NODES, VALUE(id, ID_SIZE),
            VALUE(node, 42 + random_below(random, NODE_MAX - 42)), 0);
    }
}

/* ---- vectors --------------------------------------------------------------------------------- */

/* A search for neighbours: prefix scans, and the vectors they name. */
static void search_neighbours(const struct helix *helix, MDB_txn *txn, unsigned vectors,
                              struct random *random)
{
    MDB_cursor *cursor;

    EXPECT_RC(mdb_cursor_open(txn, helix->dbi[DB_NEIGHBOURS], &cursor), 0);
    for (int scan = 0; scan < 8 && vectors > 0; scan++) {
        uint8_t id[ID_SIZE];
        uint8_t vector_key[VECTOR_KEY];
        MDB_val data;
        MDB_val key = VALUE(id, ID_SIZE);
        helix_id(id, 'v', random_below(random, vectors));
        int rc = mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE);
        for (int i = 0; i < 32 && rc == 0 && memcmp(key.mv_data, id, ID_SIZE) == 0; i++) {
            EXPECT(key.mv_size == NEIGHBOUR_KEY && data.mv_size == 0);
            helix_vector_key(vector_key, (uint8_t *)key.mv_data + ID_SIZE + 8);
            EXPECT_RC(get(helix, txn, DB_VECTORS, VALUE(vector_key, VECTOR_KEY), &data), 0);
            EXPECT(data.mv_size == sizeof(double) * DIMENSION);
            rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);
        }
        EXPECT(rc == 0 || rc == MDB_NOTFOUND);
    }
    mdb_cursor_close(cursor);
}

void helix_add_vector(const struct helix *helix, MDB_txn *txn, unsigned vector,
                      struct random *random)
{
    double numbers[DIMENSION];
    uint8_t id[ID_SIZE];
    uint8_t other[ID_SIZE];
    uint8_t key[NEIGHBOUR_KEY];

    helix_id(id, 'v', vector);
    for (int i = 0; i < DIMENSION; i++) {
        numbers[i] = (double)random_next(random);
    }
    helix_vector_key(key, id);
    put(helix, txn, DB_VECTORS, VALUE(key, VECTOR_KEY), VALUE(numbers, sizeof numbers), 0);
    put(helix, txn, DB_VECTOR_DATA, VALUE(id, ID_SIZE), VALUE(numbers, 45), 0);
    search_neighbours(helix, txn, vector, random);
    for (int i = 0; i < NEIGHBOURS && vector > 0; i++) {
        helix_id(other, 'v', random_below(random, vector));
        helix_neighbour_key(key, id, other);
        put(helix, txn, DB_NEIGHBOURS, VALUE(key, NEIGHBOUR_KEY), VALUE(NULL, 0), 0);
        helix_neighbour_key(key, other, id);
        put(helix, txn, DB_NEIGHBOURS, VALUE(key, NEIGHBOUR_KEY), VALUE(NULL, 0), 0);
    }
}

/* ---- edges ----------------------------------------------------------------------------------- */

uint64_t helix_next_edge(const struct helix *helix, MDB_txn *txn)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val data;
    uint64_t next = 0;

    EXPECT_RC(mdb_cursor_open(txn, helix->dbi[DB_EDGES], &cursor), 0);
    if (mdb_cursor_get(cursor, &key, &data, MDB_LAST) == 0) {
        next = helix_number(key.mv_data) + 1;
    }
    mdb_cursor_close(cursor);
    return next;
}

/* Between users that are still there. */
void helix_add_edge(const struct helix *helix, MDB_txn *txn, uint64_t edge, struct random *random)
{
    uint8_t id[ID_SIZE];
    uint8_t ends[2][ID_SIZE];
    uint8_t key[ADJACENT_KEY];
    uint8_t data[ADJACENT_DATA];
    uint8_t record[2 * ID_SIZE + 20] = {0};
    unsigned label = random_below(random, LABELS);
    MDB_val found;

    helix_id(id, 'e', edge);
    do {
        helix_id(ends[0], 'u', random_below(random, USERS));
    } while (get(helix, txn, DB_NODES, VALUE(ends[0], ID_SIZE), &found) != 0);
    do {
        helix_id(ends[1], 'u', random_skewed(random, USERS));
    } while (get(helix, txn, DB_NODES, VALUE(ends[1], ID_SIZE), &found) != 0);
    memcpy(record, ends, sizeof ends);
    record[sizeof ends] = (uint8_t)label;
    put(helix, txn, DB_EDGES, VALUE(id, ID_SIZE), VALUE(record, sizeof record), MDB_APPEND);
    for (int side = 0; side < 2; side++) {
        helix_adjacent_key(key, ends[side], label);
        memcpy(data, id, ID_SIZE);
        memcpy(data + ID_SIZE, ends[1 - side], ID_SIZE);
        put(helix, txn, side == 0 ? DB_OUT : DB_IN, VALUE(key, ADJACENT_KEY),
            VALUE(data, ADJACENT_DATA), MDB_APPENDDUP);
    }
}

/* ---- deletion -------------------------------------------------------------------------------- */

/* All edges of a node in one direction and with one label: each is deleted with its other end, while
 * the cursor stands on it. */
static void drop_edges(const struct helix *helix, MDB_txn *txn, const uint8_t id[ID_SIZE],
                       unsigned label, enum helix_db here, enum helix_db there)
{
    uint8_t bytes[ADJACENT_KEY];
    MDB_val key = VALUE(bytes, ADJACENT_KEY);
    MDB_val data;
    MDB_cursor *cursor;
    int rc;

    helix_adjacent_key(bytes, id, label);
    EXPECT_RC(mdb_cursor_open(txn, helix->dbi[here], &cursor), 0);
    rc = mdb_cursor_get(cursor, &key, &data, MDB_SET);
    while (rc == 0) {
        uint8_t own[ADJACENT_DATA];
        uint8_t other_key[ADJACENT_KEY];
        uint8_t other[ADJACENT_DATA];
        MDB_val pair = VALUE(other, ADJACENT_DATA);
        EXPECT(data.mv_size == ADJACENT_DATA);
        memcpy(own, data.mv_data, ADJACENT_DATA);
        helix_adjacent_key(other_key, own + ID_SIZE, label);
        memcpy(other, own, ID_SIZE);
        memcpy(other + ID_SIZE, id, ID_SIZE);
        delete (helix, txn, DB_EDGES, VALUE(own, ID_SIZE), NULL);
        delete (helix, txn, there, VALUE(other_key, ADJACENT_KEY), &pair);
        rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT_DUP);
    }
    EXPECT(rc == MDB_NOTFOUND);
    mdb_cursor_close(cursor);
    key = VALUE(bytes, ADJACENT_KEY);
    rc = mdb_del(txn, helix->dbi[here], &key, NULL);
    EXPECT(rc == 0 || rc == MDB_NOTFOUND);
}

static void drop_terms(const struct helix *helix, MDB_txn *txn, uint8_t id[ID_SIZE])
{
    MDB_cursor *cursor;
    MDB_val key = VALUE(id, ID_SIZE);
    MDB_val data;
    int rc;

    EXPECT_RC(mdb_cursor_open(txn, helix->dbi[DB_REVERSE], &cursor), 0);
    for (rc = mdb_cursor_get(cursor, &key, &data, MDB_SET); rc == 0;
         rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT_DUP)) {
        uint8_t posting[POSTING];
        MDB_val pair = VALUE(posting, POSTING);
        MDB_val term = VALUE(data.mv_data, data.mv_size - 4);
        char text[TERM_MAX];
        uint32_t documents = frequency(helix, txn, term) - 1;
        memcpy(text, term.mv_data, term.mv_size);
        term.mv_data = text;
        for (unsigned byte = 0; byte < ID_SIZE; byte++) {
            posting[byte] = id[ID_SIZE - 1 - byte];
        }
        memcpy(posting + ID_SIZE, (uint8_t *)data.mv_data + data.mv_size - 4, 4);
        delete (helix, txn, DB_INVERTED, term, &pair);
        put(helix, txn, DB_FREQUENCIES, term, VALUE(&documents, sizeof documents), 0);
    }
    EXPECT(rc == MDB_NOTFOUND);
    mdb_cursor_close(cursor);
    delete (helix, txn, DB_REVERSE, VALUE(id, ID_SIZE), NULL);
    delete (helix, txn, DB_LENGTHS, VALUE(id, ID_SIZE), NULL);
    count_documents(helix, txn);
}

void helix_drop_user(const struct helix *helix, MDB_txn *txn, unsigned user)
{
    uint8_t id[ID_SIZE];
    char text[32];
    MDB_val data;
    MDB_val own = VALUE(id, ID_SIZE);
    size_t size;

    helix_id(id, 'u', user);
    if (get(helix, txn, DB_NODES, own, &data) != 0) {
        return;
    }
    for (unsigned label = 0; label < LABELS; label++) {
        drop_edges(helix, txn, id, label, DB_OUT, DB_IN);
        drop_edges(helix, txn, id, label, DB_IN, DB_OUT);
    }
    drop_terms(helix, txn, id);
    size = property(text, user);
    delete (helix, txn, DB_INDEX, VALUE(text, size), &own);
    size = (size_t)snprintf(text, sizeof text, "mail%u@example", user);
    /* Without MDB_DUPSORT the data given to mdb_del() are ignored. */
    delete (helix, txn, DB_UNIQUE, VALUE(text, size), &VALUE("anything", 8));
    delete (helix, txn, DB_NODES, VALUE(id, ID_SIZE), NULL);
}

/* ---- loading --------------------------------------------------------------------------------- */

void helix_load(const struct helix *helix)
{
    const char *seed = getenv("QS_SEED");
    struct random random = {seed == NULL ? 1 : strtoull(seed, NULL, 0)};
    const unsigned edges = USERS * EDGES_PER_USER;
    MDB_txn *txn;

    for (unsigned user = 0; user < USERS; user++) {
        txn = helix_begin(helix, 0);
        helix_add_user(helix, txn, user, &random);
        EXPECT_RC(mdb_txn_commit(txn), 0);
    }
    for (unsigned vector = 0; vector < VECTORS; vector++) {
        txn = helix_begin(helix, 0);
        helix_add_vector(helix, txn, vector, &random);
        EXPECT_RC(mdb_txn_commit(txn), 0);
    }
    for (unsigned edge = 0; edge < edges;) {
        unsigned batch = edge < SINGLE_EDGES ? 1 : BATCH;
        txn = helix_begin(helix, 0);
        for (unsigned i = 0; i < batch && edge < edges; i++) {
            helix_add_edge(helix, txn, edge++, &random);
        }
        EXPECT_RC(mdb_txn_commit(txn), 0);
    }
}
