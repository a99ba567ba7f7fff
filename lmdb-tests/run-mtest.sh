# run-mtest.sh - runs one of LMDB's mtest programs on both libraries. Sourced by the scripts that name
# it.

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# What a program printed, without addresses. mtest4 also prints where each chunk of MDB_NEXT_MULTIPLE
# begins, which is each library's own.
printed() {
    local chunks=
    [ "$name" != mtest4 ] || chunks='1,/^Deleted/{/^key: 001,/d}'
    sed -E "$chunks; s/0x[0-9a-f]+/ADDRESS/g; s/\(nil\)/ADDRESS/g" "$1"
}

# The programs write to ./testdb. They draw numbers from a seed, three of them here.
run_mtest() {
    local name=$1 seed side
    compile_on both "$name"
    for seed in 1 2 3; do
        for side in real ours; do
            rm -rf "${work:?}/$side"
            mkdir -p "$work/$side/testdb"
            (cd "$work/$side" && export MTEST_SEED=$seed &&
                export ASAN_OPTIONS="${ASAN_OPTIONS:-}${ASAN_OPTIONS:+:}detect_leaks=0" &&
                if [ "$side" = ours ]; then
                    under_wrapper "$programs/$side/$name"
                else
                    "$programs/$side/$name"
                fi >"$work/$side.log" 2>&1) || {
                tail -n 20 "$work/$side.log"
                fail "$name on $side, seed $seed"
            }
        done
        diff <(printed "$work/real.log") <(printed "$work/ours.log") >"$work/diff" || {
            head -n 20 "$work/diff"
            fail "$name printed other things, seed $seed"
        }
        verify "$work/ours/testdb/data.mdb" || fail "qs_check after $name, seed $seed"
    done
    echo "$name: three seeds, $(wc -l <"$work/ours.log") lines, the same on both libraries"
}
