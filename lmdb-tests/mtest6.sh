#!/usr/bin/env bash
# mtest6.sh - LMDB's mtest6.c, unchanged, on both libraries: MDB_INTEGERKEY, large values, scans of what is deleted.
set -u
. "$(dirname "$0")/run-mtest.sh"
run_mtest mtest6
