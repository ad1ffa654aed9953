# 500 commits a second of one row of 400 bytes each, sync-interval 1s.
# shellcheck shell=bash

work_rate() {
    local db=$work/app.db seconds cpu before puts bytes raw_bytes requests result took
    seconds=$(size 10 30)
    db_make "$db" 1
    store_start
    subject_config 1s "$db"
    subject_start
    wait_until "the first object is there" subject_has_shipped 1
    wait_until "the subject is quiet" subject_is_quiet
    before=$(cpu_ns "$subject_pid")
    puts=$(store_requests Put)
    requests=$(store_requests .)
    bytes=$(store_bytes)
    raw_bytes=$(store_bytes 0000)
    result=$("$tools/bench_writer" "$db" rate=500 "seconds=$seconds" bytes=400 synchronous=full)
    sleep 2
    cpu=$(($(cpu_ns "$subject_pid") - before))
    # On a busy disk the application needs longer for its commits.
    took=$(field seconds "$result")
    keep rate_took "$took"
    keep rate_cpu_us "$(calc "$cpu / 1000 / $(field commits "$result")" %.1f)"
    keep rate_puts "$(calc "($(store_requests Put) - $puts) / ($took + 2)")"
    keep rate_requests "$(($(store_requests .) - requests))"
    keep rate_raw_mb "$(calc "($(store_bytes 0000) - $raw_bytes) / 1000000" %.1f)"
    keep rate_mb "$(calc "($(store_bytes) - $bytes) / 1000000" %.1f)"
    keep rate_p50 "$(calc "$(field p50_us "$result") / 1000")"
    keep rate_p99 "$(calc "$(field p99_us "$result") / 1000")"
    keep rate_max "$(calc "$(field max_us "$result") / 1000" %.1f)"
    keep rate_rss "$(calc "$(memory_kb "$subject_pid" VmHWM) / 1000" %.1f)"
    subject_stop
    store_stop
}

table_rate() {
    section "500 commits/s of 400 bytes for $(size 10 30) s, sync-interval 1s"
    row "CPU a commit" rate_cpu_us us "<= 6"
    row "PUT a second" rate_puts "" "<= 1.2"
    row "requests" rate_requests ""
    row "bytes of the commits' objects" rate_raw_mb MB "<= 1x"
    row "with compactions that fell into the time" rate_mb MB
    row "the application took" rate_took s
    row "the application's commit, median" rate_p50 ms
    row "the application's commit, 99 %" rate_p99 ms
    row "the application's commit, longest" rate_max ms
    row "largest resident set" rate_rss MB
}
