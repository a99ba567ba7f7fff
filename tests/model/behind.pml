/* behind.pml - Spin model: readers that read the pages of an older transaction than their snapshot, against one
 * that applies the log and unlinks versions.
 *
 * What is modelled: begin_behind() of lib/env/begin.c with lib/txn/ahead.h, and follow() of lib/env/follow.c. Every
 * transaction changes the one page there is, so each is a version, and the one key, so each is an operation.
 * Another process commits them at any time. Whoever follows, or reads ahead, holds the lock; readers look without
 * it. All that is shared is stored and loaded seq_cst, so there are no store buffers.
 *
 * What is checked: while a reader reads behind, the version its pages are of stays linked, and each transaction
 * from there to its snapshot is noted; when it has caught up, the version of its snapshot is there, applied as
 * a state of its own.
 *
 * Faults to be put in, each of which must be found (spin.sh): NO_RECHECK (`applied` is not looked at again),
 * BELOW_UNSEEN (a scan overlooks what slots say below), NEWEST_VISIBLE (whatever is visible counts as seen by
 * all who come), LATE_BELOW (stored after that look), CLEARED (a reader that catches up clears it).
 */
#ifndef READERS
#define READERS 2
#endif
#ifndef TXNS
#define TXNS 4
#endif
#define NONE 255

byte visible, applied, upto;
bool noted[TXNS + 1];  /* in the table */
bool linked[TXNS + 1]; /* a version of the page */
bool lock;
byte snapshot[READERS], below[READERS];

inline take() { atomic { !lock -> lock = true } }

inline give() { lock = false }

/* What the page is for transaction `at`: the newest linked version; the reader wants the very one. */
inline expect_version(at) { assert(linked[at]) }

inline expect_noted(from, to)
{
    d_step {
        i = from;
        do
        :: i < to -> i++; assert(noted[i])
        :: else -> break
        od;
        i = 0
    }
}

/* Under the lock. */
inline read_ahead(limit)
{
    if
    :: upto < applied -> upto = applied
    :: else
    fi;
    do
    :: upto < limit -> noted[upto + 1] = true; upto++
    :: else -> break
    od
}

/* Whether some reader that was found, or one still to come, sees version v but not n. */
inline look_for_need(v, n)
{
    needed = n > newest;
    k = 0;
    do
    :: k < READERS ->
        needed = needed || (seen[k] != NONE && v <= seen[k] && n > seen[k]);
        needed = needed || (seen_below[k] != NONE && v <= seen_below[k] && n > seen_below[k]);
        k++
    :: else -> break
    od
}

/* Under the lock: applies up to `limit`, in as few steps as snapshots allow; each unlinks what is below the
 * version that was the newest before. */
inline follow(limit)
{
    newest = applied;
    live_visible = visible;
#ifdef NEWEST_VISIBLE
    newest = visible;
#else
    if
    :: live_visible < newest -> newest = live_visible
    :: else
    fi;
#endif
    for (k : 0 .. READERS - 1) {
        seen[k] = snapshot[k];
        seen_below[k] = below[k];
#ifdef BELOW_UNSEEN
        seen_below[k] = NONE;
#endif
    }
    do
    :: applied < limit ->
        d_step {
            to = live_visible;
            k = 0;
            do
            :: k < READERS ->
                if
                :: seen[k] != NONE && seen[k] > applied && seen[k] < to -> to = seen[k]
                :: else
                fi;
                k++
            :: else -> break
            od;
            if
            :: to > limit -> to = limit
            :: else
            fi;
            if
            :: to <= applied -> to = applied + 1
            :: else
            fi;
            n = applied;
            v = applied;
            k = 0
        }
        do
        :: v > 0 ->
            d_step {
                v--;
                if
                :: linked[v] ->
                    look_for_need(v, n);
                    if
                    :: needed -> n = v
                    :: else -> linked[v] = false
                    fi
                :: else
                fi;
                k = 0; needed = false
            }
        :: else -> break
        od;
        linked[to] = true;
        applied = to
    :: else -> break
    od;
    skip;
    d_step { k = 0; to = 0; n = 0; v = 0; newest = 0; live_visible = 0 }
}

proctype reader(byte r)
{
    byte mine, from, i, k, to, n, v, newest, live_visible;
    byte seen[READERS], seen_below[READERS];
    bool needed, enough;
begin:
    mine = visible;
    below[r] = NONE;
    snapshot[r] = mine;
    if
    :: visible != mine -> goto begin
    :: else
    fi;
again:
    from = applied;
    if
    :: from >= mine -> goto current
    :: else
    fi;
#ifndef LATE_BELOW
    below[r] = from;
#endif
    enough = upto >= mine;
#ifndef NO_RECHECK
    if
    :: applied != from -> goto again
    :: else
    fi;
#endif
#ifdef LATE_BELOW
    below[r] = from;
#endif
    if
    :: !enough ->
        take();
        if
        :: applied < mine -> read_ahead(mine)
        :: else
        fi;
        give();
        goto again
    :: else
    fi;
    expect_version(from);
    expect_noted(from, mine);
    expect_version(from); /* or later */
    if
    :: goto over
    :: skip
    fi;
    take();
    if
    :: applied < mine -> follow(mine)
    :: else
    fi;
    give();
#ifdef CLEARED
    below[r] = NONE;
#endif
    expect_version(from); /* what it was given stays */
current:
    expect_version(mine);
    expect_version(mine);
over:
    snapshot[r] = NONE
}

/* A writer of this process, or a sibling that reads all: applies what there is, now and then. */
proctype sibling()
{
    byte k, to, n, v, newest, live_visible, limit;
    byte seen[READERS], seen_below[READERS];
    bool needed;
end: /* may stop at any time */
    do
    :: applied < visible ->
        take();
        limit = visible;
        follow(limit);
        give();
        limit = 0
    od
}

proctype committer()
{
end:
    do
    :: visible < TXNS -> visible++
    od
}

init
{
    byte r;
    atomic {
        linked[0] = true;
        for (r : 0 .. READERS - 1) {
            snapshot[r] = NONE;
            below[r] = NONE
        }
        for (r : 0 .. READERS - 1) {
            run reader(r)
        }
        run sibling();
        run committer();
        r = 0
    }
}
