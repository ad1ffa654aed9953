# A large database: its first copy into an empty bucket, and the restore of it. The bytes go over
# loopback into files of the same disk, so the store's own work is in the wall time of both.
# shellcheck shell=bash

work_snapshot() {
    local megabytes db=$work/app.db
    megabytes=$(size 300 2400)
    [ -e "$work/large.db" ] || db_make "$work/large.db" "$megabytes"
    db_remove "$db"
    cp "$work/large.db" "$db"
    keep large_mb "$(calc "$(stat -c %s "$db") / 1000000" %.0f)"
    sync
    keep cp_s "$(cp_seconds "$db")"
    store_start
    subject_config "" "$db"
    "$tools/bench_time" "$work/cost" "$(subject_program)" replicate -config "$work/$subject.yml" \
        -once >"$work/once.log" 2>&1 || give_up "replicate -once: $(tail -n 3 "$work/once.log")"
    cost_keep snapshot
    keep snapshot_mb "$(calc "$(store_bytes) / 1000000" %.0f)"
    keep snapshot_objects "$(store_objects)"
    sync
    rm -f "$work/restored.db"
    "$tools/bench_time" "$work/cost" "$(subject_program)" restore -config "$work/$subject.yml" \
        -o "$work/restored.db" "$db" >"$work/restore.log" 2>&1 ||
        give_up "restore: $(tail -n 3 "$work/restore.log")"
    cost_keep restore
    pages_equal "$db" "$work/restored.db" || give_up "$subject restored other bytes"
    rm -f "$work/restored.db"*
    store_stop
}

cost_keep() {
    local cost
    cost=$(cat "$work/cost")
    keep "$1_s" "$(field seconds "$cost")"
    keep "$1_cpu" "$(field cpu_s "$cost")"
    keep "$1_rss" "$(calc "$(field rss_kb "$cost") / 1000" %.0f)"
}

# The same bytes copied and made durable, as a measure of the disk.
cp_seconds() {
    "$tools/bench_time" "$work/cost" dd "if=$1" "of=$work/copy.db" bs=1M conv=fsync 2>/dev/null
    rm -f "$work/copy.db"
    field seconds "$(cat "$work/cost")"
}

table_snapshot() {
    section "First copy of ${figures[walferry.large_mb]:-?} MB into an empty bucket"
    row "wall time" snapshot_s s
    row "CPU" snapshot_cpu s "<= 0.25x"
    row "largest resident set" snapshot_rss MB "<= 48"
    row "bytes in the bucket" snapshot_mb MB
    row "objects" snapshot_objects ""
    section "Restore of the same"
    row "cp and fsync of the same bytes" cp_s s
    row "wall time" restore_s s "<= 1x"
    row "CPU" restore_cpu s "<= 1x"
    row "largest resident set" restore_rss MB "<= 1x"
}
