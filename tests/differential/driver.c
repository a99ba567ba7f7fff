/* driver.c - runs one program from empty directories to the last comparison.
 *
 * Owns:       the directories.
 * Invariants: D1 after each program both environments are opened again and hold the same.
 * Locks:      none; one thread.
 */
#define _GNU_SOURCE /* nftw() */

#include "steps.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

void driver_remove(const char *base)
{
    nftw(base, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void run_steps(struct pair *pair)
{
    const struct program *program = pair->program;

    steps_open(pair);
    for (size_t i = 0; i < program->step_count && !pair->failed; i++) {
        pair->step = &program->steps[i];
        steps_run(pair, pair->step);
    }
    if (pair->failed) {
        return;
    }
    steps_close(pair, program->seed % 2);
    steps_open(pair);
    if (!pair->failed) {
        steps_verify_all(pair);
        steps_close(pair, true);
    }
}

static jmp_buf gave_up;

/* There is nothing to compare with what made the real library's assertion fail, and no way back into it. */
static void real_gave_up(MDB_env *env, const char *message)
{
    (void)env;
    printf("the real library gave up: %s\n", message);
    longjmp(gave_up, 1);
}

static void run_guarded(struct pair *pair)
{
    pair->world[REAL].gave_up = real_gave_up;
    if (setjmp(gave_up) == 0) {
        run_steps(pair);
    } else {
        pair->failed = pair->inconclusive = true;
    }
}

bool driver_run(const struct program *program, const struct api apis[2], const char *base,
                bool quiet, FILE *script, uint64_t *calls)
{
    struct pair *pair = calloc(1, sizeof *pair);
    bool same;

    if (pair == NULL) {
        abort();
    }
    pair->program = program;
    pair->quiet = quiet;
    mkdir(base, 0755);
    for (int i = REAL; i <= OURS; i++) {
        pair->world[i].api = &apis[i];
        pair->world[i].many = malloc(MANY_SIZE);
        if (pair->world[i].many == NULL) {
            abort();
        }
        snprintf(pair->world[i].directory, sizeof pair->world[i].directory, "%s/%s", base,
                 apis[i].label);
        mkdir(pair->world[i].directory, 0755);
    }
    pair->script = script;
    emit_begin(pair);
    run_guarded(pair);
    emit_end(pair);
    *calls += pair->world[REAL].calls;
    same = !pair->failed || pair->inconclusive;
    if (same || quiet) {
        driver_remove(base);
    } else {
        fprintf(stderr, "directories kept: %s\n", base);
    }
    free(pair->world[REAL].many);
    free(pair->world[OURS].many);
    free(pair);
    return same;
}
