/* check.h - the verifier's state, shared by check.c (space) and check_tree.c (trees). */
#ifndef QS_INSPECT_CHECK_H
#define QS_INSPECT_CHECK_H

#include "inspect/inspect.h"

/* What a file page was found to be, one byte a page. */
enum page_use {
    USE_NONE = 0,
    USE_REACHED = 1, /* some structure refers to it */
    USE_WAITING = 2, /* on the pending chain: free once no reader needs it */
    USE_MARKED = 4,  /* the bitmap says in use */
};

struct check {
    struct inspect file;
    void (*complain)(void *context, const char *sentence);
    void *context; /* for complain */
    struct qs_check_report *report;
    uint8_t *use;                   /* enum page_use bits, by file page */
    uint8_t *pid_seen;              /* by page id: a tree refers to it */
    uint64_t tree_pages, run_pages; /* met in trees */
};

/* Reports a finding; printf-like. */
void qs_check_fault(struct check *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Notes that `what` refers to file pages [pgno, pgno + pages); false when they do not exist. */
bool qs_check_reach(struct check *check, uint64_t pgno, uint64_t pages, const char *what);

/* Walks every tree. */
void qs_check_trees(struct check *check);

/* Walks the log: its records, and that nothing it refers to is used by the checkpoint. To be called when all
 * that is reachable has been noted. */
void qs_check_log(struct check *check);

#endif
