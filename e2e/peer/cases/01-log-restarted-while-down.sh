#!/usr/bin/env bash
# title: what was checkpointed and overwritten while the sidecar was down is in the replica
#
# Seven databases behind one sidecar. It dies (once by SIGKILL, once by SIGTERM); meanwhile the
# application changes rows, checkpoints in one of SQLite's ways and writes again, so that the log
# begins anew and what it held is only in the database file. After the sidecar is back and has
# shipped one more row, a restore must equal the database page by page.
. "$(dirname "$0")/../subject.sh"
case_begin

ways="passive full restart truncate vacuum several close"

# The log as it was when the sidecar died disappears, in the given way.
rewrite_log() {
    local db=$1 way=$2 mode
    app_must "$db" update 1 3
    case $way in
    vacuum)
        app_must "$db" delete 2 4
        app_must "$db" vacuum
        app_must "$db" checkpoint passive
        ;;
    several)
        for mode in passive restart truncate passive; do
            app_must "$db" update 1 3
            app_must "$db" checkpoint "$mode"
            app_must "$db" insert 1
        done
        ;;
    close) # the last connection checkpoints, and removes the log
        app_stop "$db"
        app_start "$db" "$work/$db.db"
        ;;
    *) app_must "$db" checkpoint "$way" ;;
    esac
    app_must "$db" insert 1
}

lost=
round() {
    local signal=$1 way db pairs=()
    for way in $ways; do
        db=$signal-$way
        app_start "$db" "$work/$db.db"
        app_must "$db" insert 20 1500 # rows 1..3 lie in other pages than the last
        pairs+=("$work/$db.db" "file://$work/$db.replica")
    done
    subject_config "$signal" "${pairs[@]}"
    subject_start "$signal"
    for way in $ways; do
        subject_wait_synced "file://$work/$signal-$way.replica" 20
        subject_wait_begun "$work/$signal-$way.replica"
    done
    pid_stop "${subject_pid[$signal]}" "$signal"
    for way in $ways; do
        rewrite_log "$signal-$way" "$way"
    done
    subject_start "$signal"
    for way in $ways; do
        db=$signal-$way
        app_must "$db" insert 1
        # What does not arrive is told below, by comparing.
        poll_until 15 restored_has_row "file://$work/$db.replica" "${reply##* }"
    done
    subject_stop "$signal"
    for way in $ways; do
        db=$signal-$way
        db_remove "$work/out.db"
        if ! subject_restore "file://$work/$db.replica" "$work/out.db"; then
            lost+=" $signal/$way(no restore)"
        elif ! db_is_sound "$work/out.db"; then
            lost+=" $signal/$way(malformed)"
        elif ! pages_equal "$work/$db.db" "$work/out.db"; then
            lost+=" $signal/$way(older pages)"
        fi
        app_stop "$db"
    done
}

round KILL
round TERM
if [ -n "$lost" ]; then
    unsafe "exit status 0, but the restored database differs, after:$lost"
fi
safe "14 databases (7 ways x SIGKILL, SIGTERM) restored page for page"
