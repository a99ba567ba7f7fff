#!/usr/bin/env bash
# sources.sh - every source file is listed in Makefile.am, and begins by saying what it is.
#
# A file that is not listed is not built, not tested and not in a release. The first line of each is
# "/* name - what it owns", so that a reader never has to guess. An argument names another tree.
set -euo pipefail
cd "${1:-$(dirname "$0")/..}"

faults=0
fault() {
    echo "$*"
    faults=$((faults + 1))
}

listed=$(sed -n 's/^\t\([A-Za-z0-9_./-]*\)\( \\\)\{0,1\}$/\1/p' Makefile.am)
has() { grep -qxF -- "$1" <<<"$listed"; }

count=0
while IFS= read -r file; do
    count=$((count + 1))
    # Test programs are listed by the program's name, which is the file's without its end.
    has "$file" || { [[ $file == *.c ]] && has "${file%.c}"; } ||
        fault "$file is not in Makefile.am"
    IFS= read -r first <"$file" || true
    [[ $first == "/* ${file##*/} - "* ]] ||
        fault "$file does not begin with \"/* ${file##*/} - \" and what it owns"
done < <(find lib compat tests -name '*.[ch]' | LC_ALL=C sort)

while IFS= read -r file; do
    [[ $file == *.[ch] ]] || continue
    [ -f "$file" ] || fault "Makefile.am lists $file, which is not there"
done <<<"$listed"

echo "$count source files, $faults faults"
[ "$faults" -eq 0 ]
