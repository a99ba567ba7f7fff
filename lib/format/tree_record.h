/* tree_record.h - what the catalog keeps of a tree; a named tree's record in the main tree, as users
 * see it when they read that record (LMDB shows the same 48 bytes).
 * A large set of duplicates has one, too (ENTRY_SET_TREE): flags 0, and in `pad` the size of its items
 * when its leaves are fixed pages.
 *
 *   0     4      6      8       16      24        32       40     48
 *   +-----+------+------+-------+-------+---------+--------+------+
 *   | pad | flags| depth|branch | leaf  |overflow |entries | root |
 *   +-----+------+------+-------+-------+---------+--------+------+
 */
#ifndef QS_FORMAT_TREE_RECORD_H
#define QS_FORMAT_TREE_RECORD_H

#include "base/types.h"

#include <assert.h>

#define TREE_ROOT_NONE UINT64_MAX /* root of an empty tree */

struct tree_record {
    uint32_t pad;            /* item size of a fixed-size duplicate set, else 0 */
    uint16_t flags;          /* persistent flags (enum qs_tree_flag) */
    uint16_t depth;          /* levels, 0 when empty */
    uint64_t branch_pages;   /* inner pages */
    uint64_t leaf_pages;     /* leaf pages */
    uint64_t overflow_pages; /* pages in runs of large values */
    uint64_t entries;        /* items (rule 8: exact) */
    uint64_t root;           /* page id of the root, TREE_ROOT_NONE when empty */
};
static_assert(sizeof(struct tree_record) == 48, "tree record");

#endif
