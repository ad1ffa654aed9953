#!/usr/bin/env bash
# As many databases as the limit of open files allows are replicated; one more is refused at the
# start, with an error that tells what to do. A small limit tells the same as a large one.
# shellcheck source=e2e/lib.sh
. "$(dirname "$0")/lib.sh"

tap_need sqlite3

limit=160 # of it 100 for the process, 6 for a database and its destination: engine_internal.h
fit=10

# fleet_make COUNT: databases with a row each, and the configuration of them all.
fleet_make() {
    local i
    echo "dbs:" >"$work/it.yml"
    for ((i = 0; i < $1; i++)); do
        sqlite3 -batch "$work/$i.db" 'PRAGMA journal_mode=wal; CREATE TABLE t(x);
            INSERT INTO t VALUES (randomblob(9000))' >/dev/null
        printf '  - path: %s\n    replica:\n      type: file\n      path: %s\n' \
            "$work/$i.db" "$work/store/$i" >>"$work/it.yml"
    done
}

replicate_limited() {
    (ulimit -n "$limit" && exec "$walferry" replicate -config "$work/it.yml" -once)
}

as_many_as_fit_are_replicated() {
    local i
    fleet_make "$fit"
    replicate_limited >"$work/it.log" 2>&1 || fail "status $?: $(tail -n 5 "$work/it.log")"
    for ((i = 0; i < fit; i++)); do
        rm -f "$work/restored.db"*
        "$walferry" restore -o "$work/restored.db" "file://$work/store/$i" >"$work/restore.log" 2>&1 ||
            fail "database $i: $(cat "$work/restore.log")"
        pages_equal "$work/$i.db" "$work/restored.db" || fail "database $i was restored otherwise"
    done
}

one_more_is_refused_with_a_hint() {
    local refused=0
    fleet_make $((fit + 1))
    rm -rf "$work/store"
    replicate_limited >"$work/it.log" 2>&1 || refused=$?
    [ "$refused" -ne 0 ] || fail "it was not refused"
    grep -q "$work/$fit.db: there are $fit databases already, which need $limit of the $limit files" \
        "$work/it.log" || fail "the error does not say it: $(cat "$work/it.log")"
    grep -q "raise the limit (ulimit -n, LimitNOFILE=) to $((limit + 6)) and more" "$work/it.log" ||
        fail "the hint does not say it: $(cat "$work/it.log")"
    [ ! -e "$work/store" ] || fail "some were replicated all the same"
}

tap_run "as many databases as the limit of open files allows" as_many_as_fit_are_replicated
tap_run "one more is refused at the start, and the error tells what to do" one_more_is_refused_with_a_hint
tap_end
