#!/usr/bin/env bash
# title: nothing at all is written into the user's database
#
# Two databases are given the same commands; one is replicated, through checkpoints, a VACUUM and a
# restart of the sidecar. Both are closed. They must be the same byte for byte.
. "$(dirname "$0")/../subject.sh"
case_begin

url=file://$work/replica
both() {
    app_must app "$@"
    app_must twin "$@"
}

app_start app "$work/app.db"
app_start twin "$work/twin.db"
both batch 50 300
subject_config it "$work/app.db" "$url"
subject_start it
subject_wait_synced "$url" 50
both insert 30
both update 1 40
both checkpoint passive
both insert 5
subject_wait_synced "$url" 85
both delete 20 60
both vacuum
both checkpoint passive
subject_stop it
subject_start it
both insert 5
subject_wait_synced "$url" 90
subject_stop it
app_stop app
app_stop twin
if ! cmp -s "$work/app.db" "$work/twin.db"; then
    extra=$(db_ask "$work/app.db" "SELECT group_concat(name, ', ') FROM sqlite_schema
        WHERE name NOT LIKE 'app_row%' AND type = 'table'")
    unsafe "$(cmp -l "$work/app.db" "$work/twin.db" 2>/dev/null | wc -l) bytes differ" \
        "from the twin${extra:+; new tables: $extra}"
fi
safe "$(stat -c %s "$work/app.db") bytes, equal to the twin that was never replicated"
