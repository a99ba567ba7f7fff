/* space_cut.h - where the file could end, if what lies at its end lay in the free pages before.
 *
 * Who moves pages finds a cut, tells it all pages behind that he can move, and settles it: the cut is then
 * as far back as what cannot be moved demands. Under the writer mutex.
 */
#ifndef QS_STORE_SPACE_CUT_H
#define QS_STORE_SPACE_CUT_H

#include "store/space.h"

struct space_cut {
    uint64_t start; /* pages from here on are to become free; a multiple of 64 */
    uint64_t end;   /* nothing is in use from here on */
    uint64_t
        *word; /* bits of the pages between that nobody has said he can move; NULL once settled */
    struct space *space; /* during qs_space_cut_account() */
    bool touch;          /* the same: the next leaf of the bitmap is to be written anew */
};

/* The lowest cut that leaves `extra` free pages before it when all that is behind has moved, and has at most
 * `most` pages behind it. ENOMEM, QS_E_CORRUPTED. */
int qs_space_cut_find(struct space *space, uint64_t extra, uint64_t most, struct space_cut *cut);
void qs_space_cut_free(struct space_cut *cut);

/* Whether a page lies between the cut and the end. */
static inline bool qs_space_cut_behind(const struct space_cut *cut, uint64_t pgno)
{
    return pgno >= cut->start && pgno < cut->end;
}

/* These pages can be moved, as far as they lie behind the cut. */
void qs_space_cut_movable(struct space_cut *cut, uint64_t pgno, uint64_t count);

/* Free space's own pages: before the cut is settled, they are movable; after it, sees to it that the next
 * checkpoint moves them. */
int qs_space_cut_account(struct space *space, struct space_cut *cut);

/* All has been said: moves the start behind the last page that has to stay. */
void qs_space_cut_settle(struct space_cut *cut);

#endif
