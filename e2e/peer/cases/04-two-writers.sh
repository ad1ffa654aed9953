#!/usr/bin/env bash
# title: two writers on one prefix leave one restorable history, and the loser says that it lost
#
# An old pod (A) and a new one (B, which restored the replica and goes on) write to one prefix. Three
# ways in which they meet:
#   overlap    both run, both write
#   sleeper    A stands still (SIGSTOP) for longer than half the L0 retention, while B goes on and
#              the numbers that A would use next are used, covered by a snapshot and deleted
#   cut-off    the same, but A runs and cannot reach the store in the meantime
# Afterwards a restore must be the database of one of the two, page for page, and the other one must
# have said that it stopped. The numbers are deleted by hand, as retention would; only the age is
# waited for, on the clock that the sidecar asks.
. "$(dirname "$0")/../subject.sh"
case_begin

subject_globals="l0-retention: 1m"
half_retention_s=31

# meet WAY: A's database with ten rows in the replica, its sidecar running; A sees the replica
# through a link that can be cut.
meet() {
    local way=$1 a=a-$1
    mkdir -p "$work/$a"
    ln -s "$work" "$work/link-$way"
    app_start "$a" "$work/$a/app.db"
    app_must "$a" insert 10
    subject_config "$a" "$work/$a/app.db" "file://$work/link-$way/replica-$way"
    subject_start "$a"
    subject_wait_synced "file://$work/replica-$way" 10
    app_must "$a" insert 1
    subject_wait_synced "file://$work/replica-$way" 11
}

# succeed WAY: B restores and goes on.
succeed() {
    local way=$1 b=b-$1
    mkdir "$work/$b"
    subject_config "$b" "$work/$b/app.db" "file://$work/replica-$way"
    subject_restore_home "$b" "$work/$b/app.db" || unsafe "$way: B cannot restore: $restore_says"
    app_start "$b" "$work/$b/app.db"
    app_must "$b" sql "INSERT INTO app_row VALUES(2000001, 1, 'B')"
    subject_start "$b"
    subject_wait_synced "file://$work/replica-$way" 2000001
}

# What B wrote is in a snapshot, and its numbers in level 0 are free again.
numbers_used_and_freed() {
    local way=$1 b=b-$1 row txids
    for row in 2000002 2000003; do
        app_must "$b" sql "INSERT INTO app_row VALUES($row, 1, 'B')"
        subject_wait_synced "file://$work/replica-$way" "$row"
    done
    subject_stop "$b"
    subject_once "$b" -force-snapshot || unsafe "$way: no snapshot: $(tail -n 1 "$work/$b.log")"
    mapfile -t txids < <(replica_txids "$work/replica-$way")
    for txid in "${txids[@]::${#txids[@]}-1}"; do
        rm "$work/replica-$way/ltx/0/$txid-$txid.ltx"
    done
    restored_has_row "file://$work/replica-$way" 2000003 || give_up "snapshot does not cover"
}

# A wrote, and its row came into the replica or A reported (or neither: then it stays silent).
a_spoke() {
    subject_has_reported "a-$1" || [ "$(replica_list "$work/replica-$1")" != "$before" ]
}

boot_s() {
    cut -d . -f 1 /proc/uptime
}

aged() {
    [ "$(boot_s)" -gt "$((asleep_s + half_retention_s))" ]
}

# ---- the three meetings ----

meet overlap
meet sleeper
meet cut-off
kill -STOP "${subject_pid[a-sleeper]}"
app_must a-sleeper sql "INSERT INTO app_row VALUES(1000001, 1, 'A')"
: >"$work/no-folder"
ln -sfn "$work/no-folder" "$work/link-cut-off" # nothing can be made below a file
app_must a-cut-off sql "INSERT INTO app_row VALUES(1000001, 1, 'A')"
asleep_s=$(boot_s)

succeed overlap
before=$(replica_list "$work/replica-overlap")
app_must a-overlap sql "INSERT INTO app_row VALUES(1000001, 1, 'A')"
poll_until 10 a_spoke overlap
for way in sleeper cut-off; do
    succeed $way
    numbers_used_and_freed $way
done
wait_until "half the L0 retention is over" aged
for way in sleeper cut-off; do
    : >"$work/a-$way.log" # that the store was away is not what is asked
    before=$(replica_list "$work/replica-$way")
    if [ $way = sleeper ]; then
        kill -CONT "${subject_pid[a-sleeper]}"
    else
        ln -sfn "$work" "$work/link-cut-off"
    fi
    app_must a-$way sql "INSERT INTO app_row VALUES(1000002, 1, 'A')"
    # A's waiting times after failures end below this.
    poll_until 45 a_spoke $way
    subject_start b-$way
done

# ---- the end: both write once more, both stop ----

bad=
good=
for way in overlap sleeper cut-off; do
    app_must a-$way sql "INSERT INTO app_row VALUES(1000009, 1, 'A')"
    app_must b-$way sql "INSERT INTO app_row VALUES(2000009, 1, 'B')"
    subject_stop b-$way
    b_status=$status
    subject_stop a-$way
    a_status=$status
    if ! restored_ask "file://$work/replica-$way" "PRAGMA integrity_check"; then
        bad+="; $way: $restored_fault"
    elif [ "$answer" != ok ]; then
        bad+="; $way: restored database is malformed"
    elif pages_equal "$work/b-$way/app.db" "$work/asked.db"; then
        [ "$a_status" -ne 0 ] && good+="; $way: B's history, A ended with $a_status" ||
            bad+="; $way: A's rows are not in the replica, its exit status is 0"
    elif pages_equal "$work/a-$way/app.db" "$work/asked.db"; then
        [ "$b_status" -ne 0 ] && good+="; $way: A's history, B ended with $b_status" ||
            bad+="; $way: B's rows are not in the replica, its exit status is 0"
    else
        bad+="; $way: restored database is neither A's nor B's"
    fi
done
[ -z "$bad" ] || unsafe "${bad#; }"
safe "${good#; }"
