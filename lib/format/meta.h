/* meta.h - the two pages a database starts from. Checkpoint n writes page n mod 2, so that the last
 * durable checkpoint is always intact; the valid one with the larger number counts.
 *
 *     0  magic u64 | 8 format u32 | 12 zero u32 | 16 page bytes u32 | 20 zero u32 | 24 file id 2 x u64
 *    40  checkpoint u64 | 48 txn u64 | 56 map size u64 | 64 high water u64 | 72 used pages u64
 *    80  mapping table (struct array_root) | 96 free-space bitmap (struct array_root)
 *   112  pending: first page u64 | 120 pending pages in the chain u64
 *   128  next page id u32 | 132 free page id u32 | 136 free page ids u64
 *   144  main tree (struct tree_record, 48 bytes)
 *   192  log (struct log_anchor, 48 bytes)
 *   240  reach u64 | 248 zero
 *  4088  zero u32 | 4092 checksum u32 (crc32c of the 4092 bytes before it)
 *
 * Little-endian. Whatever stands at offsets 10 and 16 of an LMDB file (page flag 8, 0xBEEFC0DE)
 * cannot stand there in ours, so neither library takes the other's file.
 */
#ifndef QS_FORMAT_META_H
#define QS_FORMAT_META_H

#include "format/array.h"
#include "format/log.h"
#include "format/tree_record.h"

#define META_MAGIC 0x0a50455453515389ull /* 0x89 'S' 'Q' 'S' 'T' 'E' 'P' '\n' */
#define META_FORMAT 4u
#define META_PAGES 2u

struct meta {
    uint64_t magic;  /* META_MAGIC */
    uint32_t format; /* META_FORMAT */
    uint32_t zero0;
    uint32_t page_bytes; /* QS_PAGE_BYTES */
    uint32_t zero1;
    uint64_t file_id[2];      /* random, given at creation: names this database */
    uint64_t checkpoint;      /* number of the checkpoint that wrote it */
    uint64_t txn;             /* newest transaction it contains */
    uint64_t map_size_bytes;  /* largest map size a writer had */
    uint64_t high_water;      /* no page from here on is in use */
    uint64_t used_pages;      /* logical use: tree pages, runs, array nodes, these two */
    struct array_root map;    /* page id -> file page */
    struct array_root bitmap; /* file pages in use */
    uint64_t pending;         /* first page of the pending chain, 0: none */
    uint64_t pending_pages;   /* its length in pages */
    uint32_t next_pid;        /* page ids from here on were never handed out */
    uint32_t free_pid;        /* head of the chain of free page ids (in the map), 0: none */
    uint64_t free_pids;       /* its length */
    struct tree_record main;  /* the main tree */
    struct log_anchor log;    /* what was committed after this checkpoint */
    uint64_t reach_pages;     /* most pages that writers have had in use: what the file has beyond
                                 them its user gave it */
    uint8_t zero2[QS_PAGE_BYTES - 248 - 4];
    uint32_t checksum; /* crc32c of everything before */
};
static_assert(sizeof(struct meta) == QS_PAGE_BYTES, "meta page");
static_assert(offsetof(struct meta, checkpoint) == 40, "meta page");
static_assert(offsetof(struct meta, map) == 80, "meta page");
static_assert(offsetof(struct meta, main) == 144, "meta page");
static_assert(offsetof(struct meta, log) == 192, "meta page");
static_assert(offsetof(struct meta, reach_pages) == 240, "meta page");

#endif
