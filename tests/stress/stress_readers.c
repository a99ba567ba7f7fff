/* stress_readers.c - reading threads beside writers, in two processes on one file.
 *
 * Owns:       accounts whose balances sum to zero, and a tree of records that come and go.
 * Invariants: in every snapshot T1 the balances sum to zero, T2 the churned records add up to what
 * the main tree says, T3 every value is whole (it follows from its seed), T4 what a reader was
 *             given stays as it is until its transaction ends.
 * Locks:      none of its own; threads share nothing but `stop`, `failures` and the counters.
 *
 * QS_STRESS_SECONDS says how long it runs (5), QS_SEED where its numbers start. A plain program, so
 * that ThreadSanitizer can run it. Exit status: 0, or 1 with the findings on standard error.
 */
#define _GNU_SOURCE /* mkdtemp() */

#include "stress/stress.h"

#include <quickstep.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    ACCOUNTS = 3000,
    CHURN_KEYS = 20000, /* numbers of records that come and go */
    SHORT_READERS = 3,
    LONG_READERS = 2,
    KEPT = 200, /* values a long reader looks at again */
    VALUE_MAX = 12000,
};

struct value {
    int64_t amount; /* what is summed up */
    uint64_t seed;  /* what the filling follows from */
    uint64_t size;  /* bytes in all */
    uint8_t fill[]; /* size - sizeof *this bytes */
};

struct thread_arguments {
    struct qs_env *env; /* shared */
    uint64_t random;    /* state of the thread's numbers */
};

static atomic_ulong snapshots_read, commits_made;
static char data_path[96], lock_path[96];

/* ---- values ---------------------------------------------------------------------------------- */

static void make_value(struct value *value, size_t size, int64_t amount, uint64_t seed)
{
    memset(value, 0, sizeof *value);
    value->amount = amount;
    value->seed = seed;
    value->size = size;
    memset(value->fill, (int)(seed & 0xff), size - sizeof *value);
}

/* T3; *amount is the value's. */
static bool check_value(const struct qs_val *found, int64_t *amount)
{
    const uint8_t *bytes = found->data;
    struct value head;

    if (found->size < sizeof head)
        return false;
    memcpy(&head, bytes, sizeof head); /* values lie where they lie */
    if (head.size != found->size)
        return false;
    for (size_t i = sizeof head; i < found->size; i++) {
        if (bytes[i] != (uint8_t)(head.seed & 0xff))
            return false;
    }
    *amount = head.amount;
    return true;
}

static size_t random_size(uint64_t *random)
{
    uint64_t kind = next_random(random) % 100;

    if (kind < 90)
        return sizeof(struct value) + next_random(random) % 100;
    return sizeof(struct value) +
           next_random(random) % (kind < 98 ? 1500 : VALUE_MAX - sizeof(struct value));
}

static struct qs_val make_key(char bytes[32], char kind, unsigned number)
{
    int size = snprintf(bytes, 32, "%c/shared/prefix/%07u", kind, number);

    return (struct qs_val){(size_t)size, bytes};
}

/* ---- writing --------------------------------------------------------------------------------- */

static int put(struct qs_txn *txn, struct qs_tree *tree, struct qs_val key, int64_t amount,
               uint64_t *random)
{
    uint64_t space[VALUE_MAX / sizeof(uint64_t)];
    size_t size = random_size(random);
    struct qs_val value = {size, space};

    make_value((struct value *)space, size, amount, next_random(random));
    return qs_put(txn, tree, &key, &value, 0);
}

static int get_amount(struct qs_txn *txn, struct qs_tree *tree, struct qs_val key, int64_t *amount)
{
    struct qs_val value;
    int rc = qs_get(txn, tree, &key, &value);

    if (rc == 0 && !check_value(&value, amount))
        FAIL("a torn value of %zu bytes", value.size);
    return rc;
}

/* Moves money between two accounts. */
static int transfer(struct qs_txn *txn, struct qs_tree *accounts, uint64_t *random)
{
    char from_bytes[32], to_bytes[32];
    struct qs_val from = make_key(from_bytes, 'a', (unsigned)(next_random(random) % ACCOUNTS));
    struct qs_val to = make_key(to_bytes, 'a', (unsigned)(next_random(random) % ACCOUNTS));
    int64_t sum = (int64_t)(next_random(random) % 1000), amount = 0;
    int rc = get_amount(txn, accounts, from, &amount);

    if (rc == 0)
        rc = put(txn, accounts, from, amount - sum, random);
    if (rc == 0)
        rc = get_amount(txn, accounts, to, &amount);
    return rc == 0 ? put(txn, accounts, to, amount + sum, random) : rc;
}

/* Adds or removes one churned record; *total follows. */
static int churn_one(struct qs_txn *txn, struct qs_tree *churn, unsigned number, bool add,
                     int64_t *total, uint64_t *random)
{
    char bytes[32];
    struct qs_val key = make_key(bytes, 'c', number);
    int64_t amount = 0;
    int rc = get_amount(txn, churn, key, &amount);

    if (rc != 0 && rc != QS_E_NOTFOUND)
        return rc;
    if (rc == 0)
        *total -= amount;
    else if (!add)
        return 0;
    if (!add)
        return qs_del(txn, churn, &key, NULL);
    amount = (int64_t)(next_random(random) % 100000);
    *total += amount;
    return put(txn, churn, key, amount, random);
}

/* Adds a stretch or some records, or removes them, or drops the whole tree. */
static int churn(struct qs_txn *txn, uint64_t *random)
{
    struct qs_tree *main_tree, *tree;
    struct qs_val total_key = {5, "total"};
    int64_t total = 0;
    int rc = qs_tree_open(txn, NULL, 0, &main_tree);

    if (rc == 0)
        rc = qs_tree_open(txn, "churn", QS_TREE_CREATE, &tree);
    if (rc == 0)
        rc = get_amount(txn, main_tree, total_key, &total);
    if (rc == 0 && next_random(random) % 200 == 0) {
        rc = qs_tree_drop(txn, tree, next_random(random) % 2 == 0);
        return rc == 0 ? put(txn, main_tree, total_key, 0, random) : rc;
    }
    unsigned first = (unsigned)(next_random(random) % CHURN_KEYS);
    unsigned count = (unsigned)(next_random(random) % (next_random(random) % 50 == 0 ? 2000 : 20));
    bool add = next_random(random) % 2 == 0, stretch = next_random(random) % 2 == 0;
    for (unsigned i = 0; rc == 0 && i < count; i++) {
        unsigned number = stretch ? first + i : (unsigned)next_random(random);
        rc = churn_one(txn, tree, number % CHURN_KEYS, add, &total, random);
    }
    return rc == 0 ? put(txn, main_tree, total_key, total, random) : rc;
}

static int write_once(struct qs_env *env, uint64_t *random)
{
    struct qs_tree *accounts;
    struct qs_txn *txn;
    int rc = qs_txn_begin(env, NULL, 0, &txn);

    if (rc != 0)
        return rc;
    rc = qs_tree_open(txn, "accounts", 0, &accounts);
    for (unsigned n = (unsigned)(next_random(random) % 8); rc == 0 && n > 0; n--)
        rc = transfer(txn, accounts, random);
    if (rc == 0 && next_random(random) % 2 == 0)
        rc = churn(txn, random);
    if (rc != 0 || next_random(random) % 10 == 0) {
        qs_txn_abort(txn);
        return rc;
    }
    atomic_fetch_add_explicit(&commits_made, 1, memory_order_relaxed);
    return qs_txn_commit(txn);
}

static void *writer(void *context)
{
    struct thread_arguments *arguments = context;

    while (!atomic_load(&stop)) {
        int rc = write_once(arguments->env, &arguments->random);
        if (rc != 0)
            FAIL("writing: %s", qs_strerror(rc));
    }
    return NULL;
}

/* ---- reading --------------------------------------------------------------------------------- */

struct kept {
    struct qs_val value; /* as handed out */
    uint8_t *copy;       /* of its bytes then */
};

/* Sums a tree up; the first KEPT values (with some distance) are kept where `kept` is given. */
static int sum_up(struct qs_txn *txn, struct qs_tree *tree, bool backwards, int64_t *sum,
                  struct kept *kept)
{
    struct qs_cursor *cursor;
    struct qs_val key, value;
    struct qs_stat stat;
    uint64_t entries = 0;
    int rc = qs_tree_stat(txn, tree, &stat);

    *sum = 0;
    if (rc == 0)
        rc = qs_cursor_open(txn, tree, &cursor);
    if (rc != 0)
        return rc;
    while ((rc = qs_cursor_get(cursor, &key, &value, backwards ? QS_PREV : QS_NEXT)) == 0) {
        int64_t amount = 0;
        if (!check_value(&value, &amount))
            FAIL("a torn value of %zu bytes", value.size);
        *sum += amount;
        if (kept != NULL && entries % 11 == 0 && entries / 11 < KEPT) {
            struct kept *keep = &kept[entries / 11];
            keep->value = value;
            keep->copy = memcpy(malloc(value.size), value.data, value.size);
        }
        entries++;
    }
    qs_cursor_close(cursor);
    if (rc == QS_E_NOTFOUND && entries != stat.entries)
        FAIL("%llu entries counted, %llu recorded", (unsigned long long)entries,
             (unsigned long long)stat.entries);
    return rc == QS_E_NOTFOUND ? 0 : rc;
}

/* T1 and T2 in one snapshot. */
static void check_snapshot(struct qs_txn *txn, bool backwards, struct kept *kept)
{
    struct qs_tree *main_tree, *accounts, *tree;
    struct qs_val total_key = {5, "total"};
    int64_t sum = 0, total = 0, churned = 0;
    int rc = qs_tree_open(txn, NULL, 0, &main_tree);

    if (rc == 0)
        rc = get_amount(txn, main_tree, total_key, &total);
    if (rc == 0)
        rc = qs_tree_open(txn, "accounts", 0, &accounts);
    if (rc == 0)
        rc = sum_up(txn, accounts, backwards, &sum, kept);
    if (rc == 0) {
        rc = qs_tree_open(txn, "churn", 0, &tree);
        rc = rc == 0 ? sum_up(txn, tree, backwards, &churned, NULL) : rc;
        if (rc == QS_E_NOTFOUND)
            rc = 0;
    }
    if (rc != 0)
        FAIL("reading snapshot %llu: %s", (unsigned long long)qs_txn_id(txn), qs_strerror(rc));
    else if (sum != 0 || churned != total)
        FAIL("snapshot %llu: balances sum to %lld, churned records to %lld, not %lld",
             (unsigned long long)qs_txn_id(txn), (long long)sum, (long long)churned,
             (long long)total);
    atomic_fetch_add_explicit(&snapshots_read, 1, memory_order_relaxed);
}

/* Reads a few accounts, now and then all, with one transaction object renewed again and again. */
static void *short_reader(void *context)
{
    struct thread_arguments *arguments = context;
    uint64_t *random = &arguments->random;
    struct qs_txn *txn;
    int rc = qs_txn_begin(arguments->env, NULL, QS_RDONLY, &txn);

    if (rc != 0) {
        FAIL("begin: %s", qs_strerror(rc));
        return NULL;
    }
    while (!atomic_load(&stop) && rc == 0) {
        struct qs_tree *accounts;
        char bytes[32];
        int64_t amount;
        rc = qs_tree_open(txn, "accounts", 0, &accounts);
        for (unsigned n = (unsigned)(next_random(random) % 50); rc == 0 && n > 0; n--)
            rc = get_amount(txn, accounts,
                            make_key(bytes, 'a', (unsigned)(next_random(random) % ACCOUNTS)),
                            &amount);
        if (rc == 0 && next_random(random) % 50 == 0)
            check_snapshot(txn, next_random(random) % 2 == 0, NULL);
        qs_txn_reset(txn);
        if (rc == 0)
            rc = qs_txn_renew(txn);
    }
    if (rc != 0)
        FAIL("short reader: %s", qs_strerror(rc));
    qs_txn_abort(txn);
    return NULL;
}

/* T4: looks at a snapshot, waits, and looks again. */
static void *long_reader(void *context)
{
    struct thread_arguments *arguments = context;
    uint64_t *random = &arguments->random;

    while (!atomic_load(&stop)) {
        struct kept kept[KEPT] = {{{0, NULL}, NULL}};
        struct qs_txn *txn;
        int rc = qs_txn_begin(arguments->env, NULL, QS_RDONLY, &txn);
        if (rc != 0) {
            FAIL("begin: %s", qs_strerror(rc));
            break;
        }
        check_snapshot(txn, false, kept);
        usleep((useconds_t)(next_random(random) % 300000));
        for (unsigned i = 0; i < KEPT; i++) {
            if (kept[i].copy != NULL &&
                memcmp(kept[i].copy, kept[i].value.data, kept[i].value.size) != 0)
                FAIL("a value handed out in snapshot %llu has changed",
                     (unsigned long long)qs_txn_id(txn));
            free(kept[i].copy);
        }
        check_snapshot(txn, true, NULL);
        qs_txn_abort(txn);
    }
    return NULL;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static int open_environment(struct qs_env **env)
{
    struct qs_options options = {
        .data_path = data_path,
        .lock_path = lock_path,
        .flags = QS_NOSYNC,
        .mode = 0644,
        .map_size_bytes = 256u << 20,
    };

    return qs_env_open(&options, env);
}

static int populate(uint64_t *random)
{
    struct qs_tree *tree;
    struct qs_env *env;
    struct qs_txn *txn;
    char bytes[32];
    int rc = open_environment(&env);

    if (rc != 0)
        return rc;
    rc = qs_txn_begin(env, NULL, 0, &txn);
    if (rc == 0)
        rc = qs_tree_open(txn, "accounts", QS_TREE_CREATE, &tree);
    for (unsigned i = 0; rc == 0 && i < ACCOUNTS; i++)
        rc = put(txn, tree, make_key(bytes, 'a', i), 0, random);
    if (rc == 0)
        rc = qs_tree_open(txn, NULL, 0, &tree);
    if (rc == 0)
        rc = put(txn, tree, (struct qs_val){5, "total"}, 0, random);
    if (rc == 0)
        rc = qs_txn_commit(txn);
    qs_env_close(env);
    return rc;
}

static void run(uint64_t seed, unsigned seconds)
{
    enum { THREADS = 1 + SHORT_READERS + LONG_READERS };
    struct thread_arguments arguments[THREADS];
    pthread_t threads[THREADS];
    struct timespec pause = {(time_t)seconds, 0};
    struct qs_env *env;
    int rc = open_environment(&env);

    if (rc != 0) {
        FAIL("opening: %s", qs_strerror(rc));
        return;
    }
    for (unsigned i = 0; i < THREADS; i++) {
        arguments[i] = (struct thread_arguments){env, seed + i * 0x1000003u};
        pthread_create(&threads[i], NULL,
                       i == 0               ? writer
                       : i <= SHORT_READERS ? short_reader
                                            : long_reader,
                       &arguments[i]);
    }
    nanosleep(&pause, NULL);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    qs_env_close(env);
    printf("# %lu commits, %lu snapshots read in full\n", atomic_load(&commits_made),
           atomic_load(&snapshots_read));
}

static void complain(void *context, const char *sentence)
{
    (void)context;
    FAIL("%s", sentence);
}

int main(void)
{
    const char *seconds_text = getenv("QS_STRESS_SECONDS"), *seed_text = getenv("QS_SEED");
    unsigned seconds = seconds_text != NULL ? (unsigned)atoi(seconds_text) : 5;
    uint64_t seed = seed_text != NULL ? strtoull(seed_text, NULL, 0) : (uint64_t)time(NULL);
    char directory[] = "/tmp/qs-stress-XXXXXX";
    struct qs_check_report report;
    int status = 0;

    if (mkdtemp(directory) == NULL)
        return 1;
    snprintf(data_path, sizeof data_path, "%s/data.mdb", directory);
    snprintf(lock_path, sizeof lock_path, "%s/lock.mdb", directory);
    printf("# seed %llu, %u seconds\n", (unsigned long long)seed, seconds);
    fflush(stdout);
    int rc = populate(&seed);
    if (rc != 0) {
        fprintf(stderr, "populating: %s\n", qs_strerror(rc));
        return 1;
    }
    pid_t child = fork(); /* before there is any thread */
    /* Half the time this process is on its own: longer chains, one replica. */
    run(child == 0 ? ~seed : seed, child == 0 ? (seconds + 1) / 2 : seconds);
    if (child == 0)
        return atomic_load(&failures) != 0;
    if (waitpid(child, &status, 0) != child || status != 0)
        FAIL("the other process ended with status %#x", (unsigned)status);
    rc = qs_check(data_path, complain, NULL, &report);
    if (rc != 0 || report.faults != 0)
        FAIL("qs_check: %s, %llu faults", qs_strerror(rc), (unsigned long long)report.faults);
    if (atomic_load(&failures) != 0) {
        fprintf(stderr, "the environment is kept in %s\n", directory);
        return 1;
    }
    unlink(data_path);
    unlink(lock_path);
    rmdir(directory);
    return 0;
}
