# The subject of a case: walferry or Litestream, behind the same few functions. Sourced by the
# cases; SUBJECT says which. Both read the same litestream.yml, with defaults except where a case
# names a setting, and both lie behind `file://` replicas.
#
#   subject_config NAME DB_PATH URL [DB_PATH URL...]   configuration of a process called NAME;
#                                                      $subject_globals is put before the databases
#   subject_start NAME          starts to replicate
#   subject_stop NAME           SIGTERM, and waits for the end; `status` is its exit status
#   subject_kill NAME           SIGKILL
#   subject_once NAME [FLAG...] replicate -once
#   subject_has_reported NAME   whether it said anything at warning level or above, or ended
#   subject_wait_begun FOLDER   until what it does only at its first start is in that replica
#   subject_restore URL OUT [FLAG...]      restores; `restore_says` is its output
#   subject_restore_home NAME DB_PATH [FLAG...]  restores a configured database to its own path
#   subject_before_start NAME DB_PATH      what its documentation runs before the application
#   subject_wait_synced URL ROW            until a restore of URL holds row ROW; never: unsafe
#
# A case ends with one of  safe TEXT, unsafe TEXT, cannot TEXT: one line of what was seen on
# standard output, and status 0, 1 or 77. Any other status means that the case itself is broken.
# shellcheck shell=bash

# shellcheck source=e2e/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

subject=${SUBJECT:-walferry}
subject_globals=
declare -A subject_pid=()
restore_says=
restored_fault=
synced_s=30

case $subject in
walferry)
    subject_bin=$walferry
    ;;
litestream)
    subject_bin=$peers/litestream
    ;;
*)
    give_up "SUBJECT is walferry or litestream, not $subject"
    ;;
esac

# ---- how a case ends ---------------------------------------------------------------------------

safe() {
    local traces
    traces=$(crash_traces "$work")
    [ -z "$traces" ] || give_up "$subject broke: $traces"
    echo "$*"
    exit 0
}

unsafe() {
    echo "$*"
    exit 1
}

cannot() {
    echo "$*"
    exit 77
}

case_begin() {
    [ -x "$subject_bin" ] || cannot "no $subject: make peers"
    [ -x "$writer" ] || cannot "no $writer: make test-build"
    command -v sqlite3 >/dev/null || cannot "no sqlite3: make deps"
    work_make
}

# ---- replicating -------------------------------------------------------------------------------

subject_config() {
    local name=$1
    shift
    {
        [ -z "$subject_globals" ] || echo "$subject_globals"
        echo "dbs:"
        while [ $# -gt 0 ]; do
            echo "  - path: $1"
            echo "    replica:"
            echo "      url: $2"
            shift 2
        done
    } >"$work/$name.yml"
}

subject_start() {
    spawn "$work/$1.log" "$subject_bin" replicate -config "$work/$1.yml"
    subject_pid[$1]=$pid
}

subject_stop() {
    pid_stop "${subject_pid[$1]}" TERM
}

subject_kill() {
    pid_stop "${subject_pid[$1]}" KILL
}

subject_once() {
    local name=$1
    shift
    "$subject_bin" replicate -config "$work/$name.yml" -once "$@" >"$work/$name.log" 2>&1
}

# Litestream writes a snapshot a second after its first start; it would heal, or not, what a case
# that comes too early looks for.
subject_wait_begun() {
    [ "$subject" = walferry ] || wait_until "the first snapshot is there" has_snapshot "$1"
}

has_snapshot() {
    replica_list "$1" | grep -q ^9/
}

subject_has_ended() {
    is_gone "${subject_pid[$1]}"
}

subject_has_reported() {
    subject_has_ended "$1" || grep -qiE 'level=(warn|error)' "$work/$1.log"
}

# subject_report NAME: its first warning or error as "message: why", for a line of what was seen.
subject_report() {
    grep -iE 'level=(warn|error)' "$work/$1.log" | head -n 1 |
        sed -E 's/^.* msg=("([^"]*)"|([^ ]*))(.* (error|reason|detail)=("([^"]*)"|[^ ]*))?.*/\2\3: \7/' |
        sed -E "s|$work/||g" | cut -c 1-150
}

# ---- restoring ---------------------------------------------------------------------------------

subject_restore() {
    local url=$1 out=$2
    shift 2
    restore_with_log -o "$out" "$@" "$url"
}

restore_with_log() {
    local result=0
    restore_says=$("$subject_bin" restore "$@" 2>&1 </dev/null) || result=$?
    echo "$restore_says" >>"$work/restore.log"
    return $result
}

subject_restore_home() {
    local name=$1 db=$2
    shift 2
    restore_with_log -config "$work/$name.yml" "$@" "$db"
}

subject_before_start() {
    if [ "$subject" = walferry ]; then
        subject_restore_home "$1" "$2" -roll-forward -if-replica-exists
    else
        subject_restore_home "$1" "$2" -if-db-not-exists -if-replica-exists
    fi
}

# restored_ask URL SQL [FLAG...]: restores to a scratch file and asks it. `answer` is what it says,
# "no restore" if there is none.
restored_ask() {
    local url=$1 sql=$2
    shift 2
    db_remove "$work/asked.db"
    answer="no restore"
    restored_fault=
    if ! subject_restore "$url" "$work/asked.db" "$@"; then
        restored_fault=$(tail -n 1 <<<"$restore_says")
        return 1
    fi
    if ! answer=$(db_ask "$work/asked.db" "$sql"); then
        restored_fault="the restored database is malformed"
        return 1
    fi
}

restored_has_row() {
    restored_ask "$1" "SELECT count(*) FROM app_row WHERE id = $2" && [ "$answer" = 1 ]
}

# A row that does not come is the subject's failure, not the case's.
subject_wait_synced() {
    poll_until "$synced_s" restored_has_row "$1" "$2" ||
        unsafe "row $2 is not restorable after $synced_s s (${restored_fault:-no such row})"
}

# ---- replicas (a folder, the layout that both share) -------------------------------------------

# replica_list FOLDER: its objects, "LEVEL/NAME" a line.
replica_list() {
    (cd "$1/ltx" 2>/dev/null && find . -name '*.ltx' | sed 's|^\./||' | sort)
}

# replica_txids FOLDER: the TXIDs of level 0, oldest first.
replica_txids() {
    replica_list "$1" | sed -nE 's|^0/([0-9a-f]{16})-.*|\1|p'
}

replica_last_txid() {
    replica_txids "$1" | tail -n 1
}

# replica_keep_raw FOLDER: leaves level 0 only, so that every restore needs each of its objects.
replica_keep_raw() {
    find "$1/ltx" -mindepth 1 -maxdepth 1 ! -name 0 -exec rm -rf {} +
}

# replica_time FOLDER TXID [LATER_MS]: when that object of level 0 was made (or a little later), as
# `restore -timestamp` takes it.
replica_time() {
    local ms
    ms=$(date -u -r "$1/ltx/0/$2-$2.ltx" +%s%3N)
    ms=$((ms + ${3:-0}))
    date -u -d "@$((ms / 1000)).$(printf %03d $((ms % 1000)))" +%Y-%m-%dT%H:%M:%S.%3NZ
}
