#!/usr/bin/env bash
# replay.sh - the C that the differential test prints for a failing program says what the program does.
#
# Programs that do not fail are written as C, compiled, and run on both libraries; what they print is
# the same.
set -u

skip() {
    echo "$*"
    exit 77
}
[ -f "${QS_REAL_LMDB:-}" ] || skip "no liblmdb.so.0 on this system"
[ -z "${QS_VALGRIND:-}" ] || skip "valgrind has watched the same calls in tests/differential"
case ${CFLAGS:-} in
*-fsanitize=*) skip "the compiled programs load an uninstrumented libc; the calls are tests/differential's" ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for generator in plain nested tiny; do
    for seed in 1 2 3; do
        "$QS_BUILDDIR/tests/differential/differential" --real "$QS_REAL_LMDB" --ours "$QS_LMDB" \
            --generator "$generator" --seed "$seed" --programs 1 --calls 300 \
            --emit "$work/program.c" >"$work/log" 2>&1 || {
            cat "$work/log"
            exit 1
        }
        "${CC:-gcc}" -w -g -I "$QS_SRCDIR/tests/differential" "$work/program.c" "$QS_REAL_LMDB" \
            -o "$work/program" || exit 1
        for side in real ours; do
            mkdir -p "$work/$side"
            library=$QS_LMDB
            [ "$side" = ours ] || library=$QS_REAL_LMDB
            ln -sf "$library" "$work/$side/liblmdb.so.0"
            # Readers carry the process's number; a database's record, its page.
            TMPDIR=$work LD_LIBRARY_PATH=$work/$side "$work/program" |
                sed 's/^     | .*//; s/data(48)=.*//' >"$work/$side.txt"
        done
        [ "$(wc -l <"$work/ours.txt")" -gt 50 ] || {
            echo "FAILED: $generator, seed $seed: the program printed nothing"
            exit 1
        }
        diff "$work/real.txt" "$work/ours.txt" >"$work/diff" || {
            head -n 20 "$work/diff"
            echo "FAILED: $generator, seed $seed: the outputs differ"
            exit 1
        }
    done
done
echo "9 programs as C, the same on both libraries"
