# What the scripts in e2e/stores/ share: a store of any maker, one replicated database, judgements.
# Sourced after e2e/lib.sh.
#
#   store_start KIND     a store of e2e/stores/serve with a bucket; $store_port, and what replica_s3
#                        needs. Skips the test where it is not installed
#   scene KIND           a store, a database with ten rows ($db), a configuration ($it)
# shellcheck shell=bash

db=
it=
store_port=
store_pid=

store_is_ready() {
    [ -e "$work/store/ready" ] || is_gone "$store_pid"
}

store_start() {
    mkdir -p "$work/store"
    s3_user=walferry-test
    s3_secret=walferry-test-secret-key
    [ "$1" != swift ] || s3_user=test:tester
    # Another process may be quicker with the port, hence three tries.
    for _ in 1 2 3; do
        store_port=$(port_free)
        spawn "$work/store.log" "$root/e2e/stores/serve" "$1" "$work/store" "$store_port"
        store_pid=$pid
        wait_until "$1 answers" store_is_ready
        s3_endpoint=http://127.0.0.1:$store_port
        if [ -e "$work/store/ready" ] && is_running "$store_pid"; then
            return
        fi
        pid_reap "$store_pid"
        [ "$status" -ne 77 ] || skip "$(cat "$work/store.log")"
    done
    give_up "$1: $(cat "$work/store.log")"
}

scene() {
    store_start "$1"
    db=$work/app.db
    it=$work/it.yml
    config_write "$it" "$db" "$(replica_s3 app)" "socket: {enabled: true, path: $work/it.sock}
levels: [{interval: 1s}, {interval: 2s}]
snapshot: {interval: 3s, retention: ${retention:-1h}}"
    app_start app "$db"
    app_must app insert 10
}

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

# history_is_one CONFIG: the raw objects follow each other, none twice, none missing.
history_is_one() {
    objects "$1" "$db" | awk '$1 == 0 { print $2, $3 }' | sort | awk '
        NR > 1 && strtonum("0x" $1) != strtonum("0x" last) + 1 { print "after", last, "comes", $1; bad = 1 }
        { last = $2 }
        END { exit bad }' >"$work/history" || fail "$(cat "$work/history")"
}
