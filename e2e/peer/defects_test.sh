#!/usr/bin/env bash
# What Litestream's users and its source say went wrong there, as tests of walferry: this script
# holds those that have no place elsewhere, and makes sure that every other one that the table in
# docs/litestream-defects.md names is really there.
# shellcheck source=e2e/lib.sh
. "$(dirname "$0")/../lib.sh"

tap_need sqlite3
table=$root/docs/litestream-defects.md

# begin [PRAGMA...]: an application, whose sidecar is still to be configured.
begin() {
    it=$work/it.yml db=$work/app.db
    app_start app "$db" "$@"
}

bytes_below() {
    du -sb "$1" | cut -f1
}

wait_last_row() {
    arrives "$(app_last app)"
}

# ---- the table ---------------------------------------------------------------------------------

# shellcheck disable=SC2016 # backquotes are what is looked for
# Names between backquotes: `FILE: TEST`, or `FILE` where a whole script is meant.
table_is_true() {
    local reference file name count=0
    while IFS= read -r reference; do
        file=${reference%%: *}
        [ -f "$root/$file" ] || fail "$reference: no such file"
        count=$((count + 1))
        [ "$file" != "$reference" ] || continue
        name=${reference#*: }
        grep -qF -- "$name" "$root/$file" || fail "$reference: no such test"
    done < <(grep -oE '`(lib|sidecar|e2e|docs)/[^`]+`' "$table" | tr -d '`')
    [ "$count" -ge 80 ] || fail "only $count references"
    # A row without a test says why.
    ! grep -E '^\| (#|LF|io#|git|mono|leaser|wal-g|rask|libsql|lurker|indigo|4\.12)' "$table" |
        grep -vE '`(lib|sidecar|e2e|docs)/|cannot apply' || fail "rows without a test or a reason"
}

# ---- those that have no place elsewhere --------------------------------------------------------

# 9.7 MB became 32 MB in three minutes (#1407), 8.9 MB 9 GB in a day (#976), and on the disk 200 GB
# (#927): a fresh database went in full through every level, and files stayed.
bounded_bytes() {
    local written
    begin
    printf '%s\n' "levels: [{interval: 200ms}, {interval: 400ms}, {interval: 800ms}]" \
        "dbs:" "  - path: $db" "    replica: {url: 'file://$work/store'}" >"$it"
    app_must app batch 1000 8000
    it_start
    wait_last_row
    written=$(bytes_below "$work/store")
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        app_must app insert 2 1000
        wait_last_row
    done
    wait_until "level 2 is there" has_level 2
    # Ten times a few pages came, in four levels; the database itself not once more.
    [ "$(bytes_below "$work/store")" -lt $((written * 3 / 2)) ] ||
        fail "$written bytes became $(bytes_below "$work/store")"
    # One checksum a page.
    [ "$(bytes_below "$work/.app.db-walferry")" -lt 200000 ] ||
        fail "$(find "$work/.app.db-walferry" -ls)"
    it_stop
    restores_equal "$it"
}

has_level() {
    objects "$it" "$db" | grep -q "^$1 " || { app_must app insert 1 && false; }
}

# Bulk loads, in one transaction larger than what Litestream takes in one pass (64 MiB).
burst() {
    begin cache_size=100
    config_write "$it" "$db" "$(replica_file "$work/store")"
    app_must app insert 1
    it_start
    wait_last_row
    app_must app batch 80 1000000
    wait_last_row
    it_stop
    # All or nothing of it: no boundary lies inside.
    for txid in $(objects "$it" "$db" | awk '$1 == 0 { print $3 }'); do
        restore_with "$walferry" "$it" "$db" "$work/out.db" -txid "$txid"
        rows=$(db_ask "$work/out.db" 'SELECT count(*) FROM app_row')
        [[ $rows =~ ^(1|81|82)$ ]] || fail "$rows rows at $txid"
    done
    restores_equal "$it"
}

# RSS followed the size of the database (#613), 580 databases took 7 GB (#331).
bounded_memory() {
    local peak
    [ "$variant" = release ] || skip "memory is measured in the release"
    begin cache_size=100
    printf '%s\n' "snapshot: {interval: 1s}" "dbs:" "  - path: $db" \
        "    replica: {url: 'file://$work/store'}" >"$it"
    app_must app batch 120 1000000
    it_start
    wait_last_row
    app_must app insert 1
    wait_until "a snapshot is there" has_level 9
    peak=$(sed -nE 's/^VmHWM:[[:space:]]*([0-9]+) kB/\1/p' "/proc/$it_pid/status")
    [ "$peak" -lt 65536 ] || fail "120 MB of database took $peak kB"
    it_stop
    app_stop app
    restores_equal "$it"
}

# Deleting the folder of state made Litestream burn a core (#955).
state_deleted() {
    begin
    config_write "$it" "$db" "$(replica_file "$work/store")"
    app_must app batch 50 1000
    it_start
    wait_last_row
    rm -r "$work/.app.db-walferry"
    app_must app insert 3
    wait_last_row
    it_stop
    app_must app insert 1
    it_start
    wait_last_row
    it_stop
    restores_equal "$it"
}

# Two replicators on one database and one replica (#422, #224, #1151): a rolling restart.
second_walferry() {
    local first
    begin
    config_write "$it" "$db" "$(replica_file "$work/store")"
    app_must app insert 1
    it_start
    first=$it_pid
    wait_last_row
    spawn "$work/second.log" "$walferry" replicate -config "$it"
    it_pid=$pid
    wait_until "the second says that there is a first" grep -qi 'another walferry' "$work/second.log"
    app_must app insert 1
    wait_last_row
    pid_stop "$first" KILL
    # The second takes over.
    app_must app insert 1
    wait_last_row
    it_stop
    restores_equal "$it"
}

# An application without patience (#58, #99, #218): with `seal: false` no commit fails because of
# walferry, while it ships and checkpoints all the time.
impatient_application() {
    begin busy_timeout=0
    printf '%s\n' "dbs:" "  - path: $db" "    seal: false" "    checkpoint-interval: 50ms" \
        "    min-checkpoint-page-count: 10" "    replica:" "      url: file://$work/store" \
        "      sync-interval: 10ms" >"$it"
    it_start
    wait_until "it follows" grep -q 'msg=attached' "$work/it.log"
    for _ in 1 2 3 4 5 6; do
        app_must app insert 100 500
        app_must app checkpoint passive
    done
    wait_last_row
    it_stop
    restores_equal "$it"
}

tap_run "the table of Litestream's defects names tests that exist, and every row one" table_is_true
tap_run "a fresh database is stored once, not once a level; little stays on the disk" bounded_bytes
tap_run "a burst in one transaction of 80 MB is there as a whole or not at all" burst
tap_run "memory does not follow the size of the database" bounded_memory
tap_run "a folder of state that is deleted meanwhile costs no commit" state_deleted
tap_run "a second walferry for a database waits, and takes over when the first dies" second_walferry
tap_run "an application without busy_timeout never fails where seal is false" impatient_application
tap_end
