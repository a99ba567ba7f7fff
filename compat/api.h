/* api.h - lmdb.h, with its functions visible outside the library.
 *
 * The library is compiled with hidden visibility, and lmdb.h says nothing about it. A definition
 * inherits the visibility of the first declaration, so every file here takes lmdb.h through this
 * header. The export list (liblmdb.sym) then names the same functions once more, for the linker.
 */
#ifndef QS_COMPAT_API_H
#define QS_COMPAT_API_H

#pragma GCC visibility push(default)
#include <lmdb.h>
#pragma GCC visibility pop

#define COMPAT_KEY_MAX 511u            /* longest key, and longest value of a DUPSORT tree */
#define COMPAT_VALUE_MAX 0xffffffffull /* longest value of a plain tree */
#define COMPAT_PAGE_SIZE 4096u         /* what MDB_stat calls a page; the engine's page size */

#define COMPAT_DBI_FREE 0u  /* LMDB's list of free pages; here an empty tree to look at */
#define COMPAT_DBI_MAIN 1u  /* the main tree */
#define COMPAT_DBI_NAMED 2u /* the first handle of a named tree */

#endif
