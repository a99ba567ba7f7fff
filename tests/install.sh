#!/usr/bin/env bash
# install.sh - what `make install` leaves: the drop-in in a directory of its own, a pkg-config file
# that links to it, a launcher that runs an unmodified program on it; nothing where the system's is.
set -euo pipefail

top=${QS_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
build=${QS_BUILDDIR:-$top/build}
case ${CFLAGS:-} in
*-fsanitize=*)
    echo "SKIP: programs here are built without the sanitizer; the plain build covers this"
    exit 77
    ;;
esac

fail() {
    echo "FAIL: $*" >&2
    exit 1
}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

# The outer make's job server is not ours to use.
env -u MAKEFLAGS -u MFLAGS "${MAKE:-make}" -C "$build" --no-print-directory install DESTDIR="$root" \
    >"$root/log" 2>&1 || {
    tail -n 20 "$root/log"
    fail "make install"
}
library=$(find "$root" -name liblmdb.so.0)
[ "$(basename "$(dirname "$library")")" = quickstep ] || fail "the drop-in is not in quickstep/: $library"
[ "$(find "$root" -name 'liblmdb*' -printf '%h\n' | sort -u)" = "$(dirname "$library")" ] ||
    fail "parts of the drop-in outside its directory"
[ -z "$(find "$root" -name '*quickstep.a' -o -name 'lmdb.h')" ] || fail "internals were installed"

cat >"$root/version.c" <<'END'
#include <lmdb.h>
#include <stdio.h>
int main(void)
{
    MDB_env *env;
    if (mdb_env_create(&env) != 0)
        return 1;
    mdb_env_close(env);
    FILE *maps = fopen("/proc/self/maps", "r");
    for (char line[4096]; maps && fgets(line, sizeof line, maps);)
        fputs(line, stdout);
    return 0;
}
END
cc=${CC:-gcc}

# Relinked by the pkg-config file: no search path is needed at run time but the DESTDIR.
PKG_CONFIG_PATH=$(dirname "$(find "$root" -name quickstep-lmdb.pc)")
export PKG_CONFIG_PATH
flags=$(pkg-config --libs --define-variable=libdir="$(dirname "$library")" quickstep-lmdb)
# shellcheck disable=SC2086
$cc -o "$root/relinked" "$root/version.c" $flags
"$root/relinked" | grep -q "$(readlink -f "$library")" || fail "relinked, but not to the drop-in"

# Linked to the system's library, run by the launcher.
$cc -o "$root/unmodified" "$root/version.c" -llmdb
launcher=$(find "$root" -name quickstep-run)
QUICKSTEP_LIBDIR=$(dirname "$library") "$launcher" "$root/unmodified" |
    grep -q "$(readlink -f "$library")" || fail "the launcher does not lead to the drop-in"
! "$root/unmodified" | grep -q "$(readlink -f "$library")" || fail "the drop-in is found by itself"
echo "installed, relinked and launched: ${library#"$root"}"
