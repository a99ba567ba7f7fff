#!/usr/bin/env bash
# perl-dup.sh - LMDB_File on databases with duplicates, on the real library and on ours: the
# transcripts are the same.
set -u
. "$(dirname "$0")/bindings.sh"
perl_transcripts duplicates
