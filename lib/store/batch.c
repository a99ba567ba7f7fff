/* batch.c - gathers page images; see batch.h. Checksums are set here, on the way out. */
#include "store/batch.h"

#include "base/crc32c.h"

#include <errno.h>
#include <stdlib.h>

void qs_batch_init(struct batch *batch, struct store *store)
{
    batch->store = store;
    batch->count = 0;
    batch->written_pages = 0;
}

static struct page *image_at(const struct batch *batch, unsigned i)
{
    return (struct page *)((char *)batch->store->images + (size_t)i * QS_PAGE_BYTES);
}

int qs_batch_page(struct batch *batch, uint64_t pgno, struct page **image)
{
    if (batch->store->images == NULL) {
        batch->store->images = aligned_alloc(QS_PAGE_BYTES, (size_t)BATCH_PAGES * QS_PAGE_BYTES);
        if (batch->store->images == NULL)
            return ENOMEM;
    }
    if (batch->count == BATCH_PAGES) {
        int rc = qs_batch_write(batch);
        if (rc != 0)
            return rc;
    }
    struct page *page = image_at(batch, batch->count);
    batch->write[batch->count++] = (struct io_write){pgno << QS_PAGE_SHIFT, page, QS_PAGE_BYTES};
    *image = page;
    return 0;
}

int qs_batch_write(struct batch *batch)
{
    for (unsigned i = 0; i < batch->count; i++) {
        struct page *page = image_at(batch, i);
        page->checksum = qs_crc32c(0, &page->kind, QS_PAGE_BYTES - sizeof page->checksum);
    }
    int rc = 0;
    if (batch->count > 0)
        rc = batch->store->io->write(batch->store->file, batch->write, batch->count);
    if (rc == 0)
        batch->written_pages += batch->count;
    batch->count = 0;
    return rc;
}
