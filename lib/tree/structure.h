/* structure.h - splitting and merging pages: how a tree changes shape (rule 6).
 *
 * All of it happens in own whole versions of the writer. A path passed in is used up: the pages it
 * names may be gone afterwards.
 */
#ifndef QS_TREE_STRUCTURE_H
#define QS_TREE_STRUCTURE_H

#include "tree/path.h"
#include "tree/tree.h"

struct writer;

/* Makes the first leaf of an empty tree. */
int qs_tree_plant(struct writer *writer, struct tree_state *tree);

/* Replaces the leaf at the end of `path` by two that hold writer->entries[0..count), which point into
 * its image or elsewhere; `at` is the index of the entry being inserted. */
int qs_leaf_split(struct writer *writer, struct tree_state *tree, struct path *path, unsigned count,
                  unsigned at);

/* The upper half of the leaf at the end of `path` has become page `pid`, whose keys are >= `key`: tells
 * the pages above, splitting them as far as needed. */
int qs_tree_promote(struct writer *writer, struct tree_state *tree, struct path *path,
                    const void *key, size_t key_size, pageid_t pid);

/* The key by which a search tells two neighbouring pages apart: cut short, but in custom order. */
void qs_tree_separator(const struct order *order, const void *left, size_t left_size,
                       const void *right, size_t right_size, const void **separator,
                       size_t *separator_size);

/* After a delete: merges the leaf at the end of `path` with a neighbour when little is left of it, and
 * the pages above likewise; shrinks the tree. */
int qs_leaf_shrink(struct writer *writer, struct tree_state *tree, struct path *path);

/* Bytes of entries a page in the file holds. */
#define PAGE_CAPACITY (QS_PAGE_BYTES - PAGE_HEADER_BYTES)
/* A page with less in it than this looks for a neighbour to merge with, and a merged page is not
 * filled beyond PAGE_MERGED_MAX, so that it does not split again at once. */
#define PAGE_SPARSE (PAGE_CAPACITY / 4)
#define PAGE_MERGED_MAX (PAGE_CAPACITY * 9 / 10)

#endif
