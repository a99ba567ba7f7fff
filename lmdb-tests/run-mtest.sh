# run-mtest.sh - runs one of LMDB's mtest programs on our library. Sourced by the scripts that name it.

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# The programs write to ./testdb and choose their numbers by the clock, so three rounds differ.
run_mtest() {
    local name=$1 round
    compile_on ours "$name"
    for round in 1 2 3; do
        rm -rf "$work/testdb"
        mkdir -p "$work/testdb"
        (cd "$work" && under_wrapper "$programs/ours/$name" >"$work/$name.log" 2>&1) || {
            tail -n 20 "$work/$name.log"
            fail "$name, round $round"
        }
        verify "$work/testdb/data.mdb" || fail "qs_check after $name, round $round"
        sleep 1
    done
    echo "$name: three rounds, the last printed $(wc -l <"$work/$name.log") lines"
}
