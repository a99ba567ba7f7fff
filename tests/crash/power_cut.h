/* power_cut.h - the power-cut simulator: one recorded round of work, and its cuts.
 *
 * What a commit promises, as tested here. "Flush" is a successful flush of the whole file.
 *   default     A commit that returned is there after every later cut.
 *   NOMETASYNC  The commit before the last that returned is there; the last may be lost.
 *   NOSYNC      A commit is there once a flush came after it: qs_env_sync(), that of a later
 *               commit with other flags, or of a checkpoint. Until then it may be lost, but what is there
 *               is a commit, and the file is sound (LMDB promises no more than codes for errors).
 * After a flush that failed the medium never hears of what was written before it, unless it is
 * written again: only what calls promise that return later counts from there on.
 * In every other state the file opens, has no fault, and holds exactly some commit: not older than
 * what is promised, not newer than the last that had begun.
 */
#ifndef TESTS_CRASH_POWER_CUT_H
#define TESTS_CRASH_POWER_CUT_H

#include "crash.h"

enum { COMMITS_MAX = 64 /* in a round, the state it began with included */ };

/* A state that the round went through. */
struct commit_mark {
    struct crash_content content; /* what it holds */
    unsigned flags;               /* enum qs_env_flag in force */
    size_t begun;                 /* events recorded when its commit was called */
    size_t returned;              /* and when that returned */
    size_t synced;                /* and when a qs_env_sync() after it did; SIZE_MAX: none */
};

/* What is known of the cut before which `event` events happened. */
struct cut_promise {
    bool opened;     /* the environment existed; before, creation may have been torn */
    unsigned oldest; /* commits, as indices of round.commit: the file holds one of these */
    unsigned newest;
};

struct cut_round {
    uint64_t seed;              /* of the whole chain of rounds */
    unsigned number;            /* 0: begins without a file */
    unsigned flags;             /* enum qs_env_flag at open */
    bool mixed;                 /* flags change from commit to commit */
    bool small;                 /* many transactions of few changes: a checkpoint is carried */
    bool churn;                 /* the same large values over and over */
    bool faulty;                /* an I/O call fails, and the file is opened anew */
    struct crash_workload work; /* what is done */
    struct commit_mark commit[COMMITS_MAX]; /* [0] is what it began with */
    unsigned commit_count;                  /* used */
    size_t opened;                          /* events when the open returned */
    struct cut_promise *promise;            /* by number of events, 0 .. event_count */
    uint64_t log_bytes_max;                 /* log before a checkpoint; 0: the usual */
    size_t event_count;                     /* recorded */
    bool flush_failed;                      /* one of them is a flush that failed */
    char data_path[CRASH_PATH_BYTES];       /* of the file that is worked on */
    char lock_path[CRASH_PATH_BYTES];
};

/* Works on the file at data_path and records; `start` is what it holds (round 0: there is none). 0,
 * or what failed although nothing may fail. */
int cut_round_run(struct cut_round *round, const struct crash_content *start);
void cut_round_free(struct cut_round *round);

/* Number of ways in which the cut before which `event` events happened is made. */
unsigned cut_variants(const struct cut_round *round, size_t event, unsigned wanted);

/* Builds the file of one of them. errno. */
int cut_build(const struct cut_round *round, size_t event, unsigned variant, const char *path);

#endif
