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
    spawned+=("$reader") # a failure does not wait for it
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

# made.db is stale again; $1 is a second database beside it, with these settings.
with_another() {
    db_make "$1"
    cat >"$work/c.yml" <<-END
	socket: {enabled: true, path: $work/sock}
	shutdown-sync-timeout: $2
	dbs:
	  - {path: $work/made.db, replica: {path: $work/replica, sync-interval: 50ms}}
	  - {path: $1, replica: {path: $work/replica2, sync-interval: 50ms}$3}
	END
}

startup_says() {
    startup 503 && grep -qF -- "$1" "$work/out"
}

is_rolled() {
    wait_until "it is taken up" startup 200
    [ -e "$work/started" ]
    contains "$work/a.log" 'msg="rolled forward"'
    [ "$(db_count "$work/made.db")" -eq 3 ]
    stop
}

# The engine cannot end while it waits for a lock: as long as the test likes.
ending() {
    stale 3
    with_another "$work/locked.db" 1s ", busy-timeout: 1h"
    app_start locker "$work/locked.db" locking_mode=exclusive
    app_must locker insert 1
    begin
    wait_until "the engine ends" startup_says 'made.db: stopped'
    [ ! -e "$work/started" ]
    [ "$(db_count "$work/made.db")" -eq 2 ]
    app_stop locker
    is_rolled
}
tap_run while_its_engine_ends_for_that_the_application_waits ending

# The engine waits for another database's store; meanwhile the stale one is not even there. When it
# is back, it is found stale once more, and that must not make the end an end for good.
decided() {
    stale 3
    with_another "$work/other.db" 1h
    expect 0 replicate -once "$work/other.db" "$work/replica2"
    db_insert "$work/other.db" 2
    mv "$work/replica2/ltx" "$work/away"
    : >"$work/replica2/ltx"
    begin
    wait_log a 'msg="replication refused"'
    mkdir "$work/moved"
    mv "$work"/made.db* "$work/moved"
    wait_log a 'to=moved'
    wait_until "nothing else holds it" startup_says 'is to be rolled forward'
    [ ! -e "$work/started" ]
    mv "$work/moved"/* "$work"
    rm "$work/replica2/ltx"
    mv "$work/away" "$work/replica2/ltx"
    is_rolled
    restores "file://$work/replica2" 2
}
tap_run what_is_to_be_rolled_forward_holds_the_application_whatever_its_state decided

both() {
    stale 3
    with_another "$work/second.db" 30s
    expect 0 replicate -once "$work/second.db" "$work/replica2"
    cp -a "$work"/second.db* "$work"/.second.db-walferry "$work/old"
    db_insert "$work/second.db" 2
    expect 0 replicate -once "$work/second.db" "$work/replica2"
    rm -rf "$work"/second.db* "$work"/.second.db-walferry
    back
    begin
    is_rolled
    [ "$(grep -c 'msg="rolled forward"' "$work/a.log")" -eq 2 ]
    [ "$(db_count "$work/second.db")" -eq 2 ]
}
tap_run two_stale_databases_are_both_rolled_forward both

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
