#!/usr/bin/env bash
# SQLite's own test of several processes on one database (mptest of its sources: writers, readers
# and clients that crash) with walferry attached. All of mptest's checks hold, walferry never drops
# one of its locks (looked at each millisecond from outside, e2e/tools/lock_watch.c), and a restore
# equals the database page by page.
#   MPTEST_REPEAT=50   each script so often
# shellcheck source=e2e/lib.sh
. "$(dirname "$0")/lib.sh"

mptest=$peers/sqlite/mptest
mptester=$peers/sqlite/mptester
tap_need sqlite3 "$mptester"

watch_start() {
    mkfifo "$work/watch.in"
    "$root/build/$variant/e2e/tools/lock_watch" "$1" "$2" <"$work/watch.in" >"$work/watch.out" &
    watch_pid=$!
    spawned+=("$watch_pid")
    exec {watch_in}>"$work/watch.in"
}

# Ends the watch; fails unless the locks were there all the time.
watch_stop() {
    exec {watch_in}>&-
    pid_wait "$watch_pid"
    [[ $(tail -n 1 "$work/watch.out") == "ok "* ]] || fail "locks: $(cat "$work/watch.out")"
    [ "$(sed -n 's/^ok //p' "$work/watch.out")" -ge 100 ] || fail "few looks: $(cat "$work/watch.out")"
}

# replicates_under SCRIPT ERRORS: so many checks of the script fail, without walferry too.
replicates_under() {
    local db=$work/mp.db result=0
    # Checkpoints all the time: it is then that locks could be lost.
    cat >"$work/mp.yml" <<END
dbs:
  - path: $db
    checkpoint-interval: 100ms
    min-checkpoint-page-count: 20
    replica:
      url: file://$work/store
      sync-interval: 20ms
END
    spawn "$work/mp.log" "$walferry" replicate -config "$work/mp.yml"
    run_pid=$pid
    watch_start "$run_pid" "$db"
    (cd "$work" && exec {watch_in}>&- && "$mptester" "$db" --quiet --journalmode WAL \
        --repeat "${MPTEST_REPEAT:-1}" "$mptest/$1") >"$work/mptest.out" 2>&1 || result=$?
    grep -qE "^Summary: $2 errors out of [1-9]" "$work/mptest.out" || {
        cat "$work/mptest.out"
        fail "mptest ended with status $result"
    }
    grep -q attached "$work/watch.out" || fail "walferry did not attach while mptest ran"
    watch_stop
    # What mptest wrote would all be in the log still.
    [ "$(stat -c %s "$db")" -gt 40960 ] || fail "there was no checkpoint"
    pid_stop "$run_pid" TERM
    [ "$status" -eq 0 ] || fail "walferry ended with status $status: $(tail -n 3 "$work/mp.log")"
    ! grep -q 'locks' "$work/mp.log" || fail "$(grep locks "$work/mp.log")"
    restore_with "$walferry" "$work/mp.yml" "$db" "$work/restored.db" || fail "restore"
    pages_equal "$db" "$work/restored.db" || fail "the restored database differs"
    db_is_sound "$work/restored.db" || fail "malformed"
}

# The watch can tell: a process that closes another descriptor of the file loses its lock.
drops_a_lock() {
    local db=$work/mp.db
    mkfifo "$work/app.in"
    sqlite3 "$db" 'PRAGMA journal_mode=WAL; CREATE TABLE t(a)' >/dev/null
    spawn "$work/app.log" python3 -c '
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("BEGIN")
db.execute("SELECT count(*) FROM t").fetchall()
open(sys.argv[2]).read()
open(sys.argv[1]).close()
sys.stdin = open(sys.argv[2])
sys.stdin.read()
' "$db" "$work/app.in"
    watch_start "$pid" "$db"
    wait_until "the watch sees the locks" grep -q attached "$work/watch.out"
    : >"$work/app.in"
    wait_until "the watch sees a lock lost" grep -q 'lost shared' "$work/watch.out"
    pid_wait "$watch_pid"
    [ "$status" -eq 1 ] || fail "the watch ended with status $status"
}

tap_run "a lock that is dropped in silence is seen by the watch" drops_a_lock
tap_run "five writers at a time replicate page for page, and no lock is ever dropped" \
    replicates_under multiwrite01.test 0
tap_run "writers that crash in a transaction replicate page for page, and no lock is ever dropped" \
    replicates_under crash01.test 0
# It expects four times that VACUUM changes the page size, which SQLite does not do in WAL mode.
tap_run "connections of unlike settings replicate page for page, and no lock is ever dropped" \
    replicates_under config02.test "$((4 * ${MPTEST_REPEAT:-1}))"
tap_end
