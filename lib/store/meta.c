/* meta.c - choosing, making and writing meta pages.
 *
 * Invariants: checkpoint n lies in page n mod 2, so writing one never touches the newest valid
 * other.
 */
#include "store/store.h"

#include "base/crc32c.h"
#include "base/error.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_ATTEMPTS 3u

enum meta_state { META_VALID, META_FOREIGN, META_OTHER_VERSION, META_DAMAGED };

static uint32_t meta_checksum(const struct meta *meta)
{
    return qs_crc32c(0, meta, offsetof(struct meta, checksum));
}

static enum meta_state classify(const struct meta *meta)
{
    if (meta->magic != META_MAGIC)
        return META_FOREIGN;
    if (meta->format != META_FORMAT)
        return META_OTHER_VERSION;
    if (meta->checksum != meta_checksum(meta) || meta->page_bytes != QS_PAGE_BYTES)
        return META_DAMAGED;
    return META_VALID;
}

static bool all_zero(const void *bytes, size_t size)
{
    const uint8_t *b = bytes;
    return b[0] == 0 && memcmp(b, b + 1, size - 1) == 0;
}

/* The code for a file of which neither meta page is valid. */
static int why_invalid(enum meta_state a, enum meta_state b)
{
    if (a == META_OTHER_VERSION || b == META_OTHER_VERSION)
        return QS_E_VERSION_MISMATCH;
    if (a == META_DAMAGED || b == META_DAMAGED)
        return QS_CORRUPT();
    return QS_E_INVALID;
}

/* The newest valid meta page of the file as it is now. */
static int read_once(struct store *store, struct meta *meta, bool *fresh)
{
    struct meta pages[META_PAGES];
    struct stat st;
    *fresh = false;
    if (fstat(store->fd, &st) != 0)
        return errno;
    *fresh = st.st_size == 0;
    if (*fresh)
        return 0;
    if (st.st_size < (off_t)sizeof pages)
        return QS_E_INVALID;
    int rc = qs_store_read(store, 0, pages, sizeof pages);
    if (rc != 0)
        return rc == QS_E_NOTFOUND ? EIO : rc;
    /* A creation that a power cut undid. With anything behind it, it is damage. */
    *fresh = st.st_size == (off_t)sizeof pages && all_zero(pages, sizeof pages);
    if (*fresh)
        return 0;
    enum meta_state a = classify(&pages[0]), b = classify(&pages[1]);
    if (a != META_VALID && b != META_VALID)
        return why_invalid(a, b);
    bool second = a != META_VALID || (b == META_VALID && pages[1].checkpoint > pages[0].checkpoint);
    *meta = pages[second];
    /* Looked at once more: a commit may have made the file longer since. */
    if (fstat(store->fd, &st) != 0)
        return errno;
    uint64_t file_pages = ((uint64_t)st.st_size + QS_PAGE_BYTES - 1) >> QS_PAGE_SHIFT;
    atomic_store_explicit(&store->file_pages, file_pages, memory_order_relaxed);
    return meta->high_water > file_pages ? QS_CORRUPT() : 0;
}

int qs_meta_read(struct store *store, struct meta *meta, bool *fresh)
{
    int rc = QS_E_CORRUPTED;
    /* Two commits under way while the pages are read can make both look torn. */
    for (unsigned i = 0; i < READ_ATTEMPTS && rc == QS_E_CORRUPTED; i++)
        rc = read_once(store, meta, fresh);
    return rc;
}

int qs_meta_read_number(struct store *store, uint64_t number, struct meta *meta)
{
    struct meta pages[META_PAGES];
    int rc = qs_store_read(store, 0, pages, sizeof pages);
    if (rc != 0)
        return rc == QS_E_NOTFOUND ? EIO : rc;
    const struct meta *page = &pages[number % META_PAGES];
    if (classify(page) != META_VALID || page->checkpoint != number)
        return QS_E_NOTFOUND;
    *meta = *page;
    return 0;
}

void qs_meta_init(struct meta *meta, uint64_t map_size_bytes, const uint64_t file_id[2])
{
    memset(meta, 0, sizeof *meta);
    meta->magic = META_MAGIC;
    meta->format = META_FORMAT;
    meta->page_bytes = QS_PAGE_BYTES;
    memcpy(meta->file_id, file_id, sizeof meta->file_id);
    meta->map_size_bytes = map_size_bytes;
    meta->high_water = META_PAGES;
    meta->used_pages = META_PAGES;
    meta->next_pid = QS_PAGEID_NONE + 1;
    meta->main.root = TREE_ROOT_NONE;
}

void qs_meta_seal(struct meta *meta)
{
    meta->checksum = meta_checksum(meta);
}

int qs_meta_write(struct store *store, struct meta *meta)
{
    qs_meta_seal(meta);
    struct io_write write = {(meta->checkpoint % META_PAGES) * QS_PAGE_BYTES, meta, sizeof *meta};
    return store->io->write(store->file, &write, 1);
}

int qs_meta_create(struct store *store, struct meta *meta)
{
    struct meta pages[META_PAGES] = {*meta, *meta};
    pages[0].checkpoint = 0;
    pages[1].checkpoint = 1;
    meta->checkpoint = 1;
    for (unsigned i = 0; i < META_PAGES; i++)
        qs_meta_seal(&pages[i]);
    struct io_write write = {0, pages, sizeof pages};
    return store->io->write(store->file, &write, 1);
}
