#!/usr/bin/env bash
# mtest3.sh - LMDB's mtest3.c, unchanged, on both libraries: the same with duplicates, mdb_del by pair.
set -u
. "$(dirname "$0")/run-mtest.sh"
run_mtest mtest3
