/* lockfile.h - the lock file: writer mutex, shared positions, reader slots.
 *
 * The only memory that processes share and write. Layout: format/lockfile.h. Everything in it is
 * rebuilt by the first opener, so it may be deleted, or hold garbage, while nobody has it open.
 *
 * First opener / others: an fcntl write lock on byte 0 is held while initialising and then turned
 * into a read lock that is kept until close. Byte 1 is write-locked by whoever is opening (the
 * first opener: until qs_lockfile_share()), so openers come one by one. A process that has the file
 * open also holds a write lock on the byte at offset 2^31 + its nonce: that is how others see that it
 * lives, whatever pid it has and in whichever pid namespace.
 *
 * Threads: everything may be called from any thread unless said otherwise. One struct lockfile a
 * file and process (closing any descriptor of the file drops fcntl locks).
 */
#ifndef QS_READERS_LOCKFILE_H
#define QS_READERS_LOCKFILE_H

#include "base/types.h"
#include "format/lockfile.h"

#include <sys/types.h>

struct lockfile; /* an open and mapped lock file */
struct reader;   /* one reader slot, in shared memory */

/* Opens (creating with `mode`) and maps. `max_readers` is what the caller wants: the first opener
 * grows the file to it; otherwise, or when the file is larger, its size decides. Where the file
 * system is read-only, returns EROFS (the caller goes on without). `*first` says that nobody else
 * has the file open: the lock on byte 0 is then held exclusively until qs_lockfile_share(), and the
 * header has been initialised with all slots empty and all positions 0.
 * Waits for an opener or a last closer at work; EAGAIN when that takes more than half a minute.
 * QS_E_INVALID / QS_E_VERSION_MISMATCH: in use by others in an unknown format; errno of open. */
int qs_lockfile_open(const char *path, mode_t mode, unsigned max_readers,
                     struct lockfile **lockfile, bool *first);

/* The same in memory of this process's own, where there is no lock file: its positions and slots are
 * nobody else's, and no process is ever found dead. ENOMEM. */
int qs_lockfile_private(unsigned max_readers, struct lockfile **lockfile);

/* Names the data file: the first opener stores it, others get EBUSY when another one is stored. */
int qs_lockfile_bind(struct lockfile *lockfile, bool first, const struct data_identity *identity);

/* The first opener calls it when the positions are right: lets others in. */
void qs_lockfile_share(struct lockfile *lockfile);

/* True when another process has the file open, now. */
bool qs_lockfile_shared(const struct lockfile *lockfile);

/* Makes this process the only one, if it is: after true, nobody else gets in before
 * qs_lockfile_close() (openers wait) or qs_lockfile_share(). For what the last closer does. */
bool qs_lockfile_alone(struct lockfile *lockfile);

/* Clears this process's slots, unmaps, closes. In a forked child (`forked`) only memory is freed:
 * nothing shared is touched, and the descriptor stays open (closing it would drop the locks of an
 * environment that the child has opened itself). */
void qs_lockfile_close(struct lockfile *lockfile, bool forked);

/* The shared positions (format/lockfile.h says who may write which). */
struct lock_header *qs_lockfile_header(struct lockfile *lockfile);
unsigned qs_lockfile_max_readers(const struct lockfile *lockfile);

/* ---- the writer mutex: robust, process-shared ---- */

/* Waits without limit. *recovered is set when the previous holder died with it: nothing it did is
 * trusted, the mutex has been made consistent. QS_E_PANIC: a thread of this very process ended
 * holding it; the answer of every later call in this process too, while others recover. EDEADLK:
 * the calling thread holds it. */
int qs_writer_lock(struct lockfile *lockfile, bool *recovered);
/* By the thread that locked it. */
void qs_writer_unlock(struct lockfile *lockfile);

/* ---- reader slots ---- */

/* Takes a free slot for the calling thread: its pid and thread id are in, no snapshot. Clears slots
 * of dead processes before it gives up: QS_E_READERS_FULL. Allocates nothing. */
int qs_reader_acquire(struct lockfile *lockfile, struct reader **reader);
void qs_reader_release(struct lockfile *lockfile, struct reader *reader);

/* The same for a slot that was taken for a moment, by nobody's read transaction: as far as it can be, the
 * high-water mark goes back as well. */
void qs_reader_return(struct lockfile *lockfile, struct reader *reader);

/* Publishes what the reader uses (`checkpoint` perhaps with READER_AND_BEFORE); seq_cst, so that after it a
 * re-read of the positions (seq_cst loads) decides whether a reclaimer has seen it (engine rule 5). */
void qs_reader_publish(struct reader *reader, uint64_t checkpoint, txnid_t snapshot);
/* The reader needs the versions that transaction `below` sees as well, until it publishes or clears. seq_cst, as
 * above: who unlinks versions without having seen it has raised what the caller looks at next. */
void qs_reader_publish_below(struct reader *reader, txnid_t below);
/* No snapshot any more; keeps the slot. */
void qs_reader_clear(struct reader *reader);
bool qs_reader_active(const struct reader *reader);

struct reader_use {
    uint64_t checkpoint; /* the file pages of this checkpoint may be in use */
    bool and_before;     /* and those of the one before */
    txnid_t snapshot;
    txnid_t below; /* the same, for its process; QS_TXNID_NONE: nothing older */
    bool own;      /* by this process */
};

/* Copies the uses of all active slots into `uses` (room for `max`, at least max_readers entries)
 * and returns how many. The caller has published what it is about to reclaim behind a seq_cst
 * fence. */
unsigned qs_reader_scan(struct lockfile *lockfile, struct reader_use *uses, unsigned max);

/* One slot for listing: false when the slot is empty. */
struct reader_info {
    int pid;
    uint64_t thread;
    bool active;
    txnid_t snapshot;
};
bool qs_reader_info(struct lockfile *lockfile, unsigned index, struct reader_info *info);
/* Slots ever used since the first opener came (slots at or beyond are empty). */
unsigned qs_reader_high_water(struct lockfile *lockfile);

/* Clears slots whose process is dead (never this one's); returns their number. */
unsigned qs_reader_check_dead(struct lockfile *lockfile);

#endif
