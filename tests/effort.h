/* effort.h - how much a test does: less under valgrind, where everything takes thirty times as long.
 *
 * `make valgrind` looks for faults of memory, which need each path once; how often is for the other
 * runs. A test that draws this line keeps its usual size everywhere else.
 */
#ifndef QS_TESTS_EFFORT_H
#define QS_TESTS_EFFORT_H

#include <stdlib.h>

static inline unsigned effort(unsigned usual, unsigned under_valgrind)
{
    const char *valgrind = getenv("QS_VALGRIND");

    return valgrind != NULL && valgrind[0] != '\0' ? under_valgrind : usual;
}

#endif
