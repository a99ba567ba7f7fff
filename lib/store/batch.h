/* batch.h - page images on their way to the file, gathered into few large writes.
 *
 * Owns:    a buffer of up to BATCH_PAGES images. Threads: one.
 */
#ifndef QS_STORE_BATCH_H
#define QS_STORE_BATCH_H

#include "format/page.h"
#include "store/store.h"

#define BATCH_PAGES 256u

struct batch {
    struct store *store;                 /* where the images go */
    struct page *images;                 /* BATCH_PAGES pages, or NULL before the first */
    struct io_write write[BATCH_PAGES];  /* where each image goes */
    unsigned count;                      /* images gathered */
    uint64_t written_pages;              /* images written since qs_batch_init() */
};

void qs_batch_init(struct batch *batch, struct store *store);
void qs_batch_free(struct batch *batch);

/* *image becomes 4 KiB of zeroed space for page `pgno`, to be filled before the next call; it is
 * sealed when it is written. May write what was gathered before. ENOMEM, errno of the write. */
int qs_batch_page(struct batch *batch, uint64_t pgno, struct page **image);

/* Writes what is gathered. */
int qs_batch_write(struct batch *batch);

#endif
