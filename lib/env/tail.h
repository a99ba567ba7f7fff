/* tail.h - the large values that a stretch of the log refers to, and how long each of them was needed.
 *
 * A value lies in its run from the record that placed it to the one that released it; later on other
 * things may lie there (LOG_OP_FREED). The stretch is added record by record, then sorted, then asked.
 */
#ifndef QS_ENV_TAIL_H
#define QS_ENV_TAIL_H

#include "format/log.h"
#include "format/page.h"
#include "store/store.h"

struct tail_value {
    struct large_ref ref; /* size 0: not a value, but the release of one */
    uint64_t from;        /* log position: before its record */
    uint64_t until; /* log position: before that of the record that released it, or UINT64_MAX */
    bool good;      /* its bytes were found to be right */
};

struct tail {
    struct tail_value *value;
    size_t count, capacity;
};

/* Adds what a record says that stands behind position `before`. ENOMEM, QS_E_CORRUPTED. */
int qs_tail_add(struct tail *tail, const struct log_record *record, uint64_t before);
void qs_tail_sort(struct tail *tail);
void qs_tail_free(struct tail *tail);

/* The last position up to `end` at which all values that are needed then are in the file. */
uint64_t qs_tail_sound(struct tail *tail, struct store *store, uint64_t end);

#endif
