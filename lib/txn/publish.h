/* publish.h - making a write transaction's changes the newest state of its replica.
 *
 * Prepared first, so that linking cannot fail; nobody sees anything until the visible transaction is
 * raised. Threads: under the core's follow_lock.
 */
#ifndef QS_TXN_PUBLISH_H
#define QS_TXN_PUBLISH_H

#include "txn/txn.h"

#define PUBLICATION_FEW 4u

/* What is about to be linked. Begins as zeros. */
struct publication {
    struct placement *place; /* pages; malloc'ed, or `few_places` */
    size_t count;
    struct tree_change *change; /* trees; malloc'ed, or `few_changes` */
    size_t change_count;
    struct placement few_places[PUBLICATION_FEW]; /* so that small commits allocate no arrays */
    struct tree_change few_changes[PUBLICATION_FEW];
};

/* Prepares the changed trees of a transaction; its catalog has been flushed. ENOMEM (call
 * qs_publish_free()). */
int qs_publish_trees(struct publication *publication, struct qs_txn *txn);
/* The same and all its own versions, as a log commit publishes them. */
int qs_publish_prepare(struct publication *publication, struct qs_txn *txn);

/* Links trees, and pages stamped `stamp`. */
void qs_publish_link(struct publication *publication, struct qs_txn *txn, struct stamp stamp,
                     struct live live);
/* A log commit: links everything, own versions changing hands, and the replica goes on from there. */
void qs_publish_own(struct publication *publication, struct qs_txn *txn, struct live live);

/* Frees what was prepared and not linked. */
void qs_publish_free(struct publication *publication);

#endif
