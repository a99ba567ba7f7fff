/* log.h - the redo log inside the data file: segments, records, operations.
 *
 * The log is a chain of records in segments, which are page runs. A position counts the bytes of all
 * records ever written; it only grows. The meta page says where the log of its checkpoint begins
 * (struct log_anchor); a LOG_LINK record says in which segment it goes on, and is a segment's last.
 * Segments are filled with zeros before they are used, but for what their first record covers.
 *
 *      segment (page run)                                      next segment
 *      +-----------+-----------+-----+------+--------+         +-----------+----
 *      | record    | record    | ... | LINK | unused |  ---->  | record    | ...
 *      +-----------+-----------+-----+------+--------+         +-----------+----
 *
 *      record, at a multiple of 8 bytes from its segment's start:
 *      0         8          16         24    32        40      44     48
 *      +---------+----------+----------+-----+---------+-------+------+-------------------+
 *      |checksum | previous | position | txn | durable | size  | kind | payload, padded   |
 *      +---------+----------+----------+-----+---------+-------+------+-------------------+
 *
 * `checksum` covers everything behind it, `previous` (the checksum of the record before, or the
 * anchor's seed) included: so a stale record of an earlier time line is never taken for a successor.
 * All records have every byte of `size` written; padding is zero.
 *
 *      LOG_TXN   operations of one transaction, in order, each padded to 8 bytes:
 *      0      1    2          4            8
 *      +------+----+----------+------------+-----+-------+
 *      | kind |flag| key size | value size | key | value |
 *      +------+----+----------+------------+-----+-------+
 *      LOG_LINK  struct log_link
 *      LOG_SEAL  nothing: the last to close the file wrote it, and says how much was durable
 *      LOG_TAKEN struct log_taken, then `count` times struct log_link: page runs that a checkpoint under way
 *                writes to. Until it is in force, or another is, they are in use
 */
#ifndef QS_FORMAT_LOG_H
#define QS_FORMAT_LOG_H

#include "base/types.h"

#include <assert.h>

enum log_kind { LOG_TXN = 1, LOG_LINK = 2, LOG_SEAL = 3, LOG_TAKEN = 4 };

struct log_record {
    uint64_t checksum; /* qs_hash64() of the rest */
    uint64_t previous; /* checksum of the record before */
    uint64_t position; /* of this record's first byte */
    txnid_t txn;       /* LOG_TXN: its number; others: that of the newest transaction before */
    uint64_t durable; /* position up to which the log was known to be durable when it was written */
    uint32_t size;    /* bytes, this header included; a multiple of 8 */
    uint8_t kind;     /* enum log_kind */
    uint8_t salt[3];  /* random, another for each opening: no record of two time lines is equal */
};
static_assert(sizeof(struct log_record) == 48, "log record");

struct log_link {
    uint64_t pgno;  /* the next segment's first page */
    uint64_t pages; /* its length */
};

struct log_taken {
    uint64_t checkpoint; /* its number */
    uint64_t count;      /* runs that follow */
};
static_assert(sizeof(struct log_taken) == 16 && sizeof(struct log_link) == 16, "log runs");

/* Where the log of a checkpoint begins; part of the meta page. */
struct log_anchor {
    uint64_t position; /* of the first record */
    uint64_t seed;     /* its `previous`: random, or the checksum of the record before */
    uint64_t pgno;     /* segment it lies in */
    uint64_t pages;    /* that segment's length, 0: there is no log yet */
    uint64_t offset;   /* bytes from the start of the segment */
    uint64_t born;     /* checkpoint in whose time the segment was first used */
};
static_assert(sizeof(struct log_anchor) == 48, "log anchor");

#define LOG_ALIGN 8u
#define LOG_LINK_BYTES (sizeof(struct log_record) + sizeof(struct log_link))

enum log_op_kind {
    LOG_OP_TREE = 1,   /* what follows is about the tree of this name (empty: the main tree) */
    LOG_OP_CREATE = 2, /* create it: value = flags, u32 */
    LOG_OP_FLAGS = 3,  /* add flags to the main tree's: value = flags, u32 */
    LOG_OP_EMPTY = 4,  /* remove all its records */
    LOG_OP_DROP = 5,   /* remove it */
    LOG_OP_PUT = 6,    /* store key and value */
    LOG_OP_LARGE = 7,  /* the same; value = struct large_ref of a run written before the record */
    LOG_OP_DELETE = 8, /* remove key, with all its duplicates or one */
    LOG_OP_SIZE = 9,   /* the map size grew: value = bytes, u64 */
    LOG_OP_FREED = 10, /* the transaction has released these runs, which earlier records behind the
                          checkpoint refer to: value = struct log_link of each. Other things may lie there */
};

enum log_op_flag {
    LOG_OP_GONE =
        1, /* LOG_OP_LARGE: the same transaction gave the run back later on, so other things
                           may lie there */
    LOG_OP_CURRENT = 2, /* LOG_OP_PUT, with duplicates: the value replaces the only one there is */
    LOG_OP_REFUSED =
        8, /* LOG_OP_PUT, with duplicates: QS_APPENDDUP was refused, but it has turned a single
                           value into a set of one */
    LOG_OP_PAIR = 4, /* LOG_OP_DELETE, with duplicates: only this value */
    LOG_OP_REUSED =
        16, /* LOG_OP_LARGE: the run is, or is part of, one that was released by LOG_OP_FREED */
};

struct log_op {
    uint8_t kind;        /* enum log_op_kind */
    uint8_t flags;       /* enum log_op_flag */
    uint16_t key_size;   /* bytes */
    uint32_t value_size; /* bytes */
};
static_assert(sizeof(struct log_op) == 8, "log operation");

static inline size_t log_padded(size_t size)
{
    return (size + LOG_ALIGN - 1) & ~(size_t)(LOG_ALIGN - 1);
}

static inline size_t log_op_bytes(size_t key_size, size_t value_size)
{
    return log_padded(sizeof(struct log_op) + key_size + value_size);
}

#endif
