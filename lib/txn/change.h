/* change.h - changes to the trees of a write transaction: done, and recorded for the log.
 *
 * Everything that changes a tree goes through here, from the public functions and from a replay of the
 * log alike. Codes as in tree/tree.h; an error that leaves the tree half changed fails the transaction.
 */
#ifndef QS_TXN_CHANGE_H
#define QS_TXN_CHANGE_H

#include "txn/txn.h"

int qs_txn_put(struct qs_txn *txn, const struct qs_tree *tree, struct put *put);
int qs_txn_delete(struct qs_txn *txn, const struct qs_tree *tree, const struct del *del);

/* Takes over a value that the user has filled in (QS_RESERVE): before every change, before a child
 * begins, before a commit. */
int qs_txn_settle(struct qs_txn *txn);

/* Does the operations of a LOG_TXN record again. The transaction then bears its number, and stands for it
 * and those that were done again in it before. QS_E_CORRUPTED when they make no sense; the transaction is
 * to be dropped after any failure. */
int qs_txn_replay(struct qs_txn *txn, const struct log_record *record);

#endif
