/* shrink.c - the last close gives back the end of the file.
 *
 * What the newest state needs lies all over a file that was larger once. So the pages behind a cut are made part
 * of a checkpoint, as if they had been changed: it writes them to the first free pages there are. Only
 * the map changes. Large values stay where they are, since records name their pages: then the cut is behind the
 * last. The checkpoint after that frees the old places and records where the file ends now; when it is
 * durable, no state is left that needs more, and the file is cut. A power cut may undo that: then the file is
 * longer than it need be. As many pages are moved at a time as memory is to be had for, so that may take rounds.
 * Invariants: Z1 nobody else has the file open, and nothing is read through the map behind the cut.
 *             Z2 a file that is longer than what writers ever had in use was made so by its user, and stays.
 */
#include "env/open.h"

#include "env/env.h"
#include "os/hook.h"
#include "store/space_cut.h"
#include "tree/writer.h"

#include <errno.h>
#include <stdlib.h>

#define GAIN_PAGES_MIN 256u /* it costs flushes: less is not worth it, */
#define GAIN_PART_MIN 4u    /* nor is less than this part of the file */
#ifdef QS_DEBUG
#define MOVE_PAGES_MAX 128u /* a round */
#else
#define MOVE_PAGES_MAX 16384u
#endif
#define ROUNDS_MAX                                                                                 \
    4u /* each writes and flushes that many pages, for which the last to close waits */
#define EXTRA_PAGES 64u /* for the log, and what a checkpoint always writes */

/* Pages that a file needs beside those in use, while the end of it is moved. */
static uint64_t extra_pages(const struct replica *replica)
{
    return EXTRA_PAGES + replica->meta.map.nodes + replica->meta.bitmap.nodes;
}

struct move {
    struct core *core;
    struct qs_txn *txn;
    struct space_cut cut;
    bool touch; /* some page of the next leaf of the map is to be moved, so that the leaf is */
};

/* Whether cutting the file behind `pages` would gain enough. */
static bool worth(const struct core *core, uint64_t pages)
{
    uint64_t file_pages = qs_store_file_pages(core->store);
    if (file_pages > core->space.reach || pages >= file_pages) /* Z2 */
        return false;
    uint64_t gain = file_pages - pages;
    return gain >= GAIN_PAGES_MIN && gain >= file_pages / GAIN_PART_MIN;
}

/* Whether to make that cut: it gains enough, or is what one round of several can do, and frees what it costs. */
static bool pays(const struct core *core, uint64_t pages)
{
    uint64_t file_pages = qs_store_file_pages(core->store);
    return worth(core, pages) || pages + MOVE_PAGES_MAX <= file_pages;
}

/* Which pages of trees and map lie behind the cut. */
static int find_movable(void *context, const struct array_node *node, uint64_t pgno, uint64_t leaf)
{
    struct move *move = context;
    (void)leaf;
    qs_space_cut_movable(&move->cut, pgno, 1);
    for (unsigned i = 0; node->header.level == 0 && i < ARRAY_FANOUT; i++)
        if (node->word[i] != 0 && (node->word[i] & MAP_WORD_FREE) == 0)
            qs_space_cut_movable(&move->cut, node->word[i] & MAP_WORD_PGNO, 1);
    return 0;
}

/* An own version that says what the page says already. */
static int touch_page(struct writer *w, pageid_t pid)
{
    struct image image;
    struct version *version;
    struct page *page;
    int rc = qs_view_image(&w->view, pid, &image);
    if (rc != 0)
        return rc;
    if (image.base->kind == PAGE_INNER)
        return qs_writer_inner(w, pid, &page);
    return qs_writer_leaf(w, pid, false, &version);
}

static int touch_movable(void *context, const struct array_node *node, uint64_t pgno, uint64_t leaf)
{
    struct move *move = context;
    int rc = 0;
    if (qs_space_cut_behind(&move->cut, pgno))
        move->touch = true;
    for (unsigned i = 0; rc == 0 && node->header.level == 0 && i < ARRAY_FANOUT; i++) {
        if (node->word[i] == 0 || (node->word[i] & MAP_WORD_FREE) != 0)
            continue;
        if (!move->touch && !qs_space_cut_behind(&move->cut, node->word[i] & MAP_WORD_PGNO))
            continue;
        rc = touch_page(move->txn->writer, (pageid_t)(leaf * ARRAY_FANOUT + i));
        move->touch = false;
    }
    return rc;
}

/* The cut, as far back as large values allow. */
static int find_cut(struct move *move)
{
    struct core *core = move->core;
    const struct replica *replica = move->txn->replica;
    const struct log *log = &replica->log;
    int rc = qs_space_cut_find(&core->space, extra_pages(replica), MOVE_PAGES_MAX, &move->cut);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < log->end.segments; i++)
        qs_space_cut_movable(&move->cut, log->segment[i].pgno, log->segment[i].pages);
    rc = qs_array_walk(core->store, &replica->meta.map, find_movable, move);
    if (rc == 0)
        rc = qs_space_cut_account(&core->space, &move->cut);
    qs_space_cut_settle(&move->cut);
    return rc;
}

static int move_pages(struct core *core, struct qs_txn *txn)
{
    struct move move = {.core = core, .txn = txn};
    int rc = find_cut(&move);
    if (rc != 0 || !pays(core, move.cut.start))
        return rc;
    core->cut = move.cut.start;
    rc = qs_space_cut_account(&core->space, &move.cut);
    if (rc == 0)
        rc = qs_array_walk(core->store, &txn->replica->meta.map, touch_movable, &move);
    return rc;
}

int qs_checkpoint_log(struct core *core, struct replica *replica, bool move)
{
    struct qs_txn *txn = calloc(1, sizeof *txn);
    int rc = txn != NULL ? qs_core_space(core, replica) : ENOMEM;
    if (rc == 0)
        rc = qs_core_reclaim(core, replica);
    if (rc == 0)
        rc = qs_core_begin_writer(core, txn, replica, UINT64_MAX);
    if (rc != 0) {
        free(txn);
        return rc;
    }
    txn->id = replica->latest.txn; /* nothing is added */
    txn->redo = NULL;
    qs_space_begin(&core->space);
    if (move)
        rc = move_pages(core, txn);
    if (rc == 0 && move && core->cut == 0)
        rc = QS_E_NOTFOUND; /* nothing to be gained */
    if (rc == 0)
        rc = qs_checkpoint(core, txn);
    if (rc != 0)
        qs_space_rollback(&core->space);
    qs_txn_close(txn);
    free(txn);
    return rc;
}

/* One round; false: nothing more is gained. */
static bool move_end(struct core *core, struct replica *replica)
{
    struct store *store = core->store;
    core->cut = 0;
    if (qs_checkpoint_log(core, replica, true) != 0)
        return false;
    QS_HOOK("shrink.moved");
    if (qs_checkpoint_log(core, replica, false) != 0)
        return false;
    QS_HOOK("shrink.freed");
    uint64_t pages = replica->meta.high_water;
    if (pages >= qs_store_file_pages(store) ||
        store->io->truncate(store->file, pages << QS_PAGE_SHIFT) != 0)
        return false;
    QS_HOOK("shrink.cut");
    return true;
}

void qs_close_shrink(struct core *core, struct replica *replica)
{
    if (!core->space_open || !worth(core, replica->latest.used_pages + extra_pages(replica)))
        return;
    /* First what was changed: the pages that it replaces would be in the way. */
    if (replica->cache.dirty_count > 0 && qs_checkpoint_log(core, replica, false) != 0)
        return;
    for (unsigned round = 0; round < ROUNDS_MAX && move_end(core, replica); round++)
        if (!worth(core, replica->latest.used_pages + extra_pages(replica)))
            return;
}
