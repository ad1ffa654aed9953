# Store, subjects and figures: what the files in bench/work/ share. Sourced by bench/run, never run.
#
#   store_start           a fresh versitygw on 127.0.0.1 with the bucket "bench"; $store_data
#   store_stop
#   store_requests OP     requests that the store has answered, of operations OP ("Put", ".")
#   store_bytes           bytes of all objects
#   subject_config N SQL_PATH...   configuration of N databases, see below
#   subject_start         the subject replicates; $subject_pid
#   subject_stop          SIGTERM, and waits
#   cpu_ns PID            CPU time of all its threads so far
#   memory_kb PID FIELD   VmRSS or RssAnon of /proc/PID/status
#   field NAME TEXT       VALUE of NAME=VALUE in TEXT
#   keep KEY VALUE        a figure of this subject, for the table
#
# $subject is walferry or litestream; both get the same configuration file, with defaults except
# for what a work names, and the same store, one after the other.
# shellcheck shell=bash

# shellcheck source=e2e/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"

# Measurements take long: whoever clears away what tests left (walferry-*) must not take theirs.
work_name=bench-of-
work_kind=walferry
tools=$root/build/$variant/e2e/tools
memory_folder=/dev/shm
subject=
subject_pid=
store_pid=
store_port=
store_data=
declare -A figures=()

export AWS_EC2_METADATA_DISABLED=true AWS_REGION=us-east-1

# ---- store -------------------------------------------------------------------------------------

store_is_up() {
    is_gone "$store_pid" || curl -s -o /dev/null --max-time 2 "http://127.0.0.1:$store_port/"
}

# As real stores do, it keeps connections open between requests.
store_start() {
    export AWS_ACCESS_KEY_ID=walferry-bench AWS_SECRET_ACCESS_KEY=walferry-bench-secret
    store_data=$work/store
    rm -rf "$store_data" "$work/access.log"
    mkdir -p "$store_data/bench"
    store_port=$(port_free)
    spawn "$work/store.log" env ROOT_ACCESS_KEY=$AWS_ACCESS_KEY_ID \
        ROOT_SECRET_KEY=$AWS_SECRET_ACCESS_KEY "$peers/versitygw" --port "127.0.0.1:$store_port" \
        --keep-alive --quiet --access-log "$work/access.log" posix "$store_data"
    store_pid=$pid
    wait_until "the store answers" store_is_up
    is_running "$store_pid" || give_up "the store ended: $(tail -n 3 "$work/store.log")"
}

store_stop() {
    pid_stop "$store_pid" TERM
    rm -rf "$store_data"
}

# A line of its log names the operation: "s3_PutObject".
store_requests() {
    grep -cE " s3_$1" "$work/access.log" 2>/dev/null || true
}

# store_bytes [LEVEL]: of this level only ("0000").
store_bytes() {
    find "$store_data/bench" -ignore_readdir_race -type f -path "*/${1:+$1/}*" -printf '%s\n' | awk '{n += $1} END {printf "%.0f\n", n}'
}

store_objects() {
    find "$store_data/bench" -ignore_readdir_race -type f | wc -l
}

# ---- subjects ----------------------------------------------------------------------------------

subject_program() {
    case $subject in
    walferry) echo "$walferry" ;;
    litestream) echo "$peers/litestream" ;;
    *) give_up "no subject $subject" ;;
    esac
}

# subject_config SYNC_INTERVAL DB_PATH...: each database gets the prefix of its file's name.
subject_config() {
    local interval=$1 path
    shift
    for path in "$@"; do # what another work left there belongs to another bucket
        rm -rf "$(dirname "$path")/.$(basename "$path")-$subject"
    done
    {
        echo "dbs:"
        for path in "$@"; do
            echo "  - path: $path"
            echo "    replica:"
            echo "      type: s3"
            echo "      endpoint: http://127.0.0.1:$store_port"
            echo "      bucket: bench"
            echo "      path: $(basename "$path")"
            echo "      force-path-style: true"
            [ -z "$interval" ] || echo "      sync-interval: $interval"
        done
    } >"$work/$subject.yml"
}

subject_start() {
    spawn "$work/$subject.log" "$(subject_program)" replicate -config "$work/$subject.yml"
    subject_pid=$pid
}

subject_stop() {
    pid_stop "$subject_pid" TERM
}

# Whether each of N databases has an object in the bucket.
subject_has_shipped() {
    [ "$(find "$store_data/bench" -ignore_readdir_race -name '*.ltx' -path '*/0000/*' -printf '%P\n' |
        cut -d/ -f1 | sort -u | wc -l)" -ge "$1" ]
}

# A subject with nothing to do: no request for a second. Some never get there.
subject_is_quiet() {
    local before
    before=$(store_requests .)
    sleep 1
    [ "$(store_requests .)" = "$before" ]
}

# ---- figures -----------------------------------------------------------------------------------

cpu_ns() {
    cat /proc/"$1"/task/*/schedstat | awk '{n += $1} END {printf "%.0f\n", n}'
}

memory_kb() {
    awk -v name="$2:" '$1 == name {print $2}' "/proc/$1/status"
}

descriptors() {
    find "/proc/$1/fd" -mindepth 1 | wc -l
}

field() {
    local part
    for part in $2; do
        [ "${part%%=*}" != "$1" ] || echo "${part#*=}"
    done
}

keep() {
    figures[$subject.$1]=$2
}

# calc EXPRESSION [FORMAT]: arithmetic with fractions.
calc() {
    awk "BEGIN {printf(\"${2:-%.2f}\", ($1))}"
}

# ---- databases ---------------------------------------------------------------------------------

# db_make PATH MEGABYTES: a database in WAL mode, closed, with no log.
db_make() {
    db_remove "$1"
    "$tools/bench_writer" "$1" rate=0 seconds=3600 rows=500 bytes=1800 "commits=$(($2 * 11 / 10))" \
        synchronous=off >/dev/null
    sqlite3 -batch "$1" 'PRAGMA wal_checkpoint(TRUNCATE)' >/dev/null
}
