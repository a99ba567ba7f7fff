/* mtest.h - included before LMDB's mtest programs: what they want of their surroundings.
 *
 * They draw their numbers by the clock; here the environment says which, so that two libraries can be
 * given the same. mtest6 prints keys by mdb_dkey(), which LMDB has in debugging builds alone; this one
 * writes the bytes in hexadecimal.
 */
#ifndef QS_LMDB_TESTS_MTEST_H
#define QS_LMDB_TESTS_MTEST_H

#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline time_t mtest_seed(void)
{
    const char *seed = getenv("MTEST_SEED");

    return seed == NULL ? time(NULL) : (time_t)strtol(seed, NULL, 0);
}
#define time(result) mtest_seed()

static inline char *mdb_dkey(const MDB_val *key, char *text)
{
    char *next = text;

    *next = '\0';
    for (size_t i = 0; i < key->mv_size && i < 100; i++) {
        next += sprintf(next, "%02x", ((const unsigned char *)key->mv_data)[i]);
    }
    return text;
}

#endif
