/* ahead.h - operations of the log that a replica has not applied yet, to be found by key.
 *
 * Who follows another process's writing does not do every put again at once: it notes where in the log each
 * stands, and a reader that asks for a key gets it from there. Whoever asks for anything else has the log
 * applied first (qs_txn_catch_up()). So a reader of few keys pays for those, and a checkpoint makes most of
 * the rest unnecessary.
 *
 * Owns:       one entry an operation, the newest of a key found through a hash table, older ones from there.
 * Invariants: A1 it holds every operation behind the transaction that was applied when the first reader began
 *             to use it, or has been applied since, up to `upto`; entries up to what a reader's pages say
 *             already do not count for it.
 *             A2 entries never move and never go. Tables that a larger one replaces stay as well: what is
 *             looked at needs no lock.
 * Threads: qs_ahead_prefetch(), _find() and _is_opaque() from any, the rest under the core's follow_lock.
 * Source: own; engine §5 has the operations queued by tree.
 */
#ifndef QS_TXN_AHEAD_H
#define QS_TXN_AHEAD_H

#include "log/log.h"
#include "txn/names.h"

#define AHEAD_CHUNKS 22u      /* each twice as large as the one before */
#define AHEAD_CHUNK_MIN 1024u /* entries in the first */

struct ahead_table;

struct ahead_entry {
    const struct log_op
        *op;        /* LOG_OP_PUT, _LARGE or _DELETE, in the log; key and value behind it */
    txnid_t txn;    /* whose it is */
    uint32_t tree;  /* index of its tree */
    uint32_t older; /* the same key's entry before, counted from 1; 0: there is none */
};

struct ahead {
    struct log log;                      /* read so far */
    _Atomic txnid_t upto;                /* newest transaction that is in it */
    _Atomic txnid_t opaque;              /* newest one with operations that are no entries */
    _Atomic uint64_t pages;              /* at most so many, applied, are in use then */
    _Atomic(struct ahead_table *) table; /* NULL: no entries */
    _Atomic(struct ahead_entry *) chunk[AHEAD_CHUNKS]; /* entries by number */
    uint32_t count;                                    /* entries */
    uint64_t large_pages;                              /* of the large values among them */
    const struct qs_tree *tree;                        /* that of the last operation */
    struct ahead *retired; /* the one before, which readers may still use */
};

/* NULL: no memory. */
struct ahead *qs_ahead_new(void);
/* With those retired before it; NULL is allowed. */
void qs_ahead_free(struct ahead *ahead);

/* Reads on from where it has come to, or from the end of `applied` if that is further, to log position `limit`.
 * `used_pages` are in use where `applied` ends. QS_E_CORRUPTED, ENOMEM: as much as went well is in it. */
int qs_ahead_read(struct ahead *ahead, const struct log *applied, uint64_t used_pages,
                  struct names *names, uint64_t limit);

/* A key that is looked for. */
struct ahead_key {
    const void *bytes;
    size_t size;
    uint32_t tree; /* index */
    uint32_t hash; /* set by qs_ahead_prefetch() */
};

/* Asks for the memory in which qs_ahead_find() will begin to look; to be called before it. */
void qs_ahead_prefetch(const struct ahead *ahead, struct ahead_key *key);

/* The operation that says what a key is for snapshot `upto`, in pages that say what it was for `from`; NULL:
 * what the pages say. It lies in the log. */
const struct log_op *qs_ahead_find(const struct ahead *ahead, const struct ahead_key *key,
                                   txnid_t from, txnid_t upto);

/* Whether anything but qs_ahead_find() may tell of transactions behind `from`. */
static inline bool qs_ahead_is_opaque(const struct ahead *ahead, txnid_t from)
{
    /* relaxed: a reader uses it up to a transaction it has found in `upto` */
    return atomic_load_explicit(&ahead->opaque, memory_order_relaxed) > from;
}

#endif
