#!/usr/bin/env bash
# mtest2.sh - LMDB's mtest2.c, unchanged, on our library: the same in a named database.
set -u
. "$(dirname "$0")/run-mtest.sh"
run_mtest mtest2
