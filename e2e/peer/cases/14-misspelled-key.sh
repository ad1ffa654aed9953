#!/usr/bin/env bash
# title: a misspelled key is an error with its line and a suggestion
#
# `sync-intervall`, on line 5 of the configuration. Ignored, the setting would silently not hold.
. "$(dirname "$0")/../subject.sh"
case_begin

app_start app "$work/app.db"
app_must app insert 1
cat >"$work/it.yml" <<YML
dbs:
  - path: $work/app.db
    replica:
      url: file://$work/replica
      sync-intervall: 10s
YML

decided() {
    subject_has_ended it || [ -n "$(replica_list "$work/replica")" ]
}

subject_start it
wait_until "it ends or replicates" decided
subject_has_ended it || {
    subject_stop it
    unsafe "replicates, and never mentions the key"
}
pid_wait "${subject_pid[it]}"
said=$(grep -v 'level=info' "$work/it.log" | head -n 1 | sed "s|$work/||g")
[ "$status" -ne 0 ] || unsafe "exit status 0: $said"
[[ $said =~ it.yml:5|line\ 5 ]] || unsafe "does not name the line: $said"
[[ $said =~ sync-interval[^l] ]] || unsafe "does not suggest sync-interval: $said"
safe "exit status $status: $said"
