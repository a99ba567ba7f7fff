/* helix.c - runs a graph database's work on the library, and checks its invariants after each phase.
 *
 *     helix                one run; QS_SEED where its numbers start, QS_TORTURE=1 for a longer one
 *
 * Owns:       the environment's directory, removed when all is well; identities.
 * Invariants: those of helix_check().
 * Locks:      none; one thread here, more in phases.c.
 */
#define _GNU_SOURCE /* mkdtemp() */

#include "helix.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct {
    const char *name;
    unsigned flags;
} databases[DB_TOTAL] = {
    [DB_NODES] = {"nodes", 0},
    [DB_EDGES] = {"edges", 0},
    [DB_OUT] = {"out_edges", MDB_DUPSORT | MDB_DUPFIXED},
    [DB_IN] = {"in_edges", MDB_DUPSORT | MDB_DUPFIXED},
    [DB_INDEX] = {"index", MDB_DUPSORT},
    [DB_UNIQUE] = {"unique", 0},
    [DB_VECTORS] = {"vectors", 0},
    [DB_VECTOR_DATA] = {"vector_data", 0},
    [DB_NEIGHBOURS] = {"hnsw_out_nodes", 0},
    [DB_INVERTED] = {"bm25_inverted_index", MDB_DUPSORT},
    [DB_REVERSE] = {"bm25_reverse_index", MDB_DUPSORT},
    [DB_LENGTHS] = {"bm25_doc_lengths", 0},
    [DB_FREQUENCIES] = {"bm25_term_frequencies", 0},
    [DB_METADATA] = {"bm25_metadata", 0},
};

uint64_t random_next(struct random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint32_t random_below(struct random *random, uint32_t limit)
{
    return (uint32_t)((random_next(random) >> 32) * limit >> 32);
}

uint32_t random_skewed(struct random *random, uint32_t limit)
{
    uint64_t unit = random_next(random) >> 32;
    uint64_t tenth = unit;

    for (int i = 0; i < 3; i++) { /* the fourth power */
        tenth = tenth * unit >> 32;
    }
    return (uint32_t)(tenth * limit >> 32);
}

void helix_fail(const char *file, int line, const char *function, const char *what, int rc)
{
    fprintf(stderr, "%s:%d: %s(): %s gave %d (%s)\n", file, line, function, what, rc,
            mdb_strerror(rc));
    exit(1);
}

/* ---- environments ---------------------------------------------------------------------------- */

void helix_open(struct helix *helix, const char *directory, unsigned flags)
{
    bool readonly = (flags & MDB_RDONLY) != 0;
    MDB_txn *txn;

    EXPECT_RC(mdb_env_create(&helix->env), 0);
    EXPECT_RC(mdb_env_set_mapsize(helix->env, (size_t)20 << 30), 0);
    EXPECT_RC(mdb_env_set_maxdbs(helix->env, 200), 0);
    EXPECT_RC(mdb_env_set_maxreaders(helix->env, 200), 0);
    EXPECT_RC(mdb_env_open(helix->env, directory, flags, 0644), 0);
    EXPECT_RC(mdb_txn_begin(helix->env, NULL, readonly ? MDB_RDONLY : 0, &txn), 0);
    for (int db = 0; db < DB_TOTAL; db++) {
        EXPECT_RC(mdb_dbi_open(txn, databases[db].name,
                               readonly ? 0 : databases[db].flags | MDB_CREATE, &helix->dbi[db]),
                  0);
    }
    EXPECT_RC(mdb_txn_commit(txn), 0);
}

void helix_close(struct helix *helix)
{
    mdb_env_close(helix->env);
}

MDB_txn *helix_begin(const struct helix *helix, unsigned flags)
{
    MDB_txn *txn;

    EXPECT_RC(mdb_txn_begin(helix->env, NULL, flags, &txn), 0);
    return txn;
}

uint64_t helix_entries(const struct helix *helix, MDB_txn *txn, enum helix_db db)
{
    MDB_stat stat;

    EXPECT_RC(mdb_stat(txn, helix->dbi[db], &stat), 0);
    return stat.ms_entries;
}

/* ---- identities ------------------------------------------------------------------------------ */

void helix_id(uint8_t id[ID_SIZE], char kind, uint64_t number)
{
    struct random random = {number * 3 + (uint64_t)kind};
    uint64_t rest = random_next(&random);

    for (int i = 0; i < 8; i++) {
        id[i] = (uint8_t)(number >> (56 - 8 * i));
    }
    memcpy(id + 8, &rest, 8);
    id[8] = (uint8_t)kind;
}

uint64_t helix_number(const void *id)
{
    const uint8_t *bytes = id;
    uint64_t number = 0;

    for (int i = 0; i < 8; i++) {
        number = number << 8 | bytes[i];
    }
    return number;
}

void helix_adjacent_key(uint8_t key[ADJACENT_KEY], const uint8_t node[ID_SIZE], unsigned label)
{
    uint32_t hash = label * 2654435761u;

    memcpy(key, node, ID_SIZE);
    memcpy(key + ID_SIZE, &hash, sizeof hash);
}

void helix_neighbour_key(uint8_t key[NEIGHBOUR_KEY], const uint8_t node[ID_SIZE],
                         const uint8_t other[ID_SIZE])
{
    memcpy(key, node, ID_SIZE);
    memset(key + ID_SIZE, 0, 8);
    memcpy(key + ID_SIZE + 8, other, ID_SIZE);
}

void helix_vector_key(uint8_t key[VECTOR_KEY], const uint8_t node[ID_SIZE])
{
    key[0] = 'v';
    key[1] = ':';
    memcpy(key + 2, node, ID_SIZE);
    memset(key + 2 + ID_SIZE, 0, 8);
}

size_t helix_term(char term[TERM_MAX], unsigned number)
{
    struct random random = {number};
    size_t size = 3 + random_below(&random, TERM_MAX - 10);
    int written = snprintf(term, TERM_MAX, "t%u", number);

    while ((size_t)written < size) {
        term[written++] = (char)('a' + random_below(&random, 26));
    }
    return (size_t)written;
}

/* ---- the run --------------------------------------------------------------------------------- */

static void remove_environment(const char *directory)
{
    char path[256];
    static const char *const names[] = {"data.mdb", "lock.mdb", "copy.mdb"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        unlink(path);
    }
    rmdir(directory);
}

/* The whole-file verifier, where the build has it. */
static void verify(const char *directory)
{
    const char *build = getenv("QS_BUILDDIR");
    char command[512];

    if (build != NULL) {
        snprintf(command, sizeof command, "\"%s/qs_check\" \"%s/data.mdb\"", build, directory);
        EXPECT(system(command) == 0);
    }
}

static void phase(const char *name, struct timespec *since)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("%-12s %6.2f s\n", name,
           (double)(now.tv_sec - since->tv_sec) + (double)(now.tv_nsec - since->tv_nsec) / 1e9);
    fflush(stdout);
    *since = now;
}

int main(void)
{
    const char *torture = getenv("QS_TORTURE");
    const char *valgrind_set = getenv("QS_VALGRIND");
    bool valgrind = valgrind_set != NULL && valgrind_set[0] != '\0';
    unsigned operations = valgrind                                       ? 150
                          : torture != NULL && strcmp(torture, "1") == 0 ? 20000
                                                                         : 1500;
    char directory[64];
    struct helix helix;
    struct timespec since;

    snprintf(directory, sizeof directory, "%s/qs-helix-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    EXPECT(mkdtemp(directory) != NULL);
    printf("environment: %s\n", directory);
    fflush(stdout);
    clock_gettime(CLOCK_MONOTONIC, &since);
    helix_open(&helix, directory, 0);
    helix_load(&helix);
    helix_check_now(&helix);
    phase("load", &since);
    helix_mixed(&helix, operations);
    helix_check_now(&helix);
    phase("mixed", &since);
    helix_behaviours(&helix);
    helix_check_now(&helix);
    phase("behaviours", &since);
    helix_close(&helix);
    helix_backup(directory, operations);
    phase("backup", &since);
    helix_crash(directory);
    phase("crash", &since);
    helix_open(&helix, directory, 0);
    printf("%llu edges at the end\n", (unsigned long long)helix_check_now(&helix));
    helix_close(&helix);
    verify(directory);
    remove_environment(directory);
    return 0;
}
