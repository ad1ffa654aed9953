# A log that grew to 600 MB because a reader of the application sat in it: how long is the
# application's longest commit once the reader is gone, and when is the log small again?
#
# A commit waits for the write lock, which a replicator can hold, and for the disk, which everybody
# uses. The first is measured apart; for the second the same application runs alone before.
# shellcheck shell=bash

wal_bytes() {
    stat -c %s "$1-wal" 2>/dev/null || echo 0
}

wal_is_small() {
    [ "$(wal_bytes "$1")" -lt $((8 << 20)) ]
}

work_stall() {
    local db=$work/app.db megabytes result dropped_ms cpu writer_pid
    megabytes=$(size 160 640)
    db_make "$db" 1
    sync # what was written before is no part of this
    result=$("$tools/bench_writer" "$db" rate=100 "seconds=$(size 5 25)" bytes=400 autocheckpoint=1000)
    keep stall_alone "$(calc "$(field max_us "$result") / 1000" %.1f)"
    db_make "$db" 1
    store_start
    subject_config "" "$db"
    subject_start
    wait_until "the first object is there" subject_has_shipped 1
    app_start app "$db"
    app_must app insert 1
    app_must app hold-reader
    "$tools/bench_writer" "$db" rate=0 "commits=$megabytes" rows=450 bytes=2000 seconds=3600 \
        >/dev/null
    keep stall_wal_mb "$(calc "$(wal_bytes "$db") / 1000000" %.0f)"
    poll_until 60 subject_is_quiet
    cpu=$(cpu_ns "$subject_pid")
    spawn "$work/writer.out" "$tools/bench_writer" "$db" rate=100 seconds=25 bytes=400
    writer_pid=$pid
    sleep 2
    app_must app drop-reader
    dropped_ms=$(now_ms)
    if poll_until 20 wal_is_small "$db"; then
        keep stall_small "$(calc "($(now_ms) - $dropped_ms) / 1000" %.1f)"
    else
        keep stall_small never
    fi
    pid_wait "$writer_pid"
    result=$(cat "$work/writer.out")
    keep stall_lock "$(calc "$(field lock_max_us "$result") / 1000" %.1f)"
    keep stall_met "$(field lock_met "$result")"
    keep stall_slept "$(field lock_slept_max_ms "$result")"
    keep stall_max "$(calc "$(field max_us "$result") / 1000" %.1f)"
    keep stall_p99 "$(calc "$(field p99_us "$result") / 1000" %.2f)"
    keep stall_end_mb "$(calc "$(wal_bytes "$db") / 1000000" %.0f)"
    keep stall_cpu "$(calc "($(cpu_ns "$subject_pid") - $cpu) / 1e9")"
    keep stall_rss "$(calc "$(memory_kb "$subject_pid" VmHWM) / 1000" %.0f)"
    app_stop app
    subject_stop
    store_stop
}

table_stall() {
    section "A log of ${figures[walferry.stall_wal_mb]:-?} MB is let go, 100 commits/s go on"
    row "longest wait for the write lock" stall_lock ms "<= 5"
    row "transactions that met the lock" stall_met
    row "longest sleep of one for it" stall_slept ms
    row "longest commit, with the disk's share" stall_max ms "<= 5"
    row "the same application alone, longest commit" stall_alone ms
    row "99 % of the commits" stall_p99 ms
    row "log below 8 MB after" stall_small s "<= 5"
    row "log at the end" stall_end_mb MB
    row "CPU" stall_cpu s
    row "largest resident set" stall_rss MB
}
