#!/usr/bin/env bash
# perl-api.sh - LMDB_File through its documented interface, on the real library and on ours: the
# transcripts are the same. This one without duplicates and orders.
set -u
. "$(dirname "$0")/bindings.sh"
perl_transcripts plain
