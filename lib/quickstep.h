/* quickstep.h - the engine's whole public face: environments, transactions, trees, cursors.
 *
 * A key/value store in one file: ordered trees, snapshots, one writer at a time, crash safe.
 * Return codes: 0 is success, > 0 an errno, < 0 one of enum qs_error.
 *
 * Threads: an environment may be used by all threads. A transaction and its cursors belong to one
 * thread at a time. Processes: any number may open the same file; a forked child must open anew
 * (qs_env_close() of an inherited environment is harmless, everything else is not allowed).
 * Memory: values handed out point into engine memory; they stay valid and unchanged until the
 * transaction ends, in a write transaction until its next modifying call.
 */
#ifndef QUICKSTEP_H
#define QUICKSTEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum qs_error {
    QS_E_KEYEXIST = -1,         /* key (or key/data pair) exists and was not to be replaced */
    QS_E_NOTFOUND = -2,         /* no such key, pair, tree or position */
    QS_E_CORRUPTED = -3,        /* bytes in the file cannot be what was written */
    QS_E_PANIC = -4,            /* a failure after which this environment takes no more writes */
    QS_E_VERSION_MISMATCH = -5, /* a Quickstep file of another format version */
    QS_E_INVALID = -6,          /* not a Quickstep file */
    QS_E_MAP_FULL = -7,         /* the map size is used up; the transaction is in error */
    QS_E_READERS_FULL = -8,     /* every reader slot is taken by a live reader */
    QS_E_TLS_FULL = -9,         /* no thread-local key left */
    QS_E_MAP_RESIZED = -10,     /* another process uses pages beyond this environment's map */
    QS_E_INCOMPATIBLE = -11,    /* operation does not fit the tree's kind */
    QS_E_BAD_RSLOT = -12,       /* this thread's reader slot is already in use */
    QS_E_BAD_TXN = -13,         /* transaction is finished, failed, or has a live child */
    QS_E_BAD_VALSIZE = -14,     /* key, name or value size not supported here */
    QS_E_PAGE_NOTFOUND = -15,   /* a reference to a page that does not exist */
};

/* Environment flags; the meaning is LMDB's for the flag of the same name. */
enum qs_env_flag {
    QS_RDONLY = 0x1, /* no write transactions; the file is opened read-only */
    QS_NOSYNC = 0x2, /* commits do not wait for the disk; changeable */
    QS_NOMETASYNC =
        0x4,            /* allowed to lose the last commit in a power cut; loses none; changeable */
    QS_WRITEMAP = 0x8,  /* the file is extended to the map size when opened */
    QS_MAPASYNC = 0x10, /* with WRITEMAP, as NOSYNC; changeable */
    QS_NOTLS = 0x20,    /* a reader slot belongs to its transaction, not to its thread */
    QS_NOLOCK = 0x40,   /* no lock file: the caller does all locking */
    QS_NORDAHEAD = 0x80, /* advise random access */
};

struct qs_env;    /* one open environment */
struct qs_txn;    /* a read or write transaction */
struct qs_tree;   /* a named tree (or the main one); lives as long as its environment */
struct qs_cursor; /* a position in one tree */
struct qs_io_ops; /* file I/O implementation (os/io.h); NULL picks one */

struct qs_val {
    size_t size;      /* bytes */
    const void *data; /* never NULL in results, even for size 0 */
};

struct qs_options {
    const char *data_path;      /* the data file; copied */
    const char *lock_path;      /* the lock file; copied; unused with QS_NOLOCK */
    unsigned flags;             /* enum qs_env_flag */
    mode_t mode;                /* of files that are created */
    uint64_t map_size_bytes;    /* limit on the space in use; 0 = what the file says, or 1 MiB */
    unsigned max_readers;       /* reader slots wanted; 0 = 126 */
    uint64_t log_bytes_max;     /* log that may gather before a checkpoint is made; 0: half of the
                                   space in use, from 16 to 64 MiB (while other processes have the file
                                   open: 16 MiB). What recovery after a crash may have to read, and do
                                   again at some 0.5 us a small operation. The first environment that opens
                                   the file in this process decides */
    const struct qs_io_ops *io; /* NULL: io_uring where allowed, else POSIX */
};

struct qs_stat {
    uint32_t depth;          /* levels of the tree, 0 when empty */
    uint64_t branch_pages;   /* inner pages */
    uint64_t leaf_pages;     /* leaf pages */
    uint64_t overflow_pages; /* 4 KiB pages in runs of large values */
    uint64_t entries;        /* items, every duplicate counted */
};

struct qs_env_info {
    uint64_t map_size_bytes; /* in force in this environment */
    uint64_t last_page;   /* pages in use, as the number of the last one: used bytes / 4096 - 1 */
    uint64_t last_txnid;  /* newest committed transaction */
    unsigned max_readers; /* reader slots there are */
    unsigned num_readers; /* high-water mark of slots used; 0 with QS_NOLOCK */
};

/* ---- environments ---------------------------------------------------------------------------- */

/* Opens, and where QS_RDONLY is not set creates, the files that `options` names. Of the data nothing is loaded but
 * what the log holds.
 * Order: lock file first, then data file; with QS_RDONLY the data file first (it must exist). On
 * failure everything is released again; files created so far stay.
 * Returns errno of open(2) and the like, QS_E_INVALID, QS_E_VERSION_MISMATCH, QS_E_CORRUPTED. */
int qs_env_open(const struct qs_options *options, struct qs_env **env);

/* Releases everything. The last to close the file turns a log of more than 32 KiB into a checkpoint,
 * and makes the file shorter where that is worth it (it moves up to 64 MiB); else nothing is flushed, and nobody waited
 * for but another open or close in this process. Transactions and
 * cursors of the environment must not be used afterwards. NULL is allowed; a forked child may close what it inherited. */
void qs_env_close(struct qs_env *env);

/* Sets the map size for this environment, at once; 0 takes the file's. Values below the space in
 * use are raised to it. EINVAL while this environment has a write transaction, errno of mmap(2). */
int qs_env_set_map_size(struct qs_env *env, uint64_t size_bytes);

/* Turns QS_NOSYNC, QS_NOMETASYNC and QS_MAPASYNC on or off; EINVAL for any other bit. */
int qs_env_set_flags(struct qs_env *env, unsigned flags, bool on);

/* Makes all earlier commits durable; does nothing with QS_NOSYNC unless `force`. EACCES with
 * QS_RDONLY, errno of the flush. */
int qs_env_sync(struct qs_env *env, bool force);

int qs_env_info(struct qs_env *env, struct qs_env_info *info);

/* Statistics of the main tree in the newest committed state. */
int qs_env_stat(struct qs_env *env, struct qs_stat *stat);

/* Descriptor of the data file; stays the environment's. */
int qs_env_fd(const struct qs_env *env);

/* Writes a consistent copy of the newest state to `fd` (at its offset; need not be seekable; stays
 * open; may be one for direct I/O) while others go on. `compact` leaves free space out and numbers the copy's state 1 (0 when
 * empty). errno of write(2), QS_E_BAD_RSLOT and whatever else a read transaction's begin returns. */
int qs_env_copy(struct qs_env *env, int fd, bool compact);

struct qs_reader {
    int pid;           /* of the process that holds the slot */
    uint64_t thread;   /* pthread_self() there */
    uint64_t snapshot; /* valid when active */
    bool active;       /* false: the slot is kept by its thread but reads nothing */
};

/* Calls `visit` for every slot in use, in slot order, until it returns nonzero, and returns that;
 * 0 when no slot is in use; -1 with QS_NOLOCK without a call. */
int qs_reader_visit(struct qs_env *env, int (*visit)(void *context, const struct qs_reader *reader),
                    void *context);

/* Clears the slots of dead processes; `*dead` (may be NULL) is their number. 0 with QS_NOLOCK. */
int qs_reader_check(struct qs_env *env, int *dead);

/* ---- transactions ---------------------------------------------------------------------------- */

/* Begins a transaction: QS_RDONLY in `flags` for a snapshot, else a write transaction, which waits
 * (without limit) for the one writer of all processes. `parent` (may be NULL), a write transaction,
 * makes it nested in that, which rests until the child ends; its cursors act in the child meanwhile. Nested
 * and QS_RDONLY: it reads what the parent has at that moment, needs no reader slot, and the parent's
 * cursors rest, too.
 * Returns EACCES (write on a QS_RDONLY environment), QS_E_PANIC, QS_E_READERS_FULL, QS_E_BAD_RSLOT,
 * QS_E_MAP_RESIZED, QS_E_CORRUPTED, ENOMEM; nested: EINVAL (the parent is a read transaction),
 * QS_E_BAD_TXN (the parent has failed or has a child). */
int qs_txn_begin(struct qs_env *env, struct qs_txn *parent, unsigned flags, struct qs_txn **txn);

/* Ends `txn` in every case, success or error, and frees it. A write transaction that failed gives
 * QS_E_BAD_TXN and writes nothing. */
int qs_txn_commit(struct qs_txn *txn);
void qs_txn_abort(struct qs_txn *txn);

/* Read transactions only: give the snapshot up but keep the object (and slot); take a new one. */
void qs_txn_reset(struct qs_txn *txn);
int qs_txn_renew(struct qs_txn *txn);

/* Snapshot's number, or the number a write transaction will have when it commits. */
uint64_t qs_txn_id(const struct qs_txn *txn);

/* Puts a write transaction in error: everything but abort gives QS_E_BAD_TXN from now on. The
 * engine does it by itself for errors that leave a change half done. */
void qs_txn_fail(struct qs_txn *txn);
bool qs_txn_failed(const struct qs_txn *txn);

/* True when the transaction (a write one) has changed something. */
bool qs_txn_dirty(const struct qs_txn *txn);

/* ---- trees ----------------------------------------------------------------------------------- */

enum qs_tree_flag { /* persistent properties; the values are those LMDB stores */
                    QS_REVERSEKEY = 0x02,
                    QS_DUPSORT = 0x04,
                    QS_INTEGERKEY = 0x08,
                    QS_DUPFIXED = 0x10,
                    QS_INTEGERDUP = 0x20,
                    QS_REVERSEDUP = 0x40,
};
#define QS_TREE_CREATE 0x40000u /* qs_tree_open(): create it when missing */

/* Finds a tree as the transaction sees it. `name` is NUL-terminated; NULL means the main tree, which
 * always exists. Stored flags win over `flags`; those count only on creation (for the main tree in a
 * write transaction, they are added to the stored ones). `*tree` stays valid until the environment is
 * closed and is the same object for the same name in every transaction.
 * QS_E_NOTFOUND; EACCES (creating in a read transaction); QS_E_INCOMPATIBLE (the main tree holds a
 * plain record of that name); QS_E_BAD_VALSIZE (empty name, or too long to be created). */
int qs_tree_open(struct qs_txn *txn, const char *name, unsigned flags, struct qs_tree **tree);

/* The name it was opened by; NULL for the main tree. */
const char *qs_tree_name(const struct qs_tree *tree);

/* QS_E_NOTFOUND when the tree does not exist in this transaction. */
int qs_tree_flags(struct qs_txn *txn, struct qs_tree *tree, unsigned *flags);
int qs_tree_stat(struct qs_txn *txn, struct qs_tree *tree, struct qs_stat *stat);

/* Empties a tree; `remove` takes its record out of the main tree as well (ignored for the main
 * tree). Emptying the main tree removes every named tree. EACCES, QS_E_NOTFOUND, ... */
int qs_tree_drop(struct qs_txn *txn, struct qs_tree *tree, bool remove);

/* Compares two keys, or two duplicates of one: < 0, 0, > 0. In a search `a` is what is looked for. */
typedef int qs_compare_function(void *context, const struct qs_val *a, const struct qs_val *b);

/* Has the keys (duplicates) of a tree compared by `compare`, NULL: by the tree's flags again. In force at
 * once, in all transactions and for all who have the file open in this process; not recorded anywhere, so
 * whoever opens the file has to set it before it uses the tree. Called for what users look up, put and
 * delete, with stored keys as `b`; not for what is done to the tree besides.
 *
 * A tree costs what it does without until a key is put where the flags' order would not have it, or where one
 * of other bytes is equal. From then on, until it is empty, it is in *custom order*, in every process:
 * searches call the function (or without one compare by the flags' order, and find what they happen to),
 * steps follow the order in which keys are stored, and transactions that change the tree commit by a
 * checkpoint. Where the tree had more than one leaf by then, a search takes dozens of steps down to leaves. */
void qs_tree_set_key_order(struct qs_tree *tree, qs_compare_function *compare, void *context);
void qs_tree_set_dup_order(struct qs_tree *tree, qs_compare_function *compare, void *context);

/* ---- data ------------------------------------------------------------------------------------ */

enum qs_put_flag {
    QS_NOOVERWRITE = 0x01, /* QS_E_KEYEXIST when the key exists; *value becomes what is stored */
    QS_NODUPDATA = 0x02,   /* duplicates: QS_E_KEYEXIST when the pair exists */
    QS_CURRENT = 0x04,     /* cursor: replace the item under it */
    QS_RESERVE = 0x08,     /* do not copy: value->data becomes space of value->size to be filled
                              before the next modifying call or commit */
    QS_APPEND = 0x10,      /* QS_E_KEYEXIST unless the key is greater than every other */
    QS_APPENDDUP = 0x20,   /* the same for a duplicate within its key */
};

/* Keys: 1 to 511 bytes; longer ones are simply not found. QS_E_NOTFOUND, QS_E_BAD_VALSIZE
 * (empty key), QS_E_BAD_TXN, QS_E_CORRUPTED. Records of named trees in the main tree read as 48
 * bytes (format/tree_record.h). */
int qs_get(struct qs_txn *txn, struct qs_tree *tree, const struct qs_val *key,
           struct qs_val *value);

/* Values: up to 2^32 - 1 bytes. Input may lie in engine memory. EACCES, QS_E_BAD_TXN,
 * QS_E_BAD_VALSIZE, QS_E_KEYEXIST, QS_E_INCOMPATIBLE (the record is a named tree's), QS_E_MAP_FULL,
 * ENOMEM, errno of the file system. */
int qs_put(struct qs_txn *txn, struct qs_tree *tree, const struct qs_val *key, struct qs_val *value,
           unsigned flags);

/* `value` (NULL: all of the key) counts only with duplicates. QS_E_INCOMPATIBLE for a named tree's
 * record (and the transaction is in error, as LMDB's). */
int qs_del(struct qs_txn *txn, struct qs_tree *tree, const struct qs_val *key,
           const struct qs_val *value);

/* Order of two keys of the tree: < 0, 0, > 0. */
int qs_compare(struct qs_txn *txn, struct qs_tree *tree, const struct qs_val *a,
               const struct qs_val *b);

/* ---- cursors --------------------------------------------------------------------------------- */

enum qs_cursor_op { /* same order and meaning as LMDB's MDB_cursor_op */
                    QS_FIRST,
                    QS_FIRST_DUP,
                    QS_GET_BOTH,
                    QS_GET_BOTH_RANGE,
                    QS_GET_CURRENT,
                    QS_GET_MULTIPLE,
                    QS_LAST,
                    QS_LAST_DUP,
                    QS_NEXT,
                    QS_NEXT_DUP,
                    QS_NEXT_MULTIPLE,
                    QS_NEXT_NODUP,
                    QS_PREV,
                    QS_PREV_DUP,
                    QS_PREV_NODUP,
                    QS_SET,
                    QS_SET_KEY,
                    QS_SET_RANGE,
                    QS_PREV_MULTIPLE,
};

/* A cursor is unpositioned, on an item, deleted-here (its item was removed; it stands on the
 * successor, which the first QS_NEXT returns) or past the end. It stays on its item whatever changes
 * are made in its transaction. A write transaction's cursors are freed when it ends; those of a read
 * transaction live until closed and may be renewed into another one. */
int qs_cursor_open(struct qs_txn *txn, struct qs_tree *tree, struct qs_cursor **cursor);
void qs_cursor_close(struct qs_cursor *cursor); /* not while a child of its transaction lives */
int qs_cursor_renew(struct qs_txn *txn, struct qs_cursor *cursor);
struct qs_txn *qs_cursor_txn(const struct qs_cursor *cursor);
struct qs_tree *qs_cursor_tree(const struct qs_cursor *cursor);

/* `key` and `value` may be NULL where the operation does not read them; they are written on success
 * only, and only those LMDB writes (QS_SET leaves the key alone). Codes are LMDB's for the state and
 * operation: QS_E_NOTFOUND, EINVAL (unpositioned or unknown op), QS_E_INCOMPATIBLE (an operation on
 * duplicates in a tree that has none), QS_E_BAD_VALSIZE (empty key), QS_E_BAD_TXN. */
int qs_cursor_get(struct qs_cursor *cursor, struct qs_val *key, struct qs_val *value,
                  enum qs_cursor_op op);

/* As qs_put(); afterwards the cursor is on the item. QS_CURRENT alone replaces the item under the
 * cursor (EINVAL when unpositioned, QS_E_NOTFOUND past the end). */
int qs_cursor_put(struct qs_cursor *cursor, const struct qs_val *key, struct qs_val *value,
                  unsigned flags);

/* Deletes the item under the cursor (`flags` may hold QS_NODUPDATA: all duplicates of its key).
 * EACCES, EINVAL (unpositioned), QS_E_NOTFOUND (past the end), QS_E_INCOMPATIBLE as qs_del(). */
int qs_cursor_del(struct qs_cursor *cursor, unsigned flags);

/* Puts `*count` values of item->size bytes, which lie one behind the other at item->data, as by
 * qs_cursor_put() each (0 counts as 1). `*count` becomes the number that were put, item->data the last
 * one looked at. QS_E_INCOMPATIBLE without QS_DUPSORT and QS_DUPFIXED. */
int qs_cursor_put_multiple(struct qs_cursor *cursor, const struct qs_val *key, struct qs_val *item,
                           size_t *count, unsigned flags);

/* Number of duplicates of the current key. QS_E_INCOMPATIBLE without QS_DUPSORT. */
int qs_cursor_count(struct qs_cursor *cursor, size_t *count);

/* ---- inspection ------------------------------------------------------------------------------ */

struct qs_check_report {
    uint64_t pages_reachable; /* pages some structure refers to */
    uint64_t pages_free;      /* free or waiting to be free */
    uint64_t pages_lost;      /* neither: leaked */
    uint64_t trees;           /* main tree included */
    uint64_t entries;         /* of all trees, without what the log adds */
    uint64_t faults;          /* findings, each reported */
};

/* Verifies the newest checkpoint of the file `data_path`, which nobody may be writing, and the log behind
 * it: every page reachable exactly once or free, checksums, order, counts; the log's records whole, and what
 * they refer to not in use. `complain` is called once a finding with
 * a sentence. Returns 0 (look at report->faults), errno or QS_E_* when the file cannot be read. */
int qs_check(const char *data_path, void (*complain)(void *context, const char *sentence),
             void *context, struct qs_check_report *report);

/* Who is told, with a sentence, when an assertion of the engine fails on the calling thread, right before the
 * process is aborted; NULL: nobody, which is the beginning. The last call counts. */
void qs_on_assert(void (*tell)(void *context, const char *message), void *context);

/* Text of a QS_E_* or errno code; static. */
const char *qs_strerror(int rc);

#endif
