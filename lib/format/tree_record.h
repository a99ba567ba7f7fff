/* tree_record.h - what the catalog keeps of a tree; a named tree's record in the main tree, as users
 * see it when they read that record (LMDB shows the same 48 bytes).
 * A large set of duplicates has one, too (ENTRY_SET_TREE): flags 0, and in `pad` the size of its items
 * when its leaves are fixed pages.
 *
 *   0     4      6      8       16      24        32       40     48
 *   +-----+------+------+-------+-------+---------+--------+------+
 *   | pad | flags| depth|branch | leaf  |overflow |entries | root |
 *   +-----+------+------+-------+-------+---------+--------+------+
 *
 *   root   63 ... 35   34      33      32     31 ... 0
 *         +---------+-------+-------+-------+---------+
 *         | 0       | whole | dups  | keys  | page id |    all ones: the tree is empty
 *         +---------+-------+-------+-------+---------+
 *                    `---- custom order ----'
 */
#ifndef QS_FORMAT_TREE_RECORD_H
#define QS_FORMAT_TREE_RECORD_H

#include "base/types.h"

#include <assert.h>

#define TREE_ROOT_NONE UINT64_MAX /* root of an empty tree */

#define TREE_FLAGS 0x7eu /* enum qs_tree_flag */

/* Marks in `root`, where no program looks for anything. */
#define TREE_CUSTOM_KEYS (UINT64_C(1) << 32) /* keys are stored in an order of a program's */
#define TREE_CUSTOM_DUPS (UINT64_C(1) << 33) /* the duplicates of some key are */
#define TREE_WHOLE_KEYS                                                                            \
    (UINT64_C(1) << 34) /* with TREE_CUSTOM_KEYS: there were no inner pages when
                                                that began, so separators are keys that were stored, uncut */
#define TREE_ROOT_END (UINT64_C(1) << 35)

struct tree_record {
    uint32_t pad;            /* item size of a fixed-size duplicate set, else 0 */
    uint16_t flags;          /* persistent flags (enum qs_tree_flag) */
    uint16_t depth;          /* levels, 0 when empty */
    uint64_t branch_pages;   /* inner pages */
    uint64_t leaf_pages;     /* leaf pages */
    uint64_t overflow_pages; /* pages in runs of large values */
    uint64_t entries;        /* items (rule 8: exact) */
    uint64_t root;           /* page id of the root and marks, TREE_ROOT_NONE when empty */
};
static_assert(sizeof(struct tree_record) == 48, "tree record");

#endif
