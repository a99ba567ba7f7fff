/* hook.h - named hook points: where a test may kill the process, or make it wait.
 *
 * A hook point is one line, QS_HOOK("folder.step"), at the moment between two steps that a crash or
 * another process could fall into. It compiles to nothing unless QS_DEBUG is defined. The names are
 * unique; tests/crash/kill_at.c finds them in the sources and kills a process at each.
 *
 * In a debug build a test sets a handler (qs_hook_handle()); programs that cannot are steered by their
 * environment: QS_KILL_AT=NAME:N kills at the N-th time there, QS_SLEEP_AT=NAME:US sleeps at each.
 */
#ifndef QS_OS_HOOK_H
#define QS_OS_HOOK_H

#ifdef QS_DEBUG

typedef void (*qs_hook_handler)(const char *name);

/* Called at every hook point from now on, instead of what the environment says; NULL: that again. */
void qs_hook_handle(qs_hook_handler handler);
void qs_hook_reach(const char *name);

#define QS_HOOK(name) qs_hook_reach(name)
#else
#define QS_HOOK(name) ((void)0)
#endif

#endif
