# What the scripts in e2e/stores/ share: a store of any maker, replicated databases on it, judgements.
# Sourced after e2e/lib.sh.
#
#   store_start KIND     a store (s3_start) for all tests of the script until store_end. Fails, with
#                        the reason in $s3_missing, where it is not installed
#   scene PREFIX         in a test: a database with ten rows ($db), replicated to PREFIX ($it)
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # what e2e/lib.sh reads and sets

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

# history_is_one CONFIG: the raw objects follow each other, none twice, none missing.
history_is_one() {
    local level min max last=
    objects "$1" "$db" | sort | while read -r level min max; do
        [ "$level" = 0 ] || continue
        [ -z "$last" ] || [ $((16#$min)) -eq $((16#$last + 1)) ] || fail "after $last comes $min"
        last=$max
    done
}
