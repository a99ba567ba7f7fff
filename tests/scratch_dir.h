/* scratch_dir.h - a directory for one environment: made before a test, removed behind it.
 *
 * Owns: `directory`, and the paths of the two files in it. For one test of a program at a time.
 */
#ifndef QS_TEST_SCRATCH_DIR_H
#define QS_TEST_SCRATCH_DIR_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char directory[64], data_path[96], lock_path[96];

/* `name` says whose it is, for who finds one left over. The program is compiled with _GNU_SOURCE. */
static inline void make_directory(const char *name)
{
    snprintf(directory, sizeof directory, "/tmp/qs-%s-XXXXXX", name);
    cr_assert(mkdtemp(directory) != NULL);
    snprintf(data_path, sizeof data_path, "%s/data.mdb", directory);
    snprintf(lock_path, sizeof lock_path, "%s/lock.mdb", directory);
}

static inline void remove_directory(void)
{
    unlink(data_path);
    unlink(lock_path);
    rmdir(directory);
}

#endif
