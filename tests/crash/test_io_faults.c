/* test_io_faults.c - each I/O call of a fixed workload fails once, in each of three ways; or, as on
 * a full disk, it and all after it until there is space again.
 *
 * Owns:       a directory for each run.
 * Invariants: T1 the call that meets the fault returns its errno; nothing that was committed before
 * is lost, in the same environment or after opening it anew. T2 afterwards writing goes on; but
 * when a flush or the write of a meta page failed, it is not known what the medium holds: then
 * every write is QS_E_PANIC, and the file opened anew may hold the commit that failed. T3 the file
 * has no fault after the next commit, or once opened anew. T4 a hole that cannot be punched is nobody's
 * failure; nor is anything that fails in the last close. T5 where the log finds the disk full for one call, the
 * transaction commits by a checkpoint.
 * Locks:      none; one thread.
 *
 * A failure prints the number of the call and the kind of fault.
 */
#define _GNU_SOURCE /* mkdtemp() */

#include "crash.h"
#include "effort.h"
#include "os/recording_io.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { STEPS = 12, META_BYTES = 8192 };

/* One run of the workload. */
struct run {
    uint64_t nth;               /* call that fails, counted from the recording's start */
    enum recording_fault fault; /* how */
    bool sticky;                /* and all calls after it, for a while */
    unsigned flags;             /* enum qs_env_flag */
    bool final;                 /* the call is a flush or writes a meta page */
    struct crash_workload work; /* env is NULL when the open failed */
};

static unsigned survived; /* runs */
static char directory[64];
static uint64_t log_bytes_max; /* 0: the usual; 1: every commit makes a checkpoint */
static char data_path[CRASH_PATH_BYTES];
static char lock_path[CRASH_PATH_BYTES];
static char sentence[CRASH_SENTENCE_BYTES];

#define EXPECT(run, condition, ...)                                                                \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "call %llu, fault %d, flags %#x, files in %s: ",                       \
                    (unsigned long long)(run)->nth, (int)(run)->fault, (run)->flags, directory);   \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fprintf(stderr, "\n");                                                                 \
            cr_assert_fail("a failing call did harm");                                             \
        }                                                                                          \
    } while (0)

static int open_environment(struct run *run, const struct qs_io_ops *io)
{
    struct qs_options options = {.data_path = data_path,
                                 .lock_path = lock_path,
                                 .flags = run->flags,
                                 .mode = 0600,
                                 .map_size_bytes = CRASH_MAP_BYTES,
                                 .log_bytes_max = log_bytes_max,
                                 .io = io};

    return qs_env_open(&options, &run->work.env);
}

static void expect_content(struct run *run, const struct crash_content *content, const char *when)
{
    int rc = crash_compare_env(run->work.env, &run->work.shape, content, sentence);

    EXPECT(run, rc == 0, "%s: %s", when, rc == QS_E_KEYEXIST ? sentence : qs_strerror(rc));
}

static void complain(void *context, const char *finding)
{
    (void)context;
    fprintf(stderr, "qs_check: %s\n", finding);
}

static void expect_clean(struct run *run, const char *when)
{
    struct qs_check_report report;
    int rc = qs_check(data_path, complain, NULL, &report);

    EXPECT(run, rc == 0, "%s: qs_check: %s", when, qs_strerror(rc));
    EXPECT(run, report.faults == 0 && report.pages_lost == 0, "%s: %llu faults", when,
           (unsigned long long)report.faults);
}

/* Does the steps; the one that fails is told by its code. STEPS when none does. */
static unsigned do_steps(struct run *run, unsigned step, int *rc)
{
    *rc = 0;
    while (step < STEPS) {
        *rc = crash_transaction(&run->work, true, step);
        if (*rc == 0 && step % 4 == 3)
            *rc = qs_env_sync(run->work.env, true);
        if (*rc != 0)
            break;
        step++;
    }
    return step;
}

static void begin(struct run *run)
{
    snprintf(directory, sizeof directory, "%s/qs-faults-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    cr_assert_not_null(mkdtemp(directory));
    snprintf(data_path, sizeof data_path, "%s/data", directory);
    snprintf(lock_path, sizeof lock_path, "%s/lock", directory);
    run->work.shape = (struct crash_shape){60, 500, 8};
    run->work.next_value = 1;
    run->work.random = 5;
    run->work.committed = (struct crash_content){.exists = {true}};
    run->work.env = NULL;
    recording_start(false);
}

static void end(void)
{
    recording_stop();
    unlink(data_path);
    unlink(lock_path);
    rmdir(directory);
}

struct call {
    bool final;    /* T2 */
    bool harmless; /* T4 */
};

/* The workload without a fault: how many calls there are, and of what kind. */
static uint64_t count_calls(unsigned flags, struct call **call)
{
    struct run run = {.flags = flags};
    uint64_t before_close, calls;
    unsigned holes = 0, cuts = 0;
    int rc;

    begin(&run);
    cr_assert_eq(open_environment(&run, &recording_io), 0);
    cr_assert_eq(do_steps(&run, 0, &rc), STEPS, "%s", qs_strerror(rc));
    before_close = recording_calls();
    qs_env_close(run.work.env);
    calls = recording_calls();
    *call = calloc(calls + 1, sizeof **call);
    cr_assert_not_null(*call);
    for (size_t i = 0; i < recording_events(); i++) {
        struct recorded event = recording_event(i);

        if (event.call > before_close || event.kind == RECORDED_PUNCH)
            (*call)[event.call].harmless = true;
        else if (event.kind == RECORDED_FLUSH || event.kind == RECORDED_FLUSH_RANGE ||
                 (event.kind == RECORDED_WRITE && event.offset < META_BYTES))
            (*call)[event.call].final = true;
        holes += event.kind == RECORDED_PUNCH;
        cuts += event.kind == RECORDED_TRUNCATE && event.call > before_close;
    }
    /* The user of a writable map wants the file as long as that. */
    cr_assert(log_bytes_max == 0 || (holes > 0 && (cuts > 0) == ((flags & QS_WRITEMAP) == 0)),
              "%u holes, the file was cut %u times", holes, cuts);
    end();
    return calls;
}

/* T2: no write is taken any more, reads are. */
static void expect_panic(struct run *run)
{
    struct qs_txn *txn;
    int rc = qs_txn_begin(run->work.env, NULL, 0, &txn);

    EXPECT(run, rc == QS_E_PANIC, "a write transaction after the failure: %s", qs_strerror(rc));
    expect_content(run, &run->work.committed, "reading after the failure");
}

/* Opens the file with plain I/O: it holds what was committed, or, when it could not be known, what
 * the failed transaction would have made of it. */
static void reopen(struct run *run, bool either)
{
    int rc = open_environment(run, &qs_io_posix);

    EXPECT(run, rc == 0, "opening anew: %s", qs_strerror(rc));
    rc = crash_compare_env(run->work.env, &run->work.shape, &run->work.committed, sentence);
    if (rc == QS_E_KEYEXIST && either) {
        rc = crash_compare_env(run->work.env, &run->work.shape, &run->work.working, sentence);
        run->work.committed = run->work.working;
    }
    EXPECT(run, rc == 0, "opened anew: %s", rc == QS_E_KEYEXIST ? sentence : qs_strerror(rc));
}

static void finish(struct run *run, unsigned step)
{
    int rc;

    EXPECT(run, do_steps(run, step, &rc) == STEPS, "going on: %s", qs_strerror(rc));
    expect_content(run, &run->work.committed, "at the end");
    qs_env_close(run->work.env);
    expect_clean(run, "at the end");
}

/* What the failing call has to return. */
static int fault_code(const struct run *run)
{
    return run->fault == FAULT_ENOSPC ? ENOSPC : EIO;
}

/* All has gone well, and is there afterwards. */
static void finish_unharmed(struct run *run)
{
    expect_content(run, &run->work.committed, "unharmed");
    qs_env_close(run->work.env);
    recording_fail(0, FAULT_NONE, false);
    expect_clean(run, "after the close");
    reopen(run, false);
    EXPECT(run, crash_transaction(&run->work, true, STEPS) == 0, "going on");
    qs_env_close(run->work.env);
    expect_clean(run, "at the end");
    end();
}

/* T4 */
static void run_harmless(struct run *run)
{
    int rc;

    begin(run);
    recording_fail(run->nth, run->fault, false);
    rc = open_environment(run, &recording_io);
    EXPECT(run, rc == 0, "the open: %s", qs_strerror(rc));
    EXPECT(run, do_steps(run, 0, &rc) == STEPS, "the step: %s", qs_strerror(rc));
    finish_unharmed(run);
}

static void run_fault(struct run *run)
{
    unsigned step;
    int rc;

    begin(run);
    recording_fail(run->nth, run->fault, run->sticky);
    rc = open_environment(run, &recording_io);
    if (rc != 0) {
        EXPECT(run, rc == fault_code(run) || rc == EIO, "the open: %s", qs_strerror(rc));
        recording_fail(0, FAULT_NONE, false);
        if (run->sticky) /* the first meta pages could not even be taken back */
            unlink(data_path);
        reopen(run, false);
        finish(run, 0);
        end();
        return;
    }
    step = do_steps(run, 0, &rc);
    if (step == STEPS) {
        EXPECT(run, run->fault == FAULT_ENOSPC && !run->sticky, "no step failed");
        survived++;
        finish_unharmed(run);
        return;
    }
    /* A flush's failure is always EIO. */
    EXPECT(run, rc == fault_code(run) || (run->final && rc == EIO), "the step: %s",
           qs_strerror(rc));
    expect_content(run, &run->work.committed, "after the failure");
    if (run->sticky && !run->final) {
        EXPECT(run, crash_transaction(&run->work, true, step) == ENOSPC, "the disk is still full");
        expect_content(run, &run->work.committed, "after the second failure");
    }
    recording_fail(0, FAULT_NONE, false);
    if (run->final) {
        expect_panic(run);
        qs_env_close(run->work.env);
        expect_clean(run, "after the failure");
        reopen(run, true);
        finish(run, step);
    } else {
        /* The same step once more, so that what it had begun is begun again. */
        finish(run, step);
        reopen(run, false);
        qs_env_close(run->work.env);
    }
    end();
}

static void sweep(unsigned flags)
{
    static const enum recording_fault faults[] = {FAULT_EIO, FAULT_ENOSPC, FAULT_SHORT};
    struct call *call;
    uint64_t calls = count_calls(flags, &call);
    unsigned ways = effort(4, 1); /* in which a call fails, the next call in the next ones */

    for (uint64_t nth = 1; nth <= calls; nth++) {
        for (unsigned n = 0; n < ways; n++) {
            unsigned i = (unsigned)(nth + n) % 4;
            struct run run = {.nth = nth,
                              .fault = i < 3 ? faults[i] : FAULT_ENOSPC,
                              .sticky = i == 3,
                              .flags = flags,
                              .final = call[nth].final};
            if (call[nth].harmless)
                run_harmless(&run);
            else
                run_fault(&run);
        }
    }
    free(call);
    fprintf(stderr, "flags %#x: each of %llu calls failed in %u ways; %u full disks survived\n",
            flags, (unsigned long long)calls, ways, survived);
    cr_assert_eq(survived > 0, log_bytes_max == 0); /* T5 */
}

TestSuite(io_faults, .init = crash_make_pool);

Test(io_faults, default_flags)
{
    sweep(0);
}

Test(io_faults, checkpoints)
{
    log_bytes_max = 1;
    sweep(0);
}

Test(io_faults, checkpoints_writemap)
{
    log_bytes_max = 1;
    sweep(QS_WRITEMAP);
}

Test(io_faults, nometasync)
{
    sweep(QS_NOMETASYNC);
}

Test(io_faults, nosync)
{
    sweep(QS_NOSYNC);
}

Test(io_faults, writemap)
{
    sweep(QS_WRITEMAP);
}
