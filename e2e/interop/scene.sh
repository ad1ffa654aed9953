# The scene of the interop tests: databases of every page size that SQLite knows, replicated by one
# program (the *author*) through everything that changes a database, and what is then asked of both.
# Sourced by the tests beside it.
#
#   scene           folder that the tests of a script share: DB folders, replicas, notes
#   author_name     Litestream or walferry; `author` is its path
#   sizes           page sizes; INTEROP_SIZES="512 65536" for fewer
#
# In the scene: pSIZE.db, its replica rSIZE (a folder, the layout that both share), and sSIZE, the
# moments that were noted while nobody wrote: "TXID HASH" a line, the hash of all rows.
# shellcheck shell=bash

# shellcheck source=e2e/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

sizes=${INTEROP_SIZES:-512 1024 2048 4096 8192 16384 32768 65536}
litestream=$peers/litestream
declare -A program_of=([walferry]=$walferry [Litestream]=$litestream)
tap_need sqlite3 "$litestream"

scene_make() {
    author_name=$1
    author=${program_of[$1]}
    scene=$(mktemp -d "${TMPDIR:-/tmp}/walferry-interop.XXXXXX")
    trap 'rm -rf "$scene"' EXIT
}

# ---- writing -----------------------------------------------------------------------------------

# Levels that come about within seconds.
scene_config() {
    local size
    printf '%s\n' "levels: [{interval: 1s}, {interval: 2s}, {interval: 4s}]" \
        "snapshot: {interval: ${snapshot_interval:-3s}, retention: ${snapshot_retention:-1h}}" \
        "l0-retention: ${l0_retention:-5m}" "dbs:"
    for size in $sizes; do
        printf '  - path: %s\n    replica: {url: "file://%s"}\n' "$scene/p$size.db" "$scene/r$size"
    done
}

author_start() {
    scene_config >"$scene/it.yml"
    spawn "$work/it.log" "$author" replicate -config "$scene/it.yml"
    author_pid=$pid
}

author_stop() {
    pid_stop "$author_pid" TERM
    [ "$status" -eq 0 ] || give_up "$author_name ended with status $status: $(tail -n 3 "$work/it.log")"
}

apps_start() {
    local size
    for size in $sizes; do
        app_start "p$size" "$scene/p$size.db" "page_size=$size"
    done
}

apps_stop() {
    local size
    for size in $sizes; do
        app_stop "p$size"
    done
}

# apps COMMAND...: every application does it.
apps() {
    local size
    for size in $sizes; do
        app_must "p$size" "$@"
    done
}

rows_hash() {
    sqlite3 -batch "file:$1?mode=ro" '.sha3sum app_row'
}

# restore_url PROGRAM FOLDER OUT [FLAG...]
restore_url() {
    local program=$1 folder=$2 out=$3
    shift 3
    db_remove "$out"
    "$program" restore -o "$out" "$@" "file://$folder" </dev/null
}

# is_restorable FOLDER ROW: `restored_txid` is the TXID that a restore leads to. (That is not always
# level 0's newest: Litestream may upload a snapshot earlier.)
is_restorable() {
    local says
    says=$(restore_url "$walferry" "$1" "$work/asked.db" 2>&1) || return 1
    restored_txid=$(sed -nE 's/.*: TXID ([0-9a-f]{16}) .*/\1/p' <<<"$says")
    [ "$(db_ask "$work/asked.db" "SELECT count(*) FROM app_row WHERE id = $2")" = 1 ]
}

# objects_of FOLDER LEVEL: "MIN MAX" a line, in order.
objects_of() {
    find "$1/ltx/$2" -name '*.ltx' 2>/dev/null | sed -nE 's|.*/([0-9a-f]{16})-([0-9a-f]{16})\.ltx$|\1 \2|p' | sort
}

first_of() { objects_of "$1" "$2" | head -n 1; }
tip_of() { objects_of "$1" "$2" | tail -n 1 | cut -d' ' -f2; }

# Every application writes one more row; once it is restorable, the moment is noted.
moment_note() {
    local size
    declare -A row=()
    for size in $sizes; do
        app_must "p$size" insert 1
        row[$size]=${reply##* }
    done
    for size in $sizes; do
        wait_until "row ${row[$size]} of p$size is restorable" \
            is_restorable "$scene/r$size" "${row[$size]}"
        echo "$restored_txid $(rows_hash "$scene/p$size.db")" >>"$scene/s$size"
    done
}

# time_of OBJECT [LATER_MS]: its moment, as restore -timestamp takes it: both programs keep it as
# the file's time.
time_of() {
    local ms
    ms=$(date -u -r "$1" +%s%3N)
    ms=$((ms + ${2:-0}))
    date -u -d "@$((ms / 1000)).$(printf %03d $((ms % 1000)))" +%Y-%m-%dT%H:%M:%S.%3NZ
}

# Each level leads further than the oldest snapshot, so that a restore can be made to need it.
levels_lead_on() {
    local size level oldest
    for size in $sizes; do
        oldest=$(first_of "$scene/r$size" 9 | cut -d' ' -f2)
        for level in 1 2 3; do
            [[ -n $oldest && $(tip_of "$scene/r$size" $level) > $oldest ]] || return 1
        done
    done
}

levels_lead_on_or_insert() {
    levels_lead_on && return 0
    apps insert 1 # compaction only has something to do while something changes
    return 1
}

# Rows, changes, shrinking, growth beyond what it was, a checkpoint of the application's own.
scene_write() {
    apps_start
    apps batch 60 3000
    author_start
    moment_note
    apps update 1 30
    moment_note
    apps delete 5 50
    apps vacuum
    moment_note
    apps batch 90 4000
    apps checkpoint passive
    moment_note
    poll_until "$deadline_s" levels_lead_on_or_insert || give_up "not all levels came about"
    apps update 20 110
    moment_note
    author_stop
    apps_stop
    : >"$scene/is-written"
}

scene_is_written() {
    [ -e "$scene/is-written" ] || give_up "the scene could not be written"
}

# ---- what is left of a replica -----------------------------------------------------------------

# replica_copy SIZE: into $replica, with the times of its files.
replica_copy() {
    scene_is_written
    replica=$work/replica
    rm -rf "$replica"
    cp -a "$scene/r$1" "$replica"
}

# Level 0 alone: every restore needs each of its objects.
keep_level_0() {
    rm -rf "$replica"/ltx/[1-9]
}

# keep_level LEVEL: that level and, where it does not begin with TXID 1, the oldest snapshot; of
# level 0 what is newer.
keep_level() {
    local level=$1 other first tip
    read -r first _ < <(first_of "$replica" "$level")
    tip=$(tip_of "$replica" "$level")
    for other in 1 2 3; do
        [ "$other" = "$level" ] || rm -rf "$replica/ltx/$other"
    done
    if [ "$level" = 9 ]; then
        find "$replica/ltx/9" -name '*.ltx' | sort | head -n -1 | xargs -r rm
    elif [ "$first" = 0000000000000001 ]; then
        rm -rf "$replica/ltx/9"
    else
        find "$replica/ltx/9" -name '*.ltx' | sort | tail -n +2 | xargs -r rm
    fi
    level_0_cut "$tip"
}

# level_0_cut TXID: nothing of level 0 up to there.
level_0_cut() {
    local txid
    objects_of "$replica" 0 | while read -r txid _; do
        [[ $txid > $1 ]] || rm "$replica/ltx/0/$txid-$txid.ltx"
    done
}

# ---- asking both programs ----------------------------------------------------------------------

# both_restore FOLDER [FLAG...]: the same bytes from both, in $work/walferry.db.
both_restore() {
    local folder=$1
    shift
    restore_url "$walferry" "$folder" "$work/walferry.db" "$@" || fail "walferry restore $*"
    restore_url "$litestream" "$folder" "$work/litestream.db" "$@" || fail "Litestream restore $*"
    both_are_equal "$*"
}

both_are_equal() {
    cmp "$work/walferry.db" "$work/litestream.db" || fail "restores differ: $1"
}

newest_is_the_database() {
    both_restore "$replica"
    pages_equal "$scene/p$1.db" "$work/walferry.db" || fail "restored pages differ from the database"
    db_is_sound "$work/walferry.db" || fail "malformed"
}

# is_noted HASH: the restored rows are those of the noted moment.
is_noted() {
    [ "$(rows_hash "$work/walferry.db")" = "$1" ] || fail "rows differ from those of the moment: $2"
    db_is_sound "$work/walferry.db" || fail "malformed: $2"
}

from_level_0() {
    replica_copy "$1"
    keep_level_0
    newest_is_the_database "$1"
}

# from_level SIZE LEVEL: the end of the level itself, and the newest state by it and what follows.
from_level() {
    local tip
    replica_copy "$1"
    tip=$(tip_of "$replica" "$2")
    keep_level_0
    both_restore "$replica" -txid "$tip"
    mv "$work/walferry.db" "$work/wanted.db"
    replica_copy "$1"
    keep_level "$2"
    newest_is_the_database "$1"
    both_restore "$replica" -txid "$tip"
    cmp "$work/wanted.db" "$work/walferry.db" || fail "level $2 at $tip differs from level 0"
    rm -rf "$replica/ltx/0"
    both_restore "$replica"
    cmp "$work/wanted.db" "$work/walferry.db" || fail "level $2 alone differs from level 0"
}

at_noted_txids() {
    local txid hash
    replica_copy "$1"
    while read -r txid hash; do
        both_restore "$replica" -txid "$txid"
        is_noted "$hash" "$txid"
    done <"$scene/s$1"
}

# The moment of an object gives that object (walferry) or what was before it (Litestream, which
# therefore is asked for the next millisecond; it refuses one after the newest object).
at_noted_times() {
    local txid hash object
    replica_copy "$1"
    while read -r txid hash; do
        [ "$txid" != "$(tip_of "$replica" 0)" ] || continue
        object=$replica/ltx/0/$txid-$txid.ltx
        restore_url "$walferry" "$replica" "$work/walferry.db" -timestamp "$(time_of "$object")"
        restore_url "$litestream" "$replica" "$work/litestream.db" \
            -timestamp "$(time_of "$object" 1)"
        both_are_equal "at the moment of $txid"
        is_noted "$hash" "at the moment of $txid"
    done <"$scene/s$1"
}

at_every_txid() {
    local txid
    replica_copy "$1"
    for txid in $(objects_of "$replica" 0 | cut -d' ' -f2); do
        both_restore "$replica" -txid "$txid"
        db_is_sound "$work/walferry.db" || fail "malformed: $txid"
    done
}

# Of what retention left, everything that is still listed can be restored. (Litestream also leaves
# raw objects from before its oldest full copy: they lead nowhere.)
after_retention() {
    local folder=$1 txid oldest=
    [ "$author_name" != Litestream ] || oldest=$(find "$folder/ltx" -name '0000000000000001-*.ltx' |
        sed 's/.*-//; s/\.ltx//' | sort | head -n 1)
    ! [ -e "$folder/ltx/0/0000000000000001-0000000000000001.ltx" ] || fail "nothing went"
    replica=$folder
    newest_is_the_database "$2"
    for txid in $({ objects_of "$folder" 0 && objects_of "$folder" 9; } | cut -d' ' -f2 | sort -u); do
        [[ ! $txid < $oldest ]] || continue
        both_restore "$folder" -txid "$txid"
        db_is_sound "$work/walferry.db" || fail "malformed: $txid"
    done
}

# Every way to ask, a test each; `of` begins the names of further ones.
asked_of_both() {
    local size level
    of="both restore what $author_name wrote"
    for size in $sizes; do
        tap_run "$of, from level 0 alone, pages of $size bytes" from_level_0 "$size"
        for level in 1 2 3; do
            tap_run "$of, from level $level, pages of $size bytes" from_level "$size" $level
        done
        tap_run "$of, from a snapshot, pages of $size bytes" from_level "$size" 9
        tap_run "$of, at noted TXIDs, pages of $size bytes" at_noted_txids "$size"
        tap_run "$of, at past moments, pages of $size bytes" at_noted_times "$size"
    done
    tap_run "$of, at every TXID" at_every_txid "${sizes%% *}"
}
