#!/usr/bin/env bash
# walferry replicate -roll-forward-until FILE: a stale database is brought forward while nothing but
# the probe holds the application back, and never afterwards.
# shellcheck source=sidecar/command/cli.sh
. "$(dirname "$0")/cli.sh"
tap_need sqlite3 python3 curl

# stale ROWS: $work/made.db is the replica's state of two rows, the replica goes on to ROWS.
stale() {
    local i
    replica_make "$work/replica" 2
    mkdir "$work/old"
    cp -a "$work"/made.db* "$work"/.made.db-walferry "$work/old"
    for ((i = 3; i <= $1; i++)); do
        db_insert "$work/made.db" "$i"
        expect 0 replicate -once "$work/made.db" "$work/replica"
    done
    back
    cat >"$work/c.yml" <<-END
	addr: "127.0.0.1:0"
	socket: {enabled: true, path: $work/sock}
	dbs: [{path: $work/made.db, replica: {path: $work/replica, sync-interval: 50ms}}]
	END
}

# The volume as it was.
back() {
    rm -rf "$work"/made.db* "$work"/.made.db-walferry
    cp -a "$work"/old/. "$work"
}

begin() {
    daemon_start a replicate -config "$work/c.yml" -roll-forward-until "$work/started"
}

startup() {
    code=$(curl -s -o "$work/out" -w '%{http_code}' --max-time 10 --unix-socket "$work/sock" \
        http://localhost/startupz)
    [ "$code" = "$1" ]
}

stop() {
    pid_stop "$pid" TERM
    [ "$status" -eq "${1:-0}" ] || fail "exit status $status: $(cat "$work/a.log")"
}

rolled() {
    stale 4
    begin
    wait_until "it is taken up" startup 200
    [ -e "$work/started" ]
    contains "$work/a.log" 'msg="rolled forward"'
    [ "$(db_count "$work/made.db")" -eq 4 ]
    # The application writes, and that is a continuation.
    db_insert "$work/made.db" 5
    wait_until "the row is shipped" restores "file://$work/replica" 5
    stop
}
tap_run a_stale_database_is_rolled_forward_before_the_application_may_start rolled

too_late() {
    stale 3
    : >"$work/started"
    begin
    wait_log a 'msg="replication refused"'
    startup 503
    says 'older state of this replica'
    [ "$(db_count "$work/made.db")" -eq 2 ]
    stop 1
}
tap_run once_the_application_may_run_its_database_is_left_alone too_late

# The flag alone does not make it so: what has started stays started.
restarted() {
    stale 3
    begin
    wait_until "it is taken up" startup 200
    stop
    back
    begin
    wait_log a 'msg="replication refused"'
    [ "$(db_count "$work/made.db")" -eq 2 ]
    stop 1
}
tap_run a_restarted_container_does_not_roll_under_the_application restarted

in_use() {
    stale 3
    # Somebody reads it all the same: it is refused, not exchanged.
    exec 3> >(exec sqlite3 -batch "$work/made.db" >"$work/reader" 2>&1)
    local reader=$!
    echo 'BEGIN; SELECT count(*) FROM t;' >&3
    wait_until "it reads" test -s "$work/reader"
    run replicate -config "$work/c.yml" -roll-forward-until "$work/started"
    [ "$status" -eq 1 ] || fail "exit status $status"
    tells 'is open in process'
    [ ! -e "$work/started" ]
    exec 3>&-
    wait_until "it has let go of the log" is_gone "$reader"
    [ "$(db_count "$work/made.db")" -eq 2 ]
}
tap_run a_database_that_is_in_use_is_not_exchanged in_use

diverged() {
    stale 3
    db_insert "$work/made.db" 99
    begin
    wait_log a 'msg="replication refused"'
    contains "$work/a.log" 'verdict=diverged'
    startup 503
    [ ! -e "$work/started" ]
    stop 1
    restores "file://$work/replica" 3
}
tap_run what_was_written_to_since_is_refused_as_before diverged

# The application before it still ships: each time we are stale again, until it ends.
predecessor() {
    local i
    stale 3
    begin
    for ((i = 4; i <= 6; i++)); do
        wait_until "it is taken up" startup 200
        pid_stop "$pid" KILL
        rm "$work/started"
        db_insert "$work/made.db" "$i"
        expect 0 replicate -once "$work/made.db" "$work/replica"
        back
        begin
    done
    wait_until "it is taken up" startup 200
    [ "$(db_count "$work/made.db")" -eq 6 ]
    stop
}
tap_run it_rolls_forward_as_often_as_it_is_behind predecessor

usage() {
    for with in -once '-exec true'; do
        # shellcheck disable=SC2086 # two words
        expect 2 replicate -roll-forward-until "$work/x" $with "$work/a.db" "$work/replica"
        tells 'excludes -once and -exec'
    done
}
tap_run it_excludes_once_and_exec usage

tap_end
