#!/usr/bin/env bash
# mtest4.sh - LMDB's mtest4.c, unchanged, on both libraries: MDB_DUPFIXED, one key, deletions by cursor.
set -u
. "$(dirname "$0")/run-mtest.sh"
run_mtest mtest4
