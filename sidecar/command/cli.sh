# What the shell tests of the commands share, beside e2e/lib.sh: running the program, and looking at
# what it said. Sourced, never run.
#
#   run ARGUMENT...          runs walferry; `status`, $work/out and $work/err are what came of it
#   expect STATUS ARGUMENT...      the same, and the status must be STATUS
#   says TEXT, tells TEXT    standard output, standard error contain TEXT
#   json_is EXPRESSION       standard output is one JSON document `d`, of which EXPRESSION (Python)
#                            is true
#   daemon_start NAME ARGUMENT...  walferry in the background, its log in $work/NAME.log
#   golden NAME              standard output is sidecar/command/testdata/NAME.golden;
#                            GOLDEN=write makes it so
# shellcheck shell=bash

# shellcheck source=e2e/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../e2e/lib.sh"

testdata=$root/sidecar/command/testdata
export AWS_EC2_METADATA_DISABLED=true
deadline_s=${DEADLINE_S:-30}
status=
pid=

# A program that hangs is killed: its status is 124 or 137 then, which no test expects.
run() {
    status=0
    timeout -k 2 "$deadline_s" "$walferry" "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
}

expect() {
    local wanted=$1
    shift
    run "$@"
    [ "$status" -eq "$wanted" ] && return
    echo "walferry $*: exit status $status, not $wanted"
    cat "$work/out" "$work/err"
    return 1
}

contains() {
    grep -qF -- "$2" "$1" && return
    echo "\"$2\" is not in:"
    cat "$1"
    return 1
}

lacks() {
    ! grep -nF -- "$2" "$1"
}

says() {
    contains "$work/out" "$1"
}

tells() {
    contains "$work/err" "$1"
}

json_is() {
    python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
if not eval("(" + sys.argv[2] + ")"):
    sys.exit("not so: %s\n%s" % (sys.argv[2], json.dumps(d, indent=1)))' "$work/out" "$1"
}

golden() {
    if [ "${GOLDEN:-}" = write ]; then
        mkdir -p "$testdata"
        cp "$work/out" "$testdata/$1.golden"
    fi
    diff -u "$testdata/$1.golden" "$work/out"
}

# ---- databases and replicas --------------------------------------------------------------------

# db_make PATH [ROWS]: a database in WAL mode with a table t.
db_make() {
    sqlite3 -batch "$1" "PRAGMA journal_mode = wal; CREATE TABLE t (x);
        WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < ${2:-1})
        INSERT INTO t SELECT x FROM n" >/dev/null
}

db_insert() {
    sqlite3 -batch -cmd '.timeout 5000' "$1" "INSERT INTO t VALUES ($2)"
}

db_count() {
    db_ask "$1" 'SELECT count(*) FROM t'
}

# replica_make FOLDER [COUNT]: the replica of a database $work/made.db, one object a row.
replica_make() {
    local i
    db_make "$work/made.db"
    for ((i = 2; i <= ${2:-1}; i++)); do
        expect 0 replicate -once "$work/made.db" "$1"
        db_insert "$work/made.db" "$i"
    done
    expect 0 replicate -once "$work/made.db" "$1"
}

# object FOLDER LEVEL TXID: its file.
object() {
    printf '%s/ltx/%d/%016x-%016x.ltx' "$1" "$2" "$3" "$3"
}

# object_damage FILE: one byte in the middle becomes another.
object_damage() {
    python3 -c 'import sys
with open(sys.argv[1], "r+b") as f:
    data = f.read()
    at = len(data) // 2
    f.seek(at)
    f.write(bytes([data[at] ^ 255]))' "$1"
}

# has_objects FOLDER LEVEL COUNT: at least so many, complete ones.
has_objects() {
    [ "$(find "$1/ltx/$2" -name '*.ltx' 2>/dev/null | wc -l)" -ge "$3" ]
}

# restores URL COUNT: a restore of it has so many rows.
restores() {
    db_remove "$work/restored.db"
    run restore -o "$work/restored.db" "$1"
    [ "$status" -eq 0 ] && [ "$(db_count "$work/restored.db")" = "$2" ]
}

# ---- running in the background -----------------------------------------------------------------

# daemon_start NAME ARGUMENT...: `pid` is its process id.
daemon_start() {
    local name=$1
    shift
    spawn "$work/$name.log" "$walferry" "$@"
}

# log_has NAME TEXT, wait_log NAME TEXT
log_has() {
    grep -sqF -- "$2" "$work/$1.log"
}

wait_log() {
    poll_until "$deadline_s" log_has "$1" "$2" && return
    echo "waited $deadline_s s for \"$2\" in:"
    cat "$work/$1.log"
    return 1
}

# daemon_port NAME: where it listens, from its log.
daemon_port() {
    wait_log "$1" 'msg=listening' >&2
    sed -nE 's/.*msg=listening .*port=([0-9]+).*/\1/p' "$work/$1.log"
}
