#!/usr/bin/env bash
# walferry replicate -exec: the application as a child. Its exit status is ours, signals reach it,
# what it commits last is shipped, and as process number 1 nobody's orphans are left behind.
# shellcheck source=sidecar/command/cli.sh
. "$(dirname "$0")/cli.sh"
tap_need sqlite3

# replicate_exec COMMAND [FLAG...]: with a database of one row; `status` is how it ended.
replicate_exec() {
    local command=$1
    shift
    [ -e "$work/a.db" ] || db_make "$work/a.db"
    run replicate "$@" -exec "$command" "$work/a.db" "$work/replica"
}

# app_write NAME: standard input becomes an executable shell script $work/NAME.
app_write() {
    { echo '#!/bin/bash' && cat; } >"$work/$1"
    chmod +x "$work/$1"
}

# ---- its exit status ---------------------------------------------------------------------------

statuses() {
    local wanted
    for wanted in 0 1 3 7 255; do
        replicate_exec "sh -c 'exit $wanted'"
        [ "$status" -eq "$wanted" ] || fail "exit status $status, not $wanted"
        tells "msg=\"application ended\" status=$wanted"
        tells 'ended, everything is shipped'
    done
}
tap_run the_exit_status_of_the_child_is_ours statuses

killed() {
    local signal
    for signal in 1 9 11 15; do
        replicate_exec "sh -c 'kill -$signal \$\$'"
        [ "$status" -eq $((128 + signal)) ] || fail "signal $signal: exit status $status"
    done
    restores "file://$work/replica" 1
}
tap_run a_child_that_a_signal_ended_is_128_and_the_signal killed

not_started() {
    local began
    began=$(now_ms)
    replicate_exec "$work/no-such-program"
    [ "$status" -eq 1 ]
    tells "-exec: start $work/no-such-program: No such file or directory"
    : >"$work/plain"
    replicate_exec "$work/plain"
    [ "$status" -eq 1 ]
    tells "$work/plain"
    replicate_exec 'app | tee log'
    [ "$status" -eq 2 ]
    tells 'unquoted |'
    replicate_exec "app 'half"
    [ "$status" -eq 2 ]
    replicate_exec ''
    [ "$status" -eq 2 ]
    [ $(($(now_ms) - began)) -lt 20000 ]
}
tap_run a_child_that_cannot_be_started_ends_it_with_its_name not_started

unshipped() {
    db_make "$work/a.db"
    cat >"$work/c.yml" <<-END
	shutdown-sync-timeout: 300ms
	exec: "sh -c 'exit \$STATUS'"
	dbs: [{path: $work/a.db, replica: {url: "s3://bucket/app?endpoint=http://127.0.0.1:1"}}]
	END
    export AWS_ACCESS_KEY_ID=AKID AWS_SECRET_ACCESS_KEY=secret
    STATUS=0 expect 1 replicate -config "$work/c.yml"
    tells 'ended with unshipped commits'
    STATUS=9 expect 9 replicate -config "$work/c.yml"
    tells 'ended with unshipped commits'
}
tap_run unshipped_commits_are_exit_status_1_unless_the_child_has_its_own unshipped

# ---- what it is given --------------------------------------------------------------------------

command_line() {
    app_write app <<-'END'
	printf '<%s>' "$@" >"${0%/*}/arguments"
	echo "to stdout"
	cat >"${0%/*}/stdin"
	END
    replicate_exec "$work/app one 'two  three' \"four \\\" five\" six\\ seven \$HOME *"
    [ "$status" -eq 0 ]
    # shellcheck disable=SC2016 # literally
    [ "$(cat "$work/arguments")" = '<one><two  three><four " five><six seven><$HOME><*>' ]
    [ "$(cat "$work/out")" = 'to stdout' ]
}
tap_run the_command_is_split_like_a_shell_does_without_its_expansions command_line

descriptors() {
    app_write app <<-'END'
	for fd in /proc/self/fd/*; do echo "$fd $(readlink "$fd")"; done >"${0%/*}/descriptors"
	END
    replicate_exec "$work/app"
    [ "$status" -eq 0 ]
    lacks "$work/descriptors" 'a.db'
    lacks "$work/descriptors" 'anon_inode'
}
tap_run the_child_gets_no_descriptor_of_ours descriptors

config_exec() {
    db_make "$work/a.db"
    cat >"$work/c.yml" <<-END
	exec: "sh -c 'exit 4'"
	dbs: [{path: $work/a.db, replica: {path: $work/replica}}]
	END
    expect 4 replicate -config "$work/c.yml"
    expect 5 replicate -config "$work/c.yml" -exec "sh -c 'exit 5'"
    expect 0 replicate -config "$work/c.yml" -once
    lacks "$work/err" 'application ended'
}
tap_run the_configuration_may_name_it_and_the_flag_outweighs_that config_exec

restored_first() {
    replica_make "$work/replica" 3
    rm -rf "$work"/made.db* "$work"/.made.db-walferry
    run replicate -restore-if-db-not-exists \
        -exec "sqlite3 $work/made.db 'SELECT count(*) FROM t'" "$work/made.db" "$work/replica"
    [ "$status" -eq 0 ]
    [ "$(cat "$work/out")" = 3 ]
}
tap_run a_missing_database_is_restored_before_the_child_starts restored_first

# ---- commits until the end ---------------------------------------------------------------------

commits() {
    app_write app <<-END
	for i in 2 3 4 5; do sqlite3 -cmd '.timeout 5000' $work/a.db "INSERT INTO t VALUES (\$i)"; done
	END
    replicate_exec "$work/app"
    [ "$status" -eq 0 ]
    restores "file://$work/replica" 5
}
tap_run what_the_child_committed_is_shipped_when_it_ends commits

# app_start [FLAG...]: an application that commits a row when it is told to end, and says so by
# exit status 5.
app_begin() {
    db_make "$work/a.db"
    app_write app <<-END
	finish() {
	    sqlite3 -cmd '.timeout 5000' $work/a.db "INSERT INTO t VALUES ('\$1')"
	    exit 5
	}
	for signal in TERM INT QUIT; do trap "finish \$signal" \$signal; done
	for signal in HUP USR1 USR2; do trap "echo \$signal >>$work/passed" \$signal; done
	echo \$\$ >$work/app.pid
	while :; do sleep 0.05; done
	END
    daemon_start a replicate -exec "$work/app" "$work/a.db" "$work/replica"
    wait_until "the application runs" [ -s "$work/app.pid" ]
    wait_log a 'msg=attached'
}

forwarded() {
    app_begin
    pid_stop "$pid" "$1"
    [ "$status" -eq 5 ] || fail "exit status $status"
    log_has a "signal=SIG$1"
    restores "file://$work/replica" 2
    [ "$(db_ask "$work/restored.db" 'SELECT max(rowid), x FROM t')" = "2|$1" ]
}
tap_run sigterm_reaches_the_child_and_its_last_commit_is_shipped forwarded TERM
tap_run sigint_reaches_the_child_and_its_last_commit_is_shipped forwarded INT

passed_on() {
    local signal
    app_begin
    for signal in HUP USR1 USR2; do
        kill "-$signal" "$pid"
        wait_until "SIG$signal reaches the application" grep -qs "$signal" "$work/passed"
    done
    is_running "$pid"
    pid_stop "$pid" TERM
    [ "$status" -eq 5 ]
}
tap_run signals_that_are_the_applications_business_are_passed_on passed_on

second_signal() {
    local app
    db_make "$work/a.db"
    app_write app <<-END
	trap '' TERM
	echo \$\$ >$work/app.pid
	while :; do sleep 0.05; done
	END
    daemon_start a replicate -exec "$work/app" "$work/a.db" "$work/replica"
    wait_until "the application runs" [ -s "$work/app.pid" ]
    app=$(cat "$work/app.pid")
    kill -TERM "$pid"
    wait_log a 'signal=SIGTERM is_second=false'
    is_running "$app"
    pid_stop "$pid" TERM
    [ "$status" -eq 1 ]
    wait_until "the application is gone" is_gone "$app"
}
tap_run a_second_signal_ends_it_and_the_child_at_once second_signal

# ---- as process number 1 -----------------------------------------------------------------------

# The application leaves orphans behind; its status is 0 when all have ended and none is a zombie.
zombies() {
    unshare -pf --mount-proc true 2>/dev/null || skip "no process namespaces here"
    db_make "$work/a.db"
    app_write app <<-END
	for i in 1 2 3 4 5; do
	    (setsid sh -c "sleep 0.0\$i; : >$work/orphan.\$i" &)
	done
	[ "\$PPID" -eq 1 ] || exit 2
	for ((try = 0; try < 200; try++)); do
	    zombies=\$(cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z ')
	    [ -e $work/orphan.1 ] && [ -e $work/orphan.5 ] && [ "\$zombies" -eq 0 ] && exit 0
	    sleep 0.05
	done
	exit 3
	END
    status=0
    timeout -k 2 "$deadline_s" unshare -pf --mount-proc "$walferry" replicate -exec "$work/app" \
        "$work/a.db" "$work/replica" >"$work/out" 2>"$work/err" </dev/null || status=$?
    [ "$status" -eq 0 ] || fail "exit status $status: $(cat "$work/err")"
    restores "file://$work/replica" 1
}
tap_run as_process_number_1_it_leaves_no_zombies zombies

tap_end
