/* pending.h - file pages that wait to be free, as a chain of pages written by each checkpoint.
 *
 *   0                32           40                                       4096
 *   +----------------+------------+------------------------------------------+
 *   | page header:   | next page  | struct pending_run[count]                |
 *   | PAGE_PENDING   | (0: last)  |                                          |
 *   +----------------+------------+------------------------------------------+
 *
 * A run first referenced by checkpoint `born` and released by checkpoint `freed` may be reused when
 * `freed` is durable and no reader uses a checkpoint in [born, freed) (rule 5).
 */
#ifndef QS_FORMAT_PENDING_H
#define QS_FORMAT_PENDING_H

#include "format/page.h"

struct pending_run {
    uint64_t pgno;  /* first page */
    uint64_t born;  /* checkpoint */
    uint64_t freed; /* checkpoint */
    uint64_t pages; /* length */
};

#define PENDING_PER_PAGE ((QS_PAGE_BYTES - PAGE_HEADER_BYTES - 8) / sizeof(struct pending_run))

struct pending_page {
    struct page header;
    uint64_t next;
    struct pending_run run[PENDING_PER_PAGE];
    uint8_t spare[QS_PAGE_BYTES - PAGE_HEADER_BYTES - 8 -
                  PENDING_PER_PAGE * sizeof(struct pending_run)];
};
static_assert(sizeof(struct pending_page) == QS_PAGE_BYTES, "pending page");

#endif
