/* shrink.c - delta debugging over the steps of a program.
 *
 * Owns:       nothing.
 * Invariants: H1 the program fails before and after.
 * Locks:      none; one thread.
 * Source:     Zeller, Hildebrandt: Simplifying and isolating failure-inducing input (2002); here
 * only complements are tried, from large pieces to single steps, until a round removes nothing.
 */
#include "shrink.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct search {
    struct program *program;                              /* shrinks in place */
    bool (*fails)(void *context, const struct program *); /* the test */
    void *context;                                        /* for it */
    time_t deadline;                                      /* stop then */
};

/* Tries the program without steps [at, at + size); keeps that when it still fails. */
static bool try_without(struct search *search, size_t at, size_t size)
{
    struct program *program = search->program;
    struct step *all = program->steps;
    size_t all_count = program->step_count;
    struct step *fewer = malloc(all_count * sizeof *fewer);

    if (fewer == NULL) {
        abort();
    }
    memcpy(fewer, all, at * sizeof *fewer);
    memcpy(fewer + at, all + at + size, (all_count - at - size) * sizeof *fewer);
    program->steps = fewer;
    program->step_count = all_count - size;
    if (search->fails(search->context, program)) {
        free(all);
        return true;
    }
    program->steps = all;
    program->step_count = all_count;
    free(fewer);
    return false;
}

/* One pass with pieces of the given size; true when something was removed. */
static bool remove_pieces(struct search *search, size_t size)
{
    bool removed = false;
    size_t end = search->program->step_count;

    while (end > 0 && search->program->step_count > 1 && time(NULL) < search->deadline) {
        size_t at = end > size ? end - size : 0;
        if (end - at < search->program->step_count && try_without(search, at, end - at)) {
            removed = true;
        }
        end = at;
    }
    return removed;
}

/* Fewer repetitions of what is left. */
static void reduce_numbers(struct search *search)
{
    for (size_t i = 0; i < search->program->step_count; i++) {
        struct step *step = &search->program->steps[i];
        bool repeats = step->code == STEP_FILL || step->code == STEP_CLEAR;
        while (repeats && step->number > 1 && time(NULL) < search->deadline) {
            int32_t number = step->number;
            step->number = number / 2;
            if (!search->fails(search->context, search->program)) {
                step->number = number;
                break;
            }
        }
    }
}

void shrink_program(struct program *program, bool (*fails)(void *context, const struct program *),
                    void *context, unsigned seconds)
{
    struct search search = {program, fails, context, time(NULL) + (time_t)seconds};
    size_t size = program->step_count / 2;

    while (size >= 1 && time(NULL) < search.deadline) {
        bool removed = remove_pieces(&search, size);
        if (size > 1) {
            size /= 2;
        } else if (!removed) {
            break;
        }
    }
    reduce_numbers(&search);
}
