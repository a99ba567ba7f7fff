/* batch.h - page images on their way to the file, gathered into few large writes.
 *
 * Uses the store's buffer of BATCH_PAGES images, which stays for the next batch: one batch at a time,
 * under the writer mutex.
 */
#ifndef QS_STORE_BATCH_H
#define QS_STORE_BATCH_H

#include "format/page.h"
#include "store/store.h"

#define BATCH_PAGES 64u /* 256 KiB a write */

struct batch {
    struct store *store;                /* where the images go */
    struct io_write write[BATCH_PAGES]; /* where each image goes */
    unsigned count;                     /* images gathered */
    uint64_t written_pages;             /* images written since qs_batch_init() */
};

void qs_batch_init(struct batch *batch, struct store *store);

/* *image becomes 4 KiB of space for page `pgno`, to be filled (every byte of it) before the next call;
 * it is sealed when it is written. May write what was gathered before. ENOMEM, errno of the write. */
int qs_batch_page(struct batch *batch, uint64_t pgno, struct page **image);

/* Writes what is gathered. */
int qs_batch_write(struct batch *batch);

#endif
