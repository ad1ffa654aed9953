# Databases that nobody writes to: one, and a fleet of them in one process.
# shellcheck shell=bash

# idle_of KEY COUNT SECONDS: COUNT databases of three pages each.
subject_follows() {
    [ "$(grep -c 'to=following' "$work/$subject.log")" -ge "$1" ]
}

idle_of() {
    local key=$1 count=$2 seconds=$3 i paths=() begun cpu requests
    ulimit -n 20000 || give_up "a limit of 20,000 descriptors is not allowed here"
    rm -rf "$work/fleet"
    mkdir "$work/fleet"
    db_remove "$work/seed.db"
    "$tools/bench_writer" "$work/seed.db" rate=0 seconds=60 commits=5 >/dev/null
    for ((i = 0; i < count; i++)); do
        paths+=("$work/fleet/$i.db")
        cp "$work/seed.db" "$work/fleet/$i.db"
    done
    store_start
    subject_config "" "${paths[@]}"
    begun=$(now_ms)
    subject_start
    # Litestream does not tell when it follows a database.
    [ "$subject" = litestream ] || wait_until "all are followed" subject_follows "$count"
    keep "${key}_follow" "$(calc "($(now_ms) - $begun) / 1000" %.1f)"
    wait_until "all $count databases have an object" subject_has_shipped "$count"
    keep "${key}_start" "$(calc "($(now_ms) - $begun) / 1000" %.1f)"
    poll_until 20 subject_is_quiet
    keep "${key}_start_cpu" "$(calc "$(cpu_ns "$subject_pid") / 1e9")"
    # What follows a start (first compactions, snapshots) is not idleness yet.
    sleep "$settle_s"
    cpu=$(cpu_ns "$subject_pid")
    requests=$(store_requests .)
    sleep "$seconds"
    keep "${key}_cpu" "$(calc "($(cpu_ns "$subject_pid") - $cpu) / 1e9 * 60 / $seconds" %.3f)"
    keep "${key}_requests" "$(calc "($(store_requests .) - $requests) * 60 / $seconds" %.0f)"
    keep "${key}_rss" "$(calc "$(memory_kb "$subject_pid" VmRSS) / 1000" %.1f)"
    keep "${key}_anon" "$(calc "$(memory_kb "$subject_pid" RssAnon) / 1000" %.1f)"
    keep "${key}_fds" "$(descriptors "$subject_pid")"
    keep "${key}_threads" "$(find "/proc/$subject_pid/task" -mindepth 1 -maxdepth 1 | wc -l)"
    subject_stop
    store_stop
}

work_idle() {
    settle_s=$(size 5 45)
    idle_of one 1 "$(size 15 60)"
    idle_of fleet "$(size 200 1000)" "$(size 15 60)"
    [ "$(size quick full)" = quick ] || settle_s=1 idle_of large 3000 5
}

table_idle() {
    section "Idle, one database, per minute"
    row "CPU" one_cpu s
    row "requests" one_requests "" "<= 0"
    row "resident set" one_rss MB "<= 16"
    row "of it anonymous" one_anon MB "<= 4"
    row "descriptors" one_fds ""
    row "threads" one_threads ""
    section "Idle, $(size 200 1,000) databases in one process, per minute"
    row "all shipped after" fleet_start s
    row "CPU of the start" fleet_start_cpu s
    row "CPU" fleet_cpu s "<= 0.05"
    row "requests" fleet_requests "" "<= 0"
    row "resident set" fleet_rss MB "<= 80"
    row "of it anonymous" fleet_anon MB "<= 32"
    row "descriptors" fleet_fds ""
    if [ "$(size quick full)" = full ]; then
        section "3,000 databases in one process, limit of 20,000 descriptors"
        row "all are followed after" large_follow s "<= 10"
        row "all are in the bucket after" large_start s "<= 10"
        row "CPU of the start" large_start_cpu s
        row "resident set" large_rss MB
        row "of it anonymous" large_anon MB
        row "descriptors" large_fds ""
    fi
}
