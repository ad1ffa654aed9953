#!/usr/bin/env bash
# walferry verify on the command line: listing, reading, subsets, the drill, several destinations.
# shellcheck source=sidecar/command/cli.sh
. "$(dirname "$0")/cli.sh"
tap_need sqlite3 python3

whole() {
    replica_make "$work/replica" 3
    expect 0 verify "file://$work/replica"
    says '3 objects, 3 read'
    says ' 0 faults; tip TXID 0000000000000003'
    expect 0 verify -json "file://$work/replica"
    json_is "len(d) == 1 and d[0]['destination'] == 'file' and d[0]['url'] == 'file://$work/replica'"
    json_is "[f['status'] for f in d[0]['findings']] == ['ok'] * 3"
    json_is "d[0]['objects'] == d[0]['read'] == 3 and d[0]['faults'] == 0 and d[0]['error'] is None"
    json_is "{'read_bytes', 'txid', 'restore_oldest', 'restore_newest'} <= set(d[0])"
    expect 0 verify -list -json "file://$work/replica"
    json_is "d[0]['objects'] == 3 and d[0]['read'] == 0"
}
tap_run a_whole_replica_has_no_faults whole

damaged() {
    replica_make "$work/replica" 3
    object_damage "$(object "$work/replica" 0 2)"
    expect 4 verify "file://$work/replica"
    says "damaged     level 0  0000000000000002-0000000000000002"
    expect 4 verify -json "file://$work/replica"
    json_is "[f['status'] for f in d[0]['findings']] == ['ok', 'damaged', 'ok']"
    json_is "d[0]['findings'][1]['detail'] and d[0]['faults'] == 1"
    expect 4 verify -json -faults -jitter 1ms "file://$work/replica"
    json_is "[f['status'] for f in d[0]['findings']] == ['damaged']"
    # The listing alone cannot know.
    expect 0 verify -list "file://$work/replica"
}
tap_run a_flipped_byte_is_found_by_reading damaged

missing() {
    replica_make "$work/replica" 3
    rm "$(object "$work/replica" 0 2)"
    expect 4 verify -list "file://$work/replica"
    says 'gap'
    says '0000000000000002'
}
tap_run a_missing_object_is_found_by_listing missing

truncated() {
    replica_make "$work/replica" 2
    truncate -s -1 "$(object "$work/replica" 0 2)"
    expect 4 verify "file://$work/replica"
    : >"$(object "$work/replica" 0 2)"
    expect 4 verify "file://$work/replica"
}
tap_run a_cut_object_is_found truncated

subset() {
    replica_make "$work/replica" 4
    local n read=0
    for n in 1 2 3; do
        expect 0 verify -json -subset "$n/3" "file://$work/replica"
        read=$((read + $(python3 -c 'import json, sys
print(json.load(sys.stdin)[0]["read"])' <"$work/out")))
    done
    [ "$read" -eq 4 ]
    for n in 0/3 4/3 1 a/b 1/3x ''; do
        expect 2 verify -subset "$n" "file://$work/replica"
        tells '-subset'
    done
}
tap_run subsets_together_read_every_object_once subset

drill() {
    replica_make "$work/replica" 2
    mkdir "$work/scratch"
    expect 0 verify -drill -scratch "$work/scratch" "file://$work/replica"
    says 'drill: restored TXID 0000000000000002'
    says 'integrity_check ok'
    expect 0 verify -drill -json -scratch "$work/scratch" "file://$work/replica"
    json_is "d[0]['drill']['txid'] == '0000000000000002' and d[0]['drill']['db_checksum_recorded']"
    expect 0 verify -drill -integrity-check none -json -scratch "$work/scratch" "file://$work/replica"
    json_is "d[0]['drill']['integrity_check'] == 'none'"
    expect 0 verify -drill -integrity-check quick -scratch "$work/scratch" "file://$work/replica" "file://$work/replica"
    [ "$(grep -c 'quick_check ok' "$work/out")" -eq 2 ]
    expect 2 verify -drill -integrity-check some -scratch "$work/scratch" "file://$work/replica"
    [ -z "$(ls -A "$work/scratch")" ]
    expect 2 verify -drill -scratch "$work/none" "file://$work/replica"
    tells "-scratch: $work/none is not there"
    object_damage "$(object "$work/replica" 0 1)"
    expect 4 verify -list -drill -json -scratch "$work/scratch" "file://$work/replica"
    json_is "'drill' in d[0]['error']"
    [ -z "$(ls -A "$work/scratch")" ]
}
tap_run the_drill_restores_for_real_and_leaves_nothing drill

# One destination is whole, one damaged, one empty: each is looked at, the worst decides.
several() {
    replica_make "$work/r1" 2
    cat >"$work/c.yml" <<-END
	dbs:
	  - path: $work/made.db
	    replicas: [{name: void, path: $work/r3}, {name: one, path: $work/r1},
	      {name: two, path: $work/r2}]
	END
    expect 0 replicate -once "$work/made.db" "$work/r2"
    object_damage "$(object "$work/r2" 0 1)"
    expect 4 verify -json -config "$work/c.yml" "$work/made.db"
    json_is "[(r['destination'], r.get('faults'), r['error'] is None) for r in d] ==
        [('void', None, False), ('one', 0, True), ('two', 1, True)]"
    tells "file://$work/r3 holds no backup"
    expect 3 verify -replica void -config "$work/c.yml" "$work/made.db"
    expect 0 verify -replica one -config "$work/c.yml" "$work/made.db"
    expect 2 verify -replica four -config "$work/c.yml" "$work/made.db"
    tells four
    rm -r "$work/r2"
    expect 3 verify -config "$work/c.yml" "$work/made.db"
    says "file://$work/r1: 2 objects"
}
tap_run every_destination_is_verified_and_the_worst_decides several

nothing() {
    expect 3 verify "file://$work/nothing"
    tells "file://$work/nothing holds no backup"
    [ ! -e "$work/nothing" ]
    expect 2 verify -config "$work/none.yml" "$work/a.db"
    expect 2 verify "ftp://host/replica"
    tells 'unknown scheme'
}
tap_run only_an_empty_listing_is_no_backup nothing

tap_end
