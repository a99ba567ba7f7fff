#!/usr/bin/env bash
# perl-order.sh - LMDB_File with orders written in Perl (set_compare), on the real library and on ours:
# the transcripts are the same.
set -u
. "$(dirname "$0")/bindings.sh"
perl_transcripts orders
