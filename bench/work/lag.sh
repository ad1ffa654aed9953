# One commit each 2 s: how long until the object that holds it is in the bucket.
# The end is the moment at which the object's name appears in the store's folder (inotify).
# shellcheck shell=bash

lag_of() {
    local sync=$1 commits=$2 db=$work/app.db
    db_make "$db" 1
    store_start
    subject_config "" "$db"
    subject_start
    wait_until "the first object is there" subject_has_shipped 1
    wait_until "the subject is quiet" subject_is_quiet
    spawn "$work/objects" "$tools/bench_watch" "$store_data/bench"
    local watch=$pid
    # Not in step with anybody's timer of whole seconds.
    "$tools/bench_writer" "$db" interval_ms=2037 "commits=$commits" seconds=3600 \
        "synchronous=$sync" "log=$work/commits" >/dev/null
    sleep 3
    pid_stop "$watch" TERM
    subject_stop
    store_stop
    # The first L0 object whose moment is not before the commit's. With synchronous=normal an
    # object may be on its way before COMMIT has returned, but cannot be there.
    awk -v objects="$work/objects" '
        BEGIN { while ((getline line < objects) > 0) {
                    split(line, part, " ")
                    if (part[2] ~ /\/0000\/[0-9a-f]+-[0-9a-f]+\.ltx$/) at[++count] = part[1] } }
        { for (i = 1; i <= count; i++) if (at[i] >= $1) { printf "%.1f\n", (at[i] - $1) / 1e6; next } }
        ' "$work/commits" | sort -n >"$work/lags"
    keep "lag_$sync" "$(awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}' "$work/lags")"
    keep "lag_${sync}_max" "$(tail -n 1 "$work/lags")"
    keep "lag_${sync}_count" "$(wc -l <"$work/lags")"
}

work_lag() {
    lag_of full "$(size 8 20)"
    lag_of normal "$(size 8 20)"
}

table_lag() {
    section "One commit each 2 s: from commit to object in the bucket"
    row "synchronous=FULL, median" lag_full ms "<= 15"
    row "synchronous=FULL, longest" lag_full_max ms
    row "synchronous=NORMAL, median" lag_normal ms "<= 15"
    row "synchronous=NORMAL, longest" lag_normal_max ms
}
