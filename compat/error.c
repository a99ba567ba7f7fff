/* error.c - LMDB's return codes: their texts, and which of them an engine code becomes.
 *
 * Owns:       nothing but constants.
 * Source:     the texts are what programs print and tests compare; they are LMDB's to the letter.
 */
#include "errors.h"

#include "api.h"

#include "quickstep.h"

#include <assert.h>
#include <string.h>

/* Indexed by the distance from MDB_KEYEXIST, the lowest code. */
static const char *const texts[] = {
    "MDB_KEYEXIST: Key/data pair already exists",
    "MDB_NOTFOUND: No matching key/data pair found",
    "MDB_PAGE_NOTFOUND: Requested page not found",
    "MDB_CORRUPTED: Located page was wrong type",
    "MDB_PANIC: Update of meta page failed or environment had fatal error",
    "MDB_VERSION_MISMATCH: Database environment version mismatch",
    "MDB_INVALID: File is not an LMDB file",
    "MDB_MAP_FULL: Environment mapsize limit reached",
    "MDB_DBS_FULL: Environment maxdbs limit reached",
    "MDB_READERS_FULL: Environment maxreaders limit reached",
    "MDB_TLS_FULL: Thread-local storage keys full - too many environments open",
    "MDB_TXN_FULL: Transaction has too many dirty pages - transaction too big",
    "MDB_CURSOR_FULL: Internal error - cursor stack limit reached",
    "MDB_PAGE_FULL: Internal error - page has no more space",
    "MDB_MAP_RESIZED: Database contents grew beyond environment mapsize",
    "MDB_INCOMPATIBLE: Operation and DB incompatible, or DB flags changed",
    "MDB_BAD_RSLOT: Invalid reuse of reader locktable slot",
    "MDB_BAD_TXN: Transaction must abort, has a child, or is invalid",
    "MDB_BAD_VALSIZE: Unsupported size of key/DB name/data, or wrong DUPFIXED size",
    "MDB_BAD_DBI: The specified DBI handle was closed/changed unexpectedly",
};
static_assert(sizeof texts / sizeof texts[0] == MDB_BAD_DBI - MDB_KEYEXIST + 1, "one a code");

/* Indexed by the negated engine code. */
static const int codes[] = {
    [-QS_E_KEYEXIST] = MDB_KEYEXIST,
    [-QS_E_NOTFOUND] = MDB_NOTFOUND,
    [-QS_E_CORRUPTED] = MDB_CORRUPTED,
    [-QS_E_PANIC] = MDB_PANIC,
    [-QS_E_VERSION_MISMATCH] = MDB_VERSION_MISMATCH,
    [-QS_E_INVALID] = MDB_INVALID,
    [-QS_E_MAP_FULL] = MDB_MAP_FULL,
    [-QS_E_READERS_FULL] = MDB_READERS_FULL,
    [-QS_E_TLS_FULL] = MDB_TLS_FULL,
    [-QS_E_MAP_RESIZED] = MDB_MAP_RESIZED,
    [-QS_E_INCOMPATIBLE] = MDB_INCOMPATIBLE,
    [-QS_E_BAD_RSLOT] = MDB_BAD_RSLOT,
    [-QS_E_BAD_TXN] = MDB_BAD_TXN,
    [-QS_E_BAD_VALSIZE] = MDB_BAD_VALSIZE,
    [-QS_E_PAGE_NOTFOUND] = MDB_PAGE_NOTFOUND,
};

int qs_compat_error_code(int rc)
{
    const int count = (int)(sizeof codes / sizeof codes[0]);

    assert(rc < 0 && rc > -count && codes[-rc] != 0);
    if (rc <= -count || codes[-rc] == 0)
        return MDB_PANIC;
    return codes[-rc];
}

/* The tables are constant; LMDB's prototypes promise more than they mean. */
char *mdb_strerror(int err)
{
    if (err == MDB_SUCCESS)
        return (char *)"Successful return: 0";
    if (err >= MDB_KEYEXIST && err <= MDB_LAST_ERRCODE)
        return (char *)texts[err - MDB_KEYEXIST];
    return strerror(err);
}

char *mdb_version(int *major, int *minor, int *patch)
{
    if (major != NULL)
        *major = 0;
    if (minor != NULL)
        *minor = 9;
    if (patch != NULL)
        *patch = 24;
    return (char *)"LMDB 0.9.24: (July 24, 2019)";
}
