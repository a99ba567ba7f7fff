/* readers.c - the reader table as text, and clearing it of dead processes.
 *
 * Owns:       the text of mdb_reader_list(), which py-lmdb and mdb_stat hand on verbatim.
 */
#include "api.h"
#include "env.h"
#include "errors.h"

#include "quickstep.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

struct listing {
    MDB_msg_func *print; /* the program's */
    void *context;       /* its argument */
    bool any;            /* the headline has been printed */
    int rc;              /* what `print` returned last; below 0 ends the listing */
};

static int list_reader(void *context, const struct qs_reader *reader)
{
    struct listing *listing = context;
    char snapshot[24] = "-";
    char line[80];

    if (!listing->any) {
        listing->any = true;
        listing->rc = listing->print("    pid     thread     txnid\n", listing->context);
        if (listing->rc < 0)
            return 1;
    }
    if (reader->active)
        snprintf(snapshot, sizeof snapshot, "%" PRIu64, reader->snapshot);
    snprintf(line, sizeof line, "%10d %" PRIx64 " %s\n", reader->pid, reader->thread, snapshot);
    listing->rc = listing->print(line, listing->context);
    return listing->rc < 0;
}

int mdb_reader_list(MDB_env *env, MDB_msg_func *func, void *ctx)
{
    struct listing listing = {.print = func, .context = ctx};

    if (env == NULL || func == NULL)
        return -1;
    if (env->qs == NULL || (env->flags & MDB_NOLOCK) ||
        qs_reader_visit(env->qs, list_reader, &listing) < 0)
        return func("(no reader locks)\n", ctx);
    if (!listing.any)
        return func("(no active readers)\n", ctx);
    return listing.rc;
}

int mdb_reader_check(MDB_env *env, int *dead)
{
    int cleared = 0;
    int rc = 0;

    if (env == NULL)
        return EINVAL;
    if (env->qs != NULL && !(env->flags & MDB_NOLOCK))
        rc = qs_reader_check(env->qs, &cleared);
    if (dead != NULL)
        *dead = cleared;
    return qs_compat_error(rc);
}
