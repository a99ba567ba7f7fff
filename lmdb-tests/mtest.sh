#!/usr/bin/env bash
# mtest.sh - LMDB's mtest.c, unchanged, on both libraries: puts, overwrites, deletes, cursors.
set -u
. "$(dirname "$0")/run-mtest.sh"
run_mtest mtest
