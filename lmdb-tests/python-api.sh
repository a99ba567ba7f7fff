#!/usr/bin/env bash
# python-api.sh - python3-lmdb through its documented interface, on the real library and on ours: the
# transcripts are the same. This one without duplicates.
set -u
. "$(dirname "$0")/bindings.sh"
python_transcripts plain
