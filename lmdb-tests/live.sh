#!/usr/bin/env bash
# live.sh - mdb_stat, mdb_dump and mdb_copy, unchanged, on our library, while mdb_load writes.
#
# Keys are loaded in order, so whatever a tool sees must be a prefix of them: no gap, none twice. A
# second mdb_load, into a database of its own, is killed in the middle.
set -u
. "$(dirname "$0")/common.sh"
export ASAN_OPTIONS="${ASAN_OPTIONS:-}${ASAN_OPTIONS:+:}detect_leaks=0" # see tools.sh

compile_on ours mdb_load mdb_stat mdb_dump mdb_copy
bin=$programs/ours
records=40000
[ -z "${QS_VALGRIND:-}" ] || records=3000

# pairs COUNT: keys 000001... each with a value of its own, as mdb_load -T reads them.
pairs() {
    seq "$1" | awk '{ printf "%06d\n%d %0*d\n", $1, $1 * $1, $1 % 400 + 1, 7 }'
}

# prefix DUMP: the number of keys, which are 000001 and so on.
prefix() {
    awk '/^HEADER=END/ { data = 1; next } /^DATA=END/ { data = 0 }
        data && /^ [0-9][0-9][0-9][0-9][0-9][0-9]$/ {
            if ($1 + 0 != ++n) { print "key " $1 " where " n " is due" >"/dev/stderr"; exit 1 }
        }
        END { print n + 0 }' "$1"
}

# The entries that mdb_stat counts in database main.
counted() { awk '/^Status of main/ { here = 1 } here && /Entries:/ { print $2; exit }' "$1"; }

# Looks once with every tool; $seen is what was there the last time.
look() {
    local entries
    "$bin/mdb_stat" -e -f -r -s main "$work/env" >"$work/stat.txt" || fail "mdb_stat"
    entries=$(counted "$work/stat.txt")
    [ "$entries" -ge "$seen" ] || fail "mdb_stat counts $entries after $seen"
    "$bin/mdb_dump" -p -s main -f "$work/dump.txt" "$work/env" || fail "mdb_dump"
    seen=$(prefix "$work/dump.txt") && [ "$seen" -ge "$entries" ] || fail "dumped $seen after $entries"
    rm -rf "$work/copy" && mkdir "$work/copy"
    # shellcheck disable=SC2086
    "$bin/mdb_copy" $1 "$work/env" "$work/copy" || fail "mdb_copy $1"
    verify "$work/copy/data.mdb" || fail "qs_check of a copy"
    "$bin/mdb_dump" -p -s main -f "$work/copy.txt" "$work/copy" || fail "mdb_dump of a copy"
    entries=$(prefix "$work/copy.txt") && [ "$entries" -ge "$seen" ] ||
        fail "the copy has $entries after $seen"
    looks=$((looks + 1))
}

mkdir -p "$work/env"
# Room for everything: mdb_load takes the map size from the header.
header="VERSION=3
format=print
type=btree
mapsize=268435456
maxreaders=126"
printf '%s\ndatabase=main\nHEADER=END\n' "$header" >"$work/main.txt"
printf '%s\ndatabase=other\nHEADER=END\n' "$header" >"$work/other.txt"
pairs "$records" | sed 's/^/ /' >>"$work/main.txt"
pairs "$records" | sed 's/^/ /' >>"$work/other.txt"
for name in main other; do
    echo "DATA=END" >>"$work/$name.txt"
done

# By lines with pauses, so that the load lasts as long as some looks do.
slowly() { awk '{ print } NR % 2000 == 0 { fflush(); system("sleep 0.1") }' "$1"; }
slowly "$work/main.txt" | "$bin/mdb_load" "$work/env" &
loader=$!
slowly "$work/other.txt" | "$bin/mdb_load" "$work/env" &
victim=$!
seen=0 looks=0
until "$bin/mdb_stat" -s main "$work/env" >/dev/null 2>&1; do
    kill -0 "$loader" 2>/dev/null || fail "mdb_load ended before its database was there"
    sleep 0.05
done
while kill -0 "$loader" 2>/dev/null; do
    look "$([ $((looks % 2)) -eq 0 ] || echo -c)"
    [ "$looks" -ne 2 ] || kill -KILL "$victim" 2>/dev/null || echo "(the other load had ended)"
done
wait "$loader" || fail "mdb_load: status $?"
wait "$victim" 2>/dev/null
look ""
[ "$seen" -eq "$records" ] || fail "$seen records in the end, not $records"
verify "$work/env/data.mdb" || fail "qs_check at the end"
echo "$looks looks while mdb_load wrote; the second load killed, $("$bin/mdb_stat" -s other "$work/env" |
    awk '/Entries:/ { print $2 }') of its records there"
