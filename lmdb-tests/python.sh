#!/usr/bin/env bash
# python.sh - the system's python3 and python3-lmdb, linked to the real library, run on ours by the
# loader's search path: reads what mdb_load wrote, writes, and both libraries end with one content.
set -u
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/small-input.sh"

case ${CFLAGS:-} in
*-fsanitize=*) skip "the system's python3 cannot load a library built with a sanitizer" ;;
esac
[ -z "${QS_VALGRIND:-}" ] || skip "valgrind over python3 would look at python3"
/usr/bin/python3 -E -s -c 'import lmdb' 2>/dev/null ||
    skip "the system's python3 has no lmdb module (Debian: python3-lmdb)"

compile_on both mdb_load mdb_dump
small_input >"$work/input.txt"
for side in real ours; do
    library=$QS_LMDB
    [ "$side" = ours ] || library=$(real_library) || fail "no real library"
    mkdir -p "$work/$side/env"
    "$programs/$side/mdb_load" -f "$work/input.txt" "$work/$side/env" || fail "mdb_load on $side"
    LD_LIBRARY_PATH=$(dirname "$library") /usr/bin/python3 -E -s "$here/python_job.py" \
        "$work/$side/env" "$library" >"$work/$side/python.txt" || fail "python3 on $side"
    "$programs/$side/mdb_dump" -a -f "$work/$side/after.dump" "$work/$side/env" ||
        fail "mdb_dump on $side"
done
diff <(grep -v '^time ' "$work/real/python.txt") <(grep -v '^time ' "$work/ours/python.txt") ||
    fail "python3 saw different things"
same_records "$work/real/after.dump" "$work/ours/after.dump" || fail "different content"
verify "$work/ours/env/data.mdb" || fail "qs_check after python3"
grep -v '^time ' "$work/ours/python.txt"
