#!/usr/bin/env bash
# walferry retention on the command line: the plan, carrying it out, and what is never in it.
# shellcheck source=sidecar/command/cli.sh
. "$(dirname "$0")/cli.sh"
tap_need sqlite3 python3

# old_make FOLDER: three snapshots and three raw objects, older than 100 ms.
is_old() {
    expect 0 retention -json -retention 100ms -l0-retention 100ms "file://$work/replica"
    json_is "len(d[0]['files']) == 4" >/dev/null
}

old_make() {
    local i
    db_make "$work/made.db"
    for i in 1 2 3; do
        expect 0 replicate -once -force-snapshot "$work/made.db" "$work/replica"
        db_insert "$work/made.db" $((i + 1))
    done
    wait_until "four objects are too old" is_old
}

plan() {
    old_make
    json_is "(d[0]['destination'], d[0]['is_deleted'], d[0]['objects']) == ('file', False, 6)"
    json_is "d[0]['oldest_txid'] == '0000000000000003'"
    json_is "sorted((f['level'], f['max_txid'][-1]) for f in d[0]['files']) ==
        [(0, '1'), (0, '2'), (9, '1'), (9, '2')]"
    has_objects "$work/replica" 0 3
    has_objects "$work/replica" 9 3
    expect 0 retention -retention 100ms -l0-retention 100ms "file://$work/replica"
    says '4 of 6 objects would be deleted'
    # A day is kept when nothing else is said.
    expect 0 retention "file://$work/replica"
    says '0 of 6 objects would be deleted'
}
tap_run the_plan_is_shown_and_nothing_deleted plan

delete() {
    old_make
    expect 0 retention -delete -retention 100ms -l0-retention 100ms "file://$work/replica"
    says '4 of 6 objects deleted'
    [ "$(find "$work/replica/ltx" -name '*.ltx' | wc -l)" -eq 2 ]
    restores "file://$work/replica" 3
    expect 0 verify "file://$work/replica"
    # Nothing more can go: the newest of each is never in a plan.
    expect 0 retention -delete -retention 1ms -l0-retention 1ms "file://$work/replica"
    says '0 of 2 objects deleted'
}
tap_run what_is_deleted_leaves_a_replica_that_restores delete

configured() {
    old_make
    cat >"$work/c.yml" <<-END
	dbs:
	  - path: $work/made.db
	    replicas: [{name: one, path: $work/replica, retention: 100ms}, {name: two, path: $work/r2}]
	END
    expect 0 retention -json -l0-retention 100ms -config "$work/c.yml" "$work/made.db"
    json_is "[(r['destination'], len(r['files'])) for r in d] == [('one', 4), ('two', 0)]"
    expect 0 retention -json -replica two -config "$work/c.yml" "$work/made.db"
    json_is 'len(d) == 1'
    expect 2 retention -replica three -config "$work/c.yml" "$work/made.db"
    tells three
    expect 2 retention -retention soon "file://$work/replica"
    tells '-retention'
}
tap_run each_destination_has_the_policy_that_is_configured configured

tap_end
