/* nested.h - transactions inside a write transaction, to any depth.
 *
 * A child has own versions, page ids and tree states over its parent's (rule 2). Its commit hands them
 * to the parent, its abort drops them. While it lives, the parent rests (TXN_PARENT) and the parent's
 * cursors act in the child; an abort puts them back where they were.
 * A child may also be a read transaction, of what its parent has at that moment. Then the parent's cursors
 * rest with it; the child's own are those of any read transaction.
 * Threads: the transaction's.
 */
#ifndef QS_TXN_NESTED_H
#define QS_TXN_NESTED_H

#include "txn/txn.h"

/* Starts a zeroed transaction off as the child of `parent`, which is ready and a writer. ENOMEM, errno
 * of writing a reserved value (the parent has failed then). */
int qs_nested_begin(struct qs_txn *parent, struct qs_txn *child);

/* Ends the child; not freed. A commit that fails leaves the parent failed; so does that of a failed
 * child (QS_E_BAD_TXN). */
int qs_nested_commit(struct qs_txn *child);
void qs_nested_abort(struct qs_txn *child);

/* The same for a child that only reads. Ending it, one way for commit and abort, cannot fail; between, a
 * reset one may take up the same snapshot again: the parent has rested. */
int qs_nested_begin_read(struct qs_txn *parent, struct qs_txn *child);
void qs_nested_end_read(struct qs_txn *child);

#endif
