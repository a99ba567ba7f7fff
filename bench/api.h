/* api.h - one LMDB library, loaded at run time, as a table of its functions.
 *
 * The program is linked to no LMDB library: a measuring process loads the one it measures.
 */
#ifndef QS_BENCH_API_H
#define QS_BENCH_API_H

#include <lmdb.h>

#define API_FUNCTIONS(X)                                                                           \
    X(strerror)                                                                                    \
    X(env_create)                                                                                  \
    X(env_set_mapsize)                                                                             \
    X(env_open)                                                                                    \
    X(env_close)                                                                                   \
    X(env_sync)                                                                                    \
    X(txn_begin)                                                                                   \
    X(txn_commit)                                                                                  \
    X(txn_abort)                                                                                   \
    X(txn_reset)                                                                                   \
    X(txn_renew)                                                                                   \
    X(dbi_open)                                                                                    \
    X(stat)                                                                                        \
    X(get)                                                                                         \
    X(put)                                                                                         \
    X(del)                                                                                         \
    X(cursor_open)                                                                                 \
    X(cursor_close)                                                                                \
    X(cursor_get)                                                                                  \
    X(cursor_count)

#define API_MEMBER(name) __typeof__(mdb_##name) *name;
struct api {
    void *handle; /* of dlopen(), never closed */
    API_FUNCTIONS(API_MEMBER)
};
#undef API_MEMBER

/* Loads the library at `path`. NULL, or the reason why not. */
const char *api_load(struct api *api, const char *path);

/* Path of the system's library (QS_REAL_LMDB, or where distributions put it), NULL when none. */
const char *api_find_real(void);

#endif
