/* test_bad_files.c - files that are not ours, not whole or not intact.
 *
 * Owns:       a small good file of three commits, and what each of them holds.
 * Invariants: B1 whatever the bytes, a reader gets an error or what some commit in the file wrote.
 *             B2 nothing crashes or hangs: each case runs in a child.
 * Locks:      none; one thread.
 *
 * QS_SEED changes the places of the random damage.
 */
#define _GNU_SOURCE /* mkdtemp() */

#include "effort.h"
#include "scratch_dir.h"

#include <quickstep.h>

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    RECORDS = 2000,      /* in the good file */
    LARGE_EVERY = 200,   /* each so-manyth value is a large one */
    LARGE_BYTES = 9000,  /* of these */
    COMMITS = 3,         /* that made the good file */
    PAGE_BYTES = 4096,   /* damage is done by this unit */
    CHILD_SECONDS = 20,  /* longer is a hang */
    VERDICT_RIGHT = 0,   /* child: right data or a proper error */
    VERDICT_WRONG = 1,   /* child: wrong data or an improper error */
    VERDICT_REFUSED = 2, /* child: the file was not opened, or found corrupted */
};

static uint8_t *good;         /* bytes of the good file */
static size_t good_size;      /* of them */
static uint64_t random_state; /* of damage */

static uint64_t next_random(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* ---- the good file --------------------------------------------------------------------------- */

static int open_environment(uint64_t map_size_bytes, unsigned flags, struct qs_env **env)
{
    struct qs_options options = {
        .data_path = data_path,
        .lock_path = lock_path,
        .flags = flags,
        .mode = 0644,
        .map_size_bytes = map_size_bytes,
    };

    return qs_env_open(&options, env);
}

static size_t make_key(unsigned number, char *bytes)
{
    return (size_t)snprintf(bytes, 16, "k%06u", number);
}

/* Commit c (from 1) rewrites every c-th record. */
static unsigned commit_of(unsigned number, uint64_t commits)
{
    unsigned commit = 1;

    for (unsigned c = 2; c <= commits; c++) {
        commit = number % c == 0 ? c : commit;
    }
    return commit;
}

static size_t make_value(unsigned number, unsigned commit, uint8_t *bytes)
{
    size_t size = number % LARGE_EVERY == 0 ? LARGE_BYTES + commit : 20 + number % 100;

    memset(bytes, (int)(number * 7 + commit), size);
    memcpy(bytes, &number, sizeof number);
    memcpy(bytes + sizeof number, &commit, sizeof commit);
    return size;
}

static void write_commit(struct qs_env *env, unsigned commit)
{
    static uint8_t bytes[LARGE_BYTES + 100];
    struct qs_txn *txn;
    struct qs_tree *tree;

    cr_assert(qs_txn_begin(env, NULL, 0, &txn) == 0);
    cr_assert(qs_tree_open(txn, NULL, 0, &tree) == 0);
    for (unsigned i = 0; i < RECORDS; i += commit) {
        char name[16];
        struct qs_val key = {make_key(i, name), name};
        struct qs_val value = {make_value(i, commit, bytes), bytes};
        cr_assert(qs_put(txn, tree, &key, &value, 0) == 0);
    }
    cr_assert(qs_txn_commit(txn) == 0);
}

static void write_file(const void *bytes, size_t size)
{
    FILE *file = fopen(data_path, "wb");

    cr_assert(file != NULL && fwrite(bytes, 1, size, file) == size);
    cr_assert(fclose(file) == 0);
    unlink(lock_path);
}

static void read_good(void)
{
    struct stat status;
    FILE *file = fopen(data_path, "rb");

    cr_assert(file != NULL && fstat(fileno(file), &status) == 0);
    good_size = (size_t)status.st_size;
    good = malloc(good_size);
    cr_assert(good != NULL && fread(good, 1, good_size, file) == good_size);
    fclose(file);
}

static void set_up(void)
{
    const char *seed = getenv("QS_SEED");

    random_state = seed == NULL ? 1 : strtoull(seed, NULL, 0);
    make_directory("bad-files");
}

static void set_up_good(void)
{
    struct qs_env *env;

    set_up();
    cr_assert(open_environment(64 << 20, 0, &env) == 0);
    for (unsigned commit = 1; commit <= COMMITS; commit++) {
        write_commit(env, commit);
    }
    qs_env_close(env);
    read_good();
}

static void tear_down(void)
{
    remove_directory();
    free(good);
    good = NULL;
}

/* ---- judging a file, in a child -------------------------------------------------------------- */

static bool is_refusal(int rc)
{
    return rc == QS_E_CORRUPTED || rc == QS_E_INVALID || rc == QS_E_VERSION_MISMATCH ||
           rc == QS_E_PAGE_NOTFOUND;
}

static int judge_records(struct qs_txn *txn, struct qs_tree *tree)
{
    static uint8_t bytes[LARGE_BYTES + 100];
    uint64_t commits = qs_txn_id(txn);
    int verdict = VERDICT_RIGHT;

    for (unsigned i = 0; i < RECORDS; i++) {
        char name[16];
        struct qs_val key = {make_key(i, name), name};
        struct qs_val value;
        size_t size = make_value(i, commit_of(i, commits), bytes);
        int rc = qs_get(txn, tree, &key, &value);
        if (is_refusal(rc)) {
            verdict = VERDICT_REFUSED;
        } else if (rc != 0 || value.size != size || memcmp(value.data, bytes, size) != 0) {
            fprintf(stderr, "record %u of commit %llu: rc %d\n", i, (unsigned long long)commits,
                    rc);
            return VERDICT_WRONG;
        }
    }
    return verdict;
}

static int judge_walk(struct qs_txn *txn, struct qs_tree *tree, enum qs_cursor_op op)
{
    struct qs_cursor *cursor = NULL;
    struct qs_val key;
    struct qs_val value;
    unsigned count = 0;
    int rc = qs_cursor_open(txn, tree, &cursor);

    while (rc == 0 && count <= RECORDS) {
        rc = qs_cursor_get(cursor, &key, &value, op);
        count += rc == 0;
    }
    qs_cursor_close(cursor);
    if (rc == QS_E_NOTFOUND && count == RECORDS) {
        return VERDICT_RIGHT;
    }
    if (is_refusal(rc)) {
        return VERDICT_REFUSED;
    }
    fprintf(stderr, "walk: %u records, rc %d\n", count, rc);
    return VERDICT_WRONG;
}

/* Writes on what may be damaged: any error is fine, a crash is not. */
static void try_to_write(struct qs_env *env, unsigned number)
{
    struct qs_txn *txn;
    struct qs_tree *tree;

    if (qs_txn_begin(env, NULL, 0, &txn) != 0) {
        return;
    }
    if (qs_tree_open(txn, NULL, 0, &tree) == 0) {
        for (unsigned i = 0; i < RECORDS; i += 37) {
            char name[16];
            struct qs_val key = {make_key((i + number) % RECORDS, name), name};
            struct qs_val value = {5, "other"};
            if (i % 2 != 0 ? qs_put(txn, tree, &key, &value, 0) : qs_del(txn, tree, &key, NULL)) {
                break;
            }
        }
    }
    qs_txn_commit(txn);
}

static void complain(void *context, const char *sentence)
{
    (void)context;
    (void)sentence;
}

static int judge(unsigned number)
{
    struct qs_check_report report;
    struct qs_env *env;
    struct qs_txn *txn;
    struct qs_tree *tree;
    int verdict = VERDICT_REFUSED;
    int rc;

    alarm(CHILD_SECONDS);
    qs_check(data_path, complain, NULL, &report);
    rc = open_environment(64 << 20, 0, &env);
    if (rc != 0) {
        return is_refusal(rc) ? VERDICT_REFUSED : VERDICT_WRONG;
    }
    rc = qs_txn_begin(env, NULL, QS_RDONLY, &txn);
    if (rc == 0) {
        rc = qs_tree_open(txn, NULL, 0, &tree);
        if (rc == 0) {
            int walks[2] = {judge_walk(txn, tree, QS_NEXT), judge_walk(txn, tree, QS_PREV)};
            verdict = judge_records(txn, tree);
            verdict =
                walks[0] == VERDICT_WRONG || walks[1] == VERDICT_WRONG ? VERDICT_WRONG : verdict;
        }
        qs_txn_abort(txn);
    }
    if (rc != 0 && !is_refusal(rc)) {
        verdict = VERDICT_WRONG;
    }
    try_to_write(env, number);
    qs_env_close(env);
    return verdict;
}

/* Verdict on the file as it is now; a crash fails the test. */
static int judge_in_child(const char *what, unsigned number)
{
    int status = 0;
    pid_t child = fork();

    cr_assert(child >= 0);
    if (child == 0) {
        _exit(judge(number));
    }
    cr_assert(waitpid(child, &status, 0) == child);
    cr_assert(WIFEXITED(status), "%s %u: signal %d, files in %s", what, number, WTERMSIG(status),
              directory);
    cr_assert(WEXITSTATUS(status) != VERDICT_WRONG, "%s %u: wrong data, files in %s", what, number,
              directory);
    cr_assert(WEXITSTATUS(status) <= VERDICT_REFUSED, "%s %u: child ended with %d", what, number,
              WEXITSTATUS(status));
    return WEXITSTATUS(status);
}

/* ---- not ours -------------------------------------------------------------------------------- */

static bool make_lmdb_file(void)
{
    const char *named = getenv("QS_REAL_LMDB");
    void *library = dlopen(named != NULL ? named : "/usr/lib/x86_64-linux-gnu/liblmdb.so.0",
                           RTLD_NOW | RTLD_LOCAL);
    __typeof__(mdb_env_create) *create;
    __typeof__(mdb_env_open) *open_env;
    __typeof__(mdb_env_close) *close_env;
    MDB_env *env;

    if (library == NULL) {
        library = dlopen("/usr/lib/aarch64-linux-gnu/liblmdb.so.0", RTLD_NOW | RTLD_LOCAL);
    }
    if (library == NULL) {
        return false;
    }
    *(void **)&create = dlsym(library, "mdb_env_create");
    *(void **)&open_env = dlsym(library, "mdb_env_open");
    *(void **)&close_env = dlsym(library, "mdb_env_close");
    cr_assert(create != NULL && open_env != NULL && close_env != NULL);
    cr_assert(create(&env) == 0 && open_env(env, directory, 0, 0644) == 0);
    close_env(env);
    return true;
}

Test(bad_files, lmdb_file_is_invalid, .init = set_up, .fini = tear_down)
{
    struct qs_env *env;

    if (!make_lmdb_file()) {
        cr_skip_test("the real liblmdb.so.0 is not installed");
    }
    unlink(lock_path);
    cr_assert(open_environment(0, 0, &env) == QS_E_INVALID);
    cr_assert(open_environment(0, QS_RDONLY, &env) == QS_E_INVALID);
}

Test(bad_files, garbage_is_invalid, .init = set_up, .fini = tear_down)
{
    static const size_t sizes[] = {1, 100, PAGE_BYTES, 3 * PAGE_BYTES, 64 << 10};
    static uint64_t bytes[(64 << 10) / sizeof(uint64_t)];

    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct qs_env *env;
        for (size_t j = 0; j < sizeof bytes / sizeof bytes[0]; j++) {
            bytes[j] = i % 2 == 0 ? next_random() : 0;
        }
        write_file(bytes, sizes[i]);
        cr_assert(open_environment(0, 0, &env) == QS_E_INVALID, "%zu bytes", sizes[i]);
        cr_assert(open_environment(0, QS_RDONLY, &env) == QS_E_INVALID, "%zu bytes", sizes[i]);
    }
}

Test(bad_files, empty_file_is_a_new_one, .init = set_up, .fini = tear_down)
{
    struct qs_env *env;

    write_file("", 0);
    cr_assert(open_environment(0, QS_RDONLY, &env) != 0);
    cr_assert(open_environment(0, 0, &env) == 0);
    qs_env_close(env);
}

/* ---- not whole ------------------------------------------------------------------------------- */

Test(bad_files, truncated, .init = set_up_good, .fini = tear_down)
{
    unsigned refused = 0;
    unsigned cases = 0;

    for (size_t size = 1; size < good_size; size += 1 + next_random() % 9000) {
        write_file(good, size);
        refused += judge_in_child("truncated to", (unsigned)size) == VERDICT_REFUSED;
        cases++;
    }
    cr_assert(refused > cases / 2, "only %u of %u truncated files were noticed", refused, cases);
}

/* ---- not intact ------------------------------------------------------------------------------ */

static void damage_page(uint8_t *page, unsigned kind)
{
    switch (kind) {
    case 0:
        memset(page, 0, PAGE_BYTES);
        break;
    case 1:
        memset(page, 0xff, PAGE_BYTES);
        break;
    case 2:
        memcpy(page, good + next_random() % (good_size / PAGE_BYTES) * PAGE_BYTES, PAGE_BYTES);
        break;
    default:
        for (size_t i = 0; i < PAGE_BYTES; i++) {
            page[i] = (uint8_t)next_random();
        }
        break;
    }
}

Test(bad_files, page_overwritten, .init = set_up_good, .fini = tear_down)
{
    uint8_t *bytes = malloc(good_size);
    unsigned step = effort(1, 3); /* odd, so that every kind of damage is done */

    cr_assert(bytes != NULL);
    for (size_t page = 0; page < good_size / PAGE_BYTES; page += step) {
        memcpy(bytes, good, good_size);
        damage_page(bytes + page * PAGE_BYTES, (unsigned)page % 4);
        write_file(bytes, good_size);
        judge_in_child("overwritten page", (unsigned)page);
    }
    free(bytes);
}

Test(bad_files, bit_flipped, .init = set_up_good, .fini = tear_down)
{
    uint8_t *bytes = malloc(good_size);

    cr_assert(bytes != NULL);
    for (unsigned i = 0; i < effort(600, 100); i++) {
        size_t limit = i % 4 == 0 ? 2 * PAGE_BYTES : good_size;
        size_t at = next_random() % limit;
        memcpy(bytes, good, good_size);
        bytes[at] ^= (uint8_t)(1u << next_random() % 8);
        write_file(bytes, good_size);
        judge_in_child("flipped bit at", (unsigned)at);
    }
    free(bytes);
}

Test(bad_files, both_heads_destroyed, .init = set_up_good, .fini = tear_down)
{
    memset(good, 0xa5, 2 * PAGE_BYTES);
    write_file(good, good_size);
    cr_assert(judge_in_child("both heads", 0) == VERDICT_REFUSED);
}

Test(bad_files, undamaged_is_right, .init = set_up_good, .fini = tear_down)
{
    write_file(good, good_size);
    cr_assert(judge_in_child("undamaged", 0) == VERDICT_RIGHT);
}

Test(bad_files, garbage_lock_file, .init = set_up_good, .fini = tear_down)
{
    FILE *file;

    write_file(good, good_size);
    file = fopen(lock_path, "wb");
    cr_assert(file != NULL);
    for (unsigned i = 0; i < 3000; i++) {
        uint64_t word = next_random();
        fwrite(&word, sizeof word, 1, file);
    }
    fclose(file);
    cr_assert(judge_in_child("garbage lock file", 0) == VERDICT_RIGHT);
}
