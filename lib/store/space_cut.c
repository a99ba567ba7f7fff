/* space_cut.c - where the file could end, if what lies at its end lay in the free pages before.
 *
 * Who moves pages asks for a cut (space_cut_find), takes those that he can move out of the account of what
 * is in the way (space_cut_movable), and learns where the file can end in truth (space_cut_settle).
 */
#include "store/space_cut.h"

#include "store/space_leaf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The bits of the 64 pages from `first` on, a multiple of 64. */
static int load_word(struct space *space, uint64_t first, uint64_t *word)
{
    int rc = qs_space_leaf_load(space, first / SPACE_LEAF_PAGES);
    if (rc == 0)
        *word = space->leaf[first / SPACE_LEAF_PAGES].words[first % SPACE_LEAF_PAGES / 64];
    return rc;
}

static int count_used(struct space *space, uint64_t *pages)
{
    uint64_t word;
    *pages = META_PAGES;
    for (uint64_t at = 0; at < space->high_water; at += 64) {
        int rc = load_word(space, at, &word);
        if (rc != 0)
            return rc;
        *pages += (unsigned)__builtin_popcountll(word);
    }
    return 0;
}

int qs_space_cut_find(struct space *space, uint64_t extra, uint64_t most, struct space_cut *cut)
{
    uint64_t least, word, above = 0;
    *cut = (struct space_cut){.end = (space->high_water + 63) / 64 * 64};
    int rc = count_used(space, &least);
    least += extra;
    cut->start = cut->end;
    while (rc == 0 && cut->start >= least + 64) {
        rc = load_word(space, cut->start - 64, &word);
        if (rc != 0)
            break;
        above += (unsigned)__builtin_popcountll(word);
        if (above > most)
            break;
        cut->start -= 64;
    }
    if (rc == 0)
        cut->word = calloc((cut->end - cut->start) / 64 + 1, sizeof *cut->word);
    if (rc == 0 && cut->word == NULL)
        rc = ENOMEM;
    for (uint64_t at = cut->start; rc == 0 && at < cut->end; at += 64)
        rc = load_word(space, at, &cut->word[(at - cut->start) / 64]);
    if (rc != 0)
        qs_space_cut_free(cut);
    return rc;
}

void qs_space_cut_free(struct space_cut *cut)
{
    free(cut->word);
    cut->word = NULL;
}

void qs_space_cut_movable(struct space_cut *cut, uint64_t pgno, uint64_t count)
{
    for (; count > 0; pgno++, count--)
        if (qs_space_cut_behind(cut, pgno))
            cut->word[(pgno - cut->start) / 64] &= ~(1ull << pgno % 64);
}

void qs_space_cut_settle(struct space_cut *cut)
{
    uint64_t at = cut->end;
    while (at > cut->start && cut->word[(at - 64 - cut->start) / 64] == 0)
        at -= 64;
    cut->start = at;
    qs_space_cut_free(cut);
}

/* A node of the bitmap itself: its leaf counts as changed, so that the next checkpoint writes it anew. */
static int touch_node(void *context, const struct array_node *node, uint64_t pgno, uint64_t leaf)
{
    struct space_cut *cut = context;
    bool behind = qs_space_cut_behind(cut, pgno);
    if (cut->word != NULL && behind)
        qs_space_cut_movable(cut, pgno, 1);
    if (cut->word != NULL || (!behind && !cut->touch))
        return 0;
    cut->touch = node->header.level > 0; /* and with it the first leaf below */
    uint64_t *words;
    return cut->touch ? 0 : qs_space_leaf_edit(cut->space, leaf, &words);
}

int qs_space_cut_account(struct space *space, struct space_cut *cut)
{
    for (size_t i = 0; cut->word != NULL && i < space->chain_count; i++)
        qs_space_cut_movable(cut, space->chain[i], 1);
    cut->space = space;
    cut->touch = false;
    return qs_array_walk(space->store, &space->root, touch_node, cut);
}
