/* wrong.h - calls with wrong arguments and questions to the environment, as lists of expressions.
 *
 * The lists are expanded twice: to make the calls, and to write them down as C (emit.c). In them
 * CALL(get, ...) is mdb_get of the library at hand; env, txn, dbi, key, data[2], cursor, path, dead
 * and fd are variables of the place of expansion.
 */
#ifndef QS_TEST_DIFFERENTIAL_WRONG_H
#define QS_TEST_DIFFERENTIAL_WRONG_H

/* Without a transaction, or with something else that is NULL. */
#define WRONG_CALLS(X)                                                                             \
    X(CALL(txn_commit, NULL))                                                                      \
    X(CALL(txn_renew, NULL))                                                                       \
    X(CALL(get, NULL, dbi, &key, data))                                                            \
    X(CALL(put, NULL, dbi, &key, data, 0))                                                         \
    X(CALL(del, NULL, dbi, &key, data))                                                            \
    X(CALL(cursor_open, NULL, dbi, &cursor))                                                       \
    X(CALL(cursor_get, NULL, &key, data, MDB_FIRST))                                               \
    X(CALL(cursor_put, NULL, &key, data, 0))                                                       \
    X(CALL(cursor_count, NULL, &count))                                                            \
    X(CALL(stat, NULL, dbi, &stat))                                                                \
    X(CALL(drop, NULL, dbi, 0))                                                                    \
    X(CALL(dbi_flags, NULL, dbi, &flags))                                                          \
    X(CALL(env_set_maxreaders, env, 5))                                                            \
    X(CALL(env_set_maxdbs, env, 5))                                                                \
    X(CALL(env_open, env, path, 0, 0644))                                                          \
    X(CALL(env_info, NULL, NULL))                                                                  \
    X(CALL(env_info, env, NULL))                                                                   \
    X(CALL(env_stat, env, NULL))                                                                   \
    X(CALL(env_get_flags, env, NULL))                                                              \
    X(CALL(env_get_path, env, NULL))                                                               \
    X(CALL(env_get_fd, env, NULL))                                                                 \
    X(CALL(env_get_maxreaders, env, NULL))                                                         \
    X(CALL(env_set_flags, env, MDB_NOTLS | MDB_NOSYNC, 1))                                         \
    X(CALL(env_set_flags, env, 0x2, 0))                                                            \
    X(CALL(env_set_userctx, NULL, NULL))                                                           \
    X(CALL(env_copyfd2, env, -1, MDB_CP_COMPACT))                                                  \
    X(CALL(reader_check, NULL, NULL))                                                              \
    X(CALL(reader_list, env, NULL, NULL))                                                          \
    X(CALL(cursor_renew, NULL, NULL))

/* In a transaction, active or not. */
#define WRONG_TXN_CALLS(X)                                                                         \
    X(CALL(stat, txn, dbi, NULL))                                                                  \
    X(CALL(put, txn, dbi, &key, data, MDB_CURRENT))                                                \
    X(CALL(put, txn, dbi, &key, data, MDB_MULTIPLE))                                               \
    X(CALL(put, txn, dbi, &key, data, 0x1))                                                        \
    X((data[0].mv_size = (size_t)1 << 32, CALL(put, txn, dbi, &key, data, 0)))                     \
    X(CALL(cursor_open, txn, dbi, NULL))                                                           \
    X(CALL(cursor_renew, txn, NULL))                                                               \
    X(CALL(get, txn, dbi, NULL, data))                                                             \
    X(CALL(get, txn, dbi, &key, NULL))                                                             \
    X(CALL(put, txn, dbi, NULL, data, 0))                                                          \
    X(CALL(put, txn, dbi, &key, NULL, 0))                                                          \
    X(CALL(del, txn, dbi, NULL, data))                                                             \
    X(CALL(drop, txn, dbi, 2))                                                                     \
    X(CALL(drop, txn, 0, 0))                                                                       \
    X(CALL(dbi_flags, txn, 0, &flags))                                                             \
    X(CALL(set_compare, txn, 0, NULL))                                                             \
    X(CALL(set_dupsort, txn, 0, NULL))                                                             \
    X(CALL(set_relfunc, txn, 0, NULL))                                                             \
    X(CALL(set_relctx, txn, 0, NULL))                                                              \
    X(CALL(set_relctx, txn, dbi, NULL))

/* Asked of an open environment: each gives a number. */
#define QUESTIONS(X)                                                                               \
    X(CALL(env_get_maxkeysize, env))                                                               \
    X(CALL(txn_id, NULL) + (CALL(txn_env, NULL) != NULL) + (CALL(cursor_txn, NULL) != NULL))       \
    X((CALL(txn_abort, NULL), CALL(txn_reset, NULL), CALL(cursor_close, NULL), 0))                 \
    X((CALL(dbi_close, env, 77), 0))                                                               \
    X(CALL(env_get_path, env, &text) == 0 && strcmp(text, path) == 0)                              \
    X(CALL(env_get_fd, env, &fd) == 0 && fd >= 0)                                                  \
    X((CALL(env_get_maxreaders, env, &flags), flags))                                              \
    X((CALL(env_set_userctx, env, &key), CALL(env_get_userctx, env) == &key))                      \
    X(CALL(env_get_userctx, NULL) == NULL)                                                         \
    X((CALL(reader_check, env, &dead), dead))                                                      \
    X(CALL(reader_check, env, NULL))                                                               \
    X((CALL(env_set_flags, env, MDB_NOMETASYNC, 1), CALL(env_get_flags, env, &flags), flags))      \
    X((CALL(env_set_flags, env, MDB_NOMETASYNC, 0), CALL(env_get_flags, env, &flags), flags))      \
    X((CALL(env_set_flags, env, MDB_NOMEMINIT, 1), CALL(env_get_flags, env, &flags), flags))       \
    X((CALL(env_set_flags, env, MDB_NOMEMINIT, 0), CALL(env_get_flags, env, &flags), flags))       \
    X(CALL(env_set_mapsize, env, grown))                                                           \
    X(CALL(env_sync, env, 1))                                                                      \
    X(strcmp(CALL(strerror, -30781), "MDB_BAD_VALSIZE: Unsupported size of key/DB name/data, or "  \
                                     "wrong DUPFIXED size") == 0)                                  \
    X(strcmp(CALL(version, &dead, NULL, NULL), "") != 0 && dead == 0)

/* Asked of a live transaction and a cursor in it. */
#define CURSOR_QUESTIONS(X)                                                                        \
    X(CALL(cursor_txn, cursor) == txn)                                                             \
    X(CALL(cursor_dbi, cursor))                                                                    \
    X(CALL(txn_env, CALL(cursor_txn, cursor)) == env)                                              \
    X(CALL(txn_id, CALL(cursor_txn, cursor)))

#endif
