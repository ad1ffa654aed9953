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
    store_start
    subject_config "" "$db"
    "$tools/bench_time" "$work/cost" "$(subject_program)" replicate -config "$work/$subject.yml" \
        -once >"$work/once.log" 2>&1 || give_up "replicate -once: $(tail -n 3 "$work/once.log")"
    cost_keep snapshot
    keep snapshot_mb "$(calc "$(store_bytes) / 1000000" %.0f)"
    keep snapshot_objects "$(store_objects)"
    restores_keep restore "$work" "$db" "$(size 1 3)"
    restores_keep memory "$memory_folder" "$db" 1
    store_stop
}

# restores_keep KEY FOLDER DB TIMES: restores into FOLDER some times and keeps KEY's medians. Beside each restore the same bytes are
# copied and made durable there, as a measure of the disk.
restores_keep() {
    local key=$1 target=$2/walferry-bench-$$.db db=$3 i
    : >"$work/costs"
    : >"$work/copies"
    for ((i = 0; i < $4; i++)); do
        sync
        "$tools/bench_time" "$work/cost" "$(subject_program)" restore \
            -config "$work/$subject.yml" -o "$target" "$db" >"$work/restore.log" 2>&1 ||
            give_up "restore: $(tail -n 3 "$work/restore.log")"
        cat "$work/cost" >>"$work/costs"
        pages_equal "$db" "$target" || give_up "$subject restored other bytes"
        rm -f "$target"*
        sync
        "$tools/bench_time" "$work/cost" dd "if=$db" "of=$target" bs=1M conv=fsync 2>/dev/null
        cat "$work/cost" >>"$work/copies"
        rm -f "$target"
    done
    keep "${key}_s" "$(median_of seconds "$work/costs")"
    keep "${key}_cpu" "$(median_of cpu_s "$work/costs")"
    keep "${key}_rss" "$(calc "$(median_of rss_kb "$work/costs") / 1000" %.0f)"
    keep "${key}_cp" "$(median_of seconds "$work/copies")"
    keep "${key}_speed" "$(calc "${figures[$subject.${key}_cp]} * 100 / ${figures[$subject.${key}_s]}" %.0f)"
}

# median_of NAME FILE: of the values NAME=VALUE.
median_of() {
    local line
    while read -r line; do
        field "$1" "$line"
    done <"$2" | sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'
}

cost_keep() {
    local cost
    cost=$(cat "$work/cost")
    keep "$1_s" "$(field seconds "$cost")"
    keep "$1_cpu" "$(field cpu_s "$cost")"
    keep "$1_rss" "$(calc "$(field rss_kb "$cost") / 1000" %.0f)"
}

table_snapshot() {
    section "First copy of ${figures[walferry.large_mb]:-?} MB into an empty bucket"
    row "wall time" snapshot_s s
    row "CPU" snapshot_cpu s "<= 0.25x"
    row "largest resident set" snapshot_rss MB "<= 48"
    row "bytes in the bucket" snapshot_mb MB
    row "objects" snapshot_objects ""
    section "Restore of the same to the disk"
    row "wall time" restore_s s
    row "cp and fsync of the same bytes" restore_cp s
    row "speed, in percent of cp and fsync" restore_speed % ">= 85"
    row "CPU" restore_cpu s
    row "largest resident set" restore_rss MB "<= 96"
    section "Restore of the same to a memory file system"
    row "wall time" memory_s s "<= 0.167x"
    row "CPU" memory_cpu s "<= 0.167x"
    row "largest resident set" memory_rss MB "<= 96"
}
