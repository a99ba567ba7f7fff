# job.sh - the main job, shared by the demo and by tools.sh: LMDB's own load, stat, dump and copy on
# one library, and the comparison of what two libraries made. Sourced by bash.
#
# Sides are `real` and `ours`; a side's programs are in $programs/SIDE, its files in $work/SIDE.

declare -A took_ms # "step/side" -> milliseconds

# step SIDE NAME COMMAND...: runs the command and keeps its time.
step() {
    local side=$1 name=$2 begin end
    shift 2
    begin=${EPOCHREALTIME/[.,]/}
    "$@" || {
        echo "FAILED on the $side library: $*" >&2
        return 1
    }
    end=${EPOCHREALTIME/[.,]/}
    took_ms["$name/$side"]=$(((end - begin + 500) / 1000))
}

# What a dump says about records: names of databases, keys and values; no sizes of the environment.
records() {
    grep -a -E '^( |database=|DATA=END)' "$1"
}

same_records() {
    cmp <(records "$1") <(records "$2") || {
        echo "FAILED: $1 and $2 hold different records" >&2
        return 1
    }
}

entries() {
    grep -E '^Status of|Entries:' "$1"
}

# run_job SIDE INPUT: leaves env/, copy/, compact/, stat.txt, *.dump in $work/SIDE.
run_job() {
    local side=$1 input=$2 dir=$work/$1 bin=$programs/$1
    rm -rf "$dir"
    mkdir -p "$dir"/{env,copy,compact}
    step "$side" mdb_load "$bin/mdb_load" -f "$input" "$dir/env" &&
        step "$side" mdb_stat "$bin/mdb_stat" -e -a "$dir/env" >"$dir/stat.txt" &&
        step "$side" mdb_dump "$bin/mdb_dump" -a -f "$dir/env.dump" "$dir/env" &&
        step "$side" mdb_copy "$bin/mdb_copy" "$dir/env" "$dir/copy" &&
        step "$side" "mdb_copy -c" "$bin/mdb_copy" -c "$dir/env" "$dir/compact" &&
        "$bin/mdb_dump" -a -f "$dir/copy.dump" "$dir/copy" &&
        "$bin/mdb_dump" -a -f "$dir/compact.dump" "$dir/compact"
}

# Both sides have run: same records in the environments and in every copy, same counts.
compare_job() {
    local real=$work/real ours=$work/ours
    same_records "$real/env.dump" "$ours/env.dump" &&
        same_records "$real/copy.dump" "$ours/copy.dump" &&
        same_records "$real/compact.dump" "$ours/compact.dump" &&
        same_records "$ours/env.dump" "$ours/copy.dump" &&
        same_records "$ours/env.dump" "$ours/compact.dump" &&
        diff <(entries "$real/stat.txt") <(entries "$ours/stat.txt")
}

# The whole-file verifier, once it is built.
verify() {
    local checker=$QS_BUILDDIR/qs_check file
    [ -x "$checker" ] || return 0
    for file in "$@"; do
        "$checker" "$file" >"$work/qs_check.log" 2>&1 || {
            cat "$work/qs_check.log" >&2
            echo "FAILED: qs_check $file" >&2
            return 1
        }
    done
}

# The real library the loader and compiler know.
real_library() {
    local name
    name=$("${CC:-gcc}" -print-file-name=liblmdb.so.0)
    [ -f "$name" ] || {
        echo "no liblmdb.so.0 of the system's (Debian: liblmdb0)" >&2
        return 1
    }
    readlink -f "$name"
}
