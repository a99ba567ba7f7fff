/* shrink.h - finds a short program that still fails. */
#ifndef QS_TEST_DIFFERENTIAL_SHRINK_H
#define QS_TEST_DIFFERENTIAL_SHRINK_H

#include "program.h"

/* Removes steps from the program as long as `fails` stays true, for at most `seconds`. */
void shrink_program(struct program *program, bool (*fails)(void *context, const struct program *),
                    void *context, unsigned seconds);

#endif
