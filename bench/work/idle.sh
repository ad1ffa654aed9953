# Databases that nobody writes to. Here: one. fleet.sh and large.sh have more of them in one process.
# shellcheck shell=bash

subject_follows() {
    [ "$(grep -c 'to=following' "$work/$subject.log")" -ge "$1" ]
}

# idle_of KEY COUNT SETTLE SECONDS: COUNT databases of three pages each, which SETTLE seconds after
# they have come to rest are watched for SECONDS.
idle_of() {
    local key=$1 count=$2 settle_s=$3 seconds=$4 i paths=() begun cpu requests
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
    idle_of one 1 "$(size 5 45)" "$(size 15 60)"
}

table_idle() {
    section "Idle, one database, per minute"
    row "CPU" one_cpu s
    row "requests" one_requests "" "<= 0"
    row "resident set" one_rss MB "<= 16"
    row "of it anonymous" one_anon MB "<= 4"
    row "descriptors" one_fds ""
    row "threads" one_threads ""
}
