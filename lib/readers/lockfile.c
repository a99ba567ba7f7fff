/* lockfile.c - opening, sharing and closing the lock file.
 *
 * Owns:       the descriptor with the fcntl locks, the mapping, the header.
 * Life:       open -> (first: initialised, exclusive -> share) -> in use -> (alone) -> close.
 * Invariants: a read lock on byte 0 means: has the file open, and what is in it is sound. Nobody
 *             gets one but under the write lock on byte 1, and a first opener keeps that until the
 *             positions are right; so when he is killed on the way, the next one is first again.
 * Locks:      fcntl bytes 1, then 0, tried and never waited for in the kernel (open only).
 * Source:     own; the role of byte 0 is LMDB's observable protocol.
 */
#include "readers/lockfile.h"
#include "readers/internal.h"
#include "base/error.h"
#include "os/hook.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define OPEN_WAIT_NS_MAX INT64_C(30000000000) /* for another opener to finish */
#define OPEN_STEP_NS_MAX 1000000              /* longest sleep between two looks */
#define SLOTS_MAX (1u << 24)                  /* keeps sizes sane whatever the file says */

/* ---- opening ---- */

/* How long an open has waited for others. It looks again and again instead of sleeping in the
 * kernel: F_SETLKW would see deadlocks that are none (its owners are processes, not threads), and
 * would wait for a stopped process for ever. */
struct patience {
    int64_t deadline_ns; /* CLOCK_MONOTONIC; 0 before the first wait */
    long step_ns;        /* of the next sleep */
};

static int patience_wait(struct patience *patience)
{
    struct timespec step = {0, patience->step_ns};
    int64_t now = qs_monotonic_ns();

    if (patience->deadline_ns == 0)
        patience->deadline_ns = now + OPEN_WAIT_NS_MAX;
    if (now >= patience->deadline_ns)
        return EAGAIN;
    nanosleep(&step, NULL);
    if (patience->step_ns < OPEN_STEP_NS_MAX)
        patience->step_ns *= 2;
    return 0;
}

/* Takes byte 1, then byte 0 in the strongest mode to be had. EAGAIN: hold on and look again (byte 1
 * is kept, so that nobody overtakes). */
static int enter(int fd, bool *first)
{
    int rc = qs_byte_lock(fd, F_WRLCK, LOCKFILE_OPENING_BYTE);

    if (rc != 0)
        return rc;
    rc = qs_byte_lock(fd, F_WRLCK, LOCKFILE_USE_BYTE);
    *first = rc == 0;
    if (rc == EAGAIN)
        rc = qs_byte_lock(fd, F_RDLCK, LOCKFILE_USE_BYTE);
    return rc;
}

/* True while `path` still names the file that `fd` is open on, of which *opened then tells. */
static bool is_same_file(int fd, const char *path, struct stat *opened)
{
    struct stat named;

    return fstat(fd, opened) == 0 && stat(path, &named) == 0 && opened->st_dev == named.st_dev &&
           opened->st_ino == named.st_ino;
}

/* Opens the file and takes the locks of an opener. Starts over when the file was deleted or
 * replaced before we had them: then the locks are on a file that no later opener will see. */
static int open_locked(const char *path, mode_t mode, int *opened, bool *first, struct stat *st)
{
    struct patience patience = {0, 20000};
    int fd, rc;

    for (;;) {
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, mode);
        if (fd < 0)
            return errno;
        while ((rc = enter(fd, first)) == EAGAIN) {
            rc = patience_wait(&patience);
            if (rc != 0)
                break;
        }
        if (rc == 0 && is_same_file(fd, path, st))
            break;
        close(fd);
        if (rc != 0)
            return rc;
        rc = patience_wait(&patience);
        if (rc != 0)
            return rc;
    }
    *opened = fd;
    return 0;
}

/* The number of slots that a file of this size has room for. */
static unsigned slots_in(off_t size_bytes)
{
    uint64_t count;

    if (size_bytes < (off_t)LOCKFILE_SLOTS_OFFSET)
        return 0;
    count = ((uint64_t)size_bytes - LOCKFILE_SLOTS_OFFSET) / sizeof(struct reader);
    return count < SLOTS_MAX ? (unsigned)count : SLOTS_MAX;
}

/* Gives the file room for the slots, and space behind every byte of them: a store to a hole on a full disk
 * would be a SIGBUS. Written, not allocated: that is cheaper, most of all when the file is deleted soon. */
static int grow(int fd, const struct stat *st, off_t size_bytes)
{
    static const char zeros[16384];
    off_t at = 0;

    if ((off_t)st->st_blocks * 512 >= size_bytes && st->st_size >= size_bytes)
        return 0;
    while (at < size_bytes) {
        off_t left = size_bytes - at;
        ssize_t n = pwrite(fd, zeros, left < (off_t)sizeof zeros ? (size_t)left : sizeof zeros, at);
        if (n < 0 && errno != EINTR)
            return errno;
        if (n > 0)
            at += n;
    }
    return 0;
}

static off_t file_bytes(unsigned slots)
{
    return (off_t)LOCKFILE_SLOTS_OFFSET + (off_t)slots * (off_t)sizeof(struct reader);
}

/* Decides how many slots there are, sees to the file's size, and maps it. */
static int map_file(struct lockfile *lockfile, const struct stat *st, bool first,
                    unsigned max_readers)
{
    void *map;
    int rc;

    lockfile->slots_count = slots_in(st->st_size);
    if (first && lockfile->slots_count < max_readers)
        lockfile->slots_count = max_readers < SLOTS_MAX ? max_readers : SLOTS_MAX;
    if (first && lockfile->slots_count == 0)
        lockfile->slots_count = 1;
    if (lockfile->slots_count == 0)
        return QS_E_INVALID;
    lockfile->map_bytes = (size_t)file_bytes(lockfile->slots_count);
    if (first) {
        rc = grow(lockfile->fd, st, (off_t)lockfile->map_bytes);
        if (rc != 0)
            return rc;
    }
    map = mmap(NULL, lockfile->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, lockfile->fd, 0);
    if (map == MAP_FAILED)
        return errno;
    lockfile->header = map;
    lockfile->slots = (struct reader *)((char *)map + LOCKFILE_SLOTS_OFFSET);
    return 0;
}

/* The first opener's: everything afresh. */
static int init_header(struct lockfile *lockfile)
{
    struct lock_header *header = lockfile->header;
    int rc;

    assert(header != NULL);
    memset(header, 0, sizeof *header);
    rc = qs_writer_mutex_init(lockfile);
    if (rc != 0)
        return rc;
    qs_slots_init(lockfile);
    header->pid_space = qs_alive_pid_space();
    header->slots = lockfile->slots_count;
    header->format = LOCKFILE_FORMAT;
    header->magic = LOCKFILE_MAGIC;
    return 0;
}

/* A later opener's: is it ours, and as large as it says? The header decides about the slots: the
 * file may have been extended by somebody else. */
static int check_header(struct lockfile *lockfile)
{
    const struct lock_header *header = lockfile->header;

    assert(header != NULL);
    if (header->magic != LOCKFILE_MAGIC)
        return QS_E_INVALID;
    if (header->format != LOCKFILE_FORMAT)
        return QS_E_VERSION_MISMATCH;
    if (header->slots == 0 || header->slots > lockfile->slots_count)
        return QS_E_INVALID;
    lockfile->slots_count = header->slots;
    return 0;
}

/* With the locks of an opener: puts the file in order, or looks whether it is. */
static int settle_in(struct lockfile *lockfile, bool first)
{
    int rc = first ? init_header(lockfile) : check_header(lockfile);

    if (rc == 0)
        rc = qs_alive_announce(lockfile);
    if (rc != 0 || first)
        return rc;
    if (lockfile->header->pid_space != qs_alive_pid_space())
        qs_writer_strangers(lockfile);
    qs_slots_clear_earlier(lockfile);
    qs_byte_lock(lockfile->fd, F_UNLCK, LOCKFILE_OPENING_BYTE);
    return 0;
}

int qs_lockfile_open(const char *path, mode_t mode, unsigned max_readers,
                     struct lockfile **lockfile, bool *first)
{
    struct lockfile *made = calloc(1, sizeof *made);
    struct stat st = {0};
    int rc;

    if (made == NULL)
        return ENOMEM;
    made->pid = getpid();
    rc = open_locked(path, mode, &made->fd, first, &st);
    if (rc != 0)
        goto err_after_alloc;
    rc = map_file(made, &st, *first, max_readers);
    if (rc != 0)
        goto err_after_open;
    QS_HOOK("lockfile.mapped");
    rc = settle_in(made, *first);
    if (rc != 0)
        goto err_after_map;
    *lockfile = made;
    return 0;

err_after_map:
    munmap(made->header, made->map_bytes);
err_after_open:
    close(made->fd);
err_after_alloc:
    free(made);
    return rc;
}

int qs_lockfile_private(unsigned max_readers, struct lockfile **lockfile)
{
    struct lockfile *made = calloc(1, sizeof *made);
    void *map;
    int rc;

    if (made == NULL)
        return ENOMEM;
    made->fd = -1;
    made->pid = getpid();
    qs_alive_alone(made);
    made->slots_count = max_readers;
    made->map_bytes = (size_t)file_bytes(max_readers);
    map = mmap(NULL, made->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) {
        free(made);
        return ENOMEM;
    }
    made->header = map;
    made->slots = (struct reader *)((char *)map + LOCKFILE_SLOTS_OFFSET);
    rc = init_header(made);
    if (rc != 0) {
        munmap(map, made->map_bytes);
        free(made);
        return rc;
    }
    *lockfile = made;
    return 0;
}

int qs_lockfile_bind(struct lockfile *lockfile, bool first, const struct data_identity *identity)
{
    struct data_identity *stored = &lockfile->header->identity;

    if (first) {
        *stored = *identity;
        return 0;
    }
    return memcmp(stored, identity, sizeof *stored) == 0 ? 0 : EBUSY;
}

void qs_lockfile_share(struct lockfile *lockfile)
{
    /* To weaken a lock cannot fail for want of one; should it fail all the same, others stay out.
     */
    qs_byte_lock(lockfile->fd, F_RDLCK, LOCKFILE_USE_BYTE);
    QS_HOOK("lockfile.weakened");
    qs_byte_lock(lockfile->fd, F_UNLCK, LOCKFILE_OPENING_BYTE);
}

bool qs_lockfile_shared(const struct lockfile *lockfile)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCKFILE_USE_BYTE, .l_len = 1};

    return fcntl(lockfile->fd, F_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

bool qs_lockfile_alone(struct lockfile *lockfile)
{
    return qs_byte_lock(lockfile->fd, F_WRLCK, LOCKFILE_USE_BYTE) == 0;
}

void qs_lockfile_close(struct lockfile *lockfile, bool forked)
{
    bool unmap = true;

    if (!forked) {
        qs_slots_clear_own(lockfile);
        unmap = qs_writer_abandon(lockfile);
    }
    if (unmap)
        munmap(lockfile->header, lockfile->map_bytes);
    if (!forked && lockfile->fd >= 0)
        close(lockfile->fd);
    free(lockfile);
}

struct lock_header *qs_lockfile_header(struct lockfile *lockfile)
{
    return lockfile->header;
}

unsigned qs_lockfile_max_readers(const struct lockfile *lockfile)
{
    return lockfile->slots_count;
}
