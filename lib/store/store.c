/* store.c - the data file's descriptor and its map.
 *
 * Owns:       the descriptors and every map made of the file. What is written goes through an open file
 *             description that users never see: the system reports a failed write once to each, so a
 *             user's fsync() could swallow what a commit has to know.
 * Life:       maps are only added while the store is open, so that a pointer into one stays good for
 *             every transaction; all go at close. Address space is cheap, dangling pointers are not.
 */
#include "store/store.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A descriptor of the same file with an open file description of its own; where the system has no such
 * door, with the same one. */
static int open_again(int fd)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int own = open(path, O_RDWR | O_CLOEXEC);
    return own >= 0 ? own : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

int qs_store_open(int fd, const struct qs_io_ops *io, bool read_only, bool random_access,
                  struct store **out)
{
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        close(fd);
        return ENOMEM;
    }
    store->io = io != NULL ? io : qs_io_default();
    store->fd = fd;
    store->read_only = read_only;
    store->random_access = random_access;
    int rc = 0;
    if (!read_only) {
        int own = open_again(fd);
        rc = own >= 0 ? store->io->attach(own, &store->file) : errno;
        if (rc != 0 && own >= 0)
            close(own);
    }
    if (rc != 0) {
        close(fd);
        free(store);
        return rc;
    }
    pthread_mutex_init(&store->map_lock, NULL);
    *out = store;
    return 0;
}

void qs_store_close(struct store *store)
{
    if (store == NULL)
        return;
    struct file_map *map = atomic_load_explicit(&store->map, memory_order_relaxed);
    while (map != NULL) {
        struct file_map *older = map->older;
        munmap((void *)(uintptr_t)map->base, map->pages << QS_PAGE_SHIFT);
        free(map);
        map = older;
    }
    free(store->images);
    pthread_mutex_destroy(&store->map_lock);
    if (store->file != NULL)
        store->io->close(store->file);
    close(store->fd);
    free(store);
}

int qs_store_make_writable(struct store *store, int fd)
{
    struct qs_io_file *file;
    int rc = store->io->attach(fd, &file);
    if (rc != 0) {
        close(fd);
        return rc;
    }
    store->file = file;
    store->read_only = false;
    return 0;
}

static int add_map(struct store *store, uint64_t pages)
{
    struct file_map *newest = atomic_load_explicit(&store->map, memory_order_relaxed);
    if (newest != NULL && newest->pages >= pages)
        return 0;
    if (pages > (SIZE_MAX >> QS_PAGE_SHIFT))
        return ENOMEM;
    struct file_map *map = malloc(sizeof *map);
    if (map == NULL)
        return ENOMEM;
    size_t size_bytes = (size_t)pages << QS_PAGE_SHIFT;
    void *base = mmap(NULL, size_bytes, PROT_READ, MAP_SHARED, store->fd, 0);
    if (base == MAP_FAILED) {
        int rc = errno;
        free(map);
        return rc;
    }
    if (store->random_access)
        madvise(base, size_bytes, MADV_RANDOM);
    *map = (struct file_map){base, pages, newest};
    /* release: who takes the pointer sees the struct; pairs with acquire in qs_store_map() */
    atomic_store_explicit(&store->map, map, memory_order_release);
    return 0;
}

int qs_store_map_reserve(struct store *store, uint64_t pages)
{
    if (atomic_load_explicit(&store->map, memory_order_acquire) != NULL &&
        qs_store_map(store)->pages >= pages)
        return 0;
    pthread_mutex_lock(&store->map_lock);
    int rc = add_map(store, pages);
    pthread_mutex_unlock(&store->map_lock);
    return rc;
}

uint64_t qs_store_file_pages(struct store *store)
{
    struct stat st;
    if (fstat(store->fd, &st) != 0)
        return 0;
    uint64_t pages = ((uint64_t)st.st_size + QS_PAGE_BYTES - 1) >> QS_PAGE_SHIFT;
    atomic_store_explicit(&store->file_pages, pages, memory_order_relaxed);
    return pages;
}

bool qs_store_reaches(struct store *store, uint64_t pgno, uint64_t pages)
{
    uint64_t end = pgno + pages;
    if (end < pgno || end > qs_store_map(store)->pages)
        return false;
    /* relaxed: a stale value only costs an fstat() */
    if (end <= atomic_load_explicit(&store->file_pages, memory_order_relaxed))
        return true;
    return end <= qs_store_file_pages(store);
}

const void *qs_store_page(struct store *store, uint64_t pgno)
{
    if (!qs_store_reaches(store, pgno, 1))
        return NULL;
    return qs_store_map(store)->base + (pgno << QS_PAGE_SHIFT);
}

const uint8_t *qs_store_run(struct store *store, uint64_t pgno, uint64_t pages)
{
    if (pgno < META_PAGES || pgno + pages < pgno ||
        qs_store_map_reserve(store, pgno + pages) != 0 || !qs_store_reaches(store, pgno, pages))
        return NULL;
    return qs_store_map(store)->base + (pgno << QS_PAGE_SHIFT);
}

int qs_store_read(struct store *store, uint64_t offset, void *bytes, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(store->fd, (char *)bytes + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            return QS_E_NOTFOUND;
        done += (size_t)n;
    }
    return 0;
}
