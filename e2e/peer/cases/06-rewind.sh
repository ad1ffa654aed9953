#!/usr/bin/env bash
# title: a rewound database goes on with a difference, and the old future stays restorable
#
# Ten rows, then a mistake (rows 11..20). The database is restored to the moment before, in its own
# place, and goes on with another row 11. The newest state is then the new one, the old future is
# still there under its TXID and its time, and walferry ships what differs, not the megabyte.
. "$(dirname "$0")/../subject.sh"
case_begin

url=file://$work/replica
mkdir "$work/data"
db=$work/data/app.db
app_start app "$db"
app_must app batch 1 1000000
app_must app insert 9
subject_config it "$db" "$url"
subject_start it
subject_wait_synced "$url" 10
good=$(replica_last_txid "$work/replica")
app_must app insert 10
subject_wait_synced "$url" 20
subject_stop it
app_stop app
mistake=$(replica_last_txid "$work/replica")

subject_restore_home it "$db" -force -txid "$good" || unsafe "rewind refused: $restore_says"
[ "$(db_ask "$db" 'SELECT count(*) FROM app_row')" = 10 ] || unsafe "rewound to another state"
app_start app "$db"
subject_start it
app_must app sql "INSERT INTO app_row VALUES(11, 77, 'after the rewind')"

went_on() {
    subject_has_ended it ||
        { restored_ask "$url" "SELECT count(*) FROM app_row WHERE tag = 77" && [ "$answer" = 1 ]; }
}
wait_until "the new row 11 is in the replica" went_on
subject_stop it
[ "$status" -eq 0 ] || unsafe "does not go on: $(subject_report it)"

restored_ask "$url" "SELECT count(*) || ' ' || max(id) FROM app_row" || unsafe "$restore_says"
[ "$answer" = "11 11" ] || unsafe "newest state after the rewind has rows: $answer, not 11"
pages_equal "$db" "$work/asked.db" || unsafe "newest state differs from the database"
for moment in "-txid $mistake" "-timestamp $(replica_time "$work/replica" "$mistake" 1)"; do
    # shellcheck disable=SC2086 # a flag and its value
    restored_ask "$url" "SELECT count(*) FROM app_row" $moment
    [ "$answer" = 20 ] || unsafe "the old future is gone: $moment has $answer of 20 rows"
done
shipped=$(find "$work/replica/ltx/0" -newer "$work/replica/ltx/0/$mistake-$mistake.ltx" \
    -name '*.ltx' -printf '%s\n' | awk '{ s += $1 } END { print int(s / 1000) }')
if [ "$subject" = walferry ] && [ "$shipped" -gt 200 ]; then
    unsafe "both histories are restorable, but $shipped KB were shipped for one row"
fi
safe "both histories restorable; $shipped KB shipped after the rewind of a 1 MB database"
