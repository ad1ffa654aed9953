#!/usr/bin/env bash
# walferry replicate without a child: -once in all its combinations, several destinations, -adopt,
# restoring what is missing, what is logged how, and the end by signals.
# shellcheck source=sidecar/command/cli.sh
. "$(dirname "$0")/cli.sh"
tap_need sqlite3 python3

# Nobody listens there.
away='s3://bucket/app?endpoint=http://127.0.0.1:1'
export AWS_ACCESS_KEY_ID=AKID AWS_SECRET_ACCESS_KEY=secret

# ---- once --------------------------------------------------------------------------------------

once() {
    db_make "$work/a.db" 3
    expect 0 replicate -once "$work/a.db" "$work/replica"
    tells 'msg="ended, everything is shipped"'
    [ ! -s "$work/out" ]
    restores "file://$work/replica" 3
    find "$work/replica" -type f | sort >"$work/before"
    expect 0 replicate -once "$work/a.db" "$work/replica"
    find "$work/replica" -type f | sort | diff - "$work/before"
    db_insert "$work/a.db" 4
    expect 0 replicate -once "$work/a.db" "$work/replica"
    restores "file://$work/replica" 4
}
tap_run once_ships_what_is_committed_and_only_that once

# Under -once nobody makes it while we wait; a mistyped name must not look like success.
once_absent() {
    expect 1 replicate -once "$work/mistyped.db" "$work/replica"
    tells "$work/mistyped.db does not exist"
    tells 'Hint: -once does not wait for it'
    [ ! -e "$work/replica" ]
    [ ! -e "$work/mistyped.db" ]
    cat >"$work/c.yml" <<-END
	dbs:
	  - {path: $work/mistyped.db, replica: {path: $work/replica-m}}
	  - {path: $work/a.db, replica: {path: $work/replica}}
	END
    db_make "$work/a.db" 3
    expect 1 replicate -once -config "$work/c.yml"
    tells "$work/mistyped.db does not exist"
    restores "file://$work/replica" 3 # the others are shipped all the same
    expect 0 replicate -once -restore-if-db-not-exists "$work/new.db" "$work/replica"
}
tap_run once_for_a_database_that_is_not_there_fails_with_a_hint once_absent

once_snapshot() {
    db_make "$work/a.db"
    expect 0 replicate -once -force-snapshot "$work/a.db" "$work/replica"
    has_objects "$work/replica" 9 1
    db_insert "$work/a.db" 2
    expect 0 replicate -once -force-snapshot -enforce-retention "$work/a.db" "$work/replica"
    has_objects "$work/replica" 9 2
    rm -r "$work/replica/ltx/0"
    restores "file://$work/replica" 2
}
tap_run force_snapshot_writes_a_snapshot_that_restores_alone once_snapshot

# The first snapshot goes when the second is older than the window.
retention_is_enforced() {
    expect 0 replicate -once -enforce-retention -config "$work/c.yml"
    ! has_objects "$work/replica" 9 2
}

once_retention() {
    local i
    db_make "$work/a.db"
    cat >"$work/c.yml" <<-END
	snapshot: {retention: 1s}
	dbs: [{path: $work/a.db, replica: {path: $work/replica}}]
	END
    for i in 2 3; do
        expect 0 replicate -once -force-snapshot -config "$work/c.yml"
        db_insert "$work/a.db" "$i"
    done
    has_objects "$work/replica" 9 2
    poll_until "$deadline_s" retention_is_enforced
    restores "file://$work/replica" 3
    # Switched off, nothing is deleted.
    echo 'retention: {enabled: false}' >>"$work/c.yml"
    for i in 4 5; do
        db_insert "$work/a.db" "$i"
        expect 0 replicate -once -force-snapshot -enforce-retention -config "$work/c.yml"
    done
    has_objects "$work/replica" 9 3
}
tap_run enforce_retention_deletes_what_is_old_unless_switched_off once_retention

# The time that failures are given is none for work: a large database, a slow store. (A millisecond
# stands for half a minute here.)
once_slow() {
    db_make "$work/a.db" 3
    sqlite3 "$work/a.db" 'CREATE TABLE noise (x); INSERT INTO noise VALUES (randomblob(9000000))'
    cat >"$work/c.yml" <<-END
	shutdown-sync-timeout: 1ms
	dbs: [{path: $work/a.db, replica: {path: $work/replica}}]
	END
    expect 0 replicate -once -force-snapshot -enforce-retention -config "$work/c.yml"
    tells 'msg="ended, everything is shipped"'
    has_objects "$work/replica" 9 1
    restores "file://$work/replica" 3
}
tap_run once_gives_slow_work_the_time_that_it_needs once_slow

once_several() {
    db_make "$work/a.db" 2
    db_make "$work/b.db" 3
    cat >"$work/c.yml" <<-END
	exec: "touch $work/executed"
	dbs:
	  - {path: $work/a.db, replicas: [{path: $work/a1}, {name: second, path: $work/a2}]}
	  - {path: $work/b.db, replica: {path: $work/b1}}
	END
    expect 0 replicate -once -force-snapshot -enforce-retention -config "$work/c.yml"
    restores "file://$work/a1" 2
    restores "file://$work/a2" 2
    restores "file://$work/b1" 3
    [ ! -e "$work/executed" ]
    has_objects "$work/a2" 9 1
}
tap_run once_serves_every_database_and_destination_and_starts_no_child once_several

several_urls() {
    db_make "$work/a.db" 2
    expect 0 replicate -once "$work/a.db" "file://$work/r1" "$work/r2"
    tells 'destination=file '
    tells 'destination=file-2'
    restores "file://$work/r1" 2
    restores "file://$work/r2" 2
    expect 2 replicate -once "$work/a.db" "file://$work/r1" "$work/r1"
    tells "$work/r1"
}
tap_run a_database_given_by_arguments_may_have_several_destinations several_urls

once_away() {
    db_make "$work/a.db" 2
    cat >"$work/c.yml" <<-END
	shutdown-sync-timeout: 500ms
	dbs: [{path: $work/a.db, replicas: [{path: $work/r1}, {name: far, url: "$away"}]}]
	END
    expect 1 replicate -once -config "$work/c.yml"
    tells 'msg="ended with unshipped commits" databases=1'
    tells "first=$work/a.db destination=far"
    restores "file://$work/r1" 2
}
tap_run a_store_that_is_away_is_exit_status_1_and_does_not_hold_up_others once_away

# ---- what is replicated ------------------------------------------------------------------------

strange_files() {
    echo 'this is text, and long enough for a header' >"$work/text.db"
    expect 1 replicate -once "$work/text.db" "$work/r1"
    tells 'not an SQLite database'
    db_make "$work/a.db"
    mkdir "$work/folder.db"
    expect 1 replicate -once "$work/folder.db" "$work/r2"
    tells "$work/folder.db"
    [ ! -e "$work/r1/ltx" ]
    : >"$work/empty.db"
    expect 0 replicate -once "$work/empty.db" "$work/r4"
    tells 'the file is empty'
}
tap_run what_is_no_database_is_told_by_name strange_files

journal_mode() {
    sqlite3 "$work/a.db" 'CREATE TABLE t (x)'
    cat >"$work/c.yml" <<-END
	shutdown-sync-timeout: 500ms
	journal-mode: require
	dbs: [{path: $work/a.db, replica: {path: $work/replica}}]
	END
    expect 1 replicate -once -config "$work/c.yml"
    tells 'not in WAL mode'
    [ "$(db_ask "$work/a.db" 'PRAGMA journal_mode')" = delete ]
    expect 0 replicate -once "$work/a.db" "$work/replica"
    [ "$(db_ask "$work/a.db" 'PRAGMA journal_mode')" = wal ]
}
tap_run wal_mode_is_turned_on_unless_it_is_required_of_the_application journal_mode

adopt() {
    db_make "$work/a.db" 2
    db_make "$work/b.db" 7
    expect 0 replicate -once "$work/a.db" "$work/replica"
    expect 1 replicate -once "$work/b.db" "$work/replica"
    tells 'nothing proves that this database descends'
    tells '-adopt'
    restores "file://$work/replica" 2
    # With an address it must still come to an end.
    cat >"$work/c.yml" <<-END
	addr: "127.0.0.1:0"
	dbs: [{path: $work/b.db, replica: {path: $work/replica}}]
	END
    expect 0 replicate -once -adopt -config "$work/c.yml"
    tells 'ended, everything is shipped'
    restores "file://$work/replica" 7
    # What lay there stays restorable.
    expect 0 restore -txid 0000000000000001 -o "$work/old.db" "file://$work/replica"
    [ "$(db_count "$work/old.db")" -eq 2 ]
    # Once adopted, no flag is needed.
    db_insert "$work/b.db" 8
    expect 0 replicate -once "$work/b.db" "$work/replica"
}
tap_run another_history_is_refused_until_it_is_adopted adopt

restore_missing() {
    db_make "$work/a.db" 5
    cat >"$work/c.yml" <<-END
	dbs:
	  - {path: $work/a.db, replica: {path: $work/r1}}
	  - {path: $work/b.db, restore-if-db-not-exists: true, replica: {path: $work/r2}}
	END
    cp "$work/a.db" "$work/b.db"
    expect 0 replicate -once -config "$work/c.yml"
    rm -rf "$work"/[ab].db* "$work"/.[ab].db-walferry
    expect 1 replicate -once -config "$work/c.yml"
    tells "$work/a.db does not exist"
    [ ! -e "$work/a.db" ]
    [ "$(db_count "$work/b.db")" -eq 5 ]
    expect 0 replicate -once -restore-if-db-not-exists -config "$work/c.yml"
    [ "$(db_count "$work/a.db")" -eq 5 ]
    tells 'msg=restored'
    db_insert "$work/a.db" 6
    expect 0 replicate -once -restore-if-db-not-exists -config "$work/c.yml"
    lacks "$work/err" 'msg=restored'
    restores "file://$work/r1" 6
}
tap_run missing_databases_are_restored_first_where_wanted restore_missing

restore_missing_damaged() {
    replica_make "$work/replica" 2
    object_damage "$(object "$work/replica" 0 1)"
    db_remove "$work/made.db"
    expect 4 replicate -once -restore-if-db-not-exists "$work/made.db" "$work/replica"
    tells "restore $work/made.db"
    [ ! -e "$work/made.db" ]
}
tap_run a_replica_that_cannot_be_restored_keeps_replication_from_starting restore_missing_damaged

restore_missing_none() {
    expect 0 replicate -once -restore-if-db-not-exists "$work/new.db" "$work/replica"
    tells 'to=absent'
    [ ! -e "$work/new.db" ]
}
tap_run positively_no_backup_is_a_fresh_start restore_missing_none

# ---- the log -----------------------------------------------------------------------------------

log_forms() {
    db_make "$work/a.db"
    cat >"$work/c.yml" <<-END
	logging: {type: json, level: debug}
	dbs: [{path: $work/a.db, replica: {path: $work/replica}}]
	END
    expect 0 replicate -once -config "$work/c.yml"
    python3 - "$work/err" <<-'END'
	import json, sys
	def unique(pairs):
	    keys = [key for key, value in pairs]
	    assert len(keys) == len(set(keys)), "a key is there twice: %s" % keys
	    return dict(pairs)
	lines = [json.loads(line, object_pairs_hook=unique) for line in open(sys.argv[1])]
	assert all({"time", "level", "msg"} <= set(line) for line in lines), lines
	shipped = [line for line in lines if line["msg"] == "object shipped"]
	assert shipped and shipped[0]["level"] == "debug", lines
	END
    [ ! -s "$work/out" ]
    echo 'logging: {stderr: false}' >"$work/d.yml"
    grep dbs "$work/c.yml" >>"$work/d.yml"
    expect 0 replicate -once -config "$work/d.yml"
    says 'level=info'
    [ ! -s "$work/err" ]
}
tap_run logs_are_text_or_json_on_either_output log_forms

log_levels() {
    db_make "$work/a.db"
    export LOG_LEVEL=error
    expect 0 replicate -once "$work/a.db" "$work/replica"
    [ ! -s "$work/err" ]
    expect 0 replicate -once -log-level debug "$work/a.db" "$work/replica"
    tells 'level=debug'
    export LOG_LEVEL=loud
    expect 2 replicate -once "$work/a.db" "$work/replica"
    tells loud
    unset LOG_LEVEL
    expect 0 replicate -once "$work/a.db" "$work/replica"
    tells 'level=info'
    lacks "$work/err" 'level=debug'
}
tap_run the_flag_outweighs_the_environment_and_that_the_configuration log_levels

# ---- the end -----------------------------------------------------------------------------------

# The first row is shipped at once, the next not before an hour: only the end can ship it.
tail_is_shipped() {
    db_make "$work/a.db"
    cat >"$work/c.yml" <<-END
	dbs: [{path: $work/a.db, replica: {path: $work/replica, sync-interval: 1h}}]
	END
    daemon_start a replicate -config "$work/c.yml"
    wait_until "the first object is there" has_objects "$work/replica" 0 1
    db_insert "$work/a.db" 2
    db_insert "$work/a.db" 3
    pid_stop "$pid" "$1"
    [ "$status" -eq 0 ]
    log_has a "signal=SIG$1"
    log_has a 'ended, everything is shipped'
    restores "file://$work/replica" 3
}
tap_run sigterm_ships_the_tail tail_is_shipped TERM
tap_run sigint_ships_the_tail tail_is_shipped INT

# On a node whose pods share a user id the 128 inotify instances of that user can be used up.
without_inotify() {
    unshare --user --map-root-user sh -c 'echo 0 >/proc/sys/user/max_inotify_instances' 2>/dev/null ||
        skip "no user namespaces with a limit of their own here"
    mkdir "$work/dir"
    db_make "$work/dir/a.db"
    cat >"$work/c.yml" <<-END
	dbs: [{dir: $work/dir, pattern: '*.db', watch: true, replica: {path: $work/replica}}]
	END
    cat >"$work/confined" <<-END
	#!/bin/sh
	[ "\$1" = inside ] || exec unshare --user --map-root-user "\$0" inside "\$@"
	echo 0 >/proc/sys/user/max_inotify_instances
	shift
	exec $walferry "\$@"
	END
    chmod +x "$work/confined"
    walferry=$work/confined daemon_start a replicate -config "$work/c.yml"
    wait_until "the first object is there" has_objects "$work/replica/a.db" 0 1
    db_insert "$work/dir/a.db" 2
    wait_until "the commit was noticed" has_objects "$work/replica/a.db" 0 2
    log_has a 'msg="commits are noticed by the poll only, each monitor-interval"'
    log_has a 'msg="new databases are found by scanning only, each half minute"'
    log_has a 'fs.inotify.max_user_instances'
    pid_stop "$pid" TERM
    [ "$status" -eq 0 ]
    restores "file://$work/replica/a.db" 2
}
tap_run without_an_inotify_instance_commits_are_noticed_all_the_same without_inotify

unshipped() {
    db_make "$work/a.db"
    cat >"$work/c.yml" <<-END
	shutdown-sync-timeout: $1
	dbs: [{path: $work/a.db, replica: {url: "$away"}}]
	END
    daemon_start a replicate -config "$work/c.yml"
    wait_log a 'error='
    kill -TERM "$pid"
    wait_log a 'signal=SIGTERM is_second=false'
}

unshipped_end() {
    unshipped 300ms
    pid_wait "$pid"
    [ "$status" -eq 1 ]
    log_has a "msg=\"ended with unshipped commits\" databases=1 first=$work/a.db destination=s3"
    log_has a '127.0.0.1'
}
tap_run unshipped_commits_at_the_end_are_exit_status_1_and_told unshipped_end

# In a container (here: with a /dev of its own) the reason is its termination message, too.
termination() {
    unshare -m true 2>/dev/null || skip "no mount namespaces here"
    db_make "$work/a.db"
    mkdir "$work/dev"
    cat >"$work/inside" <<-END
	mount -t tmpfs none $work/dev
	for node in null zero random urandom; do : >$work/dev/\$node; mount --bind /dev/\$node $work/dev/\$node; done
	: >$work/dev/termination-log
	mount --rbind $work/dev /dev
	$walferry "\$@" >$work/log 2>&1
	echo \$? >$work/status
	cp /dev/termination-log $work/message
	END
    cat >"$work/c.yml" <<-END
	shutdown-sync-timeout: 300ms
	dbs: [{path: $work/a.db, replica: {url: "$away"}}]
	END
    unshare -m sh "$work/inside" replicate -exec true -config "$work/c.yml"
    [ "$(cat "$work/status")" -eq 1 ]
    grep -qE "1 database has unshipped commits; first $work/a.db \(s3\): ." "$work/message" ||
        fail "$(cat "$work/message" "$work/log")"
    unshare -m sh "$work/inside" replicate -once "$work/a.db" "$work/replica"
    [ "$(cat "$work/status")" -eq 0 ]
    [ ! -s "$work/message" ] || fail "$(cat "$work/message")"
}
tap_run unshipped_commits_are_the_termination_message termination

second_signal() {
    unshipped 1h
    is_running "$pid"
    pid_stop "$pid" INT
    [ "$status" -eq 1 ]
    log_has a 'signal=SIGINT is_second=true'
}
tap_run a_second_signal_ends_it_at_once second_signal

# ---- S3 ----------------------------------------------------------------------------------------

s3_everything() {
    s3_start versitygw "$work/store" || skip "$s3_missing"
    local url="s3://bucket/app?endpoint=$s3_endpoint"
    # Litestream's variables stand in for Amazon's.
    unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
    export LITESTREAM_ACCESS_KEY_ID=$s3_user LITESTREAM_SECRET_ACCESS_KEY=$s3_secret
    db_make "$work/a.db" 4
    expect 0 replicate -once -force-snapshot "$work/a.db" "$url"
    restores "$url" 4
    expect 0 ltx -level all -json "$url"
    json_is "[o['level'] for o in d] == [0, 9]"
    expect 0 verify -json -drill "$url"
    json_is "d[0]['faults'] == 0 and d[0]['error'] is None"
    # An empty prefix is an answer; a missing bucket is not.
    expect 3 restore -o "$work/b.db" "s3://bucket/other?endpoint=$s3_endpoint"
    expect 3 verify "s3://bucket/other?endpoint=$s3_endpoint"
    expect 2 restore -if-replica-exists -o "$work/b.db" "s3://nobucket/app?endpoint=$s3_endpoint"
    tells 'NoSuchBucket'
    expect 2 verify "s3://nobucket/app?endpoint=$s3_endpoint"
    export AWS_ACCESS_KEY_ID=$s3_user AWS_SECRET_ACCESS_KEY=canary
    expect 1 restore -if-replica-exists -o "$work/b.db" "$url"
    tells 'SignatureDoesNotMatch'
    lacks "$work/err" canary
    [ ! -e "$work/b.db" ]
}
tap_run s3_serves_every_command_and_its_refusals_are_never_no_backup s3_everything

# A file system of 4 MB that really fills up, in a mount namespace of its own.
disk_full() {
    unshare -m true 2>/dev/null || skip "no mount namespaces here"
    mkdir "$work/small"
    cat >"$work/c.yml" <<-END
	dbs:
	  - path: $work/small/a.db
	    monitor-interval: 100ms
	    free-space-reserve: 300KiB
	    replica: {path: $work/replica, sync-interval: 50ms}
	END
    cat >"$work/inside" <<-END
	set -eu
	says() { timeout 60 sh -c "until grep -q '\$1' $work/log; do sleep 0.1; done"; }
	mount -t tmpfs -o size=4m none $work/small
	cd $work/small
	sqlite3 a.db 'PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES (1)' >/dev/null
	$walferry replicate -config $work/c.yml >$work/log 2>&1 &
	says 'msg=attached'
	cat /dev/zero >filler 2>/dev/null || :
	says 'to=disk_full'
	! sqlite3 a.db 'INSERT INTO t VALUES (zeroblob(1000000))' 2>$work/full
	rm filler
	sqlite3 a.db 'INSERT INTO t VALUES (2)' # before anybody looks again
	says 'from=disk_full to=following'
	sqlite3 a.db 'INSERT INTO t VALUES (3)'
	kill -TERM \$!
	wait \$! && echo 0 >$work/status
	sqlite3 a.db .dump >$work/dump
	END
    unshare -m sh "$work/inside" || fail "$(cat "$work/log")"
    [ "$(cat "$work/status")" = 0 ]
    grep -qi full "$work/full"
    expect 0 restore -o "$work/restored.db" "file://$work/replica"
    sqlite3 "$work/restored.db" .dump | diff - "$work/dump"
}
tap_run a_disk_that_is_full_is_left_to_the_application_and_made_up_for_afterwards disk_full

tap_end
