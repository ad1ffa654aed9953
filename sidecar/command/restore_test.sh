#!/usr/bin/env bash
# walferry restore, ltx, status and reset on the command line. (What a restore does inside is tested
# in sidecar/restore.)
# shellcheck source=sidecar/command/cli.sh
. "$(dirname "$0")/cli.sh"
tap_need sqlite3 python3

quirk_proxy=$root/build/$variant/e2e/tools/quirk_proxy

txid() {
    printf '%016x' "$1"
}

# ---- restore -----------------------------------------------------------------------------------

to_txid() {
    replica_make "$work/replica" 4
    local i
    for i in 1 2 3 4; do
        expect 0 restore -txid "$(txid "$i")" -o "$work/$i.db" "file://$work/replica"
        [ "$(db_count "$work/$i.db")" -eq "$i" ]
        says "TXID $(txid "$i")"
    done
    expect 2 restore -txid "$(txid 9)" -o "$work/9.db" "file://$work/replica"
    tells "TXID $(txid 9) is beyond the newest state"
    [ ! -e "$work/9.db" ]
}
tap_run restores_to_each_txid_and_refuses_one_that_never_was to_txid

several() {
    replica_make "$work/a" 2
    rm "$work"/made.db*
    replica_make "$work/b" 3
    cat >"$work/config.yml" <<-END
	dbs:
	  - {path: $work/new/a.db, replica: {url: "file://$work/a"}}
	  - {path: $work/new/b.db, replica: {url: "file://$work/b"}}
	  - {path: $work/new/c.db, replica: {url: "file://$work/nothing"}}
	END
    mkdir "$work/new"
    expect 0 restore -config "$work/config.yml" "$work/new/a.db" "$work/new/b.db"
    [ "$(db_count "$work/new/a.db")" -eq 2 ] && [ "$(db_count "$work/new/b.db")" -eq 3 ]
    rm "$work/new/a.db" "$work/new/b.db"
    expect 0 restore -config "$work/config.yml" -if-db-not-exists -if-replica-exists \
        "$work/new/c.db" "$work/new/b.db"
    [ ! -e "$work/new/c.db" ] && [ "$(db_count "$work/new/b.db")" -eq 3 ]
    # The first without a backup is the last that is looked at.
    expect 3 restore -config "$work/config.yml" "$work/new/c.db" "$work/new/a.db"
    [ ! -e "$work/new/a.db" ]
    expect 2 restore -config "$work/config.yml" -o "$work/x.db" "$work/new/a.db" "$work/new/b.db"
    tells "are for one database"
}
tap_run restores_several_databases_in_turn several

to_timestamp() {
    replica_make "$work/replica" 3
    local before between
    before=$(date -u -d '1 hour ago' +%Y-%m-%dT%H:%M:%SZ)
    between=$(python3 -c 'import json, sys
print(sorted((o["max_txid"], o["timestamp"]) for o in json.load(sys.stdin))[1][1])' \
        < <("$walferry" ltx -json "file://$work/replica"))
    expect 0 restore -timestamp "$between" -o "$work/2.db" "file://$work/replica"
    [ "$(db_count "$work/2.db")" -eq 2 ] ||
        fail "$between is $(db_count "$work/2.db") rows: $("$walferry" ltx -level all "file://$work/replica")"
    expect 0 restore -timestamp 2099-01-01T00:00:00Z -o "$work/3.db" "file://$work/replica"
    [ "$(db_count "$work/3.db")" -eq 3 ]
    run restore -timestamp "$before" -o "$work/0.db" "file://$work/replica"
    [ "$status" -ne 0 ]
    tells "$work/0.db"
    [ ! -e "$work/0.db" ]
}
tap_run restores_to_the_last_boundary_before_a_moment to_timestamp

# A store whose answers are cut in the middle, twelve times in a row; ten tries without progress would
# be the end. So only who goes on where it was cut gets through.
cut_downloads() {
    s3_start versitygw "$work/store" || skip "$s3_missing"
    export AWS_ACCESS_KEY_ID=$s3_user AWS_SECRET_ACCESS_KEY=$s3_secret
    db_make "$work/a.db"
    sqlite3 "$work/a.db" 'CREATE TABLE noise (x); INSERT INTO noise VALUES (randomblob(3000000))'
    expect 0 replicate -once "$work/a.db" "s3://bucket/app?endpoint=$s3_endpoint"
    mkfifo "$work/orders" "$work/answers"
    spawn "$work/proxy.log" sh -c "exec '$quirk_proxy' '${s3_endpoint##*:}' <'$work/orders' >'$work/answers'"
    local orders answers port cut
    exec {orders}>"$work/orders" {answers}<"$work/answers"
    read -r -t "$deadline_s" -u "$answers" _ port
    echo 'truncate 12 GET .ltx' >&"$orders"
    read -r -t "$deadline_s" -u "$answers" _
    expect 0 restore -parallelism 1 -o "$work/b.db" "s3://bucket/app?endpoint=http://127.0.0.1:$port"
    echo count >&"$orders"
    read -r -t "$deadline_s" -u "$answers" _ _ cut
    [ "$cut" -eq 12 ] || fail "$cut answers were cut"
    exec {orders}>&- {answers}<&-
    pages_equal "$work/a.db" "$work/b.db"
}
tap_run a_broken_download_goes_on_at_its_offset cut_downloads

# At a terminal a line tells how far it is, and is gone at the end; elsewhere there is none.
progress() {
    replica_make "$work/replica" 2
    python3 - "$walferry" restore -o "$work/a.db" "file://$work/replica" >"$work/said" <<-'END'
	import os, pty, sys
	status = os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:]))
	sys.exit(status)
	END
    grep -qE '[0-9.]+ of [0-9.]+ MB, [0-9]+ of 2 pages' "$work/said" || fail "$(cat -v "$work/said")"
    grep -q 'restored ' "$work/said"
    expect 0 restore -o "$work/b.db" "file://$work/replica"
    lacks "$work/err" ' MB, '
    [ "$(wc -l <"$work/out")" -eq 1 ]
}
tap_run progress_is_told_at_a_terminal_only progress

# As replicate takes it, a folder needs no scheme.
folder() {
    replica_make "$work/replica" 2
    expect 0 restore -o "$work/a.db" "$work/replica"
    [ "$(db_count "$work/a.db")" -eq 2 ]
    expect 0 ltx -level all "$work/replica"
    says "$(txid 2)"
    expect 0 verify "$work/replica"
    expect 2 restore -o "$work/b.db" "$work/replicas"
    tells 'file:///folder'
}
tap_run a_folder_that_is_there_is_a_replica folder

as_json() {
    replica_make "$work/replica" 2
    expect 0 restore -json -integrity-check full -o "$work/a.db" "file://$work/replica"
    json_is "d['outcome'] == 'restored' and d['db_path'] == '$work/a.db' and d['replica'] == 'file'"
    json_is "d['txid'] == '$(txid 2)' and d['page_size'] == 4096 and d['page_count'] == 2"
    json_is "d['source'] == 'file://$work/replica' and d['integrity_check'] == 'full'"
    json_is "{'timestamp', 'duration_ms', 'bytes', 'db_checksum', 'db_checksum_recorded'} <= set(d)"
    [ ! -s "$work/err" ]
    expect 0 restore -json -if-db-not-exists -o "$work/a.db" "file://$work/replica"
    json_is "d['outcome'] == 'db_exists' and d['txid'] is None"
    expect 0 restore -json -if-replica-exists -o "$work/b.db" "file://$work/nothing"
    json_is "d['outcome'] == 'no_backup' and d['source'] is None"
    expect 3 restore -json -o "$work/b.db" "file://$work/nothing"
    json_is "d['outcome'] == 'no_backup'"
    expect 0 restore -json -dry-run -o "$work/b.db" "file://$work/replica"
    json_is "d['outcome'] == 'planned' and [f['level'] for f in d['files']] == [0, 0]"
    json_is "set(d['files'][0]) == {'level', 'name', 'min_txid', 'max_txid', 'size', 'timestamp'}"
    [ ! -e "$work/b.db" ]
}
tap_run json_tells_the_outcome as_json

existing() {
    replica_make "$work/replica" 3
    db_make "$work/a.db" 9
    expect 1 restore -o "$work/a.db" "file://$work/replica"
    tells '-force'
    [ "$(db_count "$work/a.db")" -eq 9 ]
    object_damage "$(object "$work/replica" 0 3)"
    expect 4 restore -force -o "$work/a.db" "file://$work/replica"
    [ "$(db_count "$work/a.db")" -eq 9 ]
    expect 0 restore -force -txid "$(txid 2)" -o "$work/a.db" "file://$work/replica"
    [ "$(db_count "$work/a.db")" -eq 2 ]
}
tap_run an_existing_database_is_replaced_by_force_and_only_by_a_proven_one existing

roll_forward() {
    cat >"$work/c.yml" <<-END
	dbs: [{path: $work/made.db, replica: {path: $work/replica}}]
	END
    replica_make "$work/replica" 2
    mkdir "$work/old"
    cp -a "$work"/made.db* "$work"/.made.db-walferry "$work/old"
    db_insert "$work/made.db" 3
    expect 0 replicate -once "$work/made.db" "$work/replica"
    rm -rf "$work"/made.db* "$work"/.made.db-walferry
    cp -a "$work"/old/. "$work"
    expect 0 restore -roll-forward -config "$work/c.yml" "$work/made.db"
    [ "$(db_count "$work/made.db")" -eq 3 ]
    expect 0 restore -roll-forward -config "$work/c.yml" "$work/made.db"
    says 'up to date'
    # Replication goes on without a word of refusal.
    db_insert "$work/made.db" 4
    expect 0 replicate -once "$work/made.db" "$work/replica"
    restores "file://$work/replica" 4
}
tap_run an_older_state_is_rolled_forward roll_forward

configured() {
    replica_make "$work/r1" 3
    cat >"$work/c.yml" <<-END
	dbs:
	  - path: $work/made.db
	    replicas: [{name: one, path: $work/r1}, {name: two, path: $work/r2}]
	END
    expect 0 replicate -once -config "$work/c.yml"
    rm -rf "$work"/made.db* "$work"/.made.db-walferry
    expect 2 restore -config "$work/c.yml" -replica three "$work/made.db"
    tells three
    expect 0 restore -config "$work/c.yml" -replica two "$work/made.db"
    says "file://$work/r2"
    [ "$(db_count "$work/made.db")" -eq 3 ]
    # Restored to its own path it may go on, to both.
    expect 0 replicate -once -config "$work/c.yml"
    db_insert "$work/made.db" 4
    expect 0 replicate -once -config "$work/c.yml"
    lacks "$work/err" 'level=error'
    restores "file://$work/r2" 4
    # The first destination is lost: the second serves.
    rm -r "$work/r1"
    expect 0 restore -config "$work/c.yml" -o "$work/b.db" "$work/made.db"
    [ "$(db_count "$work/b.db")" -eq 4 ]
    expect 2 restore -config "$work/c.yml" "$work/other.db"
    tells "has no database $work/other.db"
}
tap_run a_configured_database_is_restored_from_a_chosen_or_any_destination configured

# Somebody else's replica as a source: a first start comes from there, and nothing is ever written.
source_only() {
    replica_make "$work/theirs" 3
    db_remove "$work/made.db"
    rm -rf "$work/.made.db-walferry"
    find "$work/theirs" -type f -exec sha256sum {} + | sort >"$work/before"
    cat >"$work/c.yml" <<-END
	dbs:
	  - path: $work/made.db
	    replicas: [{name: production, path: $work/theirs, sync-interval: never}, {name: own, path: $work/own}]
	END
    # An own destination that cannot be asked is no empty one.
    touch "$work/own"
    run restore -config "$work/c.yml" "$work/made.db"
    [ "$status" -ne 0 ] && [ ! -e "$work/made.db" ]
    rm "$work/own"
    expect 0 restore -config "$work/c.yml" "$work/made.db"
    says "file://$work/theirs"
    [ ! -e "$work/.made.db-walferry/production.map" ]
    db_insert "$work/made.db" 4
    expect 0 replicate -once -config "$work/c.yml"
    restores "file://$work/own" 4
    # From then on its own history counts, wherever theirs goes.
    expect 0 restore -roll-forward -if-db-not-exists -config "$work/c.yml" "$work/made.db"
    db_remove "$work/made.db"
    expect 0 restore -config "$work/c.yml" "$work/made.db"
    says "file://$work/own"
    # A probe asks, and leaves nothing; rewinding and deleting are for the own one.
    expect 0 probe -json -replica production -config "$work/c.yml" "$work/made.db"
    json_is "d[0]['reason'] == 'ReadOnly' and d[0]['steps']['create'] == 'not tried'"
    mkdir "$work/scratch"
    expect 2 rewind -replica production -txid "$(txid 1)" -work-folder "$work/scratch" -config "$work/c.yml" "$work/made.db"
    expect 0 rewind -txid "$(txid 1)" -work-folder "$work/scratch" -config "$work/c.yml" "$work/made.db"
    sed -i 's/, {name: own.*}]/]/' "$work/c.yml"
    expect 2 replicate -once -config "$work/c.yml"
    tells "has no destination that is written to"
    expect 2 rewind -txid "$(txid 1)" -work-folder "$work/scratch" -config "$work/c.yml" "$work/made.db"
    expect 0 verify -drill -config "$work/c.yml" "$work/made.db"
    find "$work/theirs" -type f -exec sha256sum {} + | sort | diff "$work/before" -
}
tap_run a_source_is_restored_from_and_never_written_to source_only

directory_mode() {
    mkdir -p "$work/tenants/deep"
    db_make "$work/tenants/a.db" 2
    db_make "$work/tenants/deep/b.db" 3
    cat >"$work/c.yml" <<-END
	dbs:
	  - {dir: $work/tenants, pattern: "*.db", recursive: true, replica: {path: $work/replica}}
	END
    expect 0 replicate -once -config "$work/c.yml"
    expect 0 ltx -json -config "$work/c.yml" "$work/tenants/deep/b.db"
    json_is 'len(d) == 1'
    expect 0 verify -config "$work/c.yml" "$work/tenants/a.db"
    rm -rf "$work/tenants"
    mkdir -p "$work/tenants/deep"
    expect 0 restore -config "$work/c.yml" "$work/tenants/deep/b.db"
    [ "$(db_count "$work/tenants/deep/b.db")" -eq 3 ]
    expect 3 restore -config "$work/c.yml" "$work/tenants/never.db"
    expect 2 restore -config "$work/c.yml" "$work/tenants/a.txt"
    tells "has no database $work/tenants/a.txt"
    sed -i 's/recursive: true, //' "$work/c.yml"
    expect 2 restore -config "$work/c.yml" "$work/tenants/deep/c.db"
}
tap_run a_database_of_a_folder_is_restored_by_its_path directory_mode

nothing_left() {
    replica_make "$work/replica"
    object_damage "$(object "$work/replica" 0 1)"
    mkdir "$work/out.d"
    expect 4 restore -o "$work/out.d/a.db" "file://$work/replica"
    [ -z "$(ls -A "$work/out.d")" ]
}
tap_run a_failed_restore_leaves_nothing_behind nothing_left

interrupted() {
    command -v strace >/dev/null || skip "no strace"
    replica_make "$work/replica"
    # Its first write is held up for a minute; the signal comes before that.
    spawn "$work/strace.log" strace -f -o /dev/null -e trace=pwrite64 \
        -e inject=pwrite64:delay_enter=60000000 \
        "$walferry" restore -o "$work/a.db" "file://$work/replica"
    local child
    wait_until "the restore runs" [ -e "$work/a.db.tmp" ]
    child=$(pgrep -P "$pid" | head -n 1)
    kill -KILL "$child"
    pid_stop "$pid" KILL
    wait_until "it is gone" is_gone "$child"
    [ ! -e "$work/a.db" ]
    expect 0 restore -o "$work/a.db" "file://$work/replica"
    [ "$(db_count "$work/a.db")" -eq 1 ]
}
tap_run a_killed_restore_leaves_no_database_and_does_not_hinder_the_next interrupted

# What a fenced writer could not ship is listed and can be had.
has_kept() {
    [ -n "$(find "$1/fenced" -name '*.ltx' 2>/dev/null)" ]
}

fenced() {
    local kept
    db_make "$work/a.db" 2
    daemon_start a replicate "$work/a.db" "$work/replica"
    wait_until "the first object is there" has_objects "$work/replica" 0 1
    db_make "$work/b.db" 5
    expect 0 replicate -once -adopt "$work/b.db" "$work/replica"
    db_insert "$work/a.db" 3
    wait_log a 'fenced by another writer'
    wait_until "its pages are kept" has_kept "$work/replica"
    pid_stop "$pid" TERM
    [ "$status" -eq 5 ]
    kept=$(basename "$work"/replica/fenced/*)
    expect 0 ltx -level all "file://$work/replica"
    says "$kept"
    restores "file://$work/replica" 5
    expect 0 restore -fenced "$kept" -o "$work/lost.db" "file://$work/replica"
    [ "$(db_count "$work/lost.db")" -eq 3 ]
    expect 2 restore -fenced 00000009-00000000 -o "$work/none.db" "file://$work/replica"
    tells 'no fenced writer 00000009-00000000 left anything here'
    [ ! -e "$work/none.db" ]
    expect 2 restore -fenced nobody -o "$work/none.db" "file://$work/replica"
    tells nobody
}
tap_run what_a_fenced_writer_left_is_listed_and_restored fenced

# ---- ltx ---------------------------------------------------------------------------------------

ltx() {
    replica_make "$work/replica" 2
    expect 0 replicate -once -force-snapshot "$work/made.db" "$work/replica"
    expect 0 ltx "file://$work/replica"
    [ "$(wc -l <"$work/out")" -eq 3 ]
    expect 0 ltx -level 9 -json "file://$work/replica"
    json_is "[o['max_txid'] for o in d] == ['$(txid 2)']"
    expect 0 ltx -level all -json "file://$work/replica"
    json_is "[o['level'] for o in d] == [0, 0, 9]"
    json_is "set(d[0]) == {'level', 'min_txid', 'max_txid', 'size', 'timestamp'}"
    expect 0 ltx -level 5 -json "file://$work/replica"
    json_is 'd == []'
    expect 2 ltx -level 10 "file://$work/replica"
    tells 'neither 0..9 nor all'
}
tap_run ltx_lists_one_level_or_all ltx

ltx_replica() {
    replica_make "$work/r1" 1
    cat >"$work/c.yml" <<-END
	dbs:
	  - path: $work/made.db
	    replicas: [{name: one, path: $work/r1}, {name: two, path: $work/r2}]
	END
    expect 0 ltx -json -config "$work/c.yml" "$work/made.db"
    json_is 'len(d) == 1'
    expect 0 ltx -json -replica two -config "$work/c.yml" "$work/made.db"
    json_is 'd == []'
    expect 2 ltx -replica three -config "$work/c.yml" "$work/made.db"
    tells three
}
tap_run ltx_shows_the_destination_that_is_named ltx_replica

# ---- status, reset -----------------------------------------------------------------------------

status_and_reset() {
    replica_make "$work/replica" 2
    cat >"$work/c.yml" <<-END
	dbs:
	  - path: $work/made.db
	    replicas: [{path: $work/replica}, {name: two, path: $work/r2}]
	END
    expect 0 status -json -config "$work/c.yml"
    json_is "[(s['destination'], s['status'], s['local_txid']) for s in d] ==
        [('file', 'ok', '$(txid 2)'), ('two', 'not initialized', None)]"
    json_is "set(d[0]) == {'database', 'destination', 'status', 'local_txid', 'is_rewind',
        'wal_size', 'error'}"
    expect 0 status -config "$work/c.yml" "$work/made.db"
    says "$(txid 2)"
    expect 0 reset -dry-run -config "$work/c.yml" "$work/made.db"
    says 'file.map: would be removed'
    says 'two.map: nothing to forget'
    [ -e "$work/.made.db-walferry/file.map" ]
    expect 0 reset -config "$work/c.yml" "$work/made.db"
    says 'file.map: removed'
    [ ! -e "$work/.made.db-walferry/file.map" ]
    expect 0 status -json -config "$work/c.yml"
    json_is "[s['status'] for s in d] == ['not initialized'] * 2"
    # The same content proves descent again.
    expect 0 replicate -once "$work/made.db" "$work/replica"
    expect 2 reset -config "$work/c.yml" "$work/other.db"
    tells "has no database $work/other.db"
}
tap_run status_shows_what_is_known_here_and_reset_forgets_it status_and_reset

tap_end
