#!/usr/bin/env bash
# title: a restore -force that fails leaves the old database as it was
#
# The database to be replaced is good, the replica is damaged (a flipped byte in one object; then
# that object missing; then the whole replica gone). -force must not cost what was there.
. "$(dirname "$0")/../subject.sh"
case_begin

url=file://$work/replica
app_start app "$work/app.db"
subject_config it "$work/app.db" "$url"
app_must app batch 20 500
subject_start it
subject_wait_synced "$url" 20
app_must app insert 1
subject_wait_synced "$url" 21
subject_stop it
app_stop app
replica_keep_raw "$work/replica"
first=$(replica_txids "$work/replica" | head -n 1)
object=$work/replica/ltx/0/$first-$first.ltx
cp "$work/app.db" "$work/old.db"

lost=
try() {
    subject_restore "$url" "$work/app.db" -force && give_up "$1: the restore succeeded"
    if [ ! -e "$work/app.db" ]; then
        lost+="; $1: the old database is gone"
    elif ! cmp -s "$work/old.db" "$work/app.db"; then
        lost+="; $1: the old database was changed"
    fi
    cp "$work/old.db" "$work/app.db"
}

printf 'X' | dd of="$object" bs=1 seek=150 conv=notrunc status=none
try "flipped byte"
rm "$object"
try "missing object"
rm -rf "$work/replica"
try "no replica"
[ -z "$lost" ] || unsafe "${lost#; }"
safe "old database unchanged after 3 failed attempts: ${restore_says##*$'\n'}"
