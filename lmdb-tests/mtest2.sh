#!/usr/bin/env bash
# mtest2.sh - LMDB's mtest2.c, unchanged, on both libraries: the same in a named database.
set -u
. "$(dirname "$0")/run-mtest.sh"
run_mtest mtest2
