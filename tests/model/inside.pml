/* inside.pml - Spin model: readers that mark when they follow a link, against one that unlinks and frees.
 *
 * What is modelled: lib/readers/inside.h and inside.c with lib/cache/retire.c. A link leads to an item, the
 * newest; who reclaims makes it lead to the next one, and frees the former after a look. Readers' stores to
 * their words go through a store buffer (first in, first out, emptied at any time); their loads do not wait
 * for it. A membarrier() is over when each buffer was empty once. The reclaimer's own stores are seen at
 * once: a read-modify-write follows them before anything is looked at.
 *
 * What is checked: a reader that is inside never finds its item freed. FREED asks for a trace in which one is.
 *
 * FENCED: readers fence, and there is no membarrier(). Faults to be put in, each of which must be found
 * (spin.sh): NO_BARRIER, LOOK_FIRST (before the membarrier), LATE_MARK (the load comes before the mark), EARLY_STAMP
 * (an item may go when nobody is inside since the epoch before the one in which it was unlinked).
 */
#ifndef READERS
#define READERS 2
#endif
#ifndef ITEMS
#define ITEMS 3
#endif
#ifndef LOOKS
#define LOOKS 3
#endif
#ifndef VISITS
#define VISITS 2 /* of each reader */
#endif
#define NOBODY 255

byte link;      /* number of the newest item; those before are unlinked */
byte epoch = 1;
bool freed[ITEMS];
byte word[READERS];
chan buffer[READERS] = [2] of {byte};

proctype drain(byte r)
{
    byte value;
end:
    do
    :: atomic { buffer[r]?value -> word[r] = value; value = 0 }
    od
}

proctype reader(byte r)
{
    byte visits, since, item;
    do
    :: visits == VISITS -> break
    :: else ->
        since = epoch;
#ifdef LATE_MARK
        item = link;
        buffer[r]!since;
#else
        buffer[r]!since;
#ifdef FENCED
        empty(buffer[r]);
#endif
        item = link;
#endif
        assert(!freed[item]);
        assert(!freed[item]); /* or later */
        buffer[r]!0;
        visits++
    od
}

inline look()
{
    now = epoch;
    epoch++;
#if !defined(FENCED) && !defined(NO_BARRIER) && !defined(LOOK_FIRST)
    for (r : 0 .. READERS - 1) {
        empty(buffer[r])
    }
#endif
    oldest = NOBODY;
    for (r : 0 .. READERS - 1) {
        seen = word[r];
        if
        :: seen != 0 && seen < oldest -> oldest = seen
        :: else
        fi
    }
#ifdef LOOK_FIRST
    for (r : 0 .. READERS - 1) {
        empty(buffer[r])
    }
#endif
}

proctype reclaimer()
{
    byte first, sealed; /* items before are freed; have an epoch */
    byte stamp[ITEMS];
    byte r, now, oldest, seen, looks;
end: /* may stop at any time */
    do
    :: link < ITEMS - 1 -> link++
    :: looks < LOOKS && link > first ->
        look();
        skip;
        d_step {
            do
            :: sealed < link ->
#ifdef EARLY_STAMP
                stamp[sealed] = now - 1;
#else
                stamp[sealed] = now;
#endif
                sealed++
            :: else -> break
            od;
            do
            :: first < sealed && stamp[first] < oldest -> freed[first] = true; first++
            :: else -> break
            od;
            looks++;
            now = 0; oldest = 0; seen = 0; r = 0
        }
#ifdef FREED
        assert(!freed[0])
#endif
    od
}

init
{
    byte i;
    atomic {
        for (i : 0 .. READERS - 1) {
            run drain(i);
            run reader(i)
        }
        run reclaimer();
        i = 0
    }
}
