#!/usr/bin/env bash
# walferry and the real Litestream go on with each other's databases and replicas, in turn, for every
# page size: the newest state is the database page by page, and the moments before stay restorable.
# The logs outlive the change, so that walferry can prove where it goes on. Where it has replicated
# before, its own page map is older than what Litestream wrote since; salts and position, all that
# Litestream records, are no proof then that this is not an old copy of the volume. It refuses, and
# is told to -adopt.
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
    [ "$author_name" = Litestream ] || : >"$scene/has-been-here"
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

refuses_all() {
    [ "$(grep -c 'verdict=diverged.*hint=.*-adopt' "$work/it.log")" -eq "$(wc -w <<<"$sizes")" ]
}

# What was written before it came, and what is written then.
turn() {
    local size
    author_is "$1"
    apps update 31 40
    apps insert 1
    if [ "$1" = walferry ] && [ -e "$scene/has-been-here" ]; then
        author_start
        wait_until "walferry refuses every database" refuses_all
        pid_stop "$author_pid" TERM
        [ "$status" -eq 1 ] || fail "refused, and ended with status $status"
        author_flags=(-adopt)
    fi
    author_start
    author_flags=()
    [ "$1" = Litestream ] || : >"$scene/has-been-here"
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

takes_turns walferry Litestream
takes_turns Litestream walferry
tap_end
