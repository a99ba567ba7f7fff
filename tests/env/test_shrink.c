/* test_shrink.c - a file does not grow for ever, gives back what it does not need, and nothing else.
 *
 * Owns:       records that follow from number and generation; file I/O that counts holes.
 * Invariants: K1 a snapshot stays whole while the file is punched, of this process and of another.
 *             K2 overwriting at a steady rate takes a bounded space, with a long reader too.
 *             K3 the last close leaves a short file, unless the user made it longer than writers did.
 */
#define _GNU_SOURCE /* mkdtemp(), fallocate() */

#include "os/io.h"
#include "quickstep.h"
#include "scratch_dir.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RECORDS = 3000, KEEP = RECORDS / 5, LARGE_BYTES = 20000, LOG_BYTES = 200000 };

static struct qs_env *env;
static unsigned generation[RECORDS]; /* committed; 0: deleted */
static uint64_t random_state = 1;

/* ---- file I/O that counts holes ------------------------------------------------------------- */

static struct qs_io_ops counting_io;
static unsigned holes;  /* asked for */
static int hole_result; /* what is answered, when not 0 */

static int punch(struct qs_io_file *file, uint64_t offset, uint64_t size)
{
    holes++;
    return hole_result != 0 ? hole_result : qs_io_posix.punch(file, offset, size);
}

/* ---- the environment ------------------------------------------------------------------------ */

static void set_up(void)
{
    make_directory("shrink");
    counting_io = qs_io_posix;
    counting_io.punch = punch;
}

static void tear_down(void)
{
    remove_directory();
}

static void open_environment(unsigned flags)
{
    struct qs_options options = {.data_path = data_path,
                                 .lock_path = lock_path,
                                 .flags = QS_NOTLS | flags,
                                 .mode = 0600,
                                 .map_size_bytes = 256u << 20,
                                 .log_bytes_max = LOG_BYTES,
                                 .io = &counting_io};
    cr_assert(qs_env_open(&options, &env) == 0);
}

static void complain(void *context, const char *finding)
{
    fprintf(stderr, "%s: %s\n", (const char *)context, finding);
}

static void close_environment(void)
{
    struct qs_check_report report;
    qs_env_close(env);
    cr_assert(qs_check(data_path, complain, (void *)"qs_check", &report) == 0);
    cr_assert(report.faults == 0 && report.pages_lost == 0);
}

static struct stat file(void)
{
    struct stat st;
    cr_assert(stat(data_path, &st) == 0);
    return st;
}

static uint64_t allocated(void)
{
    return (uint64_t)file().st_blocks * 512;
}

/* ---- records -------------------------------------------------------------------------------- */

static uint64_t next_random(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    return z ^ z >> 31;
}

static struct qs_val value_of(unsigned i, unsigned of)
{
    static uint8_t bytes[LARGE_BYTES];
    size_t size = i % 50 == 0 ? LARGE_BYTES : (of == 1 ? 1000 : 100) + (i * 7 + of * 13) % 900;
    memset(bytes, (int)(i * 31 + of), size);
    return (struct qs_val){size, bytes};
}

static void change(struct qs_txn *txn, unsigned i, unsigned to)
{
    struct qs_tree *tree;
    struct qs_val key = {sizeof i, &i}, value;
    cr_assert(qs_tree_open(txn, NULL, 0, &tree) == 0);
    value = value_of(i, to);
    cr_assert((to == 0 ? qs_del(txn, tree, &key, NULL) : qs_put(txn, tree, &key, &value, 0)) == 0);
    generation[i] = to;
}

/* Changes records [from, to), a hundred a transaction; or as many at random. */
static void change_all(unsigned from, unsigned to, unsigned of, bool at_random)
{
    struct qs_txn *txn = NULL;
    for (unsigned i = from; i < to; i++) {
        if (txn == NULL)
            cr_assert(qs_txn_begin(env, NULL, 0, &txn) == 0);
        change(txn, at_random ? (unsigned)(next_random() % RECORDS) : i, of);
        if (i % 100 == 99 || i + 1 == to) {
            cr_assert(qs_txn_commit(txn) == 0);
            txn = NULL;
        }
    }
}

/* Whether a snapshot has exactly what `of` says. */
static bool is_whole(struct qs_txn *txn, const unsigned *of)
{
    struct qs_tree *tree;
    bool whole = qs_tree_open(txn, NULL, 0, &tree) == 0;
    for (unsigned i = 0; i < RECORDS && whole; i++) {
        struct qs_val key = {sizeof i, &i}, got, want = value_of(i, of[i]);
        int rc = qs_get(txn, tree, &key, &got);
        whole = of[i] == 0 ? rc == QS_E_NOTFOUND
                           : rc == 0 && got.size == want.size &&
                                 memcmp(got.data, want.data, got.size) == 0;
        if (!whole)
            fprintf(stderr, "record %u of generation %u: %s\n", i, of[i], qs_strerror(rc));
    }
    return whole;
}

static void expect_committed(void)
{
    struct qs_txn *txn;
    cr_assert(qs_txn_begin(env, NULL, QS_RDONLY, &txn) == 0);
    cr_assert(is_whole(txn, generation));
    qs_txn_abort(txn);
}

/* ---- a reader that stays, here or in another process ---------------------------------------- */

enum where { NOWHERE, HERE, ELSEWHERE };

struct reader {
    enum where where;
    struct qs_txn *txn;     /* HERE */
    unsigned seen[RECORDS]; /* what it has to see; HERE */
    pid_t pid;              /* ELSEWHERE */
    int to[2], from[2];     /* pipes */
};

/* The other process: takes a snapshot when told, looks at it twice. All records have generation 2. */
static void read_elsewhere(struct reader *reader)
{
    char c;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* when the test fails */
    bool whole = read(reader->to[0], &c, 1) == 1;
    for (unsigned i = 0; i < RECORDS; i++)
        generation[i] = 2;
    open_environment(0);
    whole = whole && qs_txn_begin(env, NULL, QS_RDONLY, &reader->txn) == 0 &&
            is_whole(reader->txn, generation) && write(reader->from[1], "r", 1) == 1 &&
            read(reader->to[0], &c, 1) == 1 && is_whole(reader->txn, generation);
    qs_txn_abort(reader->txn);
    qs_env_close(env);
    _exit(whole ? 0 : 1);
}

/* Before the environment is opened. */
static void reader_prepare(struct reader *reader, enum where where)
{
    *reader = (struct reader){.where = where};
    if (where != ELSEWHERE)
        return;
    cr_assert(pipe(reader->to) == 0 && pipe(reader->from) == 0);
    reader->pid = fork();
    cr_assert(reader->pid >= 0);
    if (reader->pid == 0)
        read_elsewhere(reader);
}

static void reader_begin(struct reader *reader)
{
    char c;
    memcpy(reader->seen, generation, sizeof generation);
    if (reader->where == HERE)
        cr_assert(qs_txn_begin(env, NULL, QS_RDONLY, &reader->txn) == 0);
    if (reader->where == ELSEWHERE)
        cr_assert(write(reader->to[1], "b", 1) == 1 && read(reader->from[0], &c, 1) == 1);
}

static void reader_end(struct reader *reader)
{
    int status;
    if (reader->where == HERE) {
        cr_assert(is_whole(reader->txn, reader->seen));
        qs_txn_abort(reader->txn);
    }
    if (reader->where == ELSEWHERE) {
        cr_assert(write(reader->to[1], "e", 1) == 1);
        cr_assert(waitpid(reader->pid, &status, 0) == reader->pid && status == 0,
                  "the other process saw its snapshot change: status %d", status);
    }
}

/* ---- tests ---------------------------------------------------------------------------------- */

/* K1: everything is replaced by less, then a reader comes, then most is deleted. */
static void punch_beside(enum where where)
{
    struct reader reader;
    reader_prepare(&reader, where);
    open_environment(QS_NOSYNC);
    change_all(0, RECORDS, 1, false);
    struct qs_txn *txn; /* as a whole: what it frees is still in the file when the reader comes */
    cr_assert(qs_txn_begin(env, NULL, 0, &txn) == 0);
    for (unsigned i = 0; i < RECORDS; i++)
        change(txn, i, 2);
    cr_assert(qs_txn_commit(txn) == 0);
    reader_begin(&reader);
    uint64_t before = allocated();
    unsigned holes_before = holes;
    change_all(KEEP, RECORDS, 0, false);
    for (unsigned n = 3; n < 20; n++)
        change_all(0, KEEP, n, false);
    cr_assert(holes > holes_before);
    reader_end(&reader);
    for (unsigned n = 20; n < 40; n++)
        change_all(0, KEEP, n, false);
    cr_assert(allocated() < before / 2, "%llu bytes of %llu are still allocated",
              (unsigned long long)allocated(), (unsigned long long)before);
    expect_committed();
    close_environment();
}

Test(shrink, holes, .init = set_up, .fini = tear_down)
{
    punch_beside(NOWHERE);
}

Test(shrink, holes_beside_a_reader, .init = set_up, .fini = tear_down)
{
    punch_beside(HERE);
}

Test(shrink, holes_beside_another_process, .init = set_up, .fini = tear_down)
{
    punch_beside(ELSEWHERE);
}

/* K2 */
static void overwrite_beside(enum where where)
{
    struct reader reader;
    reader_prepare(&reader, where);
    open_environment(QS_NOSYNC);
    change_all(0, RECORDS, 2, false);
    reader_begin(&reader);
    change_all(0, 4 * RECORDS, 3, true);
    uint64_t blocks = allocated();
    off_t size = file().st_size;
    change_all(0, 20 * RECORDS, 4, true);
    cr_assert(allocated() <= blocks + blocks / 8 && file().st_size <= size + size / 4,
              "%llu bytes, %llu allocated became %llu, %llu", (unsigned long long)size,
              (unsigned long long)blocks, (unsigned long long)file().st_size,
              (unsigned long long)allocated());
    reader_end(&reader);
    expect_committed();
    close_environment();
}

Test(shrink, overwriting, .init = set_up, .fini = tear_down)
{
    overwrite_beside(NOWHERE);
}

Test(shrink, overwriting_beside_a_reader, .init = set_up, .fini = tear_down)
{
    overwrite_beside(HERE);
}

Test(shrink, overwriting_beside_another_process, .init = set_up, .fini = tear_down)
{
    overwrite_beside(ELSEWHERE);
}

/* K3: what is kept lies anywhere in the file, and are moved. */
Test(shrink, last_close, .init = set_up, .fini = tear_down)
{
    open_environment(0);
    change_all(0, RECORDS, 1, false);
    change_all(0, 3 * RECORDS, 2, true);
    off_t before = file().st_size;
    struct qs_txn *txn;
    cr_assert(qs_txn_begin(env, NULL, 0, &txn) == 0);
    for (unsigned i = 0; i < RECORDS; i++) /* all large ones, and two thirds of the others */
        if (i % 50 == 0 || i % 3 != 0)
            change(txn, i, 0);
    cr_assert(qs_txn_commit(txn) == 0);
    close_environment();
    uint64_t used = RECORDS / 3 * 1450; /* at most, and leaves are not full */
    cr_assert((uint64_t)file().st_size < 2 * used && file().st_size < before,
              "%llu bytes, before the close %llu", (unsigned long long)file().st_size,
              (unsigned long long)before);
    open_environment(0);
    expect_committed();
    change_all(1, 40, 3, false); /* and new ones */
    expect_committed();
    close_environment();
}

/* K3: a file that its user made longer stays, blocks and all. */
Test(shrink, preallocated, .init = set_up, .fini = tear_down)
{
    const off_t size = 24 << 20;
    open_environment(QS_NOSYNC);
    change_all(0, RECORDS, 1, false);
    cr_assert(posix_fallocate(qs_env_fd(env), 0, size) == 0);
    holes = 0;
    change_all(0, RECORDS, 2, false);
    change_all(KEEP, RECORDS, 0, false);
    for (unsigned n = 3; n < 20; n++)
        change_all(0, KEEP, n, false);
    close_environment();
    cr_assert(holes == 0 && file().st_size == size && allocated() >= (uint64_t)size);
    open_environment(0);
    expect_committed();
    close_environment();
}

/* A file system without holes is asked once, and nobody hears of it. */
Test(shrink, no_holes, .init = set_up, .fini = tear_down)
{
    hole_result = EOPNOTSUPP;
    open_environment(QS_NOSYNC);
    change_all(0, RECORDS, 1, false);
    change_all(KEEP, RECORDS, 0, false);
    for (unsigned n = 3; n < 20; n++)
        change_all(0, KEEP, n, false);
    cr_assert(holes == 1);
    expect_committed();
    close_environment();
}
