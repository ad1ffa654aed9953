#!/usr/bin/env bash
# title: a database older than the bucket is rolled forward or refused, never shipped over it
#
# A volume comes back as it was at row 10, with the sidecar's own files; the bucket is at row 30.
# Three ways to go on: the sidecar alone finds it; the application writes first; the documented
# start (restore in an init container, then both).
. "$(dirname "$0")/../subject.sh"
case_begin

ways="untouched written prepared"
pairs=()
for way in $ways; do
    mkdir "$work/$way"
    app_start "$way" "$work/$way/app.db"
    app_must "$way" insert 10
    pairs+=("$work/$way/app.db" "file://$work/$way.replica")
done

# Every database behind one sidecar, until row $1 is in its replica; then all stop.
run_until_row() {
    subject_start it
    for way in $ways; do
        subject_wait_synced "file://$work/$way.replica" "$1"
    done
    subject_stop it
    for way in $ways; do
        app_stop "$way"
    done
}

subject_config it "${pairs[@]}"
run_until_row 10
for way in $ways; do
    cp -a "$work/$way" "$work/$way.stale"
    app_start "$way" "$work/$way/app.db"
    app_must "$way" insert 20
done
run_until_row 30

declare -A before=()
for way in $ways; do
    cp "$work/$way/app.db" "$work/$way.newest.db"
    before[$way]=$(replica_list "$work/$way.replica")
    rm -rf "${work:?}/$way"
    mv "$work/$way.stale" "$work/$way"
    subject_config "$way" "$work/$way/app.db" "file://$work/$way.replica"
done

decided() {
    subject_has_reported "$1" || [ "$(replica_list "$work/$1.replica")" != "${before[$1]}" ]
}

buried=
said=
for way in $ways; do
    if [ "$way" = prepared ] && ! subject_before_start "$way" "$work/$way/app.db"; then
        said+="; $way: start refused"
        continue
    fi
    if [ "$way" = untouched ]; then
        subject_start "$way"
        wait_until "the sidecar ships or refuses" decided "$way"
    fi
    app_start "$way" "$work/$way/app.db"
    app_must "$way" insert 1
    if [ "$way" != untouched ]; then
        subject_start "$way"
        wait_until "the sidecar ships or refuses" decided "$way"
    fi
    subject_stop "$way"
    restored_ask "file://$work/$way.replica" "SELECT count(*) FROM app_row"
    case $answer in
    30) said+="; $way: refused (exit status $status)" ;;
    31) said+="; $way: rolled forward" ;;
    *) buried+="; $way: a restore has $answer rows, the bucket had 30" ;;
    esac
    [ "$answer" != 30 ] || [ "$status" -ne 0 ] || buried+="; $way: row dropped without a word"
done
[ -z "$buried" ] || unsafe "${buried#; }"
safe "${said#; }"
