#!/usr/bin/env bash
# python-dup.sh - python3-lmdb's interface for duplicates, on the real library and on ours: the
# transcripts are the same.
set -u
. "$(dirname "$0")/bindings.sh"
python_transcripts duplicates
