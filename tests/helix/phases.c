/* phases.c - a writer beside readers, a backup by another process, and processes that are killed.
 *
 * Owns:       the threads and processes it starts.
 * Invariants: those of helix_check(), in every snapshot and after every death.
 * Locks:      none of its own; threads share `stop`.
 */
#define _GNU_SOURCE /* usleep() */

#include "helix.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READERS = 3, KILLS = 3, KEPT = 200 };

struct reader {
    const struct helix *helix; /* shared */
    uint64_t seed;             /* of its numbers */
    uint64_t operations;       /* done */
    pthread_t thread;          /* that reads */
};

static atomic_bool stop;

static void write_one(const struct helix *helix, struct random *random)
{
    MDB_txn *txn = helix_begin(helix, 0);
    uint32_t pick = random_below(random, 100);

    if (pick < 1) {
        helix_drop_user(helix, txn, random_below(random, USERS));
    } else if (pick < 6) {
        helix_update_user(helix, txn, random_below(random, USERS), random);
    } else {
        helix_add_edge(helix, txn, helix_next_edge(helix, txn), random);
    }
    EXPECT_RC(mdb_txn_commit(txn), 0);
}

/* ---- mixed ----------------------------------------------------------------------------------- */

static void *read_for_long(void *argument)
{
    struct reader *reader = argument;
    struct random random = {reader->seed};

    while (!atomic_load(&stop)) {
        helix_read(reader->helix, &random);
        reader->operations++;
    }
    return NULL;
}

/* One snapshot, looked at as a whole before and after, and the pointers it gave. */
static void *hold_snapshot(void *argument)
{
    struct reader *reader = argument;
    MDB_txn *txn = helix_begin(reader->helix, MDB_RDONLY);
    uint64_t edges = helix_check(reader->helix, txn);
    MDB_cursor *cursor;
    MDB_val key[KEPT];
    MDB_val data[KEPT];
    uint8_t first[KEPT][ID_SIZE];
    int count = 0;

    EXPECT_RC(mdb_cursor_open(txn, reader->helix->dbi[DB_EDGES], &cursor), 0);
    while (count < KEPT && mdb_cursor_get(cursor, &key[count], &data[count], MDB_NEXT) == 0) {
        memcpy(first[count], data[count].mv_data, ID_SIZE);
        count++;
    }
    while (!atomic_load(&stop)) {
        for (int i = 0; i < count; i++) {
            EXPECT(memcmp(data[i].mv_data, first[i], ID_SIZE) == 0);
        }
        reader->operations++;
        usleep(1000);
    }
    EXPECT(helix_check(reader->helix, txn) == edges);
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    return NULL;
}

void helix_mixed(const struct helix *helix, unsigned operations)
{
    struct reader readers[READERS + 1];
    struct random random = {99};
    uint64_t reads = 0;

    atomic_store(&stop, false);
    for (unsigned i = 0; i <= READERS; i++) {
        readers[i] = (struct reader){.helix = helix, .seed = i};
        EXPECT(pthread_create(&readers[i].thread, NULL, i < READERS ? read_for_long : hold_snapshot,
                              &readers[i]) == 0);
    }
    for (unsigned i = 0; i < operations; i++) {
        write_one(helix, &random);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i <= READERS; i++) {
        EXPECT(pthread_join(readers[i].thread, NULL) == 0);
        reads += i < READERS ? readers[i].operations : 0;
    }
    printf("mixed: %u writes beside %llu reads\n", operations, (unsigned long long)reads);
}

/* ---- another process ------------------------------------------------------------------------- */

static pid_t start(void (*work)(const char *directory), const char *directory)
{
    pid_t child = fork();

    EXPECT(child >= 0);
    if (child == 0) {
        work(directory);
        _exit(0);
    }
    return child;
}

static void copy_environment(const char *directory)
{
    char path[256];
    struct helix helix;
    int fd;

    helix_open(&helix, directory, MDB_RDONLY);
    snprintf(path, sizeof path, "%s/copy.mdb", directory);
    for (int i = 0; i < 4; i++) {
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        EXPECT(fd >= 0);
        EXPECT_RC(mdb_env_copyfd2(helix.env, fd, i % 2 == 0 ? 0 : MDB_CP_COMPACT), 0);
        close(fd);
        struct helix copy;
        helix_open(&copy, path, MDB_RDONLY | MDB_NOSUBDIR | MDB_NOLOCK);
        helix_check_now(&copy);
        helix_close(&copy);
    }
    unlink(path);
    helix_close(&helix);
}

void helix_backup(const char *directory, unsigned operations)
{
    pid_t child = start(copy_environment, directory);
    struct random random = {77};
    struct helix helix;
    int status = -1;

    helix_open(&helix, directory, 0);
    for (unsigned i = 0; i < operations || waitpid(child, &status, WNOHANG) == 0; i++) {
        write_one(&helix, &random);
    }
    if (status == -1) {
        EXPECT(waitpid(child, &status, 0) == child);
    }
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    helix_check_now(&helix);
    helix_close(&helix);
}

static void write_for_ever(const char *directory)
{
    struct random random = {(uint64_t)getpid()};
    struct helix helix;

    helix_open(&helix, directory, 0);
    for (;;) {
        write_one(&helix, &random);
    }
}

void helix_crash(const char *directory)
{
    for (int i = 0; i < KILLS; i++) {
        pid_t child = start(write_for_ever, directory);
        struct random random = {55};
        struct helix helix;
        int status;
        usleep(200000 + 70000 * (unsigned)i);
        EXPECT(kill(child, SIGKILL) == 0);
        EXPECT(waitpid(child, &status, 0) == child);
        EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        helix_open(&helix, directory, 0);
        helix_check_now(&helix);
        write_one(&helix, &random);
        helix_check_now(&helix);
        helix_close(&helix);
    }
}
