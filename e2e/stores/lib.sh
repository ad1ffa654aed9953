# What the scripts in e2e/stores/ share: a store of any maker, replicated databases on it, judgements.
# Sourced after e2e/lib.sh.
#
#   store_start KIND     a store (s3_start) for all tests of the script until store_end. Fails, with
#                        the reason in $s3_missing, where it is not installed
#   scene PREFIX         in a test: a database with ten rows ($db), replicated to PREFIX ($it)
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # what e2e/lib.sh reads and sets

db=
it=

store_start() {
    work_make
    s3_start "$1" "$work"
}

store_end() {
    s3_stop
    work_end
    set +e
}

scene() {
    spawned=() # the store is not this test's to end
    db=$work/app.db
    it=$work/it.yml
    config_write "$it" "$db" "$(replica_s3 "$1")" "socket: {enabled: true, path: $work/it.sock}
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
    local level min max last=
    objects "$1" "$db" | sort | while read -r level min max; do
        [ "$level" = 0 ] || continue
        [ -z "$last" ] || [ $((16#$min)) -eq $((16#$last + 1)) ] || fail "after $last comes $min"
        last=$max
    done
}
