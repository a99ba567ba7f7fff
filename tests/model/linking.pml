/* linking.pml - Spin model: a checkpoint in force that is still being linked, against readers that begin.
 *
 * What is modelled: lib/env/checkpoint_link.c with checkpoint_carry.c, checkpoint.c and write.c, for one page of a
 * tree in the process that made the checkpoint, and lib/env/begin.c there. The page has a place in the file for
 * each checkpoint, and a chain of versions in memory, each with its stamp (transaction, checkpoint) and the file page
 * below it. A write transaction scans the slots, reclaims, links a version of its own, and then does a share: puts a
 * checkpoint in force, links it, or ends that; or it commits by a checkpoint in one go. What is committed becomes
 * visible some time later. Who reclaims is the maker itself, or another process by the same rules.
 *
 * What is checked: the version that a reader finds stays in memory until it ends (C1), and the file page below that
 * holds what it held (engine rule 5). Each reader finds a version.
 *
 * What is not: fences and store buffers (readers.pml), readers of other processes, who start from the file and
 * have nothing to be linked, unlinking while a chain is followed (inside.pml).
 *
 * Faults to be put in, each of which must be found (spin.sh): ONE_NUMBER (a reader names the new checkpoint only),
 * UNBOUNDED (what a checkpoint released is free although that is not linked), NEWEST_SEEN (readers that the scan
 * missed are taken for readers of the new checkpoint alone), ENDS_EARLY (not all is visible when it ends),
 * SETTLES_NOT (the checkpoint in one go leaves the one before it as it is). REUSED asks for a trace in which a page is used again beside a reader.
 */
#ifndef CHECKPOINTS
#define CHECKPOINTS 3 /* the last one's number */
#endif
#ifndef COMMITS
#define COMMITS 3 /* write transactions */
#endif
#ifndef READERS
#define READERS 1
#endif
#ifndef TXNS
#define TXNS 2 /* read transactions of each reader */
#endif
#define PAGES 3
#define VERSIONS 9 /* COMMITS and two a checkpoint at most */
#define NONE 0

/* ---- shared ---- */

byte newest = 1;  /* lock file: number of the newest checkpoint */
byte linked = 1;  /* lock file: that its maker has linked */
byte visible = 1; /* lock file: transaction */

byte slot_checkpoint[READERS];
bool slot_before[READERS];
byte slot_snapshot[READERS];

byte content[PAGES]; /* checkpoint whose image stands there; 0: something else */

/* ---- of the maker's process ---- */

byte have = 1; /* replica: checkpoint */
byte start = 1; /* replica: who uses that sees this transaction at least */
bool linking;  /* replica: not all of it is linked */
byte changes;  /* replica: sequence */

byte versions = 1; /* how many there have been; the newest is the last */
bool gone[VERSIONS];
byte txn_of[VERSIONS], checkpoint_of[VERSIONS], page_of[VERSIONS], image_of[VERSIONS];

byte latest = 1; /* transaction */

#define HEAD (versions - 1)
#define SEES(t, c, v) (txn_of[v] <= (t) && checkpoint_of[v] <= (c))

/* ---- the writer ---- */

/* As qs_core_scan(): pairs of transaction and checkpoint, by reader. */
inline scan()
{
    atomic {
        newest_txn = visible;
#ifdef NEWEST_SEEN
        newest_checkpoint = newest
#else
        newest_checkpoint = newest - linking
#endif
    }
    r = 0;
    do
    :: r < READERS ->
       atomic {
           live_txn[r] = slot_snapshot[r];
           if
           :: live_txn[r] != NONE ->
               live_checkpoint[r] = slot_checkpoint[r];
               live_before[r] = slot_before[r];
               pinned = pinned | (1 << slot_checkpoint[r]);
               if
               :: slot_before[r] -> pinned = pinned | (1 << (slot_checkpoint[r] - 1))
               :: else
               fi
           :: else
           fi;
           r++
       }
    :: else -> break
    od;
    r = 0
}

#ifdef UNBOUNDED
#define SETTLED newest
#else
#define SETTLED (linked >= newest -> newest : newest - 1)
#endif

inline reclaim()
{
    p = 0;
    do
    :: p < PAGES ->
        if
        :: freed[p] != 0 && freed[p] <= SETTLED && (pinned & ((1 << freed[p]) - (1 << born[p]))) == 0 ->
            freed[p] = 0;
            born[p] = 0;
            content[p] = 0;
#ifdef REUSED
            assert(slot_snapshot[0] == NONE);
#endif
        :: else
        fi;
        p++
    :: else -> break
    od;
    p = 0;
    pinned = 0
}

#define NEEDS(r, v, n)                                                                                       \
    (live_txn[r] != NONE &&                                                                                  \
     ((SEES(live_txn[r], live_checkpoint[r], v) && !SEES(live_txn[r], live_checkpoint[r], n)) ||             \
      (live_before[r] && SEES(live_txn[r], live_checkpoint[r] - 1, v) &&                                     \
       !SEES(live_txn[r], live_checkpoint[r] - 1, n))))

#define THERE(v, n) ((n) > (v) && !gone[v])
#define HAS_BELOW(n)                                                                                         \
    (THERE(0, n) || THERE(1, n) || THERE(2, n) || THERE(3, n) || THERE(4, n) || THERE(5, n) || THERE(6, n) || \
     THERE(7, n))

/* As shorten(): every version below the newest, for the one above it that is still there. */
inline shorten()
{
    above = HEAD;
    do
    :: HAS_BELOW(above) -> v = above;
       do
       :: v > 0 -> v--; if :: !gone[v] -> break :: else fi
       od;
       needed = !SEES(newest_txn, newest_checkpoint, above);
       r = 0;
       do
       :: r < READERS -> needed = needed || NEEDS(r, v, above); r++
       :: else -> break
       od;
       if
       :: needed -> above = v
       :: else -> gone[v] = true
       fi
    :: else -> break
    od;
    r = 0; v = 0; above = 0; needed = false
}
inline link_version(t, c, page, image)
{
    shorten();
    txn_of[versions] = t;
    checkpoint_of[versions] = c;
    page_of[versions] = page;
    image_of[versions] = image;
    versions++
}

/* The image of checkpoint `number` goes to a free page; the one of the checkpoint before is released. */
inline write_image(number)
{
    p = 0;
    do
    :: born[p] != 0 -> p++
    :: else -> break
    od;
    freed[place] = number;
    place = p;
    born[p] = number;
    content[p] = number;
    p = 0
}

#define FREE_PAGE (born[0] == 0 || born[1] == 0 || born[2] == 0)

inline link_rest()
{
    if
    :: job && !job_linked ->
        link_version(latest, newest, place, newest);
        job_linked = true;
        job_txn = latest
    :: else
    fi
}

proctype writer()
{
    byte left = COMMITS;
    byte place;          /* the newest checkpoint's file page */
    byte born[PAGES], freed[PAGES];
    byte pinned;         /* bits: checkpoints that a scan found */
    byte newest_txn, newest_checkpoint;
    byte live_txn[READERS], live_checkpoint[READERS];
    bool live_before[READERS];
    bool job, job_linked; /* a checkpoint in force is not ended; is linked */
    byte job_txn;
    bool dirty; /* there are changes that no checkpoint in force has */
    byte r, p, v, above;
    bool needed;

    d_step {
        born[0] = 1
    }
    do
    :: left > 0 ->
       left--;
       scan();
       d_step { reclaim() }
       if
       :: newest < CHECKPOINTS && (FREE_PAGE || !dirty) ->
           /* by a checkpoint in one go */
#ifdef SETTLES_NOT
           job = false;
#else
           d_step { link_rest(); job = false }
#endif
           atomic {
               latest++;
               if
               :: FREE_PAGE ->
                   write_image(newest + 1);
                   link_version(latest, newest + 1, place, newest + 1)
               :: !dirty /* nor does this transaction touch the page */
               fi;
               dirty = false
           }
           d_step { have = newest + 1; start = latest; linking = false; changes++ }
           newest = have;
           atomic { linked = have; visible = latest }
       :: true ->
           /* by log */
           d_step { latest++; link_version(latest, 0, page_of[HEAD], image_of[HEAD]); dirty = true }
           if
           :: true -> visible = latest
           :: true /* durable, and visible, some time later */
           fi;
           if
           :: !job && newest < CHECKPOINTS && FREE_PAGE ->
               d_step { write_image(newest + 1); visible = latest; job = true; job_linked = false; dirty = false }
               d_step { have = newest + 1; start = latest; linking = true; changes++ }
               newest = have
           :: job && !job_linked -> d_step { link_rest() }
#ifdef ENDS_EARLY
           :: job && job_linked ->
#else
           :: job && job_linked && visible >= job_txn ->
#endif
               d_step { linking = false; changes++ }
               atomic { linked = newest; job = false }
           :: true
           fi
       fi;
       if
       :: visible < latest -> visible = latest
       :: true
       fi
    :: else -> break
    od
}

/* ---- readers of the maker's process ---- */

proctype reader(byte me)
{
    byte left = TXNS, c, s, seen, least, v;
    byte seen_visible;
    bool before;

    do
    :: left == 0 -> break
    :: else ->
again:  skip;
        d_step { c = have; before = linking; least = start; seen = changes }
        if
        :: newest > c -> goto again /* not in this process, but while the number is raised */
        :: else
        fi;
        s = visible;
        d_step { seen_visible = s; s = (s > least -> s : least) }
        atomic {
            slot_checkpoint[me] = c;
#ifndef ONE_NUMBER
            slot_before[me] = before
#endif
        }
        slot_snapshot[me] = s;
        if
        :: changes != seen || newest > c || visible != seen_visible -> goto again
        :: else
        fi;
        /* The newest version that it sees, and the page below. */
        d_step {
            v = HEAD;
            do
            :: v > 0 && (gone[v] || !SEES(s, c, v)) -> v--
            :: else -> break
            od;
            assert(!gone[v] && SEES(s, c, v))
        }
        atomic {
            assert(!gone[v]);
            assert(content[page_of[v]] == image_of[v]);
            slot_snapshot[me] = NONE;
            left--;
            c = 0; s = 0; v = 0; before = false; seen = 0; least = 0; seen_visible = 0
        }
    od
}

init
{
    byte i;
    atomic {
        txn_of[0] = 1;
        checkpoint_of[0] = 1;
        image_of[0] = 1;
        content[0] = 1;
        run writer();
        for (i : 0 .. READERS - 1) {
            run reader(i)
        }
        i = 0
    }
}
