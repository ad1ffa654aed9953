#!/usr/bin/env bash
# What the real Litestream writes, walferry restores, and both get the same bytes: from level 0
# alone, from each compaction level, from snapshots, at noted TXIDs and past moments, after
# retention; for every page size of SQLite.
# shellcheck source=e2e/interop/scene.sh
. "$(dirname "$0")/scene.sh"

has_expired() {
    local size
    for size in $sizes; do
        [ ! -e "$scene/r$size/ltx/0/0000000000000001-0000000000000001.ltx" ] || return 1
    done
}

has_expired_or_insert() {
    has_expired && return 0
    apps insert 1
    return 1
}

# Litestream itself goes on, with times that are over at once.
retention_runs() {
    local size
    scene_is_written
    snapshot_interval=1s snapshot_retention=1s l0_retention=1s
    apps_start
    author_start
    poll_until "$deadline_s" has_expired_or_insert || give_up "nothing expired"
    author_stop
    apps_stop
    for size in $sizes; do
        after_retention "$scene/r$size" "$size"
    done
}

scene_make Litestream
tap_run "Litestream replicates databases of every page size" scene_write
asked_of_both
tap_run "$of, after its retention, every page size" retention_runs
tap_end
