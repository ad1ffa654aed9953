#!/usr/bin/env bash
# What walferry writes, the real Litestream restores, and both get the same bytes: from level 0
# alone, from each compaction level, from snapshots, at noted TXIDs and past moments, after
# retention; for every page size of SQLite.
# shellcheck source=e2e/interop/scene.sh
. "$(dirname "$0")/scene.sh"

retention_is_carried_out() {
    local size=$1
    replica_copy "$size"
    "$walferry" retention -delete -retention 1ms -l0-retention 1ms "file://$replica" >/dev/null
    after_retention "$replica" "$size"
}

scene_make walferry
tap_run "walferry replicates databases of every page size" scene_write
asked_of_both
for size in $sizes; do
    tap_run "$of, after its retention, pages of $size bytes" retention_is_carried_out "$size"
done
tap_end
