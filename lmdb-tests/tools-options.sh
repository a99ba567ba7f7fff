#!/usr/bin/env bash
# tools-options.sh - LMDB's tools with every option, round trips of plain databases.
set -u
. "$(dirname "$0")/round.sh"
. "$(dirname "$0")/small-input.sh"

compile_on both mdb_load mdb_stat mdb_dump mdb_copy
small_input >"$work/input.txt"
round_trip words
