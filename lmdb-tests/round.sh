# round.sh - the round trips of LMDB's tools with every option, on both libraries. Sourced by bash.
#
# `each NAME COMMAND...` runs a command on both sides, in a directory of the side's own, with PATH set
# to the side's programs; what it printed, its error messages and its exit code are compared at once.
# Page counts and what the list of free pages holds, which are each library's own, are left out.

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# mdb_dump -a ends with cursors open, whatever library it runs on: that is not a leak of ours.
export ASAN_OPTIONS="${ASAN_OPTIONS:-}${ASAN_OPTIONS:+:}detect_leaks=0"

own_words() {
    LC_ALL=C sed -E \
        -e 's/((Number of pages used|Tree depth|Branch pages|Leaf pages|Overflow pages|Free pages):).*/\1/' \
        -e '/^Freelist Status/,/^Status of/{/^Status of/!d}' \
        -e 's/^ +[0-9]+ [0-9a-f]+ ([0-9-]+)$/READER \1/' "$1"
}

# each NAME COMMAND...: the command is a line for bash.
each() {
    local name=$1 side
    shift
    for side in real ours; do
        mkdir -p "$work/$side"
        (cd "$work/$side" && PATH=$programs/$side:$PATH && eval "$*") \
            >"$work/$side.$name.out" 2>"$work/$side.$name.err"
        echo "exit $?" >>"$work/$side.$name.err"
        own_words "$work/$side.$name.out" >"$work/$side.words"
        cat "$work/$side.$name.err" >>"$work/$side.words"
    done
    LC_ALL=C diff -a "$work/real.words" "$work/ours.words" >"$work/diff" || {
        head -n 30 "$work/diff" | cut -c1-200
        fail "$name: the libraries differ (< real, > ours): $*"
    }
    rounds=$((${rounds:-0} + 1))
}

# What $work/input.txt holds, loaded, shown, dumped, loaded again and copied. WORDS is one of its
# databases.
round_trip() {
    local words=$1 side
    for side in real ours; do
        mkdir -p "$work/$side"/{env,env2,env3,env4,copy,compact,text}
        ln -sf "$work/input.txt" "$work/$side/input.txt"
    done
    each load 'mdb_load -f input.txt env'
    each stat 'mdb_stat env'
    each stat-all 'mdb_stat -aefrr env; mdb_stat -affe env; mdb_stat -fff env'
    each stat-one "mdb_stat -s $words env; mdb_stat -e -s $words env"
    each stat-missing 'mdb_stat -s missing env; mdb_stat nowhere; mdb_stat -Q env'
    each versions 'mdb_stat -V; mdb_load -V; mdb_dump -V; mdb_copy -V'
    each list 'mdb_dump -l env'
    each dump 'mdb_dump -a env'
    each dump-print 'mdb_dump -a -p env'
    each dump-one "mdb_dump -s $words -f one.txt env; cat one.txt; mdb_dump -s missing env; mdb_dump env | cut -c-12"
    each load-again 'mdb_load -N -f input.txt env; mdb_dump -a env'
    each load-dump 'mdb_dump -a env | mdb_load env2; mdb_dump -a env2'
    each load-print 'mdb_dump -a -p env | mdb_load env3; mdb_dump -a env3'
    each load-one "mdb_dump -s $words env | mdb_load -s other env4; mdb_dump -l env4; mdb_dump -s other env4; mdb_dump -s $words env4"
    each load-text 'printf "%s\n" b 2 a 1 "\\c3" "v\\00" | mdb_load -T -s pairs text; mdb_dump -p -s pairs text'
    each load-wrong 'echo nonsense | mdb_load text; printf "VERSION=9\n" | mdb_load text; printf "a\n" | mdb_load -T text'
    each copy 'mdb_copy env copy; mdb_dump -a copy; mdb_stat -ea copy; mdb_copy env copy; mdb_copy env nowhere'
    each copy-compact 'mdb_copy -c env compact; mdb_dump -a compact; mdb_stat -ea compact'
    each copy-output 'mdb_copy env >plain.mdb; mdb_copy -c env >small.mdb; mdb_dump -n -a plain.mdb; mdb_dump -n -a small.mdb'
    each no-directory 'mdb_load -n -f input.txt file.mdb; mdb_stat -n -aefr file.mdb; mdb_dump -n -a file.mdb'
    each no-directory-copy 'mdb_copy -n file.mdb copy.mdb; mdb_copy -n -c file.mdb compact.mdb; mdb_dump -n -a copy.mdb; mdb_dump -n -a compact.mdb; ls *.mdb*'
    verify "$work"/ours/{env,env2,env3,env4,copy,compact,text}/data.mdb \
        "$work"/ours/{plain,small,file,copy,compact}.mdb || fail "qs_check"
    echo "$rounds lines of commands, the same on both libraries"
}
