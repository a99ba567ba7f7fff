/* test_memory.c - what a long reader costs: the versions its snapshot sees, and no others (engine rule 4).
 *
 * Owns:       1,000 records, overwritten 200 times each by commits of one put; readers of the first state, one
 *             in this process and one in another.
 * Invariants: B1 the bytes of all versions of a process stay within BYTES_MAX all the time, in the process
 *             that writes as in the one that follows. B2 the readers go on seeing what they saw.
 */
#define _GNU_SOURCE /* mkdtemp() */

#include "effort.h"
#include "env/env.h"
#include "scratch_dir.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    KEYS = 1000,
    COMMITS = 200000,
    VALUE_BYTES = 100,
    /* Some 40 leaves, of which two or three versions are in use, each at most a page; and what gathers
     * before it is freed. Without the rule: 400 MB. */
    BYTES_MAX = 3 << 20,
};

static struct qs_env *open_env(void)
{
    struct qs_env *env;
    struct qs_options options = {.data_path = data_path,
                                 .lock_path = lock_path,
                                 .flags = QS_NOSYNC | QS_NOTLS,
                                 .mode = 0644,
                                 .map_size_bytes = 256u << 20};
    return qs_env_open(&options, &env) == 0 ? env : NULL;
}

static uint64_t version_bytes(const struct qs_env *env)
{
    return atomic_load(&env->core->current)->cache.map.versions.bytes;
}

static int put(struct qs_txn *txn, struct qs_tree *tree, unsigned number, unsigned round)
{
    char key[16], bytes[VALUE_BYTES] = {0};
    struct qs_val k = {(size_t)snprintf(key, sizeof key, "k%07u", number), key};
    struct qs_val v = {sizeof bytes, bytes};
    snprintf(bytes, sizeof bytes, "%u of round %u", number, round);
    return qs_put(txn, tree, &k, &v, 0);
}

/* Whether a snapshot holds all records as `round` left them. */
static bool holds(struct qs_txn *txn, unsigned round)
{
    struct qs_tree *tree;
    bool good = qs_tree_open(txn, NULL, 0, &tree) == 0;
    for (unsigned i = 0; good && i < KEYS; i++) {
        char key[16], wanted[VALUE_BYTES] = {0};
        struct qs_val k = {(size_t)snprintf(key, sizeof key, "k%07u", i), key}, v;
        snprintf(wanted, sizeof wanted, "%u of round %u", i, round);
        good = qs_get(txn, tree, &k, &v) == 0 && v.size == sizeof wanted &&
               memcmp(v.data, wanted, sizeof wanted) == 0;
    }
    return good;
}

static void fill(struct qs_env *env)
{
    struct qs_txn *txn;
    struct qs_tree *tree;
    cr_assert(qs_txn_begin(env, NULL, 0, &txn) == 0);
    cr_assert(qs_tree_open(txn, NULL, 0, &tree) == 0);
    for (unsigned i = 0; i < KEYS; i++)
        cr_assert(put(txn, tree, i, 0) == 0);
    cr_assert(qs_txn_commit(txn) == 0);
}

/* The other process: reads the first state, and every time it is told to the newest as well. */
static int other_process(int from, int to)
{
    struct qs_env *env = open_env();
    struct qs_txn *first, *now;
    char byte;
    if (env == NULL || qs_txn_begin(env, NULL, QS_RDONLY, &first) != 0)
        return 1;
    while (write(to, "", 1) == 1 && read(from, &byte, 1) == 1) {
        if (qs_txn_begin(env, NULL, QS_RDONLY, &now) != 0)
            return 2;
        qs_txn_abort(now);
        if (version_bytes(env) > BYTES_MAX) {
            fprintf(stderr, "the other process: %llu bytes\n",
                    (unsigned long long)version_bytes(env));
            return 3;
        }
    }
    if (!holds(first, 0))
        return 4;
    qs_txn_abort(first);
    qs_env_close(env);
    return 0;
}

static void overwrite(struct qs_env *env, int to, int from)
{
    unsigned commits = effort(COMMITS, COMMITS / 50);
    uint64_t most = 0;
    char byte;
    for (unsigned i = 0; i < commits; i++) {
        struct qs_txn *txn;
        struct qs_tree *tree;
        cr_assert(qs_txn_begin(env, NULL, 0, &txn) == 0);
        cr_assert(qs_tree_open(txn, NULL, 0, &tree) == 0);
        cr_assert(put(txn, tree, i % KEYS, 1 + i / KEYS) == 0);
        cr_assert(qs_txn_commit(txn) == 0);
        if (version_bytes(env) > most)
            most = version_bytes(env);
        if (i % 50000 == 49999)
            cr_assert(write(to, "", 1) == 1 && read(from, &byte, 1) == 1);
    }
    cr_assert(most <= BYTES_MAX, "%llu bytes", (unsigned long long)most); /* B1 */
}

Test(memory, a_long_reader_pins_what_it_sees)
{
    struct qs_env *env;
    struct qs_txn *first;
    int to_other[2], from_other[2], status;
    char byte;
    make_directory("memory");
    signal(SIGPIPE, SIG_IGN);
    cr_assert(pipe(to_other) == 0 && pipe(from_other) == 0);
    env = open_env();
    cr_assert(env != NULL);
    fill(env);
    pid_t child = fork();
    if (child == 0) {
        close(to_other[1]);
        _exit(other_process(to_other[0], from_other[1]));
    }
    close(to_other[0]);
    close(from_other[1]); /* so that the end of the other process is seen */
    cr_assert(read(from_other[0], &byte, 1) == 1);
    cr_assert(qs_txn_begin(env, NULL, QS_RDONLY, &first) == 0);
    overwrite(env, to_other[1], from_other[0]);
    cr_assert(holds(first, 0)); /* B2 */
    qs_txn_abort(first);
    close(to_other[1]);
    cr_assert(waitpid(child, &status, 0) == child && status == 0, "status %#x", (unsigned)status);
    qs_env_close(env);
    remove_directory();
}
