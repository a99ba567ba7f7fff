/* assert.h - where the engine's own assertions end.
 *
 * lib/ and compat/ are compiled with __assert_fail, which the assert() of <assert.h> calls, renamed to the
 * function below. So whoever embeds the engine hears of its assertions, and of no others.
 */
#ifndef QS_BASE_ASSERT_H
#define QS_BASE_ASSERT_H

/* Tells the thread's listener (qs_on_assert() in quickstep.h), if it has one, then writes the message to
 * stderr and aborts. A listener that leaves by longjmp() or ends the process is not held up. */
_Noreturn void qs_assert_failed(const char *condition, const char *file, unsigned line,
                                const char *function);

#endif
