/* bench.c - driver: measures the system's LMDB library and ours, in turn, side by side.
 *
 * Owns:       the options, the directories, the processes that measure.
 * Life:       for each library a loaded database is made once; then for each workload, for each
 * pair, the real library and ours are measured in a process each. Invariants: B1 this process never
 * loads an LMDB library. B2 no two measurements run at once. B3 a measurement that hangs or crashes
 * is reported, and the next one goes on. Locks:      none; an outcome is written by one process and
 * read after its end.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS */

#include "files.h"
#include "report.h"
#include "workloads.h"

#include <fnmatch.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SKIP_CODE = 77, PATH_BYTES = 400 };

struct options {
    const char *library[LIBRARIES]; /* paths */
    const char *directory;          /* where databases are made; NULL: a temporary one */
    const char *only;               /* comma-separated patterns of workloads; NULL for all */
    const char *skip;               /* the same, left out */
    const char *csv;                /* file to write, NULL for none */
    uint64_t records;               /* in the loaded database */
    double seconds;                 /* of each measurement */
    unsigned pairs;                 /* of measurements */
    unsigned limit_seconds;         /* a measurement that takes longer hangs */
};

struct bench {
    struct options options;               /* as given */
    char directory[PATH_BYTES];           /* of this run */
    char base[LIBRARIES][PATH_BYTES + 8]; /* the loaded databases */
    char work[PATH_BYTES + 8];            /* of the measurement that is running */
    bool loaded[LIBRARIES];               /* base is complete */
    struct outcome *shared;               /* with the measuring process */
    volatile pid_t measuring;             /* that process, 0 when there is none */
    bool failed;                          /* a measurement did not come to its end */
};

static const char *const library_names[LIBRARIES] = {"real", "ours"};

static void usage(void)
{
    fprintf(
        stderr,
        "usage: bench [--ours PATH] [--real PATH] [--records N] [--seconds S] [--pairs N]\n"
        "             [--only PATTERNS] [--skip PATTERNS] [--dir DIRECTORY] [--csv FILE]\n"
        "             [--limit SECONDS] [--list]\n"
        "The libraries default to QS_LMDB and QS_REAL_LMDB (or the system's). README.md says\n"
        "what the workloads are; patterns are separated by commas, as in 'get-*,put-1-durable'.\n");
    exit(2);
}

static void list(void)
{
    for (const struct workload *workload = workloads; workload->name != NULL; workload++)
        puts(workload->name);
    exit(0);
}

static void set_option(struct options *options, int option)
{
    switch (option) {
    case 'o':
        options->library[OURS] = optarg;
        break;
    case 'r':
        options->library[REAL] = optarg;
        break;
    case 'n':
        options->records = strtoull(optarg, NULL, 0);
        break;
    case 's':
        options->seconds = strtod(optarg, NULL);
        break;
    case 'p':
        options->pairs = (unsigned)strtoul(optarg, NULL, 0);
        break;
    case 'w':
        options->only = optarg;
        break;
    case 'k':
        options->skip = optarg;
        break;
    case 'd':
        options->directory = optarg;
        break;
    case 'c':
        options->csv = optarg;
        break;
    case 't':
        options->limit_seconds = (unsigned)strtoul(optarg, NULL, 0);
        break;
    case 'l':
        list();
        break;
    default:
        usage();
    }
}

static void parse(struct options *options, int argc, char **argv)
{
    static const struct option names[] = {
        {"ours", required_argument, NULL, 'o'},    {"real", required_argument, NULL, 'r'},
        {"records", required_argument, NULL, 'n'}, {"seconds", required_argument, NULL, 's'},
        {"pairs", required_argument, NULL, 'p'},   {"only", required_argument, NULL, 'w'},
        {"skip", required_argument, NULL, 'k'},    {"dir", required_argument, NULL, 'd'},
        {"csv", required_argument, NULL, 'c'},     {"limit", required_argument, NULL, 't'},
        {"list", no_argument, NULL, 'l'},          {NULL, 0, NULL, 0},
    };
    int option;

    options->library[OURS] = getenv("QS_LMDB");
    options->library[REAL] = api_find_real();
    options->records = 1000000;
    options->seconds = 2;
    options->pairs = 5;
    options->limit_seconds = 120;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1)
        set_option(options, option);
    if (optind != argc || options->records < 1000 || options->records > UINT32_MAX / 4 ||
        options->seconds <= 0 || options->pairs < 1 || options->pairs > PAIRS_MAX ||
        options->limit_seconds < 1)
        usage();
}

static bool matches(const char *patterns, const char *name)
{
    char *copy = strdup(patterns);
    char *rest = copy;
    bool found = false;

    for (char *pattern; copy != NULL && (pattern = strsep(&rest, ",")) != NULL;)
        found |= fnmatch(pattern, name, 0) == 0;
    free(copy);
    return found;
}

/* ---- one measurement --------------------------------------------------------------------------
 */

__attribute__((noreturn)) static void measuring_process(struct bench *bench, struct run *run,
                                                        void (*measure)(struct run *))
{
    setpgid(0, 0);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    alarm(bench->options.limit_seconds);
    measure(run);
    bench->shared->done = true;
    _exit(0);
}

/* Runs `measure` in a process of its own; the outcome is in bench->shared. */
static void run_process(struct bench *bench, struct run *run, void (*measure)(struct run *))
{
    struct outcome *outcome = bench->shared;
    int status = 0;

    memset(outcome, 0, sizeof *outcome);
    run->outcome = outcome;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        measuring_process(bench, run, measure);
    bench->measuring = child > 0 ? child : 0;
    if (child < 0 || waitpid(child, &status, 0) < 0) {
        perror("fork");
        exit(2);
    }
    bench->measuring = 0;
    /* What the process itself has started ends with it. */
    kill(-child, SIGKILL);
    if (WIFSIGNALED(status))
        snprintf(outcome->error, sizeof outcome->error,
                 WTERMSIG(status) == SIGALRM ? "took longer than the limit" : "ended by signal %d",
                 WTERMSIG(status));
    else if (!outcome->done && outcome->error[0] == '\0')
        snprintf(outcome->error, sizeof outcome->error, "exited with %d", WEXITSTATUS(status));
    outcome->done = outcome->done && status == 0;
}

static struct run make_run(struct bench *bench, unsigned library, uint64_t seed)
{
    return (struct run){
        .library = bench->options.library[library],
        .directory = bench->work,
        .records = bench->options.records,
        .seed = seed,
        .seconds = bench->options.seconds,
    };
}

/* Makes the loaded database when a workload needs it for the first time. */
static bool load_base(struct bench *bench, unsigned library)
{
    struct run run = make_run(bench, library, 0);

    if (bench->loaded[library])
        return true;
    run.directory = bench->base[library];
    int rc = files_empty(run.directory);
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", run.directory, strerror(rc));
        exit(2);
    }
    run_process(bench, &run, workload_load);
    bench->loaded[library] = bench->shared->done;
    return bench->loaded[library];
}

static void measure(struct bench *bench, const struct workload *workload, unsigned library,
                    unsigned pair)
{
    struct run run = make_run(bench, library, 1 + pair);
    int rc = 0;

    run.workload = workload;
    if (workload->database != DATABASE_EMPTY && !load_base(bench, library))
        return;
    if (workload->database == DATABASE_SHARED)
        run.directory = bench->base[library];
    else
        rc = files_empty(bench->work);
    if (rc == 0 && workload->database == DATABASE_COPY)
        rc = files_copy_database(bench->base[library], bench->work);
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", bench->work, strerror(rc));
        exit(2);
    }
    run_process(bench, &run, workload->measure);
    files_remove(bench->work);
}

/* ---- all of them ------------------------------------------------------------------------------
 */

static void progress(const struct bench *bench, const char *name, unsigned pair, unsigned library)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K%s: pair %u of %u, %s\r", name, pair + 1, bench->options.pairs,
                library_names[library]);
}

static void compare(struct bench *bench, const struct workload *workload, FILE *csv)
{
    static struct report report;

    report.workload = workload->name;
    report.pairs = bench->options.pairs;
    for (unsigned pair = 0; pair < report.pairs; pair++) {
        for (unsigned library = 0; library < LIBRARIES; library++) {
            progress(bench, workload->name, pair, library);
            measure(bench, workload, library, pair);
            report.outcome[pair][library] = *bench->shared;
        }
    }
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
    report_table(stdout, &report);
    if (csv != NULL)
        report_csv(csv, &report);
    bench->failed |= report_failed(&report);
}

static void compare_all(struct bench *bench)
{
    const struct options *options = &bench->options;
    FILE *csv = NULL;

    if (options->csv != NULL && (csv = fopen(options->csv, "w")) == NULL) {
        perror(options->csv);
        exit(2);
    }
    printf("real: %s\nours: %s\n%llu records, %g s a measurement, %u pairs\n\n",
           options->library[REAL], options->library[OURS], (unsigned long long)options->records,
           options->seconds, options->pairs);
    report_table_head(stdout);
    if (csv != NULL)
        report_csv_head(csv);
    for (const struct workload *workload = workloads; workload->name != NULL; workload++) {
        if ((options->only == NULL || matches(options->only, workload->name)) &&
            (options->skip == NULL || !matches(options->skip, workload->name)))
            compare(bench, workload, csv);
    }
    if (csv != NULL)
        fclose(csv);
}

static void make_directories(struct bench *bench)
{
    const char *parent = bench->options.directory;

    if (parent == NULL)
        parent = getenv("TMPDIR");
    if (parent == NULL || parent[0] == '\0')
        parent = "/tmp";
    snprintf(bench->directory, sizeof bench->directory, "%s/qs-bench-XXXXXX", parent);
    if (mkdtemp(bench->directory) == NULL) {
        perror(bench->directory);
        exit(2);
    }
    for (unsigned library = 0; library < LIBRARIES; library++)
        snprintf(bench->base[library], sizeof bench->base[library], "%s/%s", bench->directory,
                 library_names[library]);
    snprintf(bench->work, sizeof bench->work, "%s/work", bench->directory);
}

static struct bench *interrupted; /* what a signal has to clean up */

/* Also where a signal has arrived: what it interrupts waits for a child, and nothing else goes on. */
static void remove_directories(struct bench *bench)
{
    for (unsigned library = 0; library < LIBRARIES; library++)
        files_remove(bench->base[library]); /* NOLINT(bugprone-signal-handler) */
    files_remove(bench->work);              /* NOLINT(bugprone-signal-handler) */
    rmdir(bench->directory);
}

static void on_signal(int signal_number)
{
    if (interrupted->measuring > 0)
        kill(-interrupted->measuring, SIGKILL);
    remove_directories(interrupted);
    _exit(128 + signal_number);
}

int main(int argc, char **argv)
{
    static struct bench bench;

    parse(&bench.options, argc, argv);
    for (unsigned library = 0; library < LIBRARIES; library++) {
        if (bench.options.library[library] == NULL) {
            fprintf(stderr, "skipped: no library (%s)\n",
                    library == REAL ? "QS_REAL_LMDB or --real" : "QS_LMDB or --ours");
            return SKIP_CODE;
        }
    }
    bench.shared =
        mmap(NULL, sizeof *bench.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (bench.shared == MAP_FAILED) {
        perror("mmap");
        return 2;
    }
    make_directories(&bench);
    interrupted = &bench;
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    compare_all(&bench);
    remove_directories(&bench);
    return bench.failed ? 1 : 0;
}
