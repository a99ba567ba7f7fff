/* api.h - one loaded LMDB library as a table of its functions.
 *
 * Two libraries with the same symbol names live side by side, so nothing here is linked: each
 * function is looked up in the library's own handle.
 */
#ifndef QS_TEST_DIFFERENTIAL_API_H
#define QS_TEST_DIFFERENTIAL_API_H

#include <lmdb.h>

#define API_FUNCTIONS(X)                                                                           \
    X(version)                                                                                     \
    X(strerror)                                                                                    \
    X(env_create)                                                                                  \
    X(env_open)                                                                                    \
    X(env_close)                                                                                   \
    X(env_copy)                                                                                    \
    X(env_copyfd)                                                                                  \
    X(env_copy2)                                                                                   \
    X(env_copyfd2)                                                                                 \
    X(env_stat)                                                                                    \
    X(env_info)                                                                                    \
    X(env_sync)                                                                                    \
    X(env_get_flags)                                                                               \
    X(env_set_flags)                                                                               \
    X(env_get_path)                                                                                \
    X(env_get_fd)                                                                                  \
    X(env_get_maxreaders)                                                                          \
    X(env_set_assert)                                                                              \
    X(env_set_userctx)                                                                             \
    X(env_get_userctx)                                                                             \
    X(env_get_maxkeysize)                                                                          \
    X(env_set_mapsize)                                                                             \
    X(env_set_maxreaders)                                                                          \
    X(env_set_maxdbs)                                                                              \
    X(txn_begin)                                                                                   \
    X(txn_id)                                                                                      \
    X(txn_env)                                                                                     \
    X(txn_commit)                                                                                  \
    X(txn_abort)                                                                                   \
    X(txn_reset)                                                                                   \
    X(txn_renew)                                                                                   \
    X(dbi_open)                                                                                    \
    X(dbi_close)                                                                                   \
    X(dbi_flags)                                                                                   \
    X(stat)                                                                                        \
    X(drop)                                                                                        \
    X(get)                                                                                         \
    X(put)                                                                                         \
    X(del)                                                                                         \
    X(cmp)                                                                                         \
    X(dcmp)                                                                                        \
    X(set_compare)                                                                                 \
    X(set_dupsort)                                                                                 \
    X(set_relfunc)                                                                                 \
    X(set_relctx)                                                                                  \
    X(cursor_open)                                                                                 \
    X(cursor_close)                                                                                \
    X(cursor_renew)                                                                                \
    X(cursor_get)                                                                                  \
    X(cursor_put)                                                                                  \
    X(cursor_del)                                                                                  \
    X(cursor_count)                                                                                \
    X(cursor_txn)                                                                                  \
    X(cursor_dbi)                                                                                  \
    X(reader_list)                                                                                 \
    X(reader_check)

#define API_MEMBER(name) __typeof__(mdb_##name) *name;
struct api {
    void *handle;            /* of dlopen(); never closed */
    const char *label;       /* "real" or "ours" */
    long page_size_override; /* what sysconf() tells this library, 0 = the truth */
    API_FUNCTIONS(API_MEMBER)
};
#undef API_MEMBER

/* Loads `path`; as_copy loads a private copy of the file, since the loader would give the handle of
 * a library it already has. Prints and returns -1 when that fails. */
int api_load(struct api *api, const char *label, const char *path, int as_copy);

/* Path of the system's library: QS_REAL_LMDB or the usual places; NULL when there is none. */
const char *api_find_real(void);

/* Names the library that is about to be called; only sysconf() listens (page_size.c). */
void api_enter(const struct api *api);

#endif
