# bindings.sh - runs an interpreter's binding of LMDB on both libraries and compares what it prints.
# Sourced by bash.

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${CFLAGS:-} in
*-fsanitize=*) skip "the system's interpreters cannot load a library built with a sanitizer" ;;
esac
[ -z "${QS_VALGRIND:-}" ] || skip "valgrind over an interpreter would look at the interpreter"

# transcripts COMMAND...: run once a side, with the side's directory and library as next arguments
# where DIRECTORY and LIBRARY stand. The binding is linked to the system's liblmdb.so.0; the loader's
# search path decides which one it gets.
transcripts() {
    local side library command
    for side in real ours; do
        library=$(readlink -f "$QS_LMDB")
        [ "$side" = ours ] || library=$(real_library) || skip "no real library"
        mkdir -p "$work/$side/data" "$work/$side/lib"
        ln -sf "$library" "$work/$side/lib/liblmdb.so.0"
        command=("${@/#DIRECTORY/$work/$side/data}")
        command=("${command[@]/#LIBRARY/$library}")
        LD_LIBRARY_PATH=$work/$side/lib "${command[@]}" >"$work/$side.txt" 2>"$work/$side.err" || {
            tail -n 5 "$work/$side.txt" "$work/$side.err" | cut -c1-300
            fail "${command[*]}"
        }
    done
    diff "$work/real.txt" "$work/ours.txt" >"$work/diff" || {
        head -n 20 "$work/diff" | cut -c1-300
        fail "the transcripts differ (< real, > ours)"
    }
    find "$work/ours/data" -type f ! -name '*lock*' ! -name '*.fd' | while read -r file; do
        verify "$file" || exit 1
    done || fail "qs_check"
    echo "a transcript of $(wc -l <"$work/ours.txt") lines, the same on both libraries"
}

python_transcripts() {
    /usr/bin/python3 -E -s -c 'import lmdb' 2>/dev/null ||
        skip "the system's python3 has no lmdb module (Debian: python3-lmdb)"
    export PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1
    transcripts /usr/bin/python3 -s "$here/python_api.py" DIRECTORY LIBRARY "$1"
}

perl_transcripts() {
    /usr/bin/perl -MLMDB_File -e 1 2>/dev/null ||
        skip "the system's perl has no LMDB_File (Debian: liblmdb-file-perl)"
    transcripts /usr/bin/perl "$here/perl_api.pl" DIRECTORY LIBRARY "$1"
}
