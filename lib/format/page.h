/* page.h - tree pages as they lie in the file, and mini-pages as they lie in memory.
 *
 *      0        4    5     6      8            16     20    22    24       26      28     30    32
 *      +--------+----+-----+------+------------+------+-----+-----+--------+-------+------+-----+
 *      |checksum|kind|level|count | checkpoint | pid  |size |heap |garbage |prefix |fence |order|
 *      +--------+----+-----+------+------------+------+-----+-----+--------+-------+------+-----+
 *   32 | la[count]  u32   look-ahead: 4 bytes of each key after the page's prefix                |
 *      | pid[count] u32   inner pages only: child page ids                                       |
 *      | off[count] u16   where each record starts, from the start of the page                   |
 *      | ... free ...                                                                            |
 * heap | records, each at an even offset, in no order, up to `size`                              |
 *      +----------------------------------------------------------------------------------------+
 *
 * Leaf record:  u16 key size (bits 0-8) and flags (bits 9-15) | u16 value size | key | value
 * Inner record: u16 key size                                  | key (separator)
 *
 * Fixed page (a leaf of a large set of duplicates that have one size): the items, in order, and nothing
 * else; `item_size` stands in the place of `prefix`, heap == size, fence and garbage are 0.
 *
 *   32 | item[count]  `item_size` bytes each                                                    |
 *      | ... free ...                                                                            |
 *
 * Set of duplicates in a leaf record's value (ENTRY_SET), any alignment, items in order:
 *
 *   items of one size   u16 item size | SET_FIXED  | item ...
 *   others              u16 count | u16 end[count] | item ...     ends count from the first item's start
 *
 * All integers are little-endian. la[] holds numbers (compare as unsigned), made from the normalized
 * key (page/key.h): big-endian value of its bytes prefix..prefix+3, zeros beyond its end. So la[] is
 * ascending (but with PAGE_CUSTOM), and equal la means: compare the keys. An inner page's entry 0 has an empty separator
 * (minus infinity), la[0] = 0 and takes no part in `prefix`.
 */
#ifndef QS_FORMAT_PAGE_H
#define QS_FORMAT_PAGE_H

#include "base/types.h"

#include <assert.h>

enum page_kind {
    PAGE_LEAF = 1,
    PAGE_INNER = 2,
    PAGE_ARRAY = 3,   /* node of a persistent array (format/array.h) */
    PAGE_PENDING = 4, /* pages waiting to be free (format/pending.h) */
    PAGE_FIXED = 5,   /* leaf of a set of duplicates of one size */
};

struct page {
    uint32_t checksum;   /* crc32c of everything after this field; 0 in memory-only pages */
    uint8_t kind;        /* enum page_kind */
    uint8_t level;       /* 0: leaf; inner pages count upwards */
    uint16_t count;      /* entries */
    uint64_t checkpoint; /* the checkpoint the image was written by (rule 5: where it was born) */
    uint32_t pid;        /* page id; for other kinds what their format says */
    uint16_t size;       /* bytes of the page, header included, even: 4096 in the file */
    uint16_t heap;       /* offset of the lowest record; == size when there is none */
    uint16_t garbage;    /* dead bytes among the records */
    union {
        uint16_t prefix;    /* leading normalized bytes that all keys here share; la follows them */
        uint16_t item_size; /* fixed pages: bytes of an item */
    };
    uint16_t fence; /* those that every key routed here must share (<= prefix when count > 0) */
    uint16_t order; /* order of the keys (enum key_order), so that a page is checked and
                            merged without knowing its tree; with PAGE_CUSTOM, that of its tree where no
                            program interferes, and the keys are in another one */
};
static_assert(sizeof(struct page) == 32, "page header");
static_assert(offsetof(struct page, checkpoint) == 8, "page header");
static_assert(offsetof(struct page, size) == 20, "page header");

#define PAGE_HEADER_BYTES 32u
#define PAGE_CUSTOM 0x100u /* in `order`: la is not ascending, a search does not use it */

enum entry_flag { /* bits 9-15 of a leaf record's first word, shifted down by 9 */
                  ENTRY_TOMBSTONE = 0x01, /* mini-pages: the key is deleted; no value */
                  ENTRY_LARGE = 0x02,     /* the value is a struct large_ref */
                  ENTRY_TREE = 0x04,      /* the value is a struct tree_record: a named tree */
                  ENTRY_SET = 0x08,       /* the value is a set of duplicates, see above */
                  ENTRY_SET_TREE = 0x10,  /* the value is a struct tree_record: the key's duplicates
                                             are the keys of that tree */
};
#define ENTRY_DUPS (ENTRY_SET | ENTRY_SET_TREE)

#define SET_FIXED 0x8000u   /* in a set's first word: items of one size */
#define SET_HEADER_BYTES 2u /* that word */
#define SET_END_BYTES 2u    /* an item's end */

/* A value too large for a leaf: where its page run lies. Runs hold nothing but the value. */
struct large_ref {
    uint64_t pgno;       /* first page of the run */
    uint64_t checkpoint; /* newest checkpoint when it was written: the first whose readers may use
                            it (rule 5) */
    uint32_t size;       /* bytes */
    uint32_t checksum;   /* crc32c of the bytes */
};
static_assert(sizeof(struct large_ref) == 24, "large value reference");

/* Largest key + value that stays in a leaf: two of them always fit one page, so that one split
 * always makes room. A record costs 10 bytes beside key and value, and is padded to even. */
#define ENTRY_OVERHEAD_BYTES 10u
#define ENTRY_INLINE_MAX ((QS_PAGE_BYTES - PAGE_HEADER_BYTES) / 2 - ENTRY_OVERHEAD_BYTES)

#endif
