#!/usr/bin/env bash
# The n-th fault of whole commands: each is killed before its n-th change (a system call that others
# can tell from none, lib/testing/kill_at.h), or has its n-th request to a real store (versitygw)
# spoiled, n = 1, 2, 3, ... until a run is clean. Whatever is left is sound: the replica restores
# page for page, nothing half-made is taken for whole, and the next run finishes the work.
#
# NTH=1 tries every change and request; by default some changes spread evenly, and the first
# requests.
# shellcheck source=e2e/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=e2e/stores/lib.sh
. "$root/e2e/stores/lib.sh"

tap_need sqlite3 curl "$peers/versitygw"
tools=$root/build/$variant/e2e/tools
changes=7
requests=8

# A database with history in the bucket, more of it in the log (unless it is for restores), and
# nobody who has it open.
history_make() {
    app_start app "$db"
    app_must app insert 20
    "$walferry" replicate -config "$it" -once -force-snapshot </dev/null || fail "first -once"
    app_must app batch 300 3000
    app_must app update 1 200
    app_must app delete 30 60
    app_stop app
    # shellcheck disable=SC2119 # without flags
    [ "$1" != restore ] || once || fail "second -once"
}

# once FLAGS: ships what the log has.
# shellcheck disable=SC2120 # by tap_run
once() {
    "${wrap[@]}" "$walferry" replicate -config "$it" -once "$@" </dev/null
}

restore() {
    "${wrap[@]}" "$walferry" restore -config "$it" -force -o "$work/asked.db" "$db" </dev/null
}

# Is run before each fault: something new to ship, or nothing there to restore over.
prepare() {
    if [ "$1" = restore ]; then
        echo old >"$work/asked.db"
    else
        sqlite3 -batch "$db" "UPDATE app_row SET body = randomblob(900) WHERE id % 7 = $(($2 % 7))"
    fi
}

# After a fault: what is in the bucket restores, a restored file is old or whole.
left_is_sound() {
    restore_with "$walferry" "$direct" "$db" "$work/out.db" 2>/dev/null || fail "the replica does not restore"
    db_is_sound "$work/out.db" || fail "malformed"
    if [ "$1" = restore ]; then
        echo old | cmp -s - "$work/asked.db" || cmp -s "$work/asked.db" "$work/out.db" ||
            fail "a half-made output"
    fi
}

# The same command without a fault finishes the work.
finishes() {
    wrap=()
    "$@" || fail "does not finish: $*"
    restores_equal "$direct"
    [ "$1" != restore ] || cmp "$work/asked.db" "$work/out.db" || fail "restored something else"
    history_is_one "$direct"
}

killed_at_each_change() {
    local n=0 total step status
    prepare "$1" 0
    wrap=("$tools/kill_at" 0 it.yml)
    "$@" 2>"$work/changes" || fail "without a fault: $(cat "$work/changes")"
    total=$(sed -n 's/^changes //p' "$work/changes")
    step=${NTH:-$((total / changes))}
    echo "measured: $total changes"
    for ((n = 1 + RANDOM % step; ; n += step)); do
        prepare "$1" "$n"
        wrap=("$tools/kill_at" "$n" it.yml)
        status=0
        "$@" 2>"$work/changes" || status=$?
        wrap=()
        [ "$status" -ne 0 ] || break
        [ "$status" -eq 137 ] || fail "change $n: status $status: $(cat "$work/changes")"
        left_is_sound "$1"
    done
    finishes "$@"
}

# Each request suffers a quirk; the command tries again and succeeds.
spoiled_at_each_request() {
    local n status
    for ((n = 1; n <= ${NTH:+100000}${NTH:-$requests}; n++)); do
        prepare "$1" "$n"
        app_must proxy "strike $n ${quirks[n % ${#quirks[@]}]}"
        status=0
        "$@" 2>"$work/err" || status=$?
        app_must proxy count
        [ "$status" -eq 0 ] || fail "request $n, ${quirks[n % ${#quirks[@]}]}: $(cat "$work/err")"
        left_is_sound "$1"
        [ "${reply##* }" -gt 0 ] || break
    done
    echo "measured: $((n - 1)) requests"
    app_must proxy none
    finishes "$@"
}

# scene_make REPLICA COMMAND
scene_make() {
    spawned=()
    db=$work/app.db
    it=$work/it.yml
    direct=$work/direct.yml
    wrap=()
    config_write "$it" "$db" "$1" "levels: [{interval: 1s}]
snapshot: {interval: 1h, retention: 1h}"
    cp "$it" "$direct"
    history_make "$2"
}

kill_case() {
    scene_make "$(replica_file "$work/replica")" "$1"
    killed_at_each_change "$@"
}

request_case() {
    scene_make "$(replica_s3 "$*")" "$1"
    writer=$tools/quirk_proxy app_start proxy "$s3_port"
    sed -i "s|:$s3_port|:${reply#ok }|" "$it"
    quirks=(lose-answer unavailable reset-answer reset-request truncate ok-error broken drip)
    spoiled_at_each_request "$@"
}

for what in "once" "once -force-snapshot" "once -enforce-retention" "restore"; do
    # shellcheck disable=SC2086 # a command and its flag
    tap_run "$what: killed before any of its changes" kill_case $what
done
store_start versitygw || exit 1
for what in "once" "once -force-snapshot" "once -enforce-retention" "restore"; do
    # shellcheck disable=SC2086 # as above
    tap_run "$what: each of its requests spoiled once" request_case $what
done
store_end
tap_end
