/* assert.c - an assertion of the engine has failed; see assert.h.
 *
 * Owns:  the listener of each thread.
 * Locks: none.
 */
#include "base/assert.h"

#include "quickstep.h"

#include <stdio.h>
#include <stdlib.h>

enum { MESSAGE_BYTES_MAX = 512 };

static _Thread_local struct {
    void (*tell)(void *context, const char *message); /* NULL: nobody listens */
    void *context;
} listener;

void qs_on_assert(void (*tell)(void *context, const char *message), void *context)
{
    listener.tell = tell;
    listener.context = context;
}

_Noreturn void qs_assert_failed(const char *condition, const char *file, unsigned line,
                                const char *function)
{
    char message[MESSAGE_BYTES_MAX];

    snprintf(message, sizeof message, "%.100s:%u: assertion '%.200s' failed in %.100s()", file,
             line, condition, function);
    if (listener.tell != NULL)
        listener.tell(listener.context, message);
    fprintf(stderr, "%s\n", message);
    abort();
}
