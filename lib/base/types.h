/* types.h - the scalars every floor speaks in. */
#ifndef QS_BASE_TYPES_H
#define QS_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t pgno_t;   /* number of a 4 KiB page in the data file: offset / QS_PAGE_BYTES */
typedef uint32_t pageid_t; /* page id: names a tree page for life, whatever file page it lies in */
typedef uint64_t txnid_t;  /* number of a committed (or the running) write transaction */

#define QS_PAGE_BYTES 4096u
#define QS_PAGE_SHIFT 12
#define QS_KEY_MAX 511u          /* longest key, bytes */
#define QS_PAGEID_NONE 0u        /* no page: the root of an empty tree; never handed out */
#define QS_TXNID_NONE UINT64_MAX /* "no snapshot" in a reader slot */

#endif
