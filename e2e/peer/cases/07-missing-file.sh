#!/usr/bin/env bash
# title: a missing file in the chain makes a restore to a later moment an error that names it
#
# One object of the chain is gone (a lifecycle rule, a hand that slipped) and nothing else covers
# it. No restore to the newest, to a later TXID or to a later time may quietly give an older state.
. "$(dirname "$0")/../subject.sh"
case_begin

url=file://$work/replica
app_start app "$work/app.db"
subject_config it "$work/app.db" "$url"
app_must app insert 1
subject_start it
for row in 1 2 3 4 5 6; do
    subject_wait_synced "$url" $row
    app_must app insert 1
done
subject_stop it
app_stop app
replica_keep_raw "$work/replica"
mapfile -t txids < <(replica_txids "$work/replica")
[ ${#txids[@]} -ge 6 ] || give_up "only ${#txids[@]} objects"
missing=${txids[3]}
last=${txids[-1]}
time=$(replica_time "$work/replica" "$last")
rm "$work/replica/ltx/0/$missing-$missing.ltx"

bad=
for moment in "-timestamp $time" "-txid $last" ""; do
    db_remove "$work/out.db"
    what=${moment%% *}
    # shellcheck disable=SC2086 # a flag and its value
    if subject_restore "$url" "$work/out.db" $moment; then
        rows=$(db_ask "$work/out.db" "SELECT count(*) FROM app_row")
        bad+="; $what: exit status 0 with $rows of 7 rows"
    elif [ -e "$work/out.db" ]; then
        bad+="; ${what:-newest}: failed, but left an output"
    elif [[ $restore_says != *"$missing"* ]]; then
        bad+="; ${what:-newest}: error does not name $missing: $(tail -n 1 <<<"$restore_says")"
    fi
done
[ -z "$bad" ] || unsafe "${bad#; }"
safe "newest, -txid and -timestamp: ${restore_says#*replica: }"
