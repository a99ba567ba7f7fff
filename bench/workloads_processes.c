/* workloads_processes.c - several processes on one environment: writers; readers beside a writer.
 *
 * Owns:       the processes of a measurement, and memory they share.
 * Invariants: P1 each opens the environment by itself, after the fork; whoever fails has said why in the
 *             outcome, which is shared as well.
 *             P2 each measures its own time: from the barrier that all have opened by, to its end.
 * Locks:      none of its own; they meet at the barrier.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS */

#include "workloads.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PROCESSES_MAX = 8,
    READERS = 2,            /* beside a writer */
    GETS_A_SNAPSHOT = 1000, /* of a reader */
    READ_BACK_MAX = 20000,  /* records, each writer's */
};

struct together {
    pthread_barrier_t start;          /* all have opened; process-shared */
    double per_second[PROCESSES_MAX]; /* of each process, in its own time */
};

/* A process's work until the deadline: how many things it did. */
typedef uint64_t work_function(struct run *run, uint64_t seed);

static uint64_t write_records(struct run *run, uint64_t seed)
{
    struct random random = {seed};
    uint64_t puts = 0;

    while (run_time_left(run)) {
        MDB_txn *txn = run_write(run);
        for (unsigned i = 0; i < run->workload->batch; i++)
            run_put(run, txn, random_below(&random, 2 * run->records), seed, DATA_VALUE_BYTES);
        run_commit(run, txn);
        puts += run->workload->batch;
    }
    return puts;
}

static uint64_t read_records(struct run *run, uint64_t seed)
{
    struct random random = {seed};
    uint64_t gets = 0;

    while (run_time_left(run)) {
        MDB_txn *txn = run_read(run);
        for (unsigned i = 0; i < GETS_A_SNAPSHOT; i++)
            run_get(run, txn, random_below(&random, run->records));
        run->api.txn_abort(txn);
        gets += GETS_A_SNAPSHOT;
    }
    return gets;
}

static void read_back(struct run *run, uint64_t seed, uint64_t puts)
{
    struct random random = {seed};
    MDB_txn *txn = run_read(run);

    for (uint64_t i = 0; i < puts && i < READ_BACK_MAX; i++)
        run_get(run, txn, random_below(&random, 2 * run->records));
    run->api.txn_abort(txn);
}

static pid_t start_process(struct run *run, struct together *together, unsigned number,
                           work_function *work)
{
    uint64_t seed = run->seed + 1000 * number;
    pid_t child = fork();

    if (child != 0)
        return child;
    run_open(run, run->workload->flags);
    pthread_barrier_wait(&together->start);
    run_start(run, 1);
    uint64_t count = work(run, seed);
    together->per_second[number] = (double)count / (run_now() - run->begun);
    if (work == write_records)
        read_back(run, seed, count);
    run_close(run);
    _exit(0);
}

static struct together *meet(struct run *run, unsigned count)
{
    struct together *together =
        mmap(NULL, sizeof *together, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_barrierattr_t attributes;

    if (together == MAP_FAILED)
        run_fail(run, "no memory", 0);
    pthread_barrierattr_init(&attributes);
    pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&together->start, &attributes, count);
    pthread_barrierattr_destroy(&attributes);
    return together;
}

/* Ends with the error of the child that failed, if one did. */
static void wait_all(struct run *run, const pid_t *children, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        int status = 0;
        if (children[i] < 0 || waitpid(children[i], &status, 0) != children[i])
            run_fail(run, "fork", 0);
        if (status != 0 && run->outcome->error[0] == '\0')
            run_fail(run, "a process crashed", 0);
        if (status != 0)
            _exit(1);
    }
}

/* `writers` of them write, the others read. */
static void run_processes(struct run *run, unsigned writers, unsigned readers)
{
    struct together *together = meet(run, writers + readers);
    pid_t children[PROCESSES_MAX];
    double puts = 0, gets = 0;

    for (unsigned i = 0; i < writers + readers; i++)
        children[i] = start_process(run, together, i, i < writers ? write_records : read_records);
    wait_all(run, children, writers + readers);
    for (unsigned i = 0; i < writers; i++)
        puts += together->per_second[i];
    for (unsigned i = writers; i < writers + readers; i++)
        gets += together->per_second[i];
    if (readers > 0)
        run_metric(run, "gets", "/s", false, gets);
    run_metric(run, "puts", "/s", false, puts);
    munmap(together, sizeof *together);
}

void measure_put_processes(struct run *run)
{
    run_processes(run, run->workload->threads, 0);
}

void measure_beside_process(struct run *run)
{
    run_processes(run, run->workload->threads, READERS);
}
