#!/usr/bin/env bash
# exports.sh - the drop-in offers exactly the symbols of the library it stands in for.
#
# Compared: compat/liblmdb.sym, our liblmdb.so.0, the system's liblmdb.so.0. Also its name, that it is
# bound at load, and that nothing is versioned, as programs linked to the real one expect.
set -euo pipefail

top=${QS_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
build=${QS_BUILDDIR:-$top/build}
ours=${QS_LMDB:-$build/compat/.libs/liblmdb.so.0}
export LC_ALL=C
faults=0

fault() {
    echo "$*"
    faults=$((faults + 1))
}
exported() { nm -D --defined-only --with-symbol-versions --format=posix "$1" | cut -d' ' -f1 | sort; }
dynamic() { readelf -d -W "$ours"; }

[ -f "$ours" ] || {
    echo "$ours is not built"
    exit 1
}

sort "$top/compat/liblmdb.sym" | diff - <(exported "$ours") ||
    fault "exports differ from compat/liblmdb.sym (< listed, > exported)"
dynamic | grep -q 'SONAME.*\[liblmdb\.so\.0\]' || fault "the SONAME is not liblmdb.so.0"
dynamic | grep -Eq 'BIND_NOW|FLAGS.* NOW' || fault "not bound at load (full RELRO)"
dynamic | grep -Eq '\(SYMBOLIC\)|FLAGS.* SYMBOLIC' || fault "not linked with -Bsymbolic"
readelf -l -W "$ours" | grep -q GNU_RELRO || fault "no RELRO segment"
! dynamic | grep -q TEXTREL || fault "has text relocations"
! dynamic | grep -Eq 'VERDEF|RPATH|RUNPATH' || fault "has version nodes or a search path of its own"

undefined() { nm -D --undefined-only --format=posix "$ours" | cut -d' ' -f1 | cut -d@ -f1; }
! undefined | grep -qx __assert_fail || fault "an assertion goes past mdb_env_set_assert"

archive=$build/compat/.libs/liblmdb.a
[ -f "$archive" ] || fault "$archive is not built"
missing=$(comm -23 <(sort "$top/compat/liblmdb.sym") \
    <(nm --defined-only --format=posix "$archive" 2>/dev/null | cut -d' ' -f1 | sort -u))
[ -z "$missing" ] || fault "the static library lacks:" $missing

real=$("${CC:-gcc}" -print-file-name=liblmdb.so.0)
if [ -f "$real" ]; then
    diff <(exported "$real") <(exported "$ours") ||
        fault "exports differ from $real (< the system's, > ours)"
else
    echo "the system has no liblmdb.so.0 to compare with"
fi

echo "$(exported "$ours" | wc -l) symbols, $faults faults"
[ "$faults" -eq 0 ]
