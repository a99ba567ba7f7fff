/* stress_ahead.c - threads that read keys and whole trees, in two processes that write in turn.
 *
 * Most of what a process reads was written by the other, and is found in the log before it is applied
 * (txn/ahead.h); what asks for more has it applied, while others of its threads are still reading behind.
 *
 * Owns:       for each transaction, by its number, what it does; and so what every key is after it.
 * Invariants: in every snapshot H1 each key asked for, and each tree gone through, is what the transactions up
 *             to it have made it, H2 what a reader was given stays as it is until its transaction ends.
 * Locks:      none of its own; threads share nothing that changes but `stop`, `failures` and the counters.
 *
 * QS_STRESS_SECONDS says how long it runs at most (5), QS_SEED what transactions do. A plain program, so that
 * ThreadSanitizer can run it. Exit status: 0, or 1 with the findings on standard error.
 */
#define _GNU_SOURCE /* mkdtemp() */

#include "stress/stress.h"
#include "txn/txn.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    TRANSACTIONS = 60000, /* at most */
    OPERATIONS = 4,       /* of each */
    KEYS = 600,           /* in all trees together */
    TREES = 3, /* the main tree, a named one, one with duplicates; key k lies in k % TREES */
    RECREATE_EVERY = 211, /* transactions: the named tree is dropped and created again */
    READERS = 3,          /* threads of each process */
    GETS_MAX = 30,        /* between two looks at a whole tree */
    SMALL_MAX = 200,
    LARGE_MIN = 3000,
    LARGE_MAX = 9000,
};

/* What a key is from a transaction on. */
struct state {
    unsigned txn;
    unsigned size; /* of its value; 0: it is not there */
};

struct history {
    struct state *state; /* ascending by transaction */
    size_t count;
    size_t capacity;
};

/* What a reader was given. */
struct given {
    unsigned key;
    struct qs_val value;
    struct state state;
};

struct reader {
    struct qs_env *env;
    uint64_t random;
    struct qs_txn *txn;
    struct qs_tree *tree[TREES];
    unsigned snapshot;
    struct given given[2 * GETS_MAX];
    unsigned given_count;
};

static struct history history[KEYS];
static uint64_t seed;
static _Atomic unsigned long snapshots_read, snapshots_behind, commits_made;
static char data_path[96], lock_path[96];

static unsigned below(uint64_t *random, unsigned limit)
{
    return (unsigned)(next_random(random) % limit);
}

/* ---- what transactions do ---- */

struct operation {
    unsigned key;
    unsigned size; /* of the value put; 0: delete */
};

static void operations_of(unsigned txn, struct operation operation[OPERATIONS])
{
    uint64_t random = seed + txn * 1000003ull;
    for (unsigned i = 0; i < OPERATIONS; i++) {
        unsigned key = below(&random, KEYS), kind = below(&random, 20);
        unsigned size = 9 + below(&random, SMALL_MAX);
        if (kind == 0 && key % TREES != 2)
            size = LARGE_MIN + below(&random, LARGE_MAX - LARGE_MIN);
        /* Each puts something: a transaction that changes nothing has no number. */
        operation[i] = (struct operation){key, i > 0 && kind >= 15 ? 0 : size};
    }
}

static bool recreates(unsigned txn)
{
    return txn % RECREATE_EVERY == 0;
}

static void remember(unsigned key, unsigned txn, unsigned size)
{
    struct history *h = &history[key];
    if (h->count > 0 && h->state[h->count - 1].txn == txn)
        h->count--;
    if (h->count == h->capacity) {
        h->capacity = h->capacity != 0 ? 2 * h->capacity : 64;
        h->state = realloc(h->state, h->capacity * sizeof *h->state);
        if (h->state == NULL)
            abort();
    }
    h->state[h->count++] = (struct state){txn, size};
}

static void foresee(void)
{
    struct operation operation[OPERATIONS];
    for (unsigned txn = 1; txn <= TRANSACTIONS; txn++) {
        for (unsigned key = 1; recreates(txn) && key < KEYS; key += TREES)
            remember(key, txn, 0);
        operations_of(txn, operation);
        for (unsigned i = 0; i < OPERATIONS; i++)
            remember(operation[i].key, txn, operation[i].size);
    }
}

static struct state state_of(unsigned key, unsigned snapshot)
{
    const struct history *h = &history[key];
    size_t low = 0, high = h->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (h->state[middle].txn <= snapshot)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? h->state[low - 1] : (struct state){0, 0};
}

static uint8_t byte_of(unsigned key, unsigned txn)
{
    return (uint8_t)(key * 7 + txn);
}

static struct qs_val name_of(char bytes[16], unsigned key)
{
    return (struct qs_val){(size_t)snprintf(bytes, 16, "k%05u", key), bytes};
}

/* ---- writing ---- */

static int open_trees(struct qs_txn *txn, struct qs_tree *tree[TREES], unsigned create)
{
    int rc = qs_tree_open(txn, NULL, 0, &tree[0]);
    if (rc == 0)
        rc = qs_tree_open(txn, "named", create, &tree[1]);
    return rc == 0 ? qs_tree_open(txn, "pairs", create | (create != 0 ? QS_DUPSORT : 0), &tree[2])
                   : rc;
}

static int operate(struct qs_txn *txn, struct qs_tree *tree, const struct operation *operation)
{
    static _Thread_local uint8_t bytes[LARGE_MAX];
    char name[16];
    struct qs_val key = name_of(name, operation->key), value = {operation->size, bytes};
    memset(bytes, byte_of(operation->key, (unsigned)qs_txn_id(txn)), operation->size);
    /* Where there are duplicates the new value is to be the only one. */
    int rc =
        operation->size == 0 || operation->key % TREES == 2 ? qs_del(txn, tree, &key, NULL) : 0;
    if ((rc == 0 || rc == QS_E_NOTFOUND) && operation->size != 0)
        return qs_put(txn, tree, &key, &value, 0);
    return rc == QS_E_NOTFOUND ? 0 : rc;
}

/* QS_E_NOTFOUND: all transactions are done. */
static int write_one(struct qs_env *env)
{
    struct operation operation[OPERATIONS];
    struct qs_tree *tree[TREES];
    struct qs_txn *txn;
    int rc = qs_txn_begin(env, NULL, 0, &txn);
    if (rc != 0)
        return rc;
    unsigned number = (unsigned)qs_txn_id(txn);
    if (number > TRANSACTIONS) {
        qs_txn_abort(txn);
        return QS_E_NOTFOUND;
    }
    operations_of(number, operation);
    rc = open_trees(txn, tree, QS_TREE_CREATE);
    if (rc == 0 && recreates(number))
        rc = qs_tree_drop(txn, tree[1], true);
    if (rc == 0 && recreates(number))
        rc = open_trees(txn, tree, QS_TREE_CREATE);
    for (unsigned i = 0; rc == 0 && i < OPERATIONS; i++)
        rc = operate(txn, tree[operation[i].key % TREES], &operation[i]);
    if (rc != 0) {
        qs_txn_abort(txn);
        return rc;
    }
    atomic_fetch_add(&commits_made, 1);
    return qs_txn_commit(txn);
}

static void *write_all(void *argument)
{
    struct qs_env *env = argument;
    uint64_t random = seed + (uint64_t)getpid();
    int rc = 0;
    while (!atomic_load(&stop) && (rc = write_one(env)) == 0) {
        if (below(&random, 40) == 0) /* let the other one have many in a row */
            usleep(below(&random, 30000));
    }
    if (rc != 0 && rc != QS_E_NOTFOUND)
        FAIL("writing: %d", rc);
    atomic_store(&stop, true);
    return NULL;
}

/* ---- reading ---- */

static bool is_right(unsigned key, struct state state, const struct qs_val *value)
{
    const uint8_t *bytes = value->data;
    if (value->size != state.size)
        return false;
    for (size_t i = 0; i < value->size; i++)
        if (bytes[i] != byte_of(key, state.txn))
            return false;
    return true;
}

/* H1 for one key. */
static void get_one(struct reader *r)
{
    char name[16];
    unsigned number = below(&r->random, KEYS);
    struct state state = state_of(number, r->snapshot);
    struct qs_val key = name_of(name, number), value;
    int rc = qs_get(r->txn, r->tree[number % TREES], &key, &value);
    if (rc != (state.size != 0 ? 0 : QS_E_NOTFOUND)) {
        FAIL("key %u in snapshot %u, of transaction %u: %d", number, r->snapshot, state.txn, rc);
    } else if (rc == 0 && !is_right(number, state, &value)) {
        FAIL("key %u in snapshot %u is not of transaction %u", number, r->snapshot, state.txn);
    } else if (rc == 0 && r->given_count < sizeof r->given / sizeof r->given[0]) {
        r->given[r->given_count++] = (struct given){number, value, state};
    }
}

/* H1 for all keys of a tree. */
static void walk_tree(struct reader *r, unsigned which)
{
    struct qs_cursor *cursor;
    struct qs_val key, value;
    unsigned number = which;
    int rc = qs_cursor_open(r->txn, r->tree[which], &cursor);
    if (rc != 0) {
        FAIL("cursor: %d", rc);
        return;
    }
    for (;; number += TREES) {
        while (number < KEYS && state_of(number, r->snapshot).size == 0)
            number += TREES;
        do /* the main tree holds the names of the others, too */
            rc = qs_cursor_get(cursor, &key, &value, QS_NEXT);
        while (rc == 0 && ((const char *)key.data)[0] != 'k');
        if (number >= KEYS || rc != 0)
            break;
        char name[16];
        if (memcmp(key.data, name_of(name, number).data, key.size) != 0 ||
            !is_right(number, state_of(number, r->snapshot), &value))
            FAIL("tree %u in snapshot %u: wrong at key %u", which, r->snapshot, number);
    }
    if (rc != QS_E_NOTFOUND || number < KEYS)
        FAIL("tree %u in snapshot %u ends at key %u: %d", which, r->snapshot, number, rc);
    qs_cursor_close(cursor);
}

/* H2. */
static void look_again(struct reader *r)
{
    for (unsigned i = 0; i < r->given_count; i++)
        if (!is_right(r->given[i].key, r->given[i].state, &r->given[i].value))
            FAIL("key %u of snapshot %u has changed", r->given[i].key, r->snapshot);
    r->given_count = 0;
}

static void read_snapshot(struct reader *r)
{
    unsigned count = below(&r->random, GETS_MAX);
    r->snapshot = (unsigned)qs_txn_id(r->txn);
    atomic_fetch_add(&snapshots_read, 1);
    if (r->txn->ahead != NULL)
        atomic_fetch_add(&snapshots_behind, 1);
    int rc = open_trees(r->txn, r->tree, 0);
    if (rc != 0) {
        FAIL("opening trees in snapshot %u: %d", r->snapshot, rc);
        return;
    }
    for (unsigned i = 0; i < count; i++)
        get_one(r);
    if (below(&r->random, 8) == 0)
        usleep(below(&r->random, 20000)); /* others go on */
    if (below(&r->random, 6) == 0)
        walk_tree(r, below(&r->random, TREES));
    for (unsigned i = 0; i < count; i++)
        get_one(r);
    look_again(r);
}

static void *read_all(void *argument)
{
    struct reader *r = argument;
    int rc = qs_txn_begin(r->env, NULL, QS_RDONLY, &r->txn);
    while (rc == 0 && !atomic_load(&stop)) {
        read_snapshot(r);
        if (below(&r->random, 3) == 0) {
            qs_txn_abort(r->txn);
            rc = qs_txn_begin(r->env, NULL, QS_RDONLY, &r->txn);
        } else {
            qs_txn_reset(r->txn);
            rc = qs_txn_renew(r->txn);
        }
    }
    if (rc != 0)
        FAIL("beginning to read: %d", rc);
    else
        qs_txn_abort(r->txn);
    return NULL;
}

/* ---- processes ---- */

static struct qs_env *open_env(void)
{
    /* A log that is soon full: the other process's checkpoints are met as well. */
    struct qs_options options = {.data_path = data_path,
                                 .lock_path = lock_path,
                                 .flags = QS_NOSYNC | QS_NOTLS,
                                 .map_size_bytes = 256u << 20,
                                 .log_bytes_max = 1u << 20,
                                 .mode = 0600};
    struct qs_env *env;
    int rc = qs_env_open(&options, &env);
    if (rc != 0) {
        fprintf(stderr, "stress_ahead: opening: %d\n", rc);
        exit(1);
    }
    return env;
}

static void *wait_for_the_end(void *argument)
{
    unsigned seconds = *(unsigned *)argument;
    for (unsigned i = 0; i < 10 * seconds && !atomic_load(&stop); i++)
        usleep(100000);
    atomic_store(&stop, true);
    return NULL;
}

/* 0, or 1 when something was wrong. */
static int run_process(struct qs_env *env, unsigned seconds)
{
    static struct reader reader[READERS];
    pthread_t thread[READERS + 2];
    pthread_create(&thread[READERS], NULL, write_all, env);
    pthread_create(&thread[READERS + 1], NULL, wait_for_the_end, &seconds);
    for (unsigned i = 0; i < READERS; i++) {
        reader[i] = (struct reader){.env = env, .random = seed + 31 * (uint64_t)getpid() + i};
        pthread_create(&thread[i], NULL, read_all, &reader[i]);
    }
    for (unsigned i = 0; i < READERS + 2; i++)
        pthread_join(thread[i], NULL);
    qs_env_close(env);
    printf("pid %d: %lu commits, %lu snapshots, %lu of them behind\n", (int)getpid(),
           atomic_load(&commits_made), atomic_load(&snapshots_read),
           atomic_load(&snapshots_behind));
    if (atomic_load(&snapshots_behind) == 0)
        FAIL("nothing was read behind");
    return atomic_load(&failures) != 0;
}

int main(void)
{
    const char *seconds = getenv("QS_STRESS_SECONDS"), *given = getenv("QS_SEED");
    char directory[] = "/tmp/stress_ahead-XXXXXX";
    int status;
    seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    printf("stress_ahead: QS_SEED=%llu\n", (unsigned long long)seed);
    fflush(stdout);
    if (mkdtemp(directory) == NULL)
        return 1;
    snprintf(data_path, sizeof data_path, "%s/data.mdb", directory);
    snprintf(lock_path, sizeof lock_path, "%s/lock.mdb", directory);
    foresee();
    struct qs_env *env = open_env();
    int rc = write_one(env); /* so that there are trees */
    qs_env_close(env);
    pid_t child = rc == 0 ? fork() : -1;
    if (child == 0)
        exit(run_process(open_env(), seconds != NULL ? (unsigned)atoi(seconds) : 5));
    rc = child > 0 ? run_process(open_env(), seconds != NULL ? (unsigned)atoi(seconds) : 5) : 1;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        rc = 1;
    unlink(data_path);
    unlink(lock_path);
    rmdir(directory);
    return rc;
}
