#!/usr/bin/env bash
# walferry rewind: an earlier state becomes the newest of the replica, the future stays, and the
# database that was at the end is brought back by a roll forward.
# shellcheck source=sidecar/command/cli.sh
. "$(dirname "$0")/cli.sh"
tap_need sqlite3 python3

txid() {
    printf '%016x' "$1"
}

configured() {
    cat >"$work/c.yml" <<-END
	dbs:
	  - {path: $work/made.db, ${1:-replica: {path: $work/replica\}}}
	  - {path: $work/other.db, replica: {path: $work/replica-other}}
	END
    mkdir -p "$work/scratch"
}

at_txid() { # TXID COUNT
    db_remove "$work/restored.db"
    expect 0 restore -txid "$1" -o "$work/restored.db" "file://$work/replica"
    [ "$(db_count "$work/restored.db")" -eq "$2" ]
}

rewind() {
    configured
    replica_make "$work/replica" 4
    expect 0 rewind -json -config "$work/c.yml" -work-folder "$work/scratch" -txid "$(txid 2)" \
        -integrity-check quick "$work/made.db"
    json_is "d['outcome'] == 'rewound' and d['txid'] == '$(txid 2)' and d['tip_txid'] == '$(txid 5)'"
    json_is "d['db_checksum_recorded'] and d['db_path'] == '$work/made.db'"
    restores "file://$work/replica" 2
    at_txid "$(txid 4)" 4
    # Only what was named: nothing of the other database was even looked at.
    [ ! -e "$work/replica-other" ]
    # The database itself was left alone, is an older state now, and goes back.
    [ "$(db_count "$work/made.db")" -eq 4 ]
    expect 0 restore -roll-forward -config "$work/c.yml" "$work/made.db"
    [ "$(db_count "$work/made.db")" -eq 2 ]
    db_insert "$work/made.db" 77
    expect 0 replicate -once "$work/made.db" "$work/replica"
    restores "file://$work/replica" 3
    at_txid "$(txid 4)" 4
}
tap_run an_earlier_state_is_the_newest_again_and_the_future_stays rewind

again() {
    configured
    replica_make "$work/replica" 4
    local moment
    moment=$(date -u -d '1 second' +%FT%TZ)
    sleep_until_after "$moment"
    db_insert "$work/made.db" 5
    expect 0 replicate -once "$work/made.db" "$work/replica"
    local i
    for i in 1 2; do
        expect 0 rewind -config "$work/c.yml" -work-folder "$work/scratch" -timestamp "$moment" "$work/made.db"
        says 'is the newest state again'
        restores "file://$work/replica" 4
    done
    at_txid "$(txid 5)" 5
}

# The clock is what -timestamp is about: wait until it is past the moment.
sleep_until_after() {
    wait_until "the moment is past" is_past "$1"
}
is_past() {
    [ "$(date -u +%FT%TZ)" \> "$1" ]
}
tap_run done_twice_it_is_the_same again

newest() {
    configured
    replica_make "$work/replica" 2
    expect 0 rewind -config "$work/c.yml" -work-folder "$work/scratch" -txid "$(txid 2)" "$work/made.db"
    says 'nothing was done'
    [ "$(find "$work/replica" -name '*.ltx' | wc -l)" -eq 2 ]
}
tap_run the_newest_state_is_left_as_it_is newest

several() {
    configured "replicas: [{name: one, path: $work/replica}, {name: two, path: $work/replica2}]"
    db_make "$work/made.db"
    local i
    for i in 1 2 3; do
        [ "$i" = 1 ] || db_insert "$work/made.db" "$i"
        run replicate -once -config "$work/c.yml" # the other database is not there
        [ "$status" -eq 1 ]
    done
    restores "file://$work/replica2" 3
    expect 0 rewind -config "$work/c.yml" -work-folder "$work/scratch" -txid "$(txid 2)" -replica one "$work/made.db"
    restores "file://$work/replica" 2
    restores "file://$work/replica2" 2
}
tap_run every_destination_goes_back several

refused() {
    configured
    replica_make "$work/replica" 2
    cp -r "$work/replica" "$work/before"
    expect 2 rewind -config "$work/c.yml" -txid "$(txid 1)" "$work/made.db"
    tells '-work-folder is needed'
    expect 2 rewind -config "$work/c.yml" -work-folder "$work/scratch" "$work/made.db"
    tells 'how far back'
    expect 2 rewind -config "$work/c.yml" -work-folder "$work/scratch" -txid "$(txid 9)" "$work/made.db"
    expect 3 rewind -config "$work/c.yml" -work-folder "$work/scratch" -txid "$(txid 1)" "$work/other.db"
    expect 2 rewind -config "$work/c.yml" -work-folder "$work/scratch" -txid "$(txid 1)" -replica x "$work/made.db"
    tells 'no destination named x'
    expect 2 rewind -config "$work/c.yml" -work-folder "$work/scratch" -txid "$(txid 1)" "$work/none.db"
    object_damage "$(object "$work/replica" 0 1)"
    expect 4 rewind -config "$work/c.yml" -work-folder "$work/scratch" -txid "$(txid 1)" "$work/made.db"
    object_damage "$(object "$work/replica" 0 1)"
    diff -r "$work/before" "$work/replica"
}
tap_run what_cannot_be_done_changes_nothing refused

tap_end
