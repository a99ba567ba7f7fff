/* open.c - lock file, data file, first replica: a core from nothing.
 *
 * The first opener trusts nothing in the lock file: it sets the positions from meta page and log before it
 * lets anybody else in.
 */
#include "env/open.h"

#include "base/error.h"
#include "os/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define PRIVATE_SLOTS 1024u /* readers of an environment without a lock file */

static int open_data(struct core *core, const struct qs_options *options)
{
    bool read_only = (options->flags & QS_RDONLY) != 0;
    struct stat st;
    /* The descriptor is handed out to users and stays open over exec, as LMDB's does. */
    int fd = open(options->data_path, read_only ? O_RDONLY : O_RDWR | O_CREAT, options->mode);
    if (fd < 0)
        return errno;
    if (fstat(fd, &st) != 0) {
        int rc = errno;
        close(fd);
        return rc;
    }
    core->device = st.st_dev;
    core->inode = st.st_ino;
    return qs_store_open(fd, options->io, read_only, (options->flags & QS_NORDAHEAD) != 0,
                         &core->store);
}

static int open_lock(struct core *core, const struct qs_options *options, bool *first)
{
    unsigned readers = options->max_readers != 0 ? options->max_readers : 126;
    int rc = EROFS;
    *first = true;
    if ((options->flags & QS_NOLOCK) == 0)
        rc = qs_lockfile_open(options->lock_path, options->mode, readers, &core->lockfile, first);
    core->has_lock_file = rc == 0;
    /* Only a read-only file system lets a reader go on without. */
    if (rc == EROFS && (options->flags & (QS_NOLOCK | QS_RDONLY)) != 0)
        rc = qs_lockfile_private(PRIVATE_SLOTS, &core->lockfile);
    return rc;
}

/* Both files, the lock first unless the data must exist. */
static int open_both(struct core *core, const struct qs_options *options, bool *first)
{
    int rc;
    if ((options->flags & QS_RDONLY) != 0) {
        rc = open_data(core, options);
        return rc == 0 ? open_lock(core, options, first) : rc;
    }
    rc = open_lock(core, options, first);
    return rc == 0 ? open_data(core, options) : rc;
}

/* The newest meta page; a file without any gets its first two. */
static int load_meta(struct core *core, const struct qs_options *options, struct meta *meta)
{
    bool fresh;
    int rc = qs_meta_read(core->store, meta, &fresh);
    if (rc != 0 || !fresh)
        return rc;
    if (core->store->read_only)
        return ENOENT;
    uint64_t file_id[2];
    if (getrandom(file_id, sizeof file_id, GRND_NONBLOCK) != (ssize_t)sizeof file_id)
        file_id[0] = (uint64_t)getpid(), file_id[1] = core->inode;
    uint64_t size = options->map_size_bytes != 0 ? options->map_size_bytes : MAP_SIZE_DEFAULT;
    qs_meta_init(meta, size, file_id);
    rc = qs_meta_create(core->store, meta);
    if (rc == 0 && (options->flags & QS_NOSYNC) == 0)
        rc = core->store->io->flush(core->store->file);
    if (rc != 0) /* half of the first two meta pages is no database; nothing is */
        core->store->io->truncate(core->store->file, 0);
    return rc;
}

/* The map that the environment's map size will ask for, made at once. */
static int reserve_map(struct core *core, const struct qs_options *options, const struct meta *meta)
{
    uint64_t size = options->map_size_bytes != 0 ? options->map_size_bytes : meta->map_size_bytes;
    uint64_t used = meta->used_pages << QS_PAGE_SHIFT;
    uint64_t pages = qs_core_map_pages(size > used ? size : used);
    return qs_store_map_reserve(core->store,
                                pages > meta->high_water ? pages : meta->high_water + 1);
}

/* Positions, identity and the first replica. */
static int start(struct core *core, const struct qs_options *options, struct meta *meta, bool first)
{
    struct data_identity identity = {
        core->device, core->inode, {meta->file_id[0], meta->file_id[1]}};
    struct replica *replica;
    uint64_t sound = 0;
    int rc = qs_lockfile_bind(core->lockfile, first, &identity);
    /* What a writer has put into the other meta page may not be durable, nor published, yet. */
    if (rc == 0 && !first)
        rc = qs_core_newest_meta(core, meta);
    if (rc == 0)
        rc = reserve_map(core, options, meta);
    if (rc == 0 && first)
        rc = qs_recover(core, meta, &sound);
    if (rc == 0)
        rc = qs_replica_open(core->store, meta, NULL, NULL, &replica);
    if (rc != 0)
        return rc;
    replica->log.sound = sound;
    qs_core_adopt(core, replica);
    core->replicas = replica;
    atomic_init(&core->current, replica);
    return 0;
}

static int make_tables(struct core *core)
{
    unsigned slots =
        qs_lockfile_max_readers(core->lockfile) + 1; /* one for a checkpoint under way */
    core->uses = malloc(slots * sizeof *core->uses);
    core->live_snapshots = malloc(4 * slots * sizeof *core->live_snapshots);
    core->live_checkpoints = malloc(4 * slots * sizeof *core->live_checkpoints);
    core->used_checkpoints = malloc(2 * slots * sizeof *core->used_checkpoints);
    bool all = core->uses != NULL && core->live_snapshots != NULL &&
               core->live_checkpoints != NULL && core->used_checkpoints != NULL;
    return all ? 0 : ENOMEM;
}

int qs_open_files(const struct qs_options *options, struct core **out)
{
    struct meta meta;
    bool first = true;
    struct core *core = calloc(1, sizeof *core);
    if (core == NULL)
        return ENOMEM;
    core->pid = getpid();
    core->log_bytes_max = options->log_bytes_max;
    int rc = qs_names_open(&core->names);
    if (rc != 0) {
        free(core);
        return rc;
    }
    pthread_mutex_init(&core->follow_lock, NULL);
    rc = open_both(core, options, &first);
    QS_HOOK("open.files");
    if (rc == 0)
        rc = make_tables(core);
    if (rc == 0)
        rc = load_meta(core, options, &meta);
    QS_HOOK("open.meta");
    if (rc == 0)
        rc = start(core, options, &meta, first);
    if (rc != 0) {
        qs_core_free(core);
        return rc;
    }
    QS_HOOK("open.started");
    if (core->has_lock_file && first)
        qs_lockfile_share(core->lockfile);
    QS_HOOK("open.shared");
    *out = core;
    return 0;
}

int qs_open_writable(struct core *core, const struct qs_options *options)
{
    int fd = open(options->data_path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return errno;
    return qs_store_make_writable(core->store, fd);
}
