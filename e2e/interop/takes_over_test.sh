#!/usr/bin/env bash
# walferry and the real Litestream go on with each other's databases and replicas, in turn, for every
# page size: the newest state is the database page by page, and the moments before stay restorable.
# Neither needs to be told anything: Litestream records no checksum of the database, so walferry compares
# the database with the replica, or with what the log still tells of that moment.
# shellcheck source=e2e/interop/scene.sh
. "$(dirname "$0")/scene.sh"

# author_is NAME: who writes from now on.
author_is() {
    author_name=$1
    author=${program_of[$1]}
}

# turns NAME...: each in turn, on the same databases, whose applications never stop.
turns() {
    local size name
    apps_start
    apps batch 40 3000
    author_start
    moment_note
    apps delete 5 30
    apps vacuum
    moment_note
    author_stop
    for name in "$@"; do
        turn "$name"
    done
    apps_stop
    : >"$scene/is-written"
}

# What was written before it came, and what is written then.
turn() {
    local size
    author_is "$1"
    apps update 31 40
    apps insert 1
    author_start
    moment_note
    apps insert 5 2000
    moment_note
    author_stop
    for size in $sizes; do
        both_restore "$scene/r$size"
        pages_equal "$scene/p$size.db" "$work/walferry.db" || fail "pages of $size bytes differ"
        db_is_sound "$work/walferry.db" || fail "malformed, pages of $size bytes"
    done
}

takes_turns() {
    local size first=$1 second=$2
    scene_make "$first"
    tap_run "$second goes on with what $first wrote, and $first with that, every page size" \
        turns "$second" "$first" "$second"
    for size in $sizes; do
        tap_run "$first, $second, $first, $second: each moment is restorable, pages of $size bytes" \
            at_noted_txids "$size"
    done
    rm -rf "$scene"
}

# ---- the log is gone -----------------------------------------------------------------------------

goes_on_everywhere() {
    [ "$(grep -c 'msg=attached .*verdict=rebuild' "$work/it.log")" -eq "$(wc -w <<<"$sizes")" ]
}

# lives_under NAME: it replicates applications that have just started, and ends before them. They leave no
# log.
lives_under() {
    local size
    author_is "$1"
    author_start
    [ "$1" = Litestream ] || wait_until "walferry goes on with every database" goes_on_everywhere
    apps_start
    apps insert 20 3000
    moment_note
    author_stop
    apps_stop
    for size in $sizes; do
        ! [ -s "$scene/p$size.db-wal" ] || fail "p$size.db has a log"
    done
}

without_a_log() {
    local size
    apps_start
    apps insert 1
    apps_stop
    lives_under Litestream
    lives_under walferry
    lives_under Litestream
    lives_under walferry
    for size in $sizes; do
        both_restore "$scene/r$size"
        pages_equal "$scene/p$size.db" "$work/walferry.db" || fail "pages of $size bytes differ"
    done
}

takes_turns walferry Litestream
takes_turns Litestream walferry
scene_make Litestream
tap_run "walferry goes on where Litestream ended before the application, which left no log" without_a_log
rm -rf "$scene"
tap_end
