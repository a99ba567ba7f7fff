/* cut_round.c - recorded rounds of work, what is promised at each point of them, and their cuts.
 *
 * Owns:       nothing; the recording is one of a kind (os/recording_io.h).
 * Invariants: R1 promises follow from the recording and from the moments at which calls returned,
 *             never from how the engine writes: they hold for any way of committing.
 * Locks:      none; one thread.
 */
#include "power_cut.h"
#include "os/recording_io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_lazy(unsigned flags)
{
    return (flags & QS_NOSYNC) != 0;
}

/* ---- the work -------------------------------------------------------------------------------- */

static void pick_manner(struct cut_round *round)
{
    static const unsigned flags[] = {0, QS_NOMETASYNC, 0, QS_NOSYNC, 0, QS_WRITEMAP, QS_NOMETASYNC};
    static const uint64_t log_bytes[] = {0, 1, 12000, 30000, 36000, 42000};
    uint64_t random = crash_hash(round->seed * 64 + round->number);
    uint64_t shape = crash_hash(round->seed);
    unsigned pick = crash_below(&random, 10);

    round->mixed = pick >= sizeof flags / sizeof *flags;
    round->flags = round->mixed ? 0 : flags[pick];
    round->faulty = !round->mixed && !is_lazy(round->flags) && crash_below(&random, 3) == 0;
    round->work.random = random;
    round->log_bytes_max = log_bytes[(shape >> 24) % 6];
    round->small = crash_below(&random, 2) == 0;
    round->work.next_value = 1 + round->number * 1000000u;
    round->churn = crash_hash(round->seed * 64 + round->number + 2) % 4 == 0;
    if (round->churn)
        round->log_bytes_max = (shape >> 24) % 2 == 0 ? 0 : 400000;
    if (round->churn && !round->faulty && crash_below(&random, 2) == 0)
        round->flags = QS_NOSYNC;
    /* Keys keep their shape as long as the file lives. */
    round->work.shape.key_bytes_max = shape % 4 == 0 ? 500 : 40;
    round->work.shape.value_bytes_max = (shape >> 8) % 2 == 0 ? 400 : 1500;
    round->work.shape.large_percent = (unsigned)((shape >> 16) % 3);
}

static void add_commit(struct cut_round *round, unsigned flags, size_t begun)
{
    struct commit_mark *last = &round->commit[round->commit_count - 1];
    size_t returned = recording_events();
    bool same = memcmp(&last->content, &round->work.committed, sizeof last->content) == 0;

    if (same && begun == returned)
        return;
    if (last->returned == SIZE_MAX) { /* promised with this one, and by its flags */
        last->returned = returned;
        last->flags = flags;
    }
    round->commit[round->commit_count++] =
        (struct commit_mark){round->work.committed, flags, begun, returned, SIZE_MAX};
}

enum work { WORK_ANY, WORK_GROW, WORK_SHRINK, WORK_CHURN };

static int one_transaction(struct cut_round *round, unsigned flags, enum work kind)
{
    struct crash_workload *work = &round->work;
    struct qs_txn *txn;
    int rc = qs_txn_begin(work->env, NULL, 0, &txn);
    size_t begun;

    if (rc != 0)
        return rc;
    work->working = work->committed;
    if (kind == WORK_ANY)
        rc = crash_work(work, txn, 1 + crash_below(&work->random, round->small ? 2 : 10));
    else if (kind == WORK_CHURN)
        rc = crash_work_churn(work, txn);
    else
        rc = crash_work_bulk(work, txn, kind == WORK_GROW);
    if (rc != 0 || crash_below(&work->random, 8) == 0) {
        qs_txn_abort(txn);
        return rc == QS_E_MAP_FULL ? 0 : rc;
    }
    begun = recording_events();
    rc = qs_txn_commit(txn);
    if (rc == QS_E_MAP_FULL)
        return 0;
    if (rc == 0) {
        work->committed = work->working;
        add_commit(round, flags, begun);
    }
    return rc;
}

static int open_environment(struct cut_round *round)
{
    struct qs_options options = {.data_path = round->data_path,
                                 .lock_path = round->lock_path,
                                 .flags = round->flags | QS_NOTLS,
                                 .mode = 0600,
                                 .map_size_bytes = CRASH_MAP_BYTES,
                                 .log_bytes_max = round->log_bytes_max,
                                 .io = &recording_io};

    return qs_env_open(&options, &round->work.env);
}

/* After the call that failed: the file is opened anew and holds what was committed, or what the
 * failed transaction would have made of it. That is a commit which never returned: it is promised
 * only once a later one is. */
static int open_anew(struct cut_round *round, size_t begun)
{
    struct crash_workload *work = &round->work;
    char sentence[CRASH_SENTENCE_BYTES];
    int rc;

    recording_fail(0, FAULT_NONE, false);
    qs_env_close(work->env);
    rc = open_environment(round);
    if (rc != 0)
        return rc;
    rc = crash_compare_env(work->env, &work->shape, &work->committed, sentence);
    if (rc != QS_E_KEYEXIST)
        return rc;
    round->commit[round->commit_count++] =
        (struct commit_mark){work->working, round->flags, begun, SIZE_MAX, SIZE_MAX};
    work->committed = work->working;
    return crash_compare_env(work->env, &work->shape, &work->committed, sentence);
}

static unsigned change_flags(struct cut_round *round, unsigned flags)
{
    static const unsigned choice[] = {0, 0, QS_NOMETASYNC, QS_NOSYNC};
    unsigned now = choice[crash_below(&round->work.random, 4)];

    if (!round->mixed || crash_below(&round->work.random, 3) != 0)
        return flags;
    qs_env_set_flags(round->work.env, QS_NOSYNC | QS_NOMETASYNC, false);
    qs_env_set_flags(round->work.env, now, true);
    return now;
}

/* A snapshot that is held now and then keeps pages from being used again. */
static int toggle_reader(struct cut_round *round, struct qs_txn **reader)
{
    if (crash_below(&round->work.random, 5) != 0)
        return 0;
    if (*reader == NULL)
        return qs_txn_begin(round->work.env, NULL, QS_RDONLY, reader);
    qs_txn_abort(*reader);
    *reader = NULL;
    return 0;
}

/* A flush by request: all that was committed is promised from here on. */
static int sync_all(struct cut_round *round)
{
    struct commit_mark *last = &round->commit[round->commit_count - 1];
    int rc = qs_env_sync(round->work.env, true);

    if (rc == 0 && last->synced == SIZE_MAX)
        last->synced = recording_events();
    return rc;
}

/* One transaction, and now and then a flush by request. After a fault commits may wait for none. */
static int one_step(struct cut_round *round, struct qs_txn **reader, unsigned *flags,
                    enum work kind)
{
    size_t before = recording_events();
    int rc = one_transaction(round, *flags, kind);

    if (rc == 0 && crash_below(&round->work.random, round->churn      ? 20
                                                    : is_lazy(*flags) ? 4
                                                                      : 10) == 0)
        rc = sync_all(round);
    if (rc == EIO && round->faulty) {
        if (*reader != NULL)
            qs_txn_abort(*reader);
        *reader = NULL;
        *flags = round->flags;
        rc = open_anew(round, before);
        if (rc == 0 && crash_below(&round->work.random, 2) == 0) {
            *flags |= QS_NOSYNC;
            rc = qs_env_set_flags(round->work.env, QS_NOSYNC, true);
        }
    }
    return rc;
}

/* In one round of three the file grows at the beginning, and is too large from the middle on. */
static enum work kind_of_step(const struct cut_round *round, unsigned step, unsigned count)
{
    if (round->churn && step % 8 != 7)
        return WORK_CHURN;
    if (crash_hash(round->seed * 64 + round->number + 1) % 3 != 0)
        return WORK_ANY;
    return step == 0 ? WORK_GROW : step == count / 2 ? WORK_SHRINK : WORK_ANY;
}

static int do_work(struct cut_round *round)
{
    unsigned count = round->small || round->churn ? 15 + crash_below(&round->work.random, 40)
                                                  : 4 + crash_below(&round->work.random, 12);
    unsigned flags = round->flags;
    struct qs_txn *reader = NULL;
    int rc = 0;

    for (unsigned i = 0; i < count && rc == 0; i++) {
        flags = change_flags(round, flags);
        if (round->faulty && crash_below(&round->work.random, 4) == 0)
            recording_fail(1 + crash_below(&round->work.random, 6), FAULT_EIO, false);
        rc = toggle_reader(round, &reader);
        if (rc == 0)
            rc = one_step(round, &reader, &flags, kind_of_step(round, i, count));
    }
    if (reader != NULL)
        qs_txn_abort(reader);
    return rc;
}

/* ---- what is promised ------------------------------------------------------------------------ */

static unsigned max(unsigned a, unsigned b)
{
    return a > b ? a : b;
}

/* The commits that had returned when `count` events were recorded. */
static unsigned returned_by(const struct cut_round *round, size_t count)
{
    unsigned last = 0;

    while (last + 1 < round->commit_count && round->commit[last + 1].returned <= count)
        last++;
    return last;
}

/* What commits that returned promise by their flags alone. */
static unsigned promised_by_flags(const struct cut_round *round, size_t count)
{
    unsigned oldest = 0;

    for (unsigned i = returned_by(round, count); i > oldest; i--) {
        unsigned flags = round->commit[i].flags;

        if (!is_lazy(flags) && (flags & QS_NOMETASYNC) == 0)
            oldest = i;
        else if (!is_lazy(flags) && !is_lazy(round->commit[i - 1].flags))
            oldest = max(oldest, i - 1);
    }
    return oldest;
}

/* What qs_env_sync() promised. */
static unsigned promised_by_syncs(const struct cut_round *round, size_t count)
{
    unsigned oldest = round->commit_count - 1;

    while (oldest > 0 && round->commit[oldest].synced > count)
        oldest--;
    return oldest;
}

static void make_promises(struct cut_round *round)
{
    unsigned flushed = 0;
    bool synced = false; /* the pages that make it a database may else be torn */

    round->event_count = recording_events();
    round->promise = calloc(round->event_count + 1, sizeof *round->promise);
    if (round->promise == NULL)
        abort();
    for (size_t count = 0; count <= round->event_count; count++) {
        struct cut_promise *promise = &round->promise[count];

        if (count > 0) {
            struct recorded event = recording_event(count - 1);
            enum recorded_kind kind = event.kind;

            round->flush_failed = round->flush_failed || event.failed;
            if (kind == RECORDED_FLUSH && !round->flush_failed)
                flushed = returned_by(round, count - 1);
        }
        synced = synced || (count > 0 && recording_event(count - 1).kind == RECORDED_FLUSH);
        promise->opened =
            round->number > 0 || (count >= round->opened && (synced || !is_lazy(round->flags)));
        promise->oldest = max(flushed, promised_by_flags(round, count));
        promise->oldest = max(promise->oldest, promised_by_syncs(round, count));
        while (promise->newest + 1 < round->commit_count &&
               round->commit[promise->newest + 1].begun < count)
            promise->newest++;
    }
}

int cut_round_run(struct cut_round *round, const struct crash_content *start)
{
    int rc;

    pick_manner(round);
    round->work.committed = *start;
    round->commit[0].content = *start;
    round->commit[0].synced = SIZE_MAX;
    round->commit_count = 1;
    unlink(round->lock_path);
    recording_start(true);
    rc = open_environment(round);
    if (rc != 0)
        return rc;
    round->opened = recording_events();
    rc = do_work(round);
    qs_env_close(round->work.env);
    make_promises(round);
    return rc;
}

void cut_round_free(struct cut_round *round)
{
    free(round->promise);
    round->promise = NULL;
}

/* ---- cuts ------------------------------------------------------------------------------------ */

enum manner {
    KEEP_RANDOM,      /* of sectors or writes, a share */
    KEEP_ALL_BUT_ONE, /* one write is torn or lost */
    KEEP_LATER,       /* what was written last arrived first */
    MANNERS,
};

/* What a cut keeps of the writes that no flush covers. */
struct choice {
    enum manner manner; /* how */
    uint64_t seed;      /* for the hash */
    unsigned share;     /* of 256, that is kept */
    size_t pivot;       /* the one event, or the first that is kept */
};

static bool keep(void *arg, size_t event, uint64_t offset, uint64_t size)
{
    const struct choice *choice = arg;
    uint64_t hash = crash_hash(choice->seed ^ crash_hash(event << 32 ^ offset));
    bool kept = (hash & 255) < choice->share;

    (void)size;
    if (choice->manner == KEEP_ALL_BUT_ONE)
        return event != choice->pivot || kept;
    if (choice->manner == KEEP_LATER)
        return event >= choice->pivot;
    return kept;
}

static bool ends_open(struct recorded event)
{
    return event.kind == RECORDED_FLUSH && !event.failed;
}

/* The first event that a flush does not cover; what a failed flush left behind is older. */
static size_t first_unflushed(size_t count)
{
    size_t first = count;

    while (first > 0 && !ends_open(recording_event(first - 1)))
        first--;
    return first;
}

unsigned cut_variants(const struct cut_round *round, size_t event, unsigned wanted)
{
    size_t open = event - first_unflushed(event);

    if (round->flush_failed)
        return wanted;
    if (open == 0)
        return 1;                  /* only one state there is */
    return open == 1 ? 4 : wanted; /* one write: there, absent, torn */
}

int cut_build(const struct cut_round *round, size_t event, unsigned variant, const char *path)
{
    static const unsigned sectors[] = {512, 4096, 0};
    static const unsigned shares[] = {128, 128, 32, 224};
    uint64_t random = crash_hash(round->seed * 64 + round->number) ^ event << 16 ^ variant;
    size_t first = first_unflushed(event);
    struct choice choice = {.seed = crash_random(&random)};
    struct power_cut cut = {.event = event, .keep = keep, .arg = &choice};

    if (variant == 0) {
        cut.keep = NULL;
    } else if (variant == 1) {
        cut.keep = recording_keep_all;
    } else {
        choice.manner = variant < 5 ? KEEP_RANDOM : crash_below(&random, MANNERS);
        choice.share = shares[crash_below(&random, 4)];
        choice.pivot = first + crash_below(&random, (unsigned)(event - first) + 1);
        cut.sector_size = sectors[variant % 3];
    }
    return recording_materialise(path, &cut);
}
