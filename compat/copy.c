/* copy.c - mdb_env_copy and its relatives: where a copy goes; what goes there is the engine's.
 *
 * Owns:       the target file of a copy by path. It is left behind when copying fails, empty or
 *             half written, as LMDB's is: programs that see the error remove it themselves.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* O_DIRECT */
#endif
#include "api.h"
#include "env.h"
#include "errors.h"

#include "quickstep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int mdb_env_copyfd2(MDB_env *env, mdb_filehandle_t fd, unsigned int flags)
{
    if (env == NULL || env->qs == NULL)
        return EINVAL;
    return qs_compat_error(qs_env_copy(env->qs, fd, (flags & MDB_CP_COMPACT) != 0));
}

int mdb_env_copyfd(MDB_env *env, mdb_filehandle_t fd)
{
    return mdb_env_copyfd2(env, fd, 0);
}

/* A copy is written once and not read soon: past the page cache, where the file system can. */
static void write_directly(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags != -1)
        (void)fcntl(fd, F_SETFL, flags | O_DIRECT);
}

int mdb_env_copy2(MDB_env *env, const char *path, unsigned int flags)
{
    char *target;
    int fd;
    int rc;

    if (env == NULL || path == NULL || env->qs == NULL)
        return EINVAL;
    target = qs_compat_path(path, (env->flags & MDB_NOSUBDIR) ? "" : "/data.mdb");
    if (target == NULL)
        return ENOMEM;
    fd = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        rc = errno;
        goto out;
    }
    write_directly(fd);
    rc = mdb_env_copyfd2(env, fd, flags);
    if (close(fd) != 0 && rc == 0)
        rc = errno;
out:
    free(target);
    return rc;
}

int mdb_env_copy(MDB_env *env, const char *path)
{
    return mdb_env_copy2(env, path, 0);
}
