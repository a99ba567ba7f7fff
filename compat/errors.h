/* errors.h - from the engine's return codes to LMDB's: the only place where they meet.
 */
#ifndef QS_COMPAT_ERRORS_H
#define QS_COMPAT_ERRORS_H

/* LMDB's code for a negative code of the engine; MDB_PANIC for one that is not known. */
int qs_compat_error_code(int rc);

/* LMDB's code for what an engine function returned: 0 and errno values are the same in both. */
static inline int qs_compat_error(int rc)
{
    return rc >= 0 ? rc : qs_compat_error_code(rc);
}

#endif
