#!/usr/bin/env bash
# title: a new, empty database never buries what the prefix holds
#
# The volume is lost. The application comes up first and makes a new database, or the sidecar is
# there first; either way the path and the prefix are the old ones. What a restore gives must still
# be the old database.
. "$(dirname "$0")/../subject.sh"
case_begin

mkdir "$work/app-first" "$work/sidecar-first"
subject_config it "$work/app-first/app.db" "file://$work/app-first.replica" \
    "$work/sidecar-first/app.db" "file://$work/sidecar-first.replica"
for order in app-first sidecar-first; do
    app_start $order "$work/$order/app.db"
    app_must $order batch 50
done
subject_start it
for order in app-first sidecar-first; do
    subject_wait_synced "file://$work/$order.replica" 50
    before[${#before[@]}]=$(replica_list "$work/$order.replica")
done
subject_stop it
for order in app-first sidecar-first; do
    app_stop $order
    rm -rf "${work:?}/$order"
    mkdir "$work/$order"
done

# Both were written to, or the sidecar said that it does not.
both_decided() {
    subject_has_reported it ||
        { [ "$(replica_list "$work/app-first.replica")" != "${before[0]}" ] &&
            [ "$(replica_list "$work/sidecar-first.replica")" != "${before[1]}" ]; }
}

app_start app-first "$work/app-first/app.db"
app_must app-first insert 1
subject_start it
app_start sidecar-first "$work/sidecar-first/app.db"
app_must sidecar-first insert 1
wait_until "the sidecar ships or refuses" both_decided
app_must app-first insert 1
app_must sidecar-first insert 1
subject_stop it
buried=
for order in app-first sidecar-first; do
    restored_ask "file://$work/$order.replica" "SELECT count(*) FROM app_row"
    [ "$answer" = 50 ] || buried+="; $order: a restore has ${answer:-none} of 50 rows"
done
[ -z "$buried" ] || unsafe "${buried#; }"
[ "$status" -ne 0 ] || unsafe "the old rows are safe, but the new ones were dropped without a word"
safe "refused (exit status $status): $(subject_report it)"
