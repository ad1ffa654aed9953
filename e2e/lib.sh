# What the scripts in e2e/ share: a scratch folder, waiting, applications, comparing databases.
# Sourced, never run.
#
#   work         scratch folder of this script, removed at its end (KEEP=1 keeps it)
#   walferry     the program under test; WALFERRY=PATH replaces it
#   peers        folder of the real Litestream and versitygw (see .ci/peers)
#
# Processes are started by `spawn`, which remembers them; whatever still runs at the end is killed
# by its process id. Nothing here decides a result by sleeping: `wait_until` asks for a condition
# until a deadline that only a hang reaches.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
variant=${VARIANT:-release}
walferry=${WALFERRY:-$root/build/$variant/bin/walferry}
writer=$root/build/$variant/e2e/tools/writer
peers=${WALFERRY_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/walferry/bin}
deadline_s=${DEADLINE_S:-60}
work=
spawned=()
export LC_ALL=C TZ=UTC
# Settings of whoever runs the tests must not reach the programs under test.
unset LITESTREAM_CONFIG LOG_LEVEL AWS_CA_BUNDLE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_PROFILE

# ---- scratch folder and processes --------------------------------------------------------------

# `work_kind` is a part of its name.
work_kind=e2e
work_name=walferry-

work_make() {
    work=$(mktemp -d "${TMPDIR:-/tmp}/$work_name$work_kind.XXXXXX")
    trap work_end EXIT
    trap 'exit 130' INT TERM
}

work_end() {
    local pid
    set +e
    trap - ERR
    for pid in "${spawned[@]}"; do
        kill -KILL "$pid" 2>/dev/null
    done
    wait 2>/dev/null
    if [ -n "${KEEP:-}" ]; then
        echo "# kept: $work" >&2
    else
        rm -rf "$work"
    fi
}

# spawn LOG COMMAND...: starts it in the background without our pipes to applications; `pid` is its
# process id. LOG is begun anew, and may be emptied while the process writes.
spawn() {
    local log=$1 fd
    shift
    : >"$log"
    (
        for fd in "${app_in[@]}" "${app_out[@]}"; do
            eval "exec $fd>&-"
        done
        exec "$@"
    ) </dev/null >>"$log" 2>&1 &
    pid=$!
    spawned+=("$pid")
}

is_running() {
    kill -0 "$1" 2>/dev/null
}

# pid_stop PID SIGNAL: sends it and waits for the end; `status` is the exit status.
pid_stop() {
    kill "-$2" "$1" 2>/dev/null || true # it may have ended by itself
    # The shell announces killed children, unless it is waiting for them.
    [ "$2" = KILL ] || wait_until "process $1 ends" is_gone "$1"
    pid_reap "$1"
}

pid_wait() {
    wait_until "process $1 ends" is_gone "$1"
    pid_reap "$1"
}

pid_reap() {
    status=0
    wait "$1" 2>/dev/null || status=$?
    forget "$1"
}

forget() {
    local kept=() p
    for p in "${spawned[@]}"; do
        [ "$p" = "$1" ] || kept+=("$p")
    done
    spawned=("${kept[@]}")
}

# A child that ended but was not waited for is a zombie: gone for our purposes.
is_gone() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
    [[ ${stat##*) } == Z* ]]
}

# crash_traces FOLDER: lines in logs there by which a program tells that it broke. A test that expects
# a failure must not take these for one.
crash_traces() {
    find "$1" -maxdepth 1 -name '*.log' -exec \
        grep -ahE 'Sanitizer|runtime error:|[Aa]ssertion|^panic:|^fatal error:' {} + | head -n 5
}

# ---- waiting -----------------------------------------------------------------------------------

now_ms() {
    echo $(($(date +%s%N) / 1000000))
}

# Between two questions; whoever asks something expensive sets the greatest to more.
poll_pause_ms=50
poll_pause_ms_max=50

# poll_until SECONDS COMMAND...: asks until it succeeds, at growing intervals; fails after the time.
poll_until() {
    local until_ms=$(($(now_ms) + $1 * 1000)) pause_ms=$poll_pause_ms
    shift
    until "$@"; do
        [ "$(now_ms)" -lt "$until_ms" ] || return 1
        sleep "$(printf '0.%03d' "$pause_ms")"
        pause_ms=$((pause_ms * 3 / 2))
        [ "$pause_ms" -le "$poll_pause_ms_max" ] || pause_ms=$poll_pause_ms_max
    done
}

# wait_until WHAT COMMAND...: the same with the common deadline, and gives up loudly.
wait_until() {
    local what=$1
    shift
    poll_until "$deadline_s" "$@" || give_up "waited $deadline_s s until $what"
}

# Something that is no result of the test: the test itself could not go on.
give_up() {
    echo "cannot go on: $*" >&2
    exit 2
}

# ---- applications (e2e/tools/writer) -----------------------------------------------------------

declare -A app_in=() app_out=() app_pid=()
reply=

# app_start NAME DB_PATH [PRAGMA...]
app_start() {
    local name=$1 in out
    shift
    rm -f "$work/$name.in" "$work/$name.out"
    mkfifo "$work/$name.in" "$work/$name.out"
    (
        local fd
        for fd in "${app_in[@]}" "${app_out[@]}"; do
            eval "exec $fd>&-"
        done
        exec "$writer" "$@" <"$work/$name.in" >"$work/$name.out" 2>"$work/$name.err"
    ) &
    app_pid[$name]=$!
    spawned+=("$!")
    exec {in}>"$work/$name.in" {out}<"$work/$name.out"
    app_in[$name]=$in
    app_out[$name]=$out
    app_read "$name" || give_up "application $name: $(cat "$work/$name.err")"
}

app_read() {
    reply=
    IFS= read -r -t "$deadline_s" -u "${app_out[$1]}" reply || return 1
    [[ $reply == ok* ]]
}

# app NAME COMMAND...: sends one command; `reply` is the answer. Fails if that is an error.
app() {
    local name=$1
    shift
    echo "$*" >&"${app_in[$name]}"
    app_read "$name"
}

# app_must NAME COMMAND...: an error ends the test.
app_must() {
    app "$@" || give_up "application $*: $reply"
}

# app_last NAME: number of the last row that it committed.
app_last() {
    app_must "$1" rows
    echo "${reply##* }"
}

app_close() {
    local in=${app_in[$1]} out=${app_out[$1]}
    exec {in}>&- {out}<&-
    unset "app_in[$1]" "app_out[$1]"
}

# app_stop NAME: closes its database and ends, as an application should.
app_stop() {
    app_close "$1"
    pid_wait "${app_pid[$1]}"
    [ "$status" -eq 0 ] || give_up "application $1 ended with status $status"
}

app_kill() {
    pid_stop "${app_pid[$1]}" KILL
    app_close "$1"
}

# ---- databases ---------------------------------------------------------------------------------

# db_ask PATH SQL: the answer, or nothing if it cannot be read.
db_ask() {
    sqlite3 -batch -noheader "file:$1?mode=ro" "$2" 2>/dev/null
}

db_remove() {
    rm -f "$1" "$1-wal" "$1-shm" "$1-journal"
}

# db_freeze DB_PATH COPY: the database with its log, copied and checkpointed. Nobody may write.
db_freeze() {
    db_remove "$2"
    cp "$1" "$2"
    if [ -s "$1-wal" ]; then
        cp "$1-wal" "$2-wal"
        sqlite3 -batch "$2" 'PRAGMA wal_checkpoint(TRUNCATE)' >/dev/null
    fi
    rm -f "$2-wal" "$2-shm"
}

# pages_equal DB_PATH RESTORED: every byte of every page. The first may have a log, the second not.
pages_equal() {
    db_freeze "$1" "$work/frozen.db"
    cmp -s "$work/frozen.db" "$2"
}

db_is_sound() {
    [ "$(db_ask "$1" 'PRAGMA integrity_check')" = ok ]
}

# ---- replicas of a configured database ---------------------------------------------------------

# replica_file FOLDER, replica_s3 PREFIX: a destination, as lines for a list in litestream.yml.
replica_file() {
    echo "url: file://$1"
}

replica_s3() {
    printf '%s\n' "type: s3" "bucket: bucket" "path: $1" "region: us-east-1" \
        "endpoint: $s3_endpoint" "force-path-style: true" "access-key-id: $s3_user" \
        "secret-access-key: $s3_secret"
    [ ${#s3_ca[@]} -eq 0 ] || echo "ca-file: ${s3_ca[1]}"
}

# config_write FILE DB_PATH LINES [GLOBALS]: a configuration with one database and one destination.
config_write() {
    local line
    {
        [ -z "${4:-}" ] || echo "$4"
        printf 'dbs:\n  - path: %s\n    replica:\n' "$2"
        echo "$3" | while IFS= read -r line; do
            echo "      $line"
        done
    } >"$1"
}

# restore_with PROGRAM CONFIG DB_PATH OUT [FLAG...]: status and output as the program's.
restore_with() {
    local program=$1 config=$2 db=$3 out=$4
    shift 4
    db_remove "$out"
    "$program" restore -config "$config" -o "$out" "$@" "$db" </dev/null
}

# row_is_restorable CONFIG DB_PATH ROW
row_is_restorable() {
    restore_with "$walferry" "$1" "$2" "$work/asked.db" >/dev/null 2>&1 &&
        [ "$(db_ask "$work/asked.db" "SELECT count(*) FROM app_row WHERE id = $3")" = 1 ]
}

# objects CONFIG DB_PATH: "LEVEL MIN MAX" a line, of all levels.
objects() {
    "$walferry" ltx -config "$1" -level all "$2" | awk 'NR > 1 { print $1, $2, $3 }'
}

# ---- the sidecar of a test: of the database $db, configured by $it ------------------------------

db=
it=

it_start() {
    spawn "$work/it.log" "$walferry" replicate -config "$it"
    it_pid=$pid
}

it_stop() {
    pid_stop "$it_pid" TERM
    [ "$status" -eq 0 ] || fail "exit status $status: $(tail -n 2 "$work/it.log")"
}

arrives() {
    wait_until "row $1 is restorable" row_is_restorable "$it" "$db" "$1"
}

# restores_equal CONFIG: page for page.
restores_equal() {
    restore_with "$walferry" "$1" "$db" "$work/out.db" || fail "restore"
    pages_equal "$db" "$work/out.db" || fail "restored pages differ from the database"
    db_is_sound "$work/out.db" || fail "malformed"
}

# ---- S3 (e2e/stores/serve) -----------------------------------------------------------------------

s3_user=
s3_secret="walferry-test-secret-key"
s3_endpoint=
s3_ca=() # arguments for curl; the second is the CA's file
s3_missing=
s3_port=
s3_pid=

# port_free: a port that nobody listens on. Another process may take it: see s3_start.
port_free() {
    python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

# s3_start KIND FOLDER [CERT KEY CA]: a server of e2e/stores/serve on 127.0.0.1 with the bucket
# "bucket" and the secret $s3_secret; its files lie in FOLDER. Sets s3_pid, s3_port, s3_endpoint and what replica_s3 needs.
# Fails, with the reason in $s3_missing, where it is not installed.
s3_start() {
    s3_kind=$1 s3_folder=$2 s3_tls=("${@:3:2}")
    s3_user="walferry-test"
    [ "$1" != swift ] || s3_user=test:tester
    s3_ca=()
    [ $# -le 2 ] || s3_ca=(--cacert "$5")
    mkdir -p "$s3_folder"
    # Another process may be quicker with the port, hence three tries.
    for _ in 1 2 3; do
        s3_port=$(port_free)
        s3_endpoint=http${3:+s}://127.0.0.1:$s3_port
        if s3_start_again; then
            return 0
        fi
        pid_reap "$s3_pid"
        s3_missing=$(cat "$s3_folder/store.log")
        [ "$status" -ne 77 ] || return 1
    done
    give_up "$s3_kind: $s3_missing"
}

# s3_start_again: the same on the same port, after s3_stop. Fails if it does not come up.
s3_start_again() {
    rm -f "$s3_folder/ready"
    spawn "$s3_folder/store.log" env STORE_SECRET="$s3_secret" "$root/e2e/stores/serve" \
        "$s3_kind" "$s3_folder" "$s3_port" "${s3_tls[@]}"
    s3_pid=$pid
    poll_until 240 s3_is_ready_or_gone || give_up "$s3_kind does not answer: $(cat "$s3_folder/store.log")"
    [ -e "$s3_folder/ready" ] && is_running "$s3_pid"
}

s3_is_ready_or_gone() {
    [ -e "$s3_folder/ready" ] || is_gone "$s3_pid"
}

s3_stop() {
    pid_stop "$s3_pid" TERM
}

# ---- TAP ---------------------------------------------------------------------------------------

tap_count=0
tap_failed=0

tap_ok() {
    tap_count=$((tap_count + 1))
    echo "ok $tap_count - $1"
}

tap_not_ok() {
    tap_count=$((tap_count + 1))
    tap_failed=$((tap_failed + 1))
    echo "not ok $tap_count - $1"
}

tap_skip() {
    tap_count=$((tap_count + 1))
    echo "ok $tap_count - $1 # SKIP $2"
}

# tap_run NAME FUNCTION [ARGUMENT...]: runs it in a process and a scratch folder of its own, where a
# command that fails ends it. Status 0 is ok, 77 a skip whose reason is the last line. Lines that
# begin with "measured: " are shown in any case. How long it took goes into the file TEST_TIMES, if
# that is set: "MILLISECONDS ok|FAIL|skip NAME".
tap_run() {
    local name=$1 log result began_ms
    shift
    if [[ -n ${ONLY:-} && $name != *$ONLY* ]]; then
        return
    fi
    log=$(mktemp)
    began_ms=$(now_ms)
    (
        work_make
        set -eE
        trap 'echo "line $LINENO of ${BASH_SOURCE[0]##*/}: $BASH_COMMAND" >&2' ERR
        "$@"
        traces=$(crash_traces "$work")
        [ -z "$traces" ] || fail "a program broke: $traces"
    ) >"$log" 2>&1
    result=$?
    tap_after "$name" $result >>"$log" 2>&1
    case $result in
    0)
        tap_ok "$name"
        sed -n 's/^measured: /# /p' "$log"
        ;;
    77) tap_skip "$name" "$(tail -n 1 "$log")" ;;
    *)
        tap_not_ok "$name"
        sed 's/^/# /' "$log"
        ;;
    esac
    rm -f "$log"
    [ -z "${TEST_TIMES:-}" ] || tap_time $(($(now_ms) - began_ms)) $result "$name" >>"$TEST_TIMES"
}

tap_time() {
    case $2 in
    0) echo "$1 ok $3" ;;
    77) echo "$1 skip $3" ;;
    *) echo "$1 FAIL $3" ;;
    esac
}

# tap_after NAME STATUS: called after each, as long as nothing has been printed of it; what it says is
# shown with a failure. A script may define it anew.
tap_after() { :; }

tap_end() {
    echo "1..$tap_count"
    [ "$tap_failed" -eq 0 ]
}

# Ends a script whose tools are missing, as one skipped test.
tap_need() {
    local tool
    for tool in "$@"; do
        if ! command -v "$tool" >/dev/null; then
            echo "ok 1 - ${0##*/} # SKIP no $tool: make deps, make peers"
            echo "1..1"
            exit 0
        fi
    done
}

# Inside tap_run: this one cannot be run here.
skip() {
    echo "$*"
    exit 77
}

fail() {
    echo "failed: $*" >&2
    exit 1
}
