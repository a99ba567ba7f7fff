#!/usr/bin/env bash
# checklist.sh - the checklist of situations, each asked of the real library and of ours.
#
# The checklist is a program of its own, not part of this repository: QS_CHECKLIST names its directory
# (checklist.py in it), by default ../shared/checklist beside the checkout. Rows that may differ are
# excused in checklist.excuses, with the reason; an excuse that is not needed fails like a difference.
set -u
. "$(dirname "$0")/common.sh"

checklist=${QS_CHECKLIST:-$QS_SRCDIR/../shared/checklist}
[ -f "$checklist/checklist.py" ] ||
    skip "there is no checklist in $checklist (QS_CHECKLIST names its directory)"
case ${CFLAGS:-} in
*-fsanitize=*) skip "the system's python3 cannot load a library built with a sanitizer" ;;
esac
[ -z "${QS_VALGRIND:-}" ] || skip "valgrind over python3 would look at python3"
[ -x /usr/bin/python3 ] || skip "needs python3"

real=$(real_library) || skip "no real library"
ours=$(readlink -f "$QS_LMDB")
export PYTHONDONTWRITEBYTECODE=1

# ask LIBRARY FILE [ROW...]
ask() {
    local library=$1 file=$2
    shift 2
    mkdir -p "$work/rows"
    CKDIR=$work/rows LIBLMDB=$library timeout 300 /usr/bin/python3 -E -s "$checklist/checklist.py" --json "$@" \
        >"$file" || fail "the checklist itself died on $library"
}

ask "$real" "$work/real"
ask "$ours" "$work/ours"
# Some rows wait for other processes, on a machine that may be busy: what differs is asked once more.
again=$(/usr/bin/python3 -E -s "$here/checklist_judge.py" --differing "$work/real" "$work/ours") ||
    fail "the answers cannot be read"
if [ -n "$again" ]; then
    # shellcheck disable=SC2086
    ask "$real" "$work/real2" $again
    # shellcheck disable=SC2086
    ask "$ours" "$work/ours2" $again
fi
/usr/bin/python3 -E -s "$here/checklist_judge.py" "$work/real" "$work/ours" \
    "$here/checklist.excuses" ${again:+"$work/real2" "$work/ours2"} || fail "see the rows above"
