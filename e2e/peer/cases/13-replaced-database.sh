#!/usr/bin/env bash
# title: a database that is replaced while it is replicated is followed or reported, never mixed
#
# The application is stopped, another database is moved over its file (an old backup, a new
# release's seed), the application starts on it and writes. The sidecar runs all the time. Every
# state of the replica must be one that one of the two databases had; and either the new one
# arrives, or the sidecar says that something is wrong.
. "$(dirname "$0")/../subject.sh"
case_begin

url=file://$work/replica
app_start other "$work/other.db"
app_must other batch 40 700
app_stop other
app_start app "$work/app.db"
app_must app insert 10
subject_config it "$work/app.db" "$url"
subject_start it
subject_wait_synced "$url" 10
app_stop app
cp "$work/app.db" "$work/old.db"
rm -f "$work/app.db-wal" "$work/app.db-shm"
mv "$work/other.db" "$work/app.db"
app_start app "$work/app.db"
app_must app insert 1

arrived_or_reported() {
    subject_has_reported it || restored_has_row "$url" 41
}
# Ten seconds are ten times the interval in which either looks at its database.
poll_until 10 arrived_or_reported
app_must app insert 1
subject_stop it
for txid in $(replica_txids "$work/replica") newest; do
    flags=()
    [ "$txid" = newest ] || flags=(-txid "$txid")
    restored_ask "$url" "PRAGMA integrity_check" "${flags[@]}" ||
        { [ "$txid" = newest ] && unsafe "no restore: ${restore_says##*$'\n'}"; } || continue
    [ "$answer" = ok ] || unsafe "mixed: the restored database at $txid is malformed (${answer%%$'\n'*})"
    rows=$(db_ask "$work/asked.db" "SELECT count(*) || ' ' || ifnull(max(length(body)), 0)
        FROM app_row WHERE id <= 10")
    case $rows in
    "10 700" | *" 100" | "0 0") ;;
    *) unsafe "mixed: rows of both databases at $txid ($rows)" ;;
    esac
done
if pages_equal "$work/app.db" "$work/asked.db"; then
    safe "followed: the newest state is the new database, page for page"
fi
rows=$(db_ask "$work/asked.db" "SELECT count(*) FROM app_row")
if [ "$status" -ne 0 ] || grep -qiE 'level=(warn|error)' "$work/it.log"; then
    safe "reported (exit status $status), replica holds $rows rows: $(subject_report it)"
fi
unsafe "replica stays at $rows rows, no warning, exit status 0"
