/* alive.c - how processes see that others live: a lock that the kernel drops with its holder.
 *
 * A pid says nothing: it comes round, and processes of several pid namespaces (containers that share a
 * volume) have the same ones. So every process that has the lock file open draws a nonce, and holds a lock
 * on the byte of that number; who finds the nonce in a reader slot asks for the lock.
 *
 * Owns:       the life byte of this process.
 * Invariants: I1 no two processes that have the file open have the same nonce: the lock decides.
 * Locks:      fcntl life bytes, never waited for.
 * Source:     own.
 */
#include "readers/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

int qs_byte_lock(int fd, short type, off_t byte)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    while (fcntl(fd, F_SETLK, &lock) != 0) {
        if (errno == EACCES)
            return EAGAIN;
        if (errno != EINTR)
            return errno;
    }
    return 0;
}

/* Random, never 0. */
static uint32_t make_nonce(void)
{
    uint32_t nonce;

    if (getrandom(&nonce, sizeof nonce, GRND_NONBLOCK) != (ssize_t)sizeof nonce)
        nonce = (uint32_t)qs_monotonic_ns() * 2654435761u;
    return nonce != 0 ? nonce : 1;
}

int qs_alive_announce(struct lockfile *lockfile)
{
    uint32_t nonce;
    int rc;

    do {
        nonce = make_nonce();
        rc = qs_byte_lock(lockfile->fd, F_WRLCK, LOCKFILE_LIFE_BYTES + nonce);
    } while (rc == EAGAIN);
    lockfile->self = owner_make(lockfile->pid, nonce);
    return rc;
}

void qs_alive_alone(struct lockfile *lockfile)
{
    lockfile->self = owner_make(lockfile->pid, make_nonce());
}

bool qs_alive_is_dead(const struct lockfile *lockfile, uint64_t owner)
{
    struct flock lock = {.l_type = F_WRLCK,
                         .l_whence = SEEK_SET,
                         .l_start = LOCKFILE_LIFE_BYTES + owner_nonce(owner),
                         .l_len = 1};

    return fcntl(lockfile->fd, F_GETLK, &lock) == 0 && lock.l_type == F_UNLCK;
}

uint64_t qs_alive_pid_space(void)
{
    struct stat st;

    return stat("/proc/self/ns/pid", &st) == 0 ? (uint64_t)st.st_ino : 0;
}
