/* close.c - what the last to close a file leaves behind.
 *
 * The data file alone is the database, log and all, so nothing has to be done; and nothing is waited
 * for. A long log is turned into a checkpoint, so that the next opener need not do it all again. The log's
 * last record says that it is the last, and how much of the log is durable: then the next opener need not
 * look for more, nor flush what is.
 */
#include "env/open.h"

#include "env/checkpoint.h"
#include "env/env.h"
#include "log/group.h"

#include <unistd.h>

#define LOG_LEFT_MAX 32768u /* bytes of log that stay */

static void seal(struct core *core, struct log *log)
{
    struct lock_header *header = qs_lockfile_header(core->lockfile);
    struct log_record record = {.kind = LOG_SEAL};
    if (log->sealed || log->end.segments == 0 || !qs_log_fits(log, sizeof record))
        return;
    qs_log_append(log, core->store->io, core->store->file, &record, sizeof record, LOG_SEAL,
                  log->end.txn, atomic_load(&header->durable));
}

void qs_core_leave(struct core *core)
{
    struct lock_header *header = qs_lockfile_header(core->lockfile);
    struct replica *replica = atomic_load(&core->current);
    struct log *log = &replica->log;
    int rc = 0;
    if (core->pid == getpid())
        qs_link_leave(core);
    if (core->pid != getpid() || core->store->read_only || !core->has_lock_file ||
        atomic_load(&core->panicked) || atomic_load(&header->failed) != 0 ||
        atomic_load(&header->owner) != 0 || log->end.position != atomic_load(&header->written) ||
        replica->meta.checkpoint != atomic_load(&header->checkpoint) ||
        !qs_lockfile_alone(core->lockfile))
        return;
    if (log->end.position - log->anchor > LOG_LEFT_MAX)
        rc = qs_checkpoint_log(core, replica, false);
    if (rc == 0)
        qs_close_shrink(core, replica);
    if (atomic_load(&header->failed) == 0)
        seal(core, log);
}
