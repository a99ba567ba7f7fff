/* hook.c - what happens at a hook point, in debug builds.
 *
 * Owns:  the handler and what the environment asks for, read at the first hook point reached.
 * Locks: none. Handlers are called on the thread that got there, whatever it holds.
 */
#include "os/hook.h"

#ifdef QS_DEBUG

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* NAME:NUMBER from the environment. */
struct request {
    const char *name; /* NULL: nothing is asked for */
    size_t length;    /* of the name */
    long number;
};

static _Atomic(qs_hook_handler) current;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct request kill_at, sleep_at;
static _Atomic long reached; /* how often kill_at's name was */

static struct request parse(const char *variable)
{
    const char *text = getenv(variable);
    const char *colon = text != NULL ? strrchr(text, ':') : NULL;
    struct request request = {NULL, 0, 0};

    if (colon != NULL)
        request = (struct request){text, (size_t)(colon - text), atol(colon + 1)};
    return request;
}

static void read_environment(void)
{
    kill_at = parse("QS_KILL_AT");
    sleep_at = parse("QS_SLEEP_AT");
}

static int asks_for(const struct request *request, const char *name)
{
    return request->name != NULL && strlen(name) == request->length &&
           memcmp(name, request->name, request->length) == 0;
}

void qs_hook_handle(qs_hook_handler handler)
{
    atomic_store(&current, handler);
}

void qs_hook_reach(const char *name)
{
    qs_hook_handler handler = atomic_load(&current);

    if (handler != NULL) {
        handler(name);
        return;
    }
    pthread_once(&once, read_environment);
    if (asks_for(&kill_at, name) && atomic_fetch_add(&reached, 1) + 1 == kill_at.number)
        kill(getpid(), SIGKILL);
    if (asks_for(&sleep_at, name))
        usleep((useconds_t)sleep_at.number);
}

#else
typedef int nothing_here; /* a file must hold something */
#endif
