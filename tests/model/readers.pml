/* readers.pml - Spin model: readers that begin against a writer that publishes and reclaims.
 *
 * What is modelled: lib/env/begin.c and lib/readers/slots.c against lib/env/write.c and checkpoint.c
 * as processes see each other. A reader slot has two fields, stored one after the other. Stores to
 * slots and positions go through a store buffer (first in, first out, emptied at any time), so the
 * fences count; everything else is seen at once. Where a fence follows the stores with no load between,
 * the buffer makes no difference, and is left out unless BUFFERED asks for it. A checkpoint has two pages: one it may take over from
 * the checkpoint before, one that is always new (a log segment). Commits between checkpoints raise
 * `visible` and supersede a version in memory.
 *
 * What is checked: a reader finds in each page what its checkpoint put there (engine rule 5), and its
 * snapshot's version not yet taken back (rule 4); the meta page of the checkpoint that the lock file
 * names can be read; snapshot and checkpoint of a reader belong together.
 *
 * What is not: power cuts (a checkpoint counts as durable when it is published).
 *
 * Faults to be put in, each of which must be found (spin.sh): NO_RECHECK, SCAN_FIRST,
 * NO_READER_FENCE, NO_WRITER_FENCE, INTERVAL_OPEN (a reader of the checkpoint that made the page does
 * not count), NEWEST_ONLY (a reader pins the next checkpoint's releases only), META_ONE (one meta page).
 * REUSED asks for a trace in which a page is used again while a reader is active.
 */
#ifndef CHECKPOINTS
#define CHECKPOINTS 4 /* the last one's number */
#endif
#ifndef SNAPSHOTS
#define SNAPSHOTS 2
#endif
#ifndef READERS
#define READERS 2
#endif
#ifndef TXNS
#define TXNS 2 /* read transactions of each reader */
#endif
#define PAGES 5 /* of the file */
#define NONE 0  /* no snapshot */

#define STAMP(kind, checkpoint) (2 * (checkpoint) + (kind))

mtype = {CHECKPOINT, SNAPSHOT};

/* ---- shared: lock file, data file ---- */

byte newest = 1;  /* lock file: number of the newest checkpoint */
byte visible = 1; /* lock file: newest snapshot */

byte slot_checkpoint[READERS];
byte slot_snapshot[READERS];

byte meta_number[2]; /* 0 while it is being written: the checksum is wrong */
byte meta_start[2];  /* snapshot that the checkpoint holds */
byte meta_page[4];   /* 2 * slot + kind */
byte meta_stamp[4];  /* what stands in that page */

byte content[PAGES];

/* Versions in memory: bit s is set while the one of snapshot s can be read. */
byte versions = 2;

/* ---- stores, with buffers or at once ---- */

#ifdef BUFFERED
chan writer_buffer = [2] of {mtype, byte};
chan reader_buffer[READERS] = [3] of {mtype, byte};
#define STORE_POSITION(what, value) writer_buffer!what, value
#define STORE_SLOT(r, what, value) reader_buffer[r]!what, value
#define FENCE_WRITER empty(writer_buffer)
#define FENCE_READER(r) empty(reader_buffer[r])

proctype drain_writer()
{
    byte value;
end:
    do
    :: atomic { writer_buffer?CHECKPOINT, value -> newest = value; value = 0 }
    :: atomic { writer_buffer?SNAPSHOT, value -> visible = value; value = 0 }
    od
}

proctype drain_reader(byte r)
{
    byte value;
end:
    do
    :: atomic { reader_buffer[r]?CHECKPOINT, value -> slot_checkpoint[r] = value; value = 0 }
    :: atomic { reader_buffer[r]?SNAPSHOT, value -> slot_snapshot[r] = value; value = 0 }
    od
}
#else
#define STORE_POSITION(what, value) if :: what == CHECKPOINT -> newest = value :: else -> visible = value fi
#define STORE_SLOT(r, what, value) if :: what == CHECKPOINT -> slot_checkpoint[r] = value :: else -> slot_snapshot[r] = value fi
#define FENCE_WRITER true
#define FENCE_READER(r) true
#endif
#ifdef NO_WRITER_FENCE
#undef FENCE_WRITER
#define FENCE_WRITER true
#endif
#ifdef NO_READER_FENCE
#undef FENCE_READER
#define FENCE_READER(r) true
#endif

/* ---- the writer ---- */

#define META(number) ((number) % 2)
#ifdef META_ONE
#undef META
#define META(number) 0
#endif

/* The slots, field by field, as qs_reader_scan() reads them. */
inline scan()
{
    r = 0;
    do
    :: atomic { r < READERS && slot_snapshot[r] == NONE -> r++ }
    :: atomic { r < READERS && slot_snapshot[r] != NONE -> live = live | (1 << slot_snapshot[r]) };
       atomic { pinned = pinned | (1 << slot_checkpoint[r]); r++ }
    :: atomic { r == READERS -> r = 0; break }
    od
}

/* Bits of the checkpoints in [a, b). */
#define BITS(a, b) ((1 << (b)) - (1 << (a)))
#ifdef INTERVAL_OPEN
#undef BITS
#define BITS(a, b) ((1 << (b)) - (1 << ((a) + 1)))
#endif
#ifdef NEWEST_ONLY
#undef BITS
#define BITS(a, b) (1 << ((b)-1))
#endif

inline reclaim()
{
    d_step {
        p = 0;
        do
        :: p < PAGES ->
            if
            :: freed[p] != 0 && (pinned & BITS(born[p], freed[p])) == 0 ->
                used[p] = false; freed[p] = 0; born[p] = 0
            :: else
            fi;
            p++
        :: else -> break
        od;
        p = 0;
        versions = versions & (live | (1 << snapshot));
        pinned = 0;
        live = 0
    }
}

inline write_page(kind)
{
    p = 0;
    do
    :: p < PAGES && used[p] -> p++
    :: else -> break
    od;
    freed[at[kind]] = checkpoint + 1;
    at[kind] = p;
    used[p] = true;
    born[p] = checkpoint + 1;
#ifdef REUSED
    assert(content[p] == 0 || (slot_snapshot[0] == NONE && slot_snapshot[1] == NONE));
#endif
    content[p] = STAMP(kind, checkpoint + 1);
    p = 0
}

#define FREE_PAGES ((1 - used[0]) + (1 - used[1]) + (1 - used[2]) + (1 - used[3]) + (1 - used[4]))

inline publish(what, value)
{
#ifdef SCAN_FIRST
    scan();
    atomic { STORE_POSITION(what, value) }
    FENCE_WRITER;
#else
    atomic { STORE_POSITION(what, value) }
    FENCE_WRITER;
    scan();
#endif
    reclaim()
}

proctype writer()
{
    byte checkpoint = 1, snapshot = 1;
    byte at[2];         /* file page of each kind */
    bool used[PAGES];   /* in the newest checkpoint, or waiting to be free */
    byte born[PAGES];   /* checkpoint that wrote it */
    byte freed[PAGES];  /* checkpoint that released it; 0: none */
    byte pinned, live;  /* bits: checkpoints and snapshots that a scan found */
    byte r, p;

    d_step {
        at[1] = 1;
        used[0] = true; used[1] = true;
        born[0] = 1; born[1] = 1
    }
end: /* may stop at any time */
    do
    :: atomic { snapshot < SNAPSHOTS ->
           snapshot++;
           versions = versions | (1 << snapshot)
       }
       publish(SNAPSHOT, snapshot)
    :: atomic { checkpoint < CHECKPOINTS && FREE_PAGES >= 1 ->
           if
           :: FREE_PAGES >= 2 -> write_page(0)
           :: true
           fi;
           write_page(1);
           meta_number[META(checkpoint + 1)] = 0
       }
       d_step {
           checkpoint++;
           meta_start[META(checkpoint)] = snapshot;
           meta_page[2 * META(checkpoint)] = at[0];
           meta_page[2 * META(checkpoint) + 1] = at[1];
           meta_stamp[2 * META(checkpoint)] = STAMP(0, born[at[0]]);
           meta_stamp[2 * META(checkpoint) + 1] = STAMP(1, born[at[1]]);
           meta_number[META(checkpoint)] = checkpoint
       }
       publish(CHECKPOINT, checkpoint)
    od
}

/* ---- readers ---- */

proctype reader(byte r)
{
    byte left = TXNS;
    byte c, s;                                    /* as loaded */
    byte mine, start, page0, page1, stamp0, stamp1; /* this process's replica, of checkpoint `mine` */

    do
    :: left == 0 -> break
    :: else ->
again:
        c = newest;
        s = visible;
        atomic {
            if
            :: mine != c && meta_number[META(c)] == c ->
                mine = c;
                start = meta_start[META(c)];
                page0 = meta_page[2 * META(c)];
                page1 = meta_page[2 * META(c) + 1];
                stamp0 = meta_stamp[2 * META(c)];
                stamp1 = meta_stamp[2 * META(c) + 1];
            :: mine != c && meta_number[META(c)] != c ->
                /* Written over since: then there is a newer number, too. */
                assert(newest != c);
                goto again
            :: else
            fi
        }
        atomic { STORE_SLOT(r, CHECKPOINT, c) }
        atomic { STORE_SLOT(r, SNAPSHOT, s) }
        FENCE_READER(r);
#ifndef NO_RECHECK
        if
        :: newest != c -> goto again
        :: else
        fi;
        if
        :: visible != s -> goto again
        :: else
        fi;
#endif
        /* One look, at any time after the beginning: what is reused never becomes right again. */
        atomic {
            assert(start <= s);
            assert((versions >> s) & 1);
            assert(content[page0] == stamp0);
            assert(content[page1] == stamp1);
            STORE_SLOT(r, SNAPSHOT, NONE);
            left--;
            c = 0;
            s = 0
        }
    od
}

/* The first checkpoint is there before anybody starts: it lies in pages 0 and 1. */
init
{
    byte i;
    atomic {
        meta_number[META(1)] = 1;
        meta_start[META(1)] = 1;
        for (i : 0 .. 1) {
            content[i] = STAMP(i, 1);
            meta_page[2 * META(1) + i] = i;
            meta_stamp[2 * META(1) + i] = STAMP(i, 1)
        }
#ifdef BUFFERED
        run drain_writer();
        for (i : 0 .. READERS - 1) {
            run drain_reader(i)
        }
#endif
        run writer();
        for (i : 0 .. READERS - 1) {
            run reader(i)
        }
        i = 0
    }
}
