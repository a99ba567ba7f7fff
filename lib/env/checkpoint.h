/* checkpoint.h - a checkpoint under way; between the files that make one.
 *
 * Two kinds have most in common. In one go: a transaction commits by it, and it contains that and the log
 * before. Carried: it contains everything up to a transaction that committed by log; later ones write its
 * pages, a share each, and the last of them puts it in force. The log goes on behind that transaction.
 *
 * Threads: under the writer mutex; core->job changes under follow_lock as well.
 */
#ifndef QS_ENV_CHECKPOINT_H
#define QS_ENV_CHECKPOINT_H

#include "env/core.h"
#include "page/page.h"
#include "txn/publish.h"

enum job_phase {
    JOB_WRITING,  /* pages, a share at a time */
    JOB_FLUSHING, /* all are written; the file is being flushed ahead */
    JOB_LINKING   /* it is in force, and linked, a share at a time */
};

struct job {
    enum job_phase phase;

    /* what it contains */
    struct core *core;
    struct replica *replica; /* whose dirty pages are written */
    struct qs_txn *txn;      /* in one go: the transaction that commits by it; carried: NULL */
    txnid_t as_of;           /* newest transaction in it that committed by log */
    struct log_end log_end;  /* of the log it contains */
    pageid_t *freed;         /* page ids given back since the last, to be chained */
    size_t freed_count;
    struct passed passed; /* what it contains of the lists in replica->latest */
    struct meta meta;     /* to be written; filled in on the way */

    /* how far it is */
    struct batch batch;    /* images on their way */
    struct entry *entries; /* LEAF_ENTRIES_MAX: a leaf taken apart */
    struct publication
        publication; /* dirty pages by page id, and where they were written; in one go also
                                       the changed trees */
    size_t done;     /* pages written */
    uint64_t run_pgno, run_left; /* allocated pages not used yet */
    size_t taken_next;       /* the next of the runs set aside (latest->taken) to be written to */
    struct pending_run *old; /* file pages it replaces; `freed` unset */
    size_t old_count, old_capacity;

    /* carried */
    uint64_t reused;    /* by others, when it began */
    uint64_t log_used;  /* when it began */
    size_t taken_first; /* entries of latest->taken before it began: another's */
    size_t taken_count; /* entries up to the newest of its own */
    uint64_t out_pgno;  /* first page of the run that the device may not know of yet */
    size_t linked;      /* pages linked */
    uint64_t link_from; /* log position when it came into force */
    uint64_t punched;   /* pages that were offered to the file system since */
};

/* A checkpoint gives back to the file system so many pages at most: about ten milliseconds. */
#define PUNCH_PAGES_MAX 4096u

/* ---- writing (checkpoint_write.c) ---- */

/* A job for the next checkpoint, empty. */
struct job *qs_job_new(struct core *core, struct replica *replica);
void qs_job_free(struct job *job);

/* Lists the dirty pages, and those that the transaction made. ENOMEM. */
int qs_job_list(struct job *job);

/* Writes the image of the next page to file page `pgno`; gathered in the batch. */
int qs_job_write_next(struct job *job, uint64_t pgno);
/* Whether the next page needs one, or was freed. */
bool qs_job_next_needs_page(const struct job *job);

/* Everything else that goes to the file before the meta page. Changes core->space: what was not put in
 * force is taken back by qs_space_rollback(). `loose`: see qs_space_checkpoint(). */
int qs_job_write_rest(struct job *job, struct loose_runs loose);

/* Flush, meta page, flush, whatever the flags: so the pages this checkpoint releases can be used by the next
 * one, and the second flush has little to write. A failure in here is final. */
int qs_job_make_durable(struct job *job);

/* ---- linking (checkpoint_link.c) ---- */

/* A share of what is to be done for core->job once it is in force; the last of them ends it. Under follow_lock. */
void qs_job_link_share(struct core *core);
/* All of it but its end, where nobody can be told to leave the old pages. Takes follow_lock. */
void qs_job_link_all(struct core *core);

/* Under the writer mutex and follow_lock: ends what is linked, but not by its job; and what its maker has left. */
void qs_link_settle(struct core *core, struct replica *replica);
/* The last close of a process that is at it: nobody uses its memory any more. */
void qs_link_leave(struct core *core);

#endif
