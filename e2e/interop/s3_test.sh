#!/usr/bin/env bash
# walferry and the real Litestream on each other's replicas in a real S3 server: what one writes the
# other restores, page for page, at the newest state and at every TXID, and from compactions.
# shellcheck source=e2e/lib.sh
. "$(dirname "$0")/../lib.sh"

tap_need sqlite3 "$peers/litestream"
litestream=$peers/litestream

# Levels that come about within seconds, so that both read the other's compactions and snapshots.
quick_levels="levels:
  - interval: 1s
  - interval: 2s
snapshot:
  interval: 3s
  retention: 1h"

has_levels() {
    local level
    for level in 1 2 9; do
        objects "$work/it.yml" "$work/app.db" | grep -q "^$level " || return 1
    done
}

# What an application does to a database: rows, changes, shrinking, growth beyond what it was.
work_through() {
    local last
    app_must app batch 60 3000
    run_start
    app_must app update 1 30
    app_must app insert 2 500
    wait_until "row 62 is restorable" row_is_restorable "$work/it.yml" "$work/app.db" 62
    app_must app delete 5 50
    app_must app vacuum
    app_must app insert 1
    wait_until "row 63 is restorable" row_is_restorable "$work/it.yml" "$work/app.db" 63
    app_must app batch 90 4000
    app_must app checkpoint passive
    app_must app insert 1
    last=$(app_last app)
    wait_until "row $last is restorable" row_is_restorable "$work/it.yml" "$work/app.db" "$last"
    # Compaction only has something to do while something changes.
    poll_until "$deadline_s" has_levels_or_insert || give_up "no object at levels 1, 2 and 9"
    app_must app insert 1
    last=$(app_last app)
    wait_until "row $last is restorable" row_is_restorable "$work/it.yml" "$work/app.db" "$last"
}

has_levels_or_insert() {
    has_levels && return 0
    app_must app insert 1
    return 1
}

# The program that writes.
run_start() {
    spawn "$work/it.log" "$author" replicate -config "$work/it.yml"
    run_pid=$pid
}

run_stop() {
    pid_stop "$run_pid" TERM
    [ "$status" -eq 0 ] || give_up "$author ended with status $status: $(tail -n 3 "$work/it.log")"
}

both_restore() {
    local db=$work/app.db program
    for program in "$walferry" "$litestream"; do
        restore_with "$program" "$work/it.yml" "$db" "$work/${program##*/}.db" "$@" ||
            fail "${program##*/} restore $*"
    done
    cmp "$work/walferry.db" "$work/litestream.db" || fail "restores differ: $*"
}

# Newest state against the database; every TXID of level 0 against the other program's restore;
# and once more without level 0 as far as level 1 covers it, so that compactions are read.
compare_all() {
    local txid
    both_restore
    pages_equal "$work/app.db" "$work/walferry.db" || fail "restored pages differ from the database"
    db_is_sound "$work/walferry.db" || fail "malformed"
    for txid in $(objects "$work/it.yml" "$work/app.db" | awk '$1 == 0 { print $3 }'); do
        both_restore -txid "$txid"
    done
    level_0_thin
    both_restore
    pages_equal "$work/app.db" "$work/walferry.db" || fail "pages from the compactions differ"
}

# Deletes level 0 as far as level 1 covers it (all but its newest object, as retention does).
level_0_thin() {
    local covered folder
    covered=$(objects "$work/it.yml" "$work/app.db" | awk '$1 == 1 { print $3 }' | tail -n 1)
    folder=$(find "$work/store" -type d \( -name 0 -o -name 0000 \) | head -n 1)
    find "$folder" -name '*.ltx' | sort | head -n -1 | while read -r object; do
        if [[ ! ${object: -20:16} > $covered ]]; then
            rm "$object"
        fi
    done
    objects "$work/it.yml" "$work/app.db" | grep -q '^1 ' || give_up "no level 1"
}

store_prepare() {
    s3_start versitygw "$work/store" || skip "$s3_missing"
    config_write "$work/it.yml" "$work/app.db" "$(replica_s3 app)" "$quick_levels"
}

reads_what_it_wrote() {
    author=$1
    store_prepare
    app_start app "$work/app.db"
    work_through
    run_stop
    compare_all
}

tap_run "both restore what walferry wrote to S3" reads_what_it_wrote "$walferry"
tap_run "both restore what Litestream wrote to S3" reads_what_it_wrote "$litestream"
tap_end
