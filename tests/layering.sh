#!/usr/bin/env bash
# layering.sh - no folder includes from its own floor's siblings or from above.
#
# The floors of lib/ stand in the table below, lowest first; folders of one line are blind to each
# other. quickstep.h is the engine's face and free to all, but includes nothing of ours. compat/ sees
# quickstep.h, lmdb.h and itself. An argument names another source tree.
set -euo pipefail
cd "${1:-$(dirname "$0")/..}"

floors='
base
os format
page store log readers
cache
tree
txn
env
inspect
'

find lib compat -name '*.[ch]' -print0 | LC_ALL=C sort -z | xargs -0 awk -v floors="$floors" '
function fault(text) {
    printf "%s:%d: %s\n", FILENAME, FNR, text
    faults++
}
function exists(path,    line, rc) {
    if (!(path in known)) {
        known[path] = (getline line < path) >= 0
        close(path)
    }
    return known[path]
}
# Folder of a file of lib/, "" for those at its top.
function folder_of(path) {
    return path ~ /\// ? substr(path, 1, index(path, "/") - 1) : ""
}
function check_engine(target, quoted,    to) {
    if (target == "lmdb.h")
        fault("the engine does not know lmdb.h")
    if (!exists("lib/" target)) {
        if (quoted)
            fault("\"" target "\" is no file of lib/; write it as seen from there")
        return
    }
    if (target == "quickstep.h" && from != "")
        return
    to = folder_of(target)
    if (from == "")
        fault("quickstep.h includes nothing of ours, but here " target)
    else if (to != from && (!(to in floor) || floor[to] >= floor[from]))
        fault(from "/ (floor " floor[from] ") may not include " target \
              (to in floor ? " (floor " floor[to] ")" : ""))
}
function check_compat(target, quoted) {
    if (target == "quickstep.h" || target == "lmdb.h" || exists("compat/" target))
        return
    if (quoted || exists("lib/" target))
        fault("compat/ sees quickstep.h, lmdb.h and itself, not " target)
}
BEGIN {
    count = split(floors, line, "\n")
    level = 0
    for (i = 1; i <= count; i++) {
        names = split(line[i], name, " ")
        for (j = 1; j <= names; j++)
            floor[name[j]] = level
        level += names > 0
    }
}
FNR == 1 {
    files++
    inside = substr(FILENAME, index(FILENAME, "/") + 1)
    from = folder_of(inside)
    if (FILENAME ~ /^lib\// && (from == "" ? inside != "quickstep.h" : !(from in floor)))
        fault("lib/ has only quickstep.h and the floors; " FILENAME " is on none")
}
/^[ \t]*#[ \t]*include[ \t]*["<]/ {
    quoted = /include[ \t]*"/
    target = $0
    sub(/^[^"<]*["<]/, "", target)
    sub(/[">].*$/, "", target)
    includes++
    if (target ~ /(^|\/)\.\.?\//)
        fault("includes are written as seen from lib/ or compat/, not " target)
    else if (FILENAME ~ /^lib\//)
        check_engine(target, quoted)
    else
        check_compat(target, quoted)
}
END {
    printf "%d includes in %d files, %d against the floors\n", includes, files, faults
    exit faults > 0
}'
