/* power_cut.c - cuts the power at every write and flush of random work, and looks at what is left.
 *
 * A seed stands for a chain of rounds. A round opens the file, works on it and is recorded; then
 * every cut of the recording is built in several variants and examined, and one of them is the file
 * that the next round begins with: so the opening after a power cut is itself cut.
 *
 *     power_cut                            the usual number of seeds, more with QS_TORTURE=1,
 *                                          fewer under valgrind
 *     power_cut SEED                       all of one seed (also QS_SEED=SEED)
 *     power_cut SEED ROUND EVENT VARIANT   one state alone: what a failure prints
 *
 * Owns:       a directory, kept when a state is not as it should be.
 * Invariants: what is promised is in power_cut.h.
 * Locks:      none; one thread.
 */
#define _GNU_SOURCE /* mkdtemp() */

#include "power_cut.h"
#include "effort.h"
#include "os/recording_io.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    ROUNDS = 3,              /* of a seed */
    SEEDS_CHECK = 6,         /* in make check */
    SEEDS_VALGRIND = 2,      /* in make valgrind */
    STATES_TORTURE = 110000, /* in make torture at least */
    VARIANTS_CHECK = 6,      /* of a cut */
    VARIANTS_TORTURE = 12,
    MAX_SEEDS = 10000, /* far more than are ever needed */
};

/* One state alone, when `only` is set. */
struct wanted {
    bool only;        /* examine just this one */
    unsigned round;   /* of the seed */
    size_t event;     /* number of events before the cut */
    unsigned variant; /* of the cut */
};

struct totals {
    uint64_t states;  /* examined */
    uint64_t weak;    /* in which the file may not exist yet */
    uint64_t cuts;    /* points at which the power was cut */
    uint64_t seeds;   /* worked on */
    uint64_t holes;   /* punched */
    uint64_t shorter; /* times the file was cut */
};

static char directory[CRASH_PATH_BYTES - 16];
static char cut_path[CRASH_PATH_BYTES];
static char cut_lock_path[CRASH_PATH_BYTES];
static char where[256]; /* the state being examined and the command that replays it */
static size_t where_size;
static struct totals totals;
static unsigned variants;

/* ---- telling ---- */

static void say_where(const struct cut_round *round, size_t event, unsigned variant)
{
    int size = snprintf(where, sizeof where,
                        "seed %llu, round %u (flags %#x%s), cut after %zu events, variant %u\n"
                        "replay: tests/crash/power_cut %llu %u %zu %u\n",
                        (unsigned long long)round->seed, round->number, round->flags,
                        round->mixed ? ", changing" : "", event, variant,
                        (unsigned long long)round->seed, round->number, event, variant);

    where_size = (size_t)size;
}

static int wrong(const char *what, int rc)
{
    printf("FAIL %s (%s)\n%sfiles: %s\n", what, rc == 0 ? "-" : qs_strerror(rc), where, directory);
    return 1;
}

/* Says which state it was that crashed. */
static void crashed(int signal_number)
{
    ssize_t done = write(STDERR_FILENO, where, where_size);

    (void)done;
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void complain(void *context, const char *sentence)
{
    if (context != NULL)
        printf("qs_check: %s\n", sentence);
}

/* ---- one state ---- */

static int open_cut(struct qs_env **env)
{
    struct qs_options options = {.data_path = cut_path,
                                 .lock_path = cut_lock_path,
                                 .flags = QS_NOTLS,
                                 .mode = 0600,
                                 .map_size_bytes = CRASH_MAP_BYTES,
                                 .io = &qs_io_posix};

    return qs_env_open(&options, env);
}

static int check_file(bool aloud)
{
    struct qs_check_report report;
    int rc = qs_check(cut_path, complain, aloud ? &report : NULL, &report);

    if (!aloud)
        return 0;
    if (rc != 0)
        return wrong("qs_check cannot read the file", rc);
    if (report.faults != 0 || report.pages_lost != 0)
        return wrong("qs_check has findings", 0);
    return 0;
}

/* Finds the commit that the environment holds. */
static int match(struct cut_round *round, const struct cut_promise *promise, struct qs_env *env,
                 unsigned *found)
{
    char sentence[CRASH_SENTENCE_BYTES], first[CRASH_SENTENCE_BYTES] = "";
    char text[2 * CRASH_SENTENCE_BYTES];

    for (unsigned i = promise->newest + 1; i-- > promise->oldest;) {
        int rc = crash_compare_env(env, &round->work.shape, &round->commit[i].content, sentence);

        *found = i;
        if (rc == 0)
            return 0;
        if (rc != QS_E_KEYEXIST)
            return wrong("reading after the cut", rc);
        if (first[0] == 0)
            memcpy(first, sentence, sizeof first);
    }
    snprintf(text, sizeof text,
             "the content is that of none of the commits %u to %u; of the last:"
             " %s",
             promise->oldest, promise->newest, first);
    return wrong(text, 0);
}

/* Goes on working after the cut. */
static int go_on(struct cut_round *round, struct qs_env *env, unsigned commit, bool promised)
{
    char sentence[CRASH_SENTENCE_BYTES];
    struct crash_workload work = {.env = env,
                                  .shape = round->work.shape,
                                  .random = where_size + commit,
                                  .next_value = 900000000,
                                  .committed = round->commit[commit].content};
    int rc = 0;

    for (unsigned i = 0; i < 2 && rc == 0; i++)
        rc = crash_transaction(&work, false, 0);
    if (!promised)
        return 0;
    if (rc != 0 && rc != QS_E_MAP_FULL)
        return wrong("writing after the cut", rc);
    rc = crash_compare_env(env, &work.shape, &work.committed, sentence);
    return rc != 0 ? wrong(rc == QS_E_KEYEXIST ? sentence : "reading what was written", rc) : 0;
}

static int examine(struct cut_round *round, size_t event, unsigned variant, unsigned *found)
{
    const struct cut_promise *promise = &round->promise[event];
    bool promised = promise->opened;
    bool write = crash_hash(event * 31 + variant) % 3 == 0;
    struct qs_env *env;
    int failed;
    int rc;

    say_where(round, event, variant);
    totals.states++;
    totals.weak += !promised;
    rc = cut_build(round, event, variant, cut_path);
    if (rc != 0)
        return wrong("building the file", rc);
    if (variant % 2 == 0)
        unlink(cut_lock_path);
    failed = check_file(promised);
    if (failed != 0)
        return failed;
    rc = open_cut(&env);
    if (rc != 0)
        return promised ? wrong("opening after the cut", rc) : 0;
    *found = promise->newest;
    if (promised)
        failed = match(round, promise, env, found);
    else
        crash_compare_env(env, &round->work.shape, &round->commit[*found].content,
                          (char[CRASH_SENTENCE_BYTES]){0});
    if (failed == 0 && write)
        failed = go_on(round, env, *found, promised);
    qs_env_close(env);
    return failed == 0 && write ? check_file(promised) : failed;
}

/* ---- rounds and seeds ---- */

static int examine_all(struct cut_round *round, const struct wanted *wanted)
{
    unsigned found;

    if (wanted->only) {
        if (wanted->round != round->number)
            return 0;
        return wanted->event > round->event_count
                   ? wrong("there is no such event", 0)
                   : examine(round, wanted->event, wanted->variant, &found);
    }
    for (size_t event = 0; event <= round->event_count; event++) {
        unsigned count = cut_variants(round, event, variants);

        totals.cuts++;
        for (unsigned variant = 0; variant < count; variant++) {
            if (variant == 0 && count > 1 && !round->flush_failed)
                continue; /* all lost: the same state as right after the last flush */
            if (examine(round, event, variant, &found) != 0)
                return 1;
        }
    }
    return 0;
}

/* Leaves the file of some cut, and the content it holds, for the next round. */
static int next_start(struct cut_round *round, struct crash_content *start)
{
    uint64_t random = crash_hash(round->seed + round->number);

    for (unsigned attempt = 0; attempt < 200; attempt++) {
        size_t event = crash_below(&random, (unsigned)round->event_count + 1);
        unsigned variant = crash_below(&random, VARIANTS_TORTURE);
        unsigned found;
        int rc;

        if (!round->promise[event].opened)
            continue;
        if (examine(round, event, variant, &found) != 0)
            return 1;
        *start = round->commit[found].content;
        say_where(round, event, variant);
        rc = cut_build(round, event, variant, round->data_path);
        return rc == 0 ? 0 : wrong("building the next round's file", rc);
    }
    return -1; /* nothing was promised at any time: the chain ends */
}

static void count_events(const struct cut_round *round)
{
    for (size_t i = 0; i < round->event_count; i++) {
        totals.holes += recording_event(i).kind == RECORDED_PUNCH;
        totals.shorter += recording_event(i).kind == RECORDED_TRUNCATE;
    }
}

static int run_seed(uint64_t seed, const struct wanted *wanted)
{
    struct crash_content start = {.exists = {true}};
    int failed = 0;

    totals.seeds++;
    for (unsigned number = 0; number < ROUNDS && failed == 0; number++) {
        struct cut_round *round = calloc(1, sizeof *round);
        int rc;

        if (round == NULL)
            return wrong("no memory", ENOMEM);
        round->seed = seed;
        round->number = number;
        snprintf(round->data_path, CRASH_PATH_BYTES, "%s/data", directory);
        snprintf(round->lock_path, CRASH_PATH_BYTES, "%s/lock", directory);
        say_where(round, 0, 0);
        if (number == 0)
            unlink(round->data_path);
        rc = cut_round_run(round, &start);
        if (rc != 0)
            failed = wrong("the work itself", rc);
        count_events(round);
        if (failed == 0)
            failed = examine_all(round, wanted);
        if (failed == 0 && number + 1 < ROUNDS)
            failed = next_start(round, &start);
        cut_round_free(round);
        free(round);
    }
    return failed > 0;
}

static int run(int argc, char **argv)
{
    const char *torture = getenv("QS_TORTURE"), *seed = getenv("QS_SEED");
    bool longer = torture != NULL && torture[0] == '1';
    struct wanted wanted = {.only = argc == 5};

    variants = longer || wanted.only ? VARIANTS_TORTURE : VARIANTS_CHECK;
    if (wanted.only) {
        wanted.round = (unsigned)strtoul(argv[2], NULL, 0);
        wanted.event = strtoul(argv[3], NULL, 0);
        wanted.variant = (unsigned)strtoul(argv[4], NULL, 0);
    }
    if (argc > 1)
        return run_seed(strtoull(argv[1], NULL, 0), &wanted);
    if (seed != NULL && seed[0] != 0)
        return run_seed(
            strcmp(seed, "random") == 0 ? (uint64_t)time(NULL) : strtoull(seed, NULL, 0), &wanted);
    for (uint64_t i = 1; i <= MAX_SEEDS; i++) {
        if (longer ? totals.states >= STATES_TORTURE : i > effort(SEEDS_CHECK, SEEDS_VALGRIND))
            break;
        if (run_seed(i, &wanted) != 0)
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    const int deadly[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
    int failed;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
        signal(deadly[i], crashed);
    crash_make_pool();
    snprintf(directory, sizeof directory, "%s/qs-power-cut-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(directory) == NULL) {
        perror(directory);
        return 1;
    }
    snprintf(cut_path, sizeof cut_path, "%s/cut", directory);
    snprintf(cut_lock_path, sizeof cut_lock_path, "%s/cut-lock", directory);
    failed = run(argc, argv);
    printf("power_cut: %llu seeds, %llu cuts, %llu states (%llu of creation), %llu holes, "
           "file cut or extended %llu times, %s\n",
           (unsigned long long)totals.seeds, (unsigned long long)totals.cuts,
           (unsigned long long)totals.states, (unsigned long long)totals.weak,
           (unsigned long long)totals.holes, (unsigned long long)totals.shorter,
           failed ? "1 failure" : "no failure");
    if (!failed) {
        const char *names[] = {"data", "lock", "cut", "cut-lock"};

        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            snprintf(cut_path, sizeof cut_path, "%s/%s", directory, names[i]);
            unlink(cut_path);
        }
        rmdir(directory);
    }
    return failed;
}
