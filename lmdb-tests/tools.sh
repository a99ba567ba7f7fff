#!/usr/bin/env bash
# tools.sh - LMDB's mdb_load, mdb_stat, mdb_dump and mdb_copy, unchanged, on the real library and on
# ours: every record the same, in the environment, its copy and its compact copy.
set -u
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/small-input.sh"

# mdb_dump -a ends with cursors open, whatever library it runs on: that is not a leak of ours.
export ASAN_OPTIONS="${ASAN_OPTIONS:-}${ASAN_OPTIONS:+:}detect_leaks=0"

compile_on both mdb_load mdb_stat mdb_dump mdb_copy
small_input >"$work/input.txt"
run_job real "$work/input.txt" || fail "the job on the real library"
run_job ours "$work/input.txt" || fail "the job on our library"
compare_job || fail "the libraries disagree"
verify "$work"/ours/{env,copy,compact}/data.mdb || fail "qs_check after the job"
echo "the same $(grep -c '^ ' "$work/ours/env.dump") keys and values on both libraries"
