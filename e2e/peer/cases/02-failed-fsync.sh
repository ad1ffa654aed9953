#!/usr/bin/env bash
# title: a commit whose fsync failed, and that SQLite rolled back, is never shipped
#
# The application's fsync fails right behind a commit frame: SQLite answers an error and rolls back,
# though the log now holds a frame that looks committed. The sidecar sees it live, and once more
# when it is told to end (its last look at the log). No state that the replica offers may have the
# row; nor after the application went on and wrote over it.
. "$(dirname "$0")/../subject.sh"
case_begin

url=file://$work/replica
ghost="SELECT count(*) FROM app_row WHERE id = 1000000"
haunted=

look() {
    local txid
    restored_ask "$url" "$ghost" || unsafe "$1: no restore: $restore_says"
    [ "$answer" = 0 ] || haunted+=" $1"
    for txid in $(replica_txids "$work/replica"); do
        restored_ask "$url" "$ghost" -txid "$txid" || continue
        [ "$answer" = 0 ] || haunted+=" $1@${txid##*0000}"
    done
}

app_start app "$work/app.db"
app_must app insert 5
subject_config it "$work/app.db" "$url"
subject_start it
subject_wait_synced "$url" 5
app_must app insert 1
subject_wait_synced "$url" 6

app_must app fail-syncs 1
if app app sql "INSERT INTO app_row VALUES(1000000, 0, 'never committed')"; then
    give_up "the fsync did not fail"
fi
subject_stop it
look "after-the-failure"

app_must app insert 1
subject_start it
subject_wait_synced "$url" 7
subject_stop it
look "after-going-on"
[ "$(db_ask "$work/app.db" "$ghost")" = 0 ] || give_up "the application has the row"
db_is_sound "$work/asked.db" || unsafe "the restored database is malformed"
if [ -n "$haunted" ]; then
    unsafe "a restore has the row that the application was told is not committed:$haunted"
fi
safe "no state of the replica has the row ($(replica_txids "$work/replica" | wc -l) looked at)"
