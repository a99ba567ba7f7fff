#!/usr/bin/env bash
# append.sh - databases in whatever order their records came (append_load.c, as newer releases' mdb_load
# -a), on both libraries: dumps, counts and copies are the same, and programs that know nothing of the
# order can go through them.
set -u
. "$(dirname "$0")/round.sh"

compile_on both mdb_stat mdb_dump mdb_copy mdb_load
real=$(real_library) || exit 1
mkdir -p "$work/source"
ln -sf "$here/append_load.c" "$QS_LMDB_SRC/source/lmdb.h" "$work/source/"
flock "$programs" "$here/compile" "$work/source" "$real" "$QS_LMDB" "$programs" append_load ||
    fail "append_load.c does not compile"

# lines COUNT KEYS VALUE_BYTES: keys in no order, each about COUNT / KEYS times; values in no order.
lines() {
    LC_ALL=C awk -v count="$1" -v keys="$2" -v bytes="$3" 'BEGIN {
        for (i = 0; i < count; i++)
            printf "%06d key=%0*d\n", i * 7919 % keys, bytes, i * 104729 % 1000003
    }'
}
lines 20000 20000 30 >"$work/keys"
lines 6000 40 24 >"$work/dups"
for side in real ours; do
    mkdir -p "$work/$side"/{env,copy,again,sorted}
done
for mode in keys dups fixed agree; do
    input=$work/dups
    [ "$mode" = dups ] || [ "$mode" = fixed ] || input=$work/keys
    each "load-$mode" "append_load env $mode <'$input'"
done
# The same records in the same order, by loading what was dumped, one more time.
each dump-keys "mdb_dump -p -s keys env"
each keys-again "mdb_dump -p -s keys env | sed -n 's/^ //p' | paste -d= - - | append_load again keys; mdb_dump -p -s keys again"
each dump 'mdb_dump -a -p env'
each stat 'mdb_stat -ea env'
each copy 'mdb_copy -c env copy; mdb_dump -a copy; mdb_stat -ea copy'
each load-in-order 'mdb_dump -a env | mdb_load sorted; mdb_dump -a sorted'
verify "$work/ours/env/data.mdb" "$work/ours/copy/data.mdb" "$work/ours/again/data.mdb" || exit 1
cmp <(sed 's/=.*//' "$work/keys") <(sed -n 's/^ \(.* key\)$/\1/p' "$work/ours.dump-keys.out") ||
    fail "the keys are not in the order in which they came"
echo "$rounds lines of commands, the same on both libraries"
