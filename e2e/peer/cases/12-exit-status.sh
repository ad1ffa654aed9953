#!/usr/bin/env bash
# title: the exit status tells of commits that were not shipped
#
# The store goes away, a row is committed, the sidecar is told to end. It cannot ship the row, so it
# must not say that all is well. (With the store there, it must say so.)
. "$(dirname "$0")/../subject.sh"
case_begin

url=file://$work/store/replica
subject_globals="shutdown-sync-timeout: 2s"
mkdir "$work/store"
app_start app "$work/app.db"
app_must app insert 1
subject_config it "$work/app.db" "$url"
subject_start it
subject_wait_synced "$url" 1
subject_stop it
[ "$status" -eq 0 ] || unsafe "exit status $status although everything was shipped"

subject_start it
app_must app insert 1
subject_wait_synced "$url" 2
mv "$work/store" "$work/away"
: >"$work/store" # not a folder: nothing can be made there
app_must app insert 1
subject_stop it
said=$status
rm "$work/store"
mv "$work/away" "$work/store"
restored_has_row "$url" 3 && give_up "row 3 was shipped all the same"
[ "$said" -ne 0 ] || unsafe "exit status 0, and row 3 is not in the replica"
safe "exit status $said: $(subject_report it)"
