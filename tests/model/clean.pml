/* clean.pml - Spin model: the mapping table's `clean` words, one page id's, between who reads, verifies, links and places.
 *
 * What is modelled: M2 of lib/cache/map.h: link_version(), publish_one() and collapse() of cache.c, qs_view_image() and
 * qs_view_resolve() of view.c. Each transaction changes the page. A file page is named by the transaction whose
 * state it holds: a checkpoint places the newest, and the chain goes when no reader's snapshot is older. A reader
 * that finds neither a clean word nor a head takes the base, verifies it, which takes time, and says so.
 * Chains are complete (C1): who finds a head gets what its snapshot has. How readers register is readers.pml's.
 * The stores that close the word and link the head may come in either order, as neither is waited for but by who
 * has seen the transaction visible.
 *
 * What is checked: every read gives the state of its snapshot. TAKEN_CLEAN asks for a trace in which one takes a
 * clean word that was opened again.
 *
 * Faults to be put in, each of which must be found (spin.sh): NO_CLOSE, CLOSE_LATE (behind the transaction's
 * becoming visible), FOUND_STORES (whatever is there), OPEN_EARLY (when it is placed), NO_SECOND_LOOK (at the
 * head).
 */
#ifndef READERS
#define READERS 2
#endif
#ifndef READS
#define READS 2 /* of each reader */
#endif
#ifndef TXNS
#define TXNS 3
#endif
#define UNKNOWN 255
#define CLOSED 254
#define NOBODY 255

byte clean = UNKNOWN; /* or a file page */
bool head;            /* there is a chain */
byte base;            /* file page */
byte visible;         /* newest transaction that readers begin with */
byte slot[READERS];   /* snapshots in use */

inline close_word()
{
    if
    :: !had_head ->
#ifdef NO_CLOSE
        skip
#else
        clean = CLOSED
#endif
    :: else
    fi
}

inline commit()
{
    had_head = head;
#ifdef CLOSE_LATE
    head = true;
    visible++;
    close_word();
#else
    if
    :: close_word(); head = true
    :: head = true; close_word()
    fi;
    visible++;
#endif
}

/* The oldest snapshot that somebody reads with, or begins with later. */
inline scan()
{
    oldest = visible;
    for (r : 0 .. READERS - 1) {
        seen = slot[r];
        if
        :: seen < oldest -> oldest = seen
        :: else
        fi
    }
}

proctype writer()
{
    byte placed, oldest, seen, r;
    bool had_head;
end: /* may stop at any time */
    do
    :: visible < TXNS -> commit()
    :: head && placed < visible ->
        placed = visible;
        base = placed;
#ifdef OPEN_EARLY
        clean = placed
#endif
    :: head && placed == visible ->
        scan();
        if
        :: oldest == placed ->
            head = false;
            clean = placed
        :: else
        fi
    od
}

/* The clean word is UNKNOWN or CLOSED. */
inline resolve()
{
    do
    :: head -> got = slot[r]; break
    :: else ->
        got = base;
#ifdef FOUND_STORES
        clean = got;
#else
        atomic {
            if
            :: clean == UNKNOWN -> clean = got
            :: else
            fi
        }
#endif
#ifdef NO_SECOND_LOOK
        break
#else
        if
        :: !head -> break
        :: else
        fi
#endif
    od
}

proctype reader(byte r)
{
    byte reads, got;
    do
    :: reads == READS -> break
    :: else ->
        atomic { slot[r] = visible };
        got = clean;
        if
        :: got == UNKNOWN || got == CLOSED -> resolve()
        :: else ->
#ifdef TAKEN_CLEAN
            assert(got == 0)
#else
            skip
#endif
        fi;
        assert(got == slot[r]);
        slot[r] = NOBODY;
        reads++
    od
}

init
{
    byte i;
    atomic {
        for (i : 0 .. READERS - 1) {
            slot[i] = NOBODY;
            run reader(i)
        }
        run writer();
        i = 0
    }
}
