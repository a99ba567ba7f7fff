/* array.h - node of a persistent array: a radix tree of copy-on-write pages that takes an index to
 * one 64-bit word. The mapping table (page id -> file page) and the free-space bitmap are such arrays.
 *
 *   0                                   32                                   4096
 *   +-----------------------------------+-------------------------------------+
 *   | page header: kind PAGE_ARRAY,     | word[508]                           |
 *   | level (0: leaf), count = 508,     |   leaf: the array's words           |
 *   | checkpoint it was born in         |   above: file pages of the children |
 *   +-----------------------------------+-------------------------------------+
 *
 * A child of 0 stands for 508^level zero words. Words of the mapping table:
 *
 *   63       62     56..61  48..55                     0..47
 *   verified free   0       0                          page number (free: next free page id, 0 ends)
 *
 * `verified` is never set in the file. Zero: the page id was never handed out. Words of the bitmap:
 * bit b of word w is set when file page 64 w + b is in use or waits to be free (not so for the two meta pages: they are not kept
 * account of).
 */
#ifndef QS_FORMAT_ARRAY_H
#define QS_FORMAT_ARRAY_H

#include "format/page.h"

#define ARRAY_FANOUT 508u
#define ARRAY_LEVELS_MAX 6u

struct array_node {
    struct page header;
    uint64_t word[ARRAY_FANOUT];
};
static_assert(sizeof(struct array_node) == QS_PAGE_BYTES, "array node");

/* Where an array starts; part of the meta page. */
struct array_root {
    uint64_t pgno;   /* top node, 0 when the array is all zeros */
    uint32_t levels; /* height, 0 when the array is all zeros */
    uint32_t nodes;  /* nodes it consists of */
};

#define MAP_WORD_VERIFIED (1ull << 63)
#define MAP_WORD_FREE (1ull << 62)
#define MAP_WORD_PGNO ((1ull << 48) - 1)

#endif
