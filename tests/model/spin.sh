#!/usr/bin/env bash
# spin.sh - the Spin models of this folder, searched through; and with faults put in, which must be found.
#
# A line of the tables is: model, what is expected ("holds", or what Spin must complain about), the
# defines that choose bounds and faults. "ends" asks for cycles instead: none is allowed. Bounds grow
# with QS_TORTURE=1. A model that is too large for the memory limit counts as failed.
set -u
folder=$(cd "$(dirname "$0")" && pwd)
if ! command -v spin >/dev/null; then
    echo "SKIP: no spin (Debian: spin)"
    exit 77
fi
# A sanitizer or valgrind has nothing to look at here.
case ${CFLAGS:-}${QS_VALGRIND:-} in
*-fsanitize=* | *1)
    echo "SKIP: a model is no program; plain \`make check\` searches it"
    exit 77
    ;;
esac

small='
readers holds               CHECKPOINTS=3 SNAPSHOTS=1
readers holds               CHECKPOINTS=3 SNAPSHOTS=1 TXNS=1 BUFFERED
inside  holds               VISITS=1
inside  holds               VISITS=1 FENCED
behind  holds               READERS=1
clean   holds               READS=1
linking holds
log     holds               NO_SYNCER
log     holds               COMMITTERS=2
log     ends                COMMITTERS=2
'
large='
readers holds               CHECKPOINTS=2 SNAPSHOTS=2
readers holds               CHECKPOINTS=4 SNAPSHOTS=1
readers holds               CHECKPOINTS=3 SNAPSHOTS=2
readers holds               CHECKPOINTS=2 SNAPSHOTS=3
readers holds               CHECKPOINTS=4 SNAPSHOTS=3 READERS=1 BUFFERED
readers ends                CHECKPOINTS=3 SNAPSHOTS=1 TXNS=1
inside  holds
inside  holds               FENCED
behind  holds               READERS=2 TXNS=2
behind  holds               READERS=1 TXNS=6
clean   holds
clean   holds               READS=3 TXNS=4
linking holds               COMMITS=5 CHECKPOINTS=2
linking holds               READERS=2 TXNS=1
linking ends
log     holds
log     holds               COMMITTERS=4 KILLS=0 NO_SYNCER
log     ends                NO_SYNCER
log     invalid_end_state   NOT_ROBUST
log     assertion_violated  NO_REWRITE
log     assertion_violated  LANES=2 KILLS=0 OWN_DESCRIPTOR
'
faults='
readers assertion_violated  NO_RECHECK
readers assertion_violated  NO_RECHECK SNAPSHOTS=1
readers assertion_violated  SCAN_FIRST
readers assertion_violated  NO_READER_FENCE BUFFERED
readers assertion_violated  NO_WRITER_FENCE BUFFERED
readers assertion_violated  INTERVAL_OPEN
readers assertion_violated  NEWEST_ONLY
readers assertion_violated  META_ONE
readers assertion_violated  REUSED
inside  assertion_violated  FREED
inside  assertion_violated  NO_BARRIER
inside  assertion_violated  LOOK_FIRST
inside  assertion_violated  LATE_MARK
inside  assertion_violated  EARLY_STAMP
behind  assertion_violated  READERS=1 NO_RECHECK
behind  assertion_violated  READERS=1 BELOW_UNSEEN
behind  assertion_violated  READERS=1 NEWEST_VISIBLE
behind  assertion_violated  READERS=1 LATE_BELOW
behind  assertion_violated  READERS=1 CLEARED
clean   assertion_violated  TAKEN_CLEAN
clean   assertion_violated  NO_CLOSE
clean   assertion_violated  CLOSE_LATE
clean   assertion_violated  FOUND_STORES
clean   assertion_violated  OPEN_EARLY
clean   assertion_violated  NO_SECOND_LOOK
linking assertion_violated  ONE_NUMBER
linking assertion_violated  UNBOUNDED
linking assertion_violated  NEWEST_SEEN
linking assertion_violated  ENDS_EARLY COMMITS=5 CHECKPOINTS=2
linking assertion_violated  SETTLES_NOT
linking assertion_violated  REUSED
log     assertion_violated  EARLY_VISIBLE
log     assertion_violated  PLAIN_VISIBLE
log     assertion_violated  OWN_RECORD
log     assertion_violated  LATE_TARGET
log     assertion_violated  NO_FAILED_CHECK
log     assertion_violated  IGNORE_FAILURE
log     assertion_violated  NO_REWRITE NO_SYNCER
log     invalid_end_state   NOT_ROBUST NO_SYNCER
log     assertion_violated  SYNC_OUTSIDE
log     assertion_violated  USER_FSYNC
log     assertion_violated  TRUST_LOCK_FILE
log     assertion_violated  LANES=2
'

# build DIRECTORY MODEL EXPECTED DEFINES: the verifier `pan` of that model.
build() {
    local optimize=-O0 search=-DSAFETY
    [ "$3" != holds ] || optimize=-O1
    [ "$3" != ends ] || search=-DNP
    # shellcheck disable=SC2086
    (cd "$1" && spin -a $4 "$folder/$2.pml" >spin.log 2>&1 &&
        ${CC:-gcc} $optimize -w $search -DNOFAIR -DMEMLIM=3500 -DVECTORSZ=512 -o pan pan.c >>spin.log 2>&1)
}

# judge OUTPUT EXPECTED: whether Spin's report is what is asked for.
judge() {
    ! grep -q -E 'max search depth too small|reached -DMEMLIM|out of memory' "$1" || return 1
    case $2 in
    holds | ends) grep -q 'errors: 0$' "$1" ;;
    *) grep -q "^pan:.*${2//_/ }" "$1" ;;
    esac
}

# One line of a table, in a directory of its own.
run_case() {
    local model=$1 expected=$2 defines=${*:3} directory loop=
    directory=$(mktemp -d "$work/XXXXXX")
    [ "$expected" != ends ] || loop=-l
    # shellcheck disable=SC2001
    build "$directory" "$model" "$expected" "$(sed 's/[^ ][^ ]*/-D&/g' <<<"$defines")" || {
        cat "$directory/spin.log"
        echo "FAIL: $model with ${defines:-nothing}: does not build"
        return 1
    }
    (cd "$directory" && ./pan -m100000 -w20 $loop >output 2>&1)
    if judge "$directory/output" "$expected"; then
        echo "$model, ${defines:-as it stands}: ${expected//_/ }," \
            "$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$directory/output") states"
    else
        cat "$directory/output"
        echo "FAIL: $model with ${defines:-nothing}: not \"${expected//_/ }\""
        return 1
    fi
}
export -f build judge run_case
export folder work
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

table=$small$faults
[ "${QS_TORTURE:-}" != 1 ] || table=$small$large$faults
grep . <<<"$table" | xargs -P 2 -I '{}' bash -c 'run_case $1' run '{}' || {
    echo "FAIL: see above"
    exit 1
}
echo "$(grep -c . <<<"$table") searches ended as they should"
