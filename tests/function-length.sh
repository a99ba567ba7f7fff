#!/usr/bin/env bash
# function-length.sh - no function above 70 lines, no file above 600.
#
# Relies on the layout clang-format gives: a function's braces stand alone in the first column. The
# length counts from the line the definition begins on to the closing brace. An argument names
# another source tree.
set -euo pipefail
cd "${1:-$(dirname "$0")/..}"

find lib compat tests lmdb-tests bench -name '*.[ch]' -print0 2>/dev/null | LC_ALL=C sort -z |
    xargs -0 -r awk -v function_max=70 -v file_max=600 '
function end_file() {
    if (lines > file_max) {
        printf "%s: %d lines, at most %d\n", file, lines, file_max
        faults++
    }
}
FNR == 1 {
    end_file()
    files++
    file = FILENAME
    start = inside = 0
}
{ lines = FNR }
/^[A-Za-z_]/ && !start && !inside { start = FNR; head = $0 }
/^{/ && start { inside = 1 }
/^}/ && inside {
    functions++
    length_lines = FNR - start + 1
    if (length_lines > longest)
        longest = length_lines
    if (length_lines > function_max) {
        name = head
        sub(/\(.*/, "", name)
        sub(/.*[ *]/, "", name)
        printf "%s:%d: %s() has %d lines, at most %d\n", FILENAME, start, name, length_lines,
            function_max
        faults++
    }
    start = inside = 0
}
!inside && (/^$/ || /;[ \t]*$/ || /^}/ || /^#/ || /\*\/[ \t]*$/) { start = 0 }
END {
    end_file()
    printf "%d functions in %d files, the longest %d lines; %d faults\n", functions, files, longest,
        faults
    exit faults > 0
}'
