#!/usr/bin/env bash
# mtest5.sh - LMDB's mtest5.c, unchanged, on both libraries: duplicates put by a cursor.
set -u
. "$(dirname "$0")/run-mtest.sh"
run_mtest mtest5
