#!/usr/bin/env bash
# walferry replicate as a service: its address, its control socket, folders of databases, validation
# of what lies in the bucket, and that secrets are in nothing that it says.
# shellcheck source=sidecar/command/cli.sh
. "$(dirname "$0")/cli.sh"
tap_need sqlite3 python3 curl

# get PATH [CURL-FLAG...]: from the address; the body is $work/out, the HTTP status is `code`.
get() {
    local path=$1
    shift
    code=$(curl -sS -o "$work/out" -w '%{http_code}' --max-time "$deadline_s" "$@" "http://127.0.0.1:$port$path")
}

# ask PATH [BODY]: from the control socket, by POST if there is a body.
ask() {
    local post=()
    [ $# -lt 2 ] || post=(-X POST -d "$2")
    code=$(curl -s -o "$work/out" -w '%{http_code}' --max-time "$deadline_s" --unix-socket "$work/sock" \
        "${post[@]}" "http://localhost$1")
}

# serve [GLOBALS]: replicates $work/a.db with an address and a control socket.
serve() {
    [ -e "$work/a.db" ] || db_make "$work/a.db"
    cat >"$work/c.yml" <<-END
	addr: "127.0.0.1:0"
	socket: {enabled: true, path: $work/sock}
	${1:-}
	dbs: [{path: $work/a.db, replica: {path: $work/replica, sync-interval: 50ms}}]
	END
    daemon_start a replicate -config "$work/c.yml"
    port=$(daemon_port a)
    wait_until "the first object is there" has_objects "$work/replica" 0 1
}

stop() {
    pid_stop "$pid" TERM
    [ "$status" -eq 0 ] || fail "exit status $status: $(cat "$work/a.log")"
}

# ---- the address -------------------------------------------------------------------------------

address() {
    local path
    serve
    for path in /startupz /healthz /readyz; do
        get $path
        [ "$code" -eq 200 ]
        [ "$(cat "$work/out")" = ok ]
    done
    get /metrics
    [ "$code" -eq 200 ]
    says 'walferry_replication_lag_seconds{'
    lacks "$work/out" litestream_
    get /status
    json_is "d['schema'] == 1 and d['databases'][0]['path'] == '$work/a.db'"
    json_is "d['databases'][0]['destinations'][0]['acknowledged_txid'] == '0000000000000001'"
    get /snapshots
    json_is "d['databases'][0]['destinations'][0]['snapshots'] == []"
    get /
    [ "$code" -eq 200 ]
    says '<html'
    for path in /nothing /list /sync /register /drain /../etc/passwd; do
        get "$path" --path-as-is
        [ "$code" -eq 404 ] || fail "$path: $code"
    done
    get /status -X POST -d '{}'
    [ "$code" -eq 405 ]
    stop
}
tap_run the_address_answers_and_changes_nothing address

metrics_compat() {
    serve 'metrics-compat: litestream'
    get /metrics
    says 'litestream_txid{'
    says 'walferry_acknowledged_txid{'
    stop
}
tap_run litestreams_metrics_are_there_on_request metrics_compat

# version: of the status now.
version() {
    curl -s -o /dev/null -D - --max-time 10 "http://127.0.0.1:$port/status" | sed -n 's/^ETag: "\(.*\)".$/\1/p'
}

# The store goes away while somebody waits, for longer than curl does.
changes() {
    local since waiter
    serve
    since=$(version)
    [[ $since =~ ^[0-9a-f]{16}\.[0-9a-f]{16}$ ]] || fail "version $since"
    curl -sf --max-time 50 "http://127.0.0.1:$port/status/changes?since=$since&seconds=60" >"$work/told" &
    waiter=$!
    mv "$work/replica" "$work/away"
    : >"$work/replica"
    db_insert "$work/a.db" 2
    wait "$waiter" || fail "nothing was told: curl ended with $?"
    [ "$(cut -c 1-16 "$work/told")" != "${since:0:16}" ] || fail "told: $(cat "$work/told")"
    get /status
    json_is "d['databases'][0]['destinations'][0]['state'] == 'backoff'"
    rm "$work/replica"
    mv "$work/away" "$work/replica"
    stop
}
tap_run who_waits_for_a_change_is_told_when_the_store_goes_away changes

address_taken() {
    serve
    db_make "$work/b.db"
    cat >"$work/d.yml" <<-END
	addr: "127.0.0.1:$port"
	dbs: [{path: $work/b.db, replica: {path: $work/replica-b}}]
	END
    local taken=$port
    run replicate -config "$work/d.yml"
    [ "$status" -eq 1 ] || fail "exit status $status"
    tells "listen on 127.0.0.1 port $taken: Address already in use"
    # A word that is no address is a mistake of the configuration.
    sed -i "s/127.0.0.1:$taken/somewhere/" "$work/d.yml"
    expect 2 replicate -config "$work/d.yml"
    tells somewhere
    stop
}
tap_run an_address_that_cannot_be_had_ends_it_at_once address_taken

# ---- the configuration while it runs -----------------------------------------------------------

# configure SYNC_INTERVAL [GLOBALS]: another file takes the name, as in a mounted ConfigMap.
configure() {
    cat >"$work/next.yml" <<-END
	addr: "127.0.0.1:0"
	socket: {enabled: true, path: $work/sock}
	${2:-}
	dbs: [{path: $work/a.db, replica: {path: $work/replica, sync-interval: $1}}]
	END
    mv "$work/next.yml" "$work/c.yml"
}

has_rows() {
    restores "file://$work/replica" "$1"
}

live_interval() {
    serve
    configure 1h
    wait_log a 'configuration has changed'
    db_insert "$work/a.db" 2
    db_insert "$work/a.db" 3
    configure 10ms
    wait_until "both rows are shipped" has_rows 3
    stop
}
tap_run a_changed_interval_takes_effect_at_once live_interval

unshipped_is_seen() {
    ask /status
    python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))["databases"][0]["destinations"][0]
sys.exit(0 if d["lag"]["commits"] > 0 else 1)' "$work/out"
}

live_suspend() {
    serve
    configure 10ms 'suspend: true'
    wait_log a 'suspended=true'
    db_insert "$work/a.db" 2
    wait_until "the commit was noticed" unshipped_is_seen
    has_rows 1
    configure 10ms
    wait_until "the row is shipped" has_rows 2
    stop
}
tap_run what_is_suspended_waits_and_is_shipped_afterwards live_suspend

live_suspended_end() {
    serve 'suspend: false'
    configure 10ms 'suspend: true'
    wait_log a 'suspended=true'
    db_insert "$work/a.db" 2
    stop
    has_rows 2
}
tap_run a_suspended_process_that_ends_ships_what_it_has live_suspended_end

# The store goes away under an object that is being sent. Nothing was committed between the last life and this
# one, which would excuse an end that cannot ask the store, but something since.
end_without_store() {
    app_start app "$work/a.db"
    app_must app insert 1
    serve 'shutdown-sync-timeout: 1s'
    stop
    serve 'shutdown-sync-timeout: 1s'
    wait_until "it is attached" grep -q 'msg=attached.*verdict=continue' "$work/a.log"
    mv "$work/replica" "$work/away"
    : >"$work/replica" # not a folder: nothing can be made there
    app_must app insert 1
    wait_until "the loss is told" grep -q 'destination has lost its objects' "$work/a.log"
    pid_stop "$pid" TERM
    [ "$status" -eq 1 ] || fail "exit status $status: $(cat "$work/a.log")"
    grep -q 'ended with unshipped commits' "$work/a.log"
    app_stop app
}
tap_run an_end_tells_of_the_commit_that_went_with_the_store end_without_store

# Something happens, and is told at the new level.
debug_is_heard() {
    db_insert "$work/a.db" 3
    log_has a 'level=debug'
}

live_mistake() {
    serve
    echo 'levells: []' >>"$work/c.yml"
    wait_log a 'configuration is wrong'
    log_has a levells
    db_insert "$work/a.db" 2
    wait_until "replication goes on" has_rows 2
    configure 10ms 'logging: {level: debug}'
    wait_until "the new level is in effect" debug_is_heard
    stop
}
tap_run a_wrong_file_changes_nothing_and_the_next_one_counts live_mistake

# ---- the control socket ------------------------------------------------------------------------

socket_mode() {
    umask 0
    serve
    [ "$(stat -c %a "$work/sock")" = 600 ]
    stop
    sed -i "s|path: $work/sock|path: $work/sock, permissions: 0660|" "$work/c.yml"
    # What a killed process left behind is no obstacle.
    daemon_start a replicate -config "$work/c.yml"
    wait_log a msg=attached
    [ "$(stat -c %a "$work/sock")" = 660 ]
    pid_stop "$pid" KILL
    [ -e "$work/sock" ]
    daemon_start a replicate -config "$work/c.yml"
    wait_log a msg=attached
    wait_until "it answers" ask /info
    [ "$code" -eq 200 ]
    stop
}
tap_run the_socket_is_the_owners_unless_told_otherwise socket_mode

socket_asked() {
    serve
    ask /info
    json_is "d['pid'] == $pid and d['database_count'] == 1"
    ask /list
    json_is "[(b['path'], b['status']) for b in d['databases']] == [('$work/a.db', 'replicating')]"
    ask "/txid?path=$work/a.db"
    json_is "d == {'txid': 1}"
    db_insert "$work/a.db" 2
    ask /sync "{\"path\": \"$work/a.db\", \"wait\": true, \"timeout\": 10}"
    [ "$code" -eq 200 ]
    json_is "d['replicated_txid'] == 2"
    restores "file://$work/replica" 2
    ask /sync "{\"path\": \"$work/a.db\", \"wait\": true}"
    json_is "d['status'] == 'no_change'"
    ask /status
    json_is "d['is_draining'] is False"
    ask /drain '{}'
    json_is "d == {'status': 'draining'}"
    ask /status
    json_is "d['is_draining'] is True"
    stop
}
tap_run the_socket_tells_syncs_and_drains socket_asked

drain_command() {
    serve
    expect 0 drain -socket "$work/sock"
    says 'draining'
    ask /status
    json_is "d['is_draining'] is True"
    stop
    expect 1 drain -socket "$work/sock"
    tells "$work/sock"
    tells 'Hint: is walferry replicating'
}
tap_run the_command_drain_asks_at_the_socket drain_command

socket_register() {
    serve
    db_make "$work/b.db" 3
    local body="{\"path\": \"$work/b.db\", \"replica_url\": \"file://$work/replica-b\"}"
    ask /register "$body"
    [ "$code" -eq 200 ]
    json_is "d == {'status': 'registered', 'path': '$work/b.db'}"
    ask /register "$body"
    json_is "d['status'] == 'already_registered'"
    ask /sync "{\"path\": \"$work/b.db\", \"wait\": true}"
    [ "$code" -eq 200 ]
    restores "file://$work/replica-b" 3
    ask /register "{\"path\": \"$work/d.db\", \"replica_url\": \"file://$work/replica\"}"
    [ "$code" -eq 400 ]
    json_is "'is used by two databases' in d['details']"
    # What was registered counts, too.
    ask /register "{\"path\": \"$work/d.db\", \"replica_url\": \"file://$work/replica-b/\"}"
    [ "$code" -eq 400 ]
    json_is "'is used by two databases: $work/b.db' in d['details']"
    [ ! -e "$work/.d.db-walferry" ]
    ask /register "{\"path\": \"$work/d.db\", \"replica_url\": \"file://$work/replica-d\"}"
    [ "$code" -eq 200 ]
    stop
}
tap_run a_database_is_registered_at_run_time socket_register

socket_mistakes() {
    serve
    ask /sync "{\"path\": \"$work/none.db\"}"
    [ "$code" -eq 404 ]
    ask /sync '{"path": '
    [ "$code" -eq 400 ]
    ask /sync '{}'
    [ "$code" -eq 400 ]
    json_is "d['error'] == 'path required'"
    ask "/txid?path=$work/none.db"
    [ "$code" -eq 404 ]
    ask /register "{\"path\": \"$work/b.db\", \"replica_url\": \"gs://bucket/app\"}"
    [ "$code" -eq 501 ]
    json_is "'gs' in d['details']"
    ask /unregister '{}'
    [ "$code" -eq 404 ]
    get /healthz
    [ "$code" -eq 200 ]
    stop
}
tap_run mistakes_at_the_socket_are_answered_and_harm_nothing socket_mistakes

# ---- folders -----------------------------------------------------------------------------------

folder() {
    mkdir -p "$work/tenants/deep"
    db_make "$work/tenants/a.db" 2
    cat >"$work/c.yml" <<-END
	dbs:
	  - {dir: $work/tenants, pattern: "*.db", watch: true, recursive: true,
	     replica: {path: $work/replica, sync-interval: 50ms}}
	END
    daemon_start a replicate -config "$work/c.yml"
    wait_until "what was there is replicated" has_objects "$work/replica/a.db" 0 1
    db_make "$work/tenants/b.db" 3
    echo 'no database' >"$work/tenants/c.db"
    wait_until "what came later is replicated" restores "file://$work/replica/b.db" 3
    mv "$work/tenants/c.db" "$work/tenants/c.txt"
    db_insert "$work/tenants/b.db" 4
    wait_until "its commits are, too" restores "file://$work/replica/b.db" 4
    [ ! -e "$work/replica/c.db" ]
    stop
}
tap_run a_database_that_appears_in_a_folder_later_is_taken_up folder

# folder_configure [GLOBALS]: as configure(), of a folder.
folder_configure() {
    cat >"$work/next.yml" <<-END
	addr: "127.0.0.1:0"
	socket: {enabled: true, path: $work/sock}
	${1:-}
	dbs: [{dir: $work/tenants, pattern: "*.db", watch: true, replica: {path: $work/replica, sync-interval: 10ms}}]
	END
    mv "$work/next.yml" "$work/c.yml"
}
folder_is_suspended() { grep -q 'configuration has changed.*destinations=1 suspended=true' "$work/a.log"; }
b_is_seen() {
    ask /status
    python3 -c 'import json, sys
d = {b["path"]: b for b in json.load(open(sys.argv[1]))["databases"]}
sys.exit(0 if any(p.endswith("/b.db") and b["state"] == "following" for p, b in d.items()) else 1)' "$work/out"
}

folder_live() {
    mkdir -p "$work/tenants"
    db_make "$work/tenants/a.db" 1
    folder_configure
    daemon_start a replicate -config "$work/c.yml"
    wait_until "what was there is replicated" restores "file://$work/replica/a.db" 1
    folder_configure 'suspend: true'
    wait_until "it is suspended" folder_is_suspended
    db_insert "$work/tenants/a.db" 2
    db_make "$work/tenants/b.db" 3
    wait_until "what came later is followed" b_is_seen
    restores "file://$work/replica/a.db" 1
    [ ! -e "$work/replica/b.db" ] || [ -z "$(find "$work/replica/b.db" -name '*.ltx')" ]
    folder_configure
    wait_until "the row is shipped" restores "file://$work/replica/a.db" 2
    wait_until "and the later database" restores "file://$work/replica/b.db" 3
    stop
}
tap_run a_folder_is_suspended_and_resumed_while_it_runs folder_live

folder_empty() {
    mkdir "$work/tenants"
    cat >"$work/c.yml" <<-END
	dbs: [{dir: $work/tenants, pattern: "*.db", replica: {path: $work/replica}}]
	END
    expect 2 replicate -config "$work/c.yml"
    tells "no database matches \"*.db\""
    sed -i 's/pattern/watch: true, pattern/' "$work/c.yml"
    expect 0 replicate -once -config "$work/c.yml"
    sed -i "s|$work/tenants|$work/none|" "$work/c.yml"
    run replicate -once -config "$work/c.yml"
    [ "$status" -ne 0 ]
    tells "$work/none"
}
tap_run an_empty_folder_is_a_mistake_unless_it_is_watched folder_empty

# ---- validation --------------------------------------------------------------------------------

validation() {
    db_make "$work/a.db"
    cat >"$work/c.yml" <<-END
	addr: "127.0.0.1:0"
	dbs:
	  - path: $work/a.db
	    replica: {path: $work/replica, sync-interval: 50ms, validation-interval: 200ms}
	END
    daemon_start a replicate -config "$work/c.yml"
    local row
    for row in 2 3; do
        wait_until "object $((row - 1)) is there" has_objects "$work/replica" 0 $((row - 1))
        db_insert "$work/a.db" "$row"
    done
    wait_until "object 3 is there" has_objects "$work/replica" 0 3
    rm "$(object "$work/replica" 0 2)"
    wait_log a 'replica is not whole'
    log_has a 'are missing'
    wait_until "a snapshot is written" has_objects "$work/replica" 9 1
    wait_until "the replica restores again" restores "file://$work/replica" 3
    stop
}
tap_run what_is_deleted_behind_our_back_is_told_and_healed_by_a_snapshot validation

# ---- secrets -----------------------------------------------------------------------------------

# Everything that is said, with all there is to say it: no canary may be in it.
secrets() {
    local i=0 path
    mkdir -p "$work/said"
    s3_secret=canary0secret
    s3_start versitygw "$work/store" || skip "$s3_missing"
    db_make "$work/a.db"
    cat >"$work/c.yml" <<-END
	addr: "127.0.0.1:0"
	socket: {enabled: true, path: $work/sock}
	metrics-compat: litestream
	logging: {level: trace}
	shutdown-sync-timeout: 300ms
	dbs:
	  - path: $work/a.db
	    replicas:
	      - {name: good, bucket: bucket, path: app, type: s3, endpoint: "$s3_endpoint",
	         region: us-east-1, access-key-id: $s3_user, secret-access-key: $s3_secret}
	      - {name: bad, url: "s3://bucket/bad?endpoint=$s3_endpoint", region: us-east-1,
	         access-key-id: $s3_user, secret-access-key: canary1wrong}
	      - {name: token, url: "s3://bucket/token?endpoint=$s3_endpoint", region: us-east-1,
	         access-key-id: $s3_user, secret-access-key: canary2wrong, session-token: canary3token}
	END
    daemon_start a replicate -config "$work/c.yml"
    port=$(daemon_port a)
    wait_log a 'destination=good'
    wait_log a 'SignatureDoesNotMatch'
    wait_until "the first object is there" \
        "$walferry" restore -o "$work/r.db" -replica good -config "$work/c.yml" "$work/a.db"
    for path in / /metrics /status /readyz /startupz; do
        get "$path"
        i=$((i + 1))
        mv "$work/out" "$work/said/get$i"
    done
    for path in /info /list /status /metrics "/txid?path=$work/a.db"; do
        ask "$path"
        i=$((i + 1))
        mv "$work/out" "$work/said/ask$i"
    done
    pid_stop "$pid" TERM
    [ "$status" -eq 1 ]
    cp "$work/a.log" "$work/said"
    for path in "restore -force -o $work/r.db" "restore -force -replica bad -o $work/r.db" \
        "verify -json" "ltx -replica token" status; do
        # shellcheck disable=SC2086 # words of a command line
        run ${path%% *} -config "$work/c.yml" ${path#"${path%% *}"} "$work/a.db"
        i=$((i + 1))
        cat "$work/out" "$work/err" >"$work/said/run$i"
    done
    [ "$(grep -c . "$work/said/a.log")" -gt 10 ]
    ! grep -rn canary "$work/said" || fail "a secret was told"
    # Nor is it in what is kept beside the database or sent to the store.
    ! grep -rlc canary "$work/.a.db-walferry" "$work/store" || fail "a secret was written"
}
tap_run secrets_are_in_no_output_at_any_log_level secrets

# A destination that becomes one that is only read while it is replicated to: not even the end writes.
turned_read_only() {
    local before
    serve 'shutdown-sync-timeout: 1s'
    before=$(find "$work/replica" -type f | sort)
    sed -i 's/sync-interval: 50ms/sync-interval: never/' "$work/c.yml"
    wait_log a 'configuration has changed'
    db_insert "$work/a.db" 2
    pid_stop "$pid" TERM
    [ "$status" -eq 1 ] # what was committed has not reached a destination, and that is told
    log_has a 'is only read: nothing is written to it'
    [ "$(find "$work/replica" -type f | sort)" = "$before" ]
}
tap_run a_destination_that_becomes_only_read_is_not_written_to_any_more turned_read_only

tap_end
