#!/usr/bin/env bash
# tools-dup.sh - LMDB's tools with every option, round trips of databases with duplicates.
set -u
. "$(dirname "$0")/round.sh"
. "$(dirname "$0")/dup-input.sh"

compile_on both mdb_load mdb_stat mdb_dump mdb_copy
dup_input >"$work/input.txt"
round_trip words
