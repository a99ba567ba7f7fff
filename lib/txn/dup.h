/* dup.h - cursors of transactions on trees with duplicates.
 *
 * What qs_cursor_get() and its like (cursors.c) pass on when the cursor has a place among duplicates.
 * Threads: the transaction's.
 */
#ifndef QS_TXN_DUP_H
#define QS_TXN_DUP_H

#include "txn/txn.h"

int qs_dup_cursor_get(struct cursor *cursor, struct qs_val *key, struct qs_val *value,
                      enum qs_cursor_op op);
int qs_dup_cursor_put(struct qs_cursor *cursor, const struct qs_val *key, struct qs_val *value,
                      unsigned flags);
int qs_dup_cursor_del(struct qs_cursor *cursor, unsigned flags);

#endif
