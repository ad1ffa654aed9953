# A replica that was never compacted: 50,000 L0 objects of one page each.
# Whoever needs more than 21 times walferry's time is stopped then.
# shellcheck shell=bash

work_tiny() {
    local db=$work/app.db limit_s=600
    [ -z "${figures[walferry.tiny_s]:-}" ] || limit_s=$(calc "${figures[walferry.tiny_s]} * 21 + 1" %d)
    db_make "$db" 1
    store_start
    mkdir -p "$store_data/bench/app.db/0000"
    "$tools/bench_tiny" "$db" "$store_data/bench/app.db/0000" "$(size 5000 50000)" ||
        give_up "no replica of tiny objects"
    subject_config "" "$db"
    rm -f "$work/restored.db"*
    "$tools/bench_time" "$work/cost" timeout "$limit_s" "$(subject_program)" restore \
        -config "$work/$subject.yml" -o "$work/restored.db" "$db" >"$work/restore.log" 2>&1
    case $(field status "$(cat "$work/cost")") in
    0)
        pages_equal "$db" "$work/restored.db" || give_up "$subject restored other bytes"
        keep tiny_end restored
        ;;
    124) keep tiny_end "stopped unfinished" ;;
    *) give_up "restore of tiny objects: $(tail -n 3 "$work/restore.log")" ;;
    esac
    cost_keep tiny
    keep tiny_requests "$(store_requests .)"
    rm -f "$work/restored.db"*
    store_stop
}

table_tiny() {
    section "Restore from $(size 5,000 50,000) objects of one page"
    row "result" tiny_end
    row "wall time" tiny_s s "<= 0.05x"
    row "CPU" tiny_cpu s
    row "largest resident set" tiny_rss MB "<= 96"
    row "requests" tiny_requests ""
}
