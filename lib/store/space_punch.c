/* space_punch.c - free pages that go back to the file system while the file is open.
 *
 * When a checkpoint has allocated all it needs, what is still free was not needed at the time of greatest
 * need. A share of it stays, so that work that varies does not punch what it will write again; of the rest,
 * long runs become holes, those at the end of the file first: pages are allocated from the low end.
 * Only pages whose bit is clear are touched, and those from the high water on: nothing that can be seen or that a
 * power cut may bring back refers to them (rule 5).
 */
#include "store/space_leaf.h"

#include <errno.h>
#include <sys/stat.h>

#define PUNCH_RUN_PAGES 64u /* shorter runs stay: holes cost the file system an extent each */
#define PUNCH_SPARE_PART 4u /* of the file's blocks, the part that may be free */
#define PUNCH_RUNS_MAX 128u /* looked at at a time, holes included */
#define PUNCH_WALK_PAGES (8 * SPACE_LEAF_PAGES) /* of the bitmap, walked at a time */

/* How many pages are to be given back; *file_end is where those end that writers gave the file. */
static uint64_t excess(const struct space *space, uint64_t used_pages, uint64_t *file_end)
{
    struct stat st;
    if (fstat(space->store->fd, &st) != 0)
        return 0;
    *file_end = (uint64_t)st.st_size >> QS_PAGE_SHIFT;
    uint64_t allocated = (uint64_t)st.st_blocks * 512 >> QS_PAGE_SHIFT;
    if (*file_end > space->reach) {
        if (allocated > space->reach) /* its user preallocated it, and wants the blocks */
            return 0;
        *file_end = space->reach;
    }
    uint64_t needed = used_pages + allocated / PUNCH_SPARE_PART;
    for (size_t i = 0; i < space->wait_count; i++)
        needed += space->wait[i].pages;
    return allocated > needed ? allocated - needed : 0;
}

/* Punches the upper `pages` of the free run [start, end). */
static int punch(struct store *store, uint64_t end, uint64_t pages)
{
    int rc = store->io->punch(store->file, (end - pages) << QS_PAGE_SHIFT, pages << QS_PAGE_SHIFT);
    store->no_holes = rc == EOPNOTSUPP;
    return rc;
}

bool qs_space_punch(struct space *space, uint64_t used_pages, uint64_t most)
{
    uint64_t file_end, start;
    uint64_t left = space->store->no_holes ? 0 : excess(space, used_pages, &file_end);
    if (left < PUNCH_RUN_PAGES) {
        space->punch_end = 0; /* the next time from the file's end again */
        return false;
    }
    left = left < most ? left : most;
    uint64_t end = space->punch_end;
    if (end <= META_PAGES || end > file_end)
        end = file_end;
    uint64_t stop = end > PUNCH_WALK_PAGES ? end - PUNCH_WALK_PAGES : META_PAGES;
    for (unsigned runs = 0; end > stop && left >= PUNCH_RUN_PAGES && runs < PUNCH_RUNS_MAX;) {
        if (qs_space_run_start(space, end, true, &end) != 0 ||
            qs_space_run_start(space, end, false, &start) != 0)
            return false;
        uint64_t pages = end - start < left ? end - start : left;
        if (pages >= PUNCH_RUN_PAGES) {
            if (punch(space->store, end, pages) != 0)
                return false;
            left -= pages;
            runs++;
        }
        end = pages < end - start ? end - pages : start;
    }
    space->punch_end = end;
    return true;
}
