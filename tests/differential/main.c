/* main.c - differential test: runs random programs on two LMDB libraries and compares everything.
 *
 * Owns:       the options, the child processes in which programs run.
 * Invariants: M1 a crash or a hang of a library is reported with the seed, like a mismatch.
 * Locks:      none; the shared page is written by the child and read after its end.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS */

#include "pair.h"
#include "shrink.h"

#include <assert.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PROGRAM_SECONDS_MAX = 120,
    SHRINK_SECONDS_MAX = 4,
    SKIP_CODE = 77,
    CALLS_TORTURE = 20000000, /* in make torture at least, by PROGRAMS_TORTURE programs at least */
    PROGRAMS_TORTURE = 2000,
};

struct options {
    uint64_t seed;                     /* of the first program */
    unsigned long programs;            /* how many, at least */
    uint64_t calls_min;                /* as many more as it takes to make so many calls */
    size_t calls;                      /* steps of each */
    const char *real;                  /* path of the library that is right */
    const char *ours;                  /* path of the library to be tested */
    const char *only;                  /* steps to run, NULL for all */
    const char *directory;             /* where environments are made */
    const char *emit;                  /* write the last program as C here, or NULL */
    const struct generator *generator; /* of programs, NULL for all in turn */
    long page_size;                    /* --page-size, 0 when not given */
    unsigned shrink_seconds;           /* 0: do not shrink */
    unsigned program_seconds;          /* a program that takes longer hangs */
};

/* Written by the child that runs the programs. */
struct progress {
    volatile uint64_t seed;     /* of the program that is running */
    volatile uint64_t calls;    /* pairs of API calls so far */
    volatile uint64_t programs; /* finished */
};

struct tester {
    struct options options;    /* as given */
    struct api apis[2];        /* REAL and OURS */
    char base[200];            /* directory of this run */
    struct progress *progress; /* shared with the child */
};

static void usage(void)
{
    fprintf(
        stderr,
        "usage: differential [--ours PATH] [--real PATH] [--seed S] [--programs N] [--calls M]\n"
        "                    [--only LIST] [--generator NAME] [--dir DIRECTORY]\n"
        "                    [--shrink SECONDS] [--timeout SECONDS] [--page-size BYTES]\n"
        "                    [--emit FILE]\n"
        "PATH defaults to QS_LMDB and QS_REAL_LMDB; --page-size gives the second library another\n"
        "page size, to run the real one against itself. See README.md.\n");
    exit(2);
}

static const struct generator *find_generator(const char *name)
{
    if (strcmp(name, "all") == 0) {
        return NULL;
    }
    for (const struct generator *generator = generators; generator->name != NULL; generator++) {
        if (strcmp(generator->name, name) == 0) {
            return generator;
        }
    }
    usage();
    return NULL;
}

static void set_option(struct options *options, int option)
{
    switch (option) {
    case 's':
        options->seed = strtoull(optarg, NULL, 0);
        break;
    case 'p':
        options->programs = strtoul(optarg, NULL, 0);
        options->calls_min = 0;
        break;
    case 'c':
        options->calls = strtoul(optarg, NULL, 0);
        break;
    case 'o':
        options->ours = optarg;
        break;
    case 'r':
        options->real = optarg;
        break;
    case 'l':
        options->only = optarg;
        break;
    case 'g':
        options->generator = find_generator(optarg);
        break;
    case 'd':
        options->directory = optarg;
        break;
    case 'k':
        options->shrink_seconds = (unsigned)strtoul(optarg, NULL, 0);
        break;
    case 't':
        options->program_seconds = (unsigned)strtoul(optarg, NULL, 0);
        break;
    case 'z':
        options->page_size = strtol(optarg, NULL, 0);
        break;
    case 'e':
        options->emit = optarg;
        break;
    default:
        usage();
    }
}

static void parse(struct options *options, int argc, char **argv)
{
    static const struct option names[] = {
        {"seed", required_argument, NULL, 's'},
        {"programs", required_argument, NULL, 'p'},
        {"calls", required_argument, NULL, 'c'},
        {"ours", required_argument, NULL, 'o'},
        {"real", required_argument, NULL, 'r'},
        {"only", required_argument, NULL, 'l'},
        {"generator", required_argument, NULL, 'g'},
        {"dir", required_argument, NULL, 'd'},
        {"shrink", required_argument, NULL, 'k'},
        {"timeout", required_argument, NULL, 't'},
        {"page-size", required_argument, NULL, 'z'},
        {"emit", required_argument, NULL, 'e'},
        {NULL, 0, NULL, 0},
    };
    const char *seed = getenv("QS_SEED");
    const char *text = getenv("QS_TORTURE");
    bool torture = text != NULL && strcmp(text, "1") == 0;
    int option;

    /* The same programs in every check, others in every torture. */
    options->seed = seed != NULL ? strtoull(seed, NULL, 0)
                    : torture    ? (uint64_t)time(NULL) * 1000
                                 : 1;
    options->programs = torture ? PROGRAMS_TORTURE : 300;
    options->calls_min = torture ? CALLS_TORTURE : 0;
    options->calls = 600;
    options->real = api_find_real();
    options->ours = getenv("QS_LMDB");
    options->generator = NULL;
    options->directory = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    options->shrink_seconds = 60;
    options->program_seconds = PROGRAM_SECONDS_MAX;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        set_option(options, option);
    }
    if (options->calls == 0 || optind != argc) {
        usage();
    }
}

/* ---- one program in a child ------------------------------------------------------------------ */

/* Keeps the steps whose numbers `list` names, as in 3,7,12-20. */
static void keep_only(struct program *program, const char *list)
{
    size_t kept = 0;

    while (*list != '\0') {
        char *end;
        unsigned long first = strtoul(list, &end, 10);
        unsigned long last = *end == '-' ? strtoul(end + 1, &end, 10) : first;
        for (size_t i = 0; i < program->step_count; i++) {
            if (i >= kept && program->steps[i].index >= first && program->steps[i].index <= last) {
                program->steps[kept++] = program->steps[i];
            }
        }
        list = *end == ',' ? end + 1 : "";
    }
    program->step_count = kept;
}

static void print_only(const struct program *program)
{
    for (size_t i = 0; i < program->step_count; i++) {
        size_t first = i;
        while (i + 1 < program->step_count &&
               program->steps[i + 1].index == program->steps[i].index + 1) {
            i++;
        }
        fprintf(stderr, "%s%u", first == 0 ? "" : ",", program->steps[first].index);
        if (i > first) {
            fprintf(stderr, "-%u", program->steps[i].index);
        }
    }
}

/* The generator of a seed. */
static const struct generator *pick_generator(const struct options *options, uint64_t seed)
{
    const struct generator *generator = generators;
    unsigned count = 0;

    if (options->generator != NULL) {
        return options->generator;
    }
    for (; generator->name != NULL; generator++) {
        count += generator->is_default;
    }
    assert(count > 0);
    count = (unsigned)(seed % count);
    for (generator = generators; !generator->is_default || count > 0; generator++) {
        count -= generator->is_default;
    }
    return generator;
}

/* Runs the program in a child, which writes it as C to `script` (if not NULL). 0, or what the child
 * ended with (wait status). */
static int run_in_child(struct tester *tester, const struct program *program, const char *base,
                        bool quiet, const char *script)
{
    FILE *file;
    uint64_t calls = 0;
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        if (quiet && freopen("/dev/null", "w", stderr) == NULL) {
            _exit(3);
        }
        alarm(quiet && tester->options.program_seconds > SHRINK_SECONDS_MAX
                  ? SHRINK_SECONDS_MAX
                  : tester->options.program_seconds);
        file = script == NULL ? NULL : fopen(script, "w");
        _exit(driver_run(program, tester->apis, base, quiet, file, &calls) ? 0 : 1);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0) {
        perror("fork");
        exit(3);
    }
    return status;
}

static bool still_fails(void *context, const struct program *program)
{
    struct tester *tester = context;
    char base[256];

    snprintf(base, sizeof base, "%s/shrink", tester->base);
    driver_remove(base);
    return run_in_child(tester, program, base, true, NULL) != 0;
}

/* The program as C; one that crashed did not write its end. */
static void print_script(const char *script, int status)
{
    char line[4096];
    FILE *file = fopen(script, "a+");

    if (file == NULL) {
        return;
    }
    if (WIFSIGNALED(status)) {
        fprintf(file, "    return 0;\n}\n");
    }
    rewind(file);
    fprintf(stderr, "\n---- %s\n", script);
    while (fgets(line, sizeof line, file) != NULL) {
        fputs(line, stderr);
    }
    fprintf(stderr, "----\n");
    fclose(file);
}

static void explain(struct tester *tester, uint64_t seed, int status)
{
    const struct options *options = &tester->options;
    const struct generator *generator = pick_generator(options, seed);
    struct program *program = program_make(generator, seed, options->calls);
    char base[256];
    char script[256];

    if (options->only != NULL) {
        keep_only(program, options->only);
    }
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "program with seed %llu ended by signal %d (%s)\n",
                (unsigned long long)seed, WTERMSIG(status), strsignal(WTERMSIG(status)));
    }
    if (options->shrink_seconds > 0 && still_fails(tester, program)) {
        shrink_program(program, still_fails, tester, options->shrink_seconds);
        fprintf(stderr, "\nshortest failing program found (%zu steps):\n", program->step_count);
        program_print_setting(stderr, program);
        for (size_t i = 0; i < program->step_count; i++) {
            program_print_step(stderr, program, &program->steps[i]);
        }
        snprintf(base, sizeof base, "%s/shortest", tester->base);
        snprintf(script, sizeof script, "%s/shortest.c", tester->base);
        print_script(script, run_in_child(tester, program, base, false, script));
    }
    fprintf(stderr,
            "\nreplay: differential --real %s --ours %s --generator %s --seed %llu "
            "--programs 1 --calls %zu%s%ld --only ",
            options->real, options->ours, generator->name, (unsigned long long)seed, options->calls,
            " --page-size ", options->page_size);
    print_only(program);
    fprintf(stderr, "\n");
    program_free(program);
}

/* ---- all programs ---------------------------------------------------------------------------- */

static void run_all(struct tester *tester)
{
    const struct options *options = &tester->options;
    char base[256];

    for (unsigned long i = 0; i < options->programs || tester->progress->calls < options->calls_min;
         i++) {
        struct program *program;
        uint64_t calls = 0;
        bool same;
        FILE *script = options->emit == NULL ? NULL : fopen(options->emit, "w");
        tester->progress->seed = options->seed + i;
        snprintf(base, sizeof base, "%s/%llu", tester->base,
                 (unsigned long long)tester->progress->seed);
        program = program_make(pick_generator(options, tester->progress->seed),
                               tester->progress->seed, options->calls);
        if (options->only != NULL) {
            keep_only(program, options->only);
        }
        alarm(options->program_seconds);
        same = driver_run(program, tester->apis, base, false, script, &calls);
        if (script != NULL) {
            fclose(script);
        }
        program_free(program);
        tester->progress->calls += calls;
        if (!same) {
            _exit(1);
        }
        tester->progress->programs++;
    }
    _exit(0);
}

static int run(struct tester *tester)
{
    struct timespec begin;
    struct timespec end;
    double seconds;
    int status = 0;
    pid_t child;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    child = fork();
    if (child == 0) {
        run_all(tester);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0) {
        perror("fork");
        return 3;
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    seconds = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
    printf("%llu programs, %llu calls on each library, %.1f s, %.0f calls/s\n",
           (unsigned long long)tester->progress->programs,
           (unsigned long long)tester->progress->calls, seconds,
           (double)tester->progress->calls / seconds);
    fflush(stdout);
    if (status != 0) {
        explain(tester, tester->progress->seed, status);
        fprintf(stderr, "environments: %s\n", tester->base);
        return 1;
    }
    return 0;
}

static bool same_file(const char *a, const char *b)
{
    struct stat a_status;
    struct stat b_status;

    return stat(a, &a_status) == 0 && stat(b, &b_status) == 0 &&
           a_status.st_dev == b_status.st_dev && a_status.st_ino == b_status.st_ino;
}

int main(int argc, char **argv)
{
    static struct tester tester;
    struct options *options = &tester.options;
    int rc;

    parse(options, argc, argv);
    if (options->real == NULL || options->ours == NULL) {
        fprintf(stderr, "skipped: %s\n",
                options->real == NULL ? "no liblmdb.so.0 on this system (QS_REAL_LMDB names one)"
                                      : "no library to test (--ours or QS_LMDB)");
        return SKIP_CODE;
    }
    if (api_load(&tester.apis[REAL], "real", options->real, 0) != 0 ||
        api_load(&tester.apis[OURS], "ours", options->ours,
                 same_file(options->real, options->ours)) != 0) {
        return 2;
    }
    tester.apis[OURS].page_size_override = options->page_size;
    tester.progress = mmap(NULL, sizeof *tester.progress, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    snprintf(tester.base, sizeof tester.base, "%.150s/qs-differential-XXXXXX", options->directory);
    if (tester.progress == MAP_FAILED || mkdtemp(tester.base) == NULL) {
        perror(tester.base);
        return 2;
    }
    printf("seed %llu: %lu programs of %zu steps, %llu calls at least\n",
           (unsigned long long)options->seed, options->programs, options->calls,
           (unsigned long long)options->calls_min);
    fflush(stdout);
    program_pool();
    rc = run(&tester);
    if (rc == 0) {
        driver_remove(tester.base);
    }
    return rc;
}
