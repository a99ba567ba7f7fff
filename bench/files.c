/* files.c - see files.h.
 *
 * Owns:       nothing.
 * Invariants: F1 only the names an environment has are removed, never a tree found by walking.
 */
#define _GNU_SOURCE /* copy_file_range */

#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

void files_remove(const char *directory)
{
    static const char *const names[] = {"data.mdb", "lock.mdb"};
    char path[PATH_BYTES];

    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        unlink(path);
    }
    rmdir(directory);
}

int files_empty(const char *directory)
{
    files_remove(directory);
    return mkdir(directory, 0700) == 0 ? 0 : errno;
}

static int copy_bytes(int in, int out)
{
    ssize_t copied;

    do {
        copied = copy_file_range(in, NULL, out, NULL, (size_t)1 << 30, 0);
    } while (copied > 0);
    return copied == 0 && fsync(out) == 0 ? 0 : errno;
}

/* Leaves the file in the page cache in single pages, as a database grows there. The copy would
 * leave it in larger units, and the kernel counts a whole unit as written when a page of it
 * changes. */
static int cache_in_pages(const char *path)
{
    static char buffer[1 << 20];
    ssize_t got = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return errno;
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    do {
        got = read(fd, buffer, sizeof buffer);
    } while (got > 0);
    int rc = got == 0 ? 0 : errno;
    close(fd);
    return rc;
}

int files_copy_database(const char *from, const char *to)
{
    char source[PATH_BYTES];
    char target[PATH_BYTES];
    int rc;

    snprintf(source, sizeof source, "%s/data.mdb", from);
    snprintf(target, sizeof target, "%s/data.mdb", to);
    int in = open(source, O_RDONLY | O_CLOEXEC);
    int out = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    rc = in < 0 || out < 0 ? errno : copy_bytes(in, out);
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return rc == 0 ? cache_in_pages(target) : rc;
}
