/* tree_record.h - what the catalog keeps of a tree; a named tree's record in the main tree, as users
 * see it when they read that record (LMDB shows the same 48 bytes).
 * A large set of duplicates has one, too (ENTRY_SET_TREE): of flags, marks only, and in `pad` the size of
 * its items when its leaves are fixed pages.
 *
 *   0     4      6      8       16      24        32       40     48
 *   +-----+------+------+-------+-------+---------+--------+------+
 *   | pad | flags| depth|branch | leaf  |overflow |entries | root |
 *   +-----+------+------+-------+-------+---------+--------+------+
 *
 *   flags  15 ... 11   10      9       8      7    6 ... 1   0
 *         +---------+-------+-------+-------+---+---------+---+
 *         | 0       | whole | dups  | keys  | 0 | users'  | 0 |
 *         +---------+-------+-------+-------+---+---------+---+
 *                    `------ custom order ------'
 */
#ifndef QS_FORMAT_TREE_RECORD_H
#define QS_FORMAT_TREE_RECORD_H

#include "base/types.h"

#include <assert.h>

#define TREE_ROOT_NONE UINT64_MAX /* root of an empty tree */

#define TREE_USER_FLAGS 0x7eu /* enum qs_tree_flag */
#define TREE_CUSTOM_KEYS                                                                           \
    0x100u /* keys are stored in an order of a program's, not in a built-in one */
#define TREE_CUSTOM_DUPS 0x200u /* the same of the duplicates of some key */
#define TREE_WHOLE_KEYS                                                                            \
    0x400u /* with TREE_CUSTOM_KEYS: it had no inner pages when that began, so all
                                      separators are keys that were stored, uncut */

struct tree_record {
    uint32_t pad;            /* item size of a fixed-size duplicate set, else 0 */
    uint16_t flags;          /* TREE_USER_FLAGS, and marks */
    uint16_t depth;          /* levels, 0 when empty */
    uint64_t branch_pages;   /* inner pages */
    uint64_t leaf_pages;     /* leaf pages */
    uint64_t overflow_pages; /* pages in runs of large values */
    uint64_t entries;        /* items (rule 8: exact) */
    uint64_t root;           /* page id of the root, TREE_ROOT_NONE when empty */
};
static_assert(sizeof(struct tree_record) == 48, "tree record");

#endif
