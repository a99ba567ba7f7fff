/* log.pml - Spin model: the log's shared positions, group flushes, killed processes, power cuts.
 *
 * What is modelled: committing as designed. Under the writer mutex a record is appended and `written`
 * stored; the mutex is released; whoever needs durability takes the flush mutex, reads `written`,
 * flushes from `durable` to there, raises `durable` or sets `failed`. Then `visible` is raised and the
 * commit acknowledged. NOSYNC commits raise `visible` at once. Both mutexes are robust. Processes are
 * killed at any step, opened late, and the first opener after all have died starts from the log.
 *
 * The medium. `safe` is the last record that a power cut cannot take: what was written when a flush
 * started that succeeded. An I/O error may happen at any time: the system marks the pages clean, so
 * records from `lost` on will not be written by any later flush, unless somebody writes them again. It
 * reports that once to each open descriptor, at its next flush; to a later descriptor only if nobody
 * has been told. A power cut is no step: that what is acknowledged or seen is safe holds all the time.
 *
 * What is checked: an acknowledged durable commit is safe; what readers may see is safe, or a NOSYNC
 * commit made it visible; `visible` only grows and covers what is acknowledged; after `failed` nothing
 * is acknowledged; nobody waits for ever (no deadlock; and with -DNP no cycle at all: every loop
 * ends).
 *
 * Faults to be put in, each of which must be found (spin.sh): EARLY_VISIBLE, PLAIN_VISIBLE,
 * OWN_RECORD (a leader flushes its own record only), LATE_TARGET (what was written when the flush
 * returned counts), NO_FAILED_CHECK, IGNORE_FAILURE (a flush that failed is tried again), NO_REWRITE
 * (who finds the leader dead just flushes), NOT_ROBUST (the flush mutex), SYNC_OUTSIDE (mdb_env_sync()
 * flushes through the same descriptor without the flush mutex), USER_FSYNC (a user flushes the
 * descriptor that commits use), TRUST_LOCK_FILE (the first opener takes the positions it finds),
 * LANES=2 (two flushes in flight), LANES=2 with OWN_DESCRIPTOR (each through its own descriptor:
 * between the return of one that failed and `failed`, the other, of a process that has just opened,
 * succeeds). NO_SYNCER leaves out a thread that calls mdb_env_sync().
 */
#ifndef COMMITTERS
#define COMMITTERS 3 /* threads, one commit each */
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef LANES
#define LANES 1 /* flushes in flight */
#endif

/* From three threads on, the first two are one process; the others one each. */
#if COMMITTERS == 2
#define PROCESSES 2
#define PROCESS_OF(thread) (thread)
#else
#define PROCESSES (COMMITTERS - 1)
#define PROCESS_OF(thread) ((thread) < 2 -> 0 : (thread)-1)
#endif

#ifdef OWN_DESCRIPTOR
#define DESCRIPTOR(process, lane) (2 * (process) + (lane))
#else
#define DESCRIPTOR(process, lane) (2 * (process))
#endif

#define FREE 0
#define DEAD 1 /* the holder was killed */
#define HELD(process) (2 + (process))

/* ---- the lock file ---- */

byte writer;         /* mutex */
byte flusher[LANES]; /* mutexes */
byte written, durable, visible;
bool failed;

/* ---- files and processes ---- */

bool appended;               /* a whole record stands behind `written` */
byte safe;                   /* see above */
byte lost;                   /* see above; 0: none */
bool error_unseen;           /* the last I/O error has not been reported to anybody */
bool error[2 * PROCESSES];   /* not yet reported to this descriptor */
bool opened[PROCESSES];
bool dead[PROCESSES];
byte users;                  /* processes that have the environment open */
byte seen_by_nosync;         /* newest record that a NOSYNC commit made visible */

#define RAISE(variable, value) variable = ((value) > variable -> (value) : variable)

inline raise_visible(value)
{
    atomic {
#ifdef PLAIN_VISIBLE
        assert(value >= visible);
        visible = value;
#else
        RAISE(visible, value);
#endif
        assert(visible <= safe || visible <= seen_by_nosync)
    }
}

/* ---- opening ---- */

inline open_process()
{
    atomic {
        if
        :: opened[me] -> skip
        :: !opened[me] && users > 0 ->
            opened[me] = true;
            users++;
            error[2 * me] = error_unseen;
            error[2 * me + 1] = error_unseen
        :: !opened[me] && users == 0 ->
            /* The first opener: nothing in the lock file is trusted. The log's tail is accepted,
             * written again and flushed. Killed within, it leaves all to the next. */
            if
            :: appended -> written++
            :: true
            fi;
            appended = false;
            writer = FREE;
            lane = 0;
            do
            :: lane < LANES -> flusher[lane] = FREE; lane++
            :: else -> lane = 0; break
            od;
#ifndef TRUST_LOCK_FILE
            if
            :: error_unseen -> error_unseen = false; goto done /* the flush fails: so does the open */
            :: else
            fi;
            lost = 0;
            safe = written;
            durable = written;
            visible = written;
#endif
            failed = false;
            opened[me] = true;
            users++
        fi
    }
}

/* ---- the mutexes ---- */

inline lock_writer()
{
    atomic {
        writer == FREE || writer == DEAD;
        if
        :: writer == DEAD && appended -> written++ /* accepted, or not */
        :: true
        fi;
        appended = false;
        writer = HELD(me)
    }
}

#ifdef NOT_ROBUST
#define TAKABLE(lane) (flusher[lane] == FREE)
#else
#define TAKABLE(lane) (flusher[lane] < HELD(0))
#endif

inline lock_flusher()
{
    atomic {
        if
        :: TAKABLE(0) -> lane = 0
#if LANES == 2
        :: TAKABLE(1) -> lane = 1
#endif
        fi;
        in_doubt = flusher[lane] == DEAD;
        flusher[lane] = HELD(me)
    }
#ifndef NO_REWRITE
    /* How the dead leader's flush ended is not known: everything it may have covered is written
     * again, so that the next flush has it to write. */
    atomic {
        if
        :: in_doubt -> lost = 0
        :: else
        fi;
        in_doubt = false
    }
#else
    in_doubt = false;
#endif
}

inline unlock_flusher()
{
    atomic { flusher[lane] = FREE; lane = 0 }
}

/* ---- flushing; the caller has the flush mutex ---- */

/* The system call: reports an error once a descriptor. `from` and `target` were read before. */
inline flush_call()
{
    atomic {
        if
        :: error[DESCRIPTOR(me, lane)] ->
            error[DESCRIPTOR(me, lane)] = false;
            error_unseen = false;
            result = 1
        :: else ->
            result = 0;
            if
            :: from <= safe ->
                RAISE(safe, (lost != 0 && lost <= target -> lost - 1 : target))
            :: else
            fi
        fi
    }
}

inline flush()
{
    atomic {
        from = durable;
        target = written;
#ifdef OWN_RECORD
        from = (mine > 0 -> mine - 1 : 0);
#endif
    }
    flush_call();
#ifdef LATE_TARGET
    target = written;
#endif
    atomic {
        if
        :: result == 0 -> RAISE(durable, target)
#ifndef IGNORE_FAILURE
        :: result != 0 -> failed = true
#else
        :: result != 0 -> skip
#endif
        fi;
        result = 0;
        from = 0;
        target = 0
    }
}

/* ---- a commit ---- */

inline wait_durable()
{
    do
#ifndef NO_FAILED_CHECK
    :: failed -> goto done
#endif
    :: durable >= mine -> break
    :: else ->
        lock_flusher();
        if
#ifndef NO_FAILED_CHECK
        :: failed -> skip
#endif
        :: durable >= mine -> skip
        :: else -> flush()
        fi;
        unlock_flusher()
    od
}

inline acknowledge()
{
    atomic {
        assert(nosync || mine <= safe);
        assert(visible >= mine);
        goto done
    }
}

inline commit()
{
    open_process();
    lock_writer();
    if
    :: failed -> atomic { writer = FREE; goto done }
    :: else
    fi;
    appended = true;
    atomic { written++; mine = written; appended = false }
    writer = FREE;
#ifdef EARLY_VISIBLE
    raise_visible(mine);
#endif
    if
    :: nosync -> atomic { RAISE(seen_by_nosync, mine); raise_visible(mine) }
    :: else ->
        wait_durable();
        raise_visible(mine)
    fi;
    acknowledge()
}

proctype committer(byte thread)
{
    byte me = PROCESS_OF(thread);
    byte mine, from, target, result, lane;
    bool nosync, in_doubt;

    {
        if
        :: nosync = true
        :: true
        fi;
        commit()
    } unless { dead[me] };
done:
    skip
}

/* mdb_env_sync() in the first process. */
proctype syncer()
{
    byte me = 0;
    byte mine, from, target, result, lane;
    bool in_doubt;

end: /* when the first process never gets it open */
    opened[0];
    {
#ifdef SYNC_OUTSIDE
        flush();
#else
        lock_flusher();
        if
        :: failed -> skip
        :: else -> flush()
        fi;
        unlock_flusher();
#endif
    } unless { dead[me] };
    skip
}

/* ---- what may go wrong ---- */

/* The system fails to write something, or nothing ever fails. */
proctype disk()
{
    byte i;
end:
    atomic {
        written > safe ->
        lost = safe + 1;
        error_unseen = true;
        for (i : 0 .. 2 * PROCESSES - 1) {
            error[i] = opened[i / 2]
        }
        i = 0
    }
}

proctype killer()
{
    byte i, l, kills;
end:
    do
    :: atomic {
           kills < KILLS ->
           if
           :: opened[0] && !dead[0] -> i = 0
           :: opened[1] && !dead[1] -> i = 1
#if PROCESSES > 2
           :: opened[2] && !dead[2] -> i = 2
#endif
           fi;
           dead[i] = true;
           users--;
           if
           :: writer == HELD(i) -> writer = DEAD
           :: else
           fi;
           do
           :: l < LANES ->
               if
               :: flusher[l] == HELD(i) -> flusher[l] = DEAD
               :: else
               fi;
               l++
           :: else -> l = 0; break
           od;
           i = 0;
           kills++
       }
    od
}

#ifdef USER_FSYNC
/* A user flushes the descriptor that mdb_env_get_fd() gave out. */
proctype user()
{
    atomic {
        opened[0] ->
        if
        :: error[0] -> error[0] = false; error_unseen = false
        :: else
        fi
    }
}
#endif

init
{
    byte i;
    atomic {
        for (i : 0 .. COMMITTERS - 1) {
            run committer(i)
        }
        i = 0;
#ifndef NO_SYNCER
        run syncer();
#endif
        run disk();
        run killer();
#ifdef USER_FSYNC
        run user();
#endif
    }
}
