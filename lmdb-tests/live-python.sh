#!/usr/bin/env bash
# live-python.sh - python3-lmdb in several processes at once, on both libraries: one writes, readers of
# multiprocessing verify every snapshot, and hot copies are the state of one transaction.
set -u
. "$(dirname "$0")/bindings.sh"
/usr/bin/python3 -E -s -c 'import lmdb' 2>/dev/null ||
    skip "the system's python3 has no lmdb module (Debian: python3-lmdb)"
export PYTHONDONTWRITEBYTECODE=1

seconds=4
[ "${QS_TORTURE:-}" != 1 ] || seconds=60
for side in real ours; do
    library=$(readlink -f "$QS_LMDB") map_mib=256
    if [ "$side" = real ]; then
        library=$(real_library) || skip "no real library"
        map_mib=8192 # readers keep more of it in use, on a busy machine more than ours may need
    fi
    mkdir -p "$work/$side/env" "$work/$side/lib"
    ln -sf "$library" "$work/$side/lib/liblmdb.so.0"
    echo "$side:"
    LD_LIBRARY_PATH=$work/$side/lib timeout $((seconds + 120)) \
        /usr/bin/python3 -s "$here/live_python.py" "$work/$side/env" "$seconds" "$map_mib" || fail "on the $side library"
done
verify "$work/ours/env/data.mdb" || fail "qs_check"
verify "$work/ours/env-copy/data.mdb" || fail "qs_check of the last copy"
