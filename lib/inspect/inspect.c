/* inspect.c - opening a file to look at it; see inspect.h. */
#include "inspect/inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

int qs_inspect_open(struct inspect *inspect, const char *path)
{
    bool fresh;
    memset(inspect, 0, sizeof *inspect);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int rc = qs_store_open(fd, &qs_io_posix, true, false, &inspect->store);
    if (rc != 0)
        return rc;
    rc = qs_meta_read(inspect->store, &inspect->meta, &fresh);
    if (rc == 0 && fresh)
        rc = QS_E_INVALID;
    if (rc == 0)
        rc = qs_store_map_reserve(inspect->store, inspect->meta.high_water + 1);
    if (rc == 0)
        rc = qs_map_open(&inspect->map, inspect->store, &inspect->meta.map, NULL);
    if (rc != 0) {
        qs_store_close(inspect->store);
        return rc;
    }
    inspect->view = (struct view){.map = &inspect->map,
                                  .file = qs_store_map(inspect->store)->base,
                                  .snapshot = inspect->meta.txn,
                                  .checkpoint = inspect->meta.checkpoint,
                                  .root = inspect->meta.map};
    return 0;
}

void qs_inspect_close(struct inspect *inspect)
{
    qs_map_close(&inspect->map);
    qs_store_close(inspect->store);
}
