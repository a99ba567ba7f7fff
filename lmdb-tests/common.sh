# common.sh - what the scripts here share: where things are, a scratch directory, skipping. Sourced
# by bash; `make check` sets the QS_ variables, a script run by hand takes build/ at the top.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${QS_SRCDIR:=$(dirname "$here")}"
: "${QS_BUILDDIR:=$QS_SRCDIR/build}"
: "${QS_LMDB:=$QS_BUILDDIR/compat/.libs/liblmdb.so.0}"
: "${QS_LMDB_SRC:=$QS_SRCDIR/build/lmdb-src}"
unset LD_LIBRARY_PATH

skip() {
    echo "SKIP: $*"
    exit 77
}

fail() {
    echo "FAIL: $*" >&2
    exit 1
}

# shellcheck source=job.sh
. "$here/job.sh"

[ -f "$QS_LMDB" ] || fail "$QS_LMDB is not built"

programs=$QS_BUILDDIR/lmdb-tests/programs
work=$QS_BUILDDIR/lmdb-tests/$(basename "$0" .sh)
rm -rf "$work"
mkdir -p "$work"

# A failed test keeps its directory; a good one does not.
finish() {
    local rc=$?
    if [ "$rc" -eq 0 ]; then
        rm -rf "$work"
    elif [ "$rc" -ne 77 ]; then
        echo "kept for a look: $work"
    fi
}
trap finish EXIT

# compile_on OURS|BOTH NAME...
compile_on() {
    local real=-
    [ -f "$QS_LMDB_SRC/complete" ] ||
        skip "LMDB's sources are not in $QS_LMDB_SRC; lmdb-tests/fetch gets them"
    [ "$1" = ours ] || real=$(real_library) || exit 1
    shift
    # Several scripts compile at once under make -j; each program set has one owner at a time.
    mkdir -p "$programs"
    flock "$programs" "$here/compile" "$QS_LMDB_SRC/source" "$real" "$QS_LMDB" "$programs" "$@" ||
        fail "LMDB's programs do not compile or link"
}

under_wrapper() {
    if [ -n "${QS_VALGRIND:-}" ]; then
        valgrind -q --vgdb=no --leak-check=full --errors-for-leak-kinds=definite \
            --error-exitcode=99 "$@"
    else
        "$@"
    fi
}
