/* workloads_open.c - opening: a database at rest, and one whose writer was killed.
 *
 * Owns:       the process that writes and is killed.
 * Invariants: W6 every commit that returned before the kill is there after it.
 * Locks:      none; the count of commits is written by the process that dies.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS */

#include "workloads.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

void measure_open(struct run *run)
{
    struct random random = {run->seed};
    uint64_t opened = 0;

    run_load_library(run);
    run_start(run, 1);
    do {
        run_open(run, run->workload->flags);
        MDB_txn *txn = run_read(run);
        run_get(run, txn, random_below(&random, run->records));
        run->api.txn_abort(txn);
        run_close(run);
        opened++;
    } while (run_time_left(run));
    run_rate(run, "opens", opened);
}

/* New records, one a transaction; then waits to be killed. */
__attribute__((noreturn)) static void write_and_wait(struct run *run, volatile uint64_t *commits)
{
    run_open(run, run->workload->flags);
    while (*commits < run->workload->batch) {
        MDB_txn *txn = run_write(run);
        run_put(run, txn, run->records + *commits, 1, run->workload->value_bytes);
        run_commit(run, txn);
        (*commits)++;
    }
    for (;;)
        pause();
}

/* Returns when the writer has made all its commits and was killed. */
static void kill_writer(struct run *run, volatile uint64_t *commits)
{
    int status;
    pid_t writer = fork();

    if (writer == 0)
        write_and_wait(run, commits);
    if (writer < 0)
        run_fail(run, "cannot fork", 0);
    while (*commits < run->workload->batch) {
        usleep(2000);
        if (waitpid(writer, &status, WNOHANG) == writer) {
            if (run->outcome->error[0] != '\0') /* it has said why */
                _exit(1);
            run_fail(run, "the writer died", 0);
        }
    }
    kill(writer, SIGKILL);
    waitpid(writer, &status, 0);
}

void measure_open_killed(struct run *run)
{
    volatile uint64_t *commits =
        mmap(NULL, sizeof *commits, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (commits == MAP_FAILED)
        run_fail(run, "no memory", 0);
    kill_writer(run, commits);
    run_load_library(run);
    run_start(run, 1);
    run_open(run, run->workload->flags);
    MDB_txn *txn = run_read(run);
    run_get(run, txn, run->records);
    run_metric(run, "time", "us", true, (run_now() - run->begun) * 1e6);
    for (uint64_t i = 0; i < *commits; i++)
        run_get(run, txn, run->records + i);
    run->api.txn_abort(txn);
    run_close(run);
}
