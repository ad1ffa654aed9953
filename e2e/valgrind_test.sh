#!/usr/bin/env bash
# replicate and restore under valgrind: no invalid access, no use of what was never written, no
# leak, no descriptor left open.
# shellcheck source=e2e/lib.sh
. "$(dirname "$0")/lib.sh"

tap_need sqlite3 valgrind
[ "$variant" = release ] || {
    echo "ok 1 - ${0##*/} # SKIP valgrind is for the release, not for the $variant variant"
    echo "1..1"
    exit 0
}

# A log each: a program that execs or is killed must not hide what another said.
leaks="definite,possible"
checked=(valgrind --quiet --error-exitcode=99 --leak-check=full "--show-leak-kinds=$leaks"
    "--errors-for-leak-kinds=$leaks" --track-fds=yes --child-silent-after-fork=yes)

# valgrind_is_silent LOG: nothing is said but of descriptors that it was started with.
valgrind_is_silent() {
    local said
    said=$(awk '
        { sub(/^==[0-9]+== */, "") }
        /^FILE DESCRIPTORS/ || /^$/ { next }
        /^Open file descriptor/ { open = $0; next }
        /<inherited from parent>/ { open = ""; next }
        { print open $0; open = "" }
        END { if (open != "") print open }' "$1")
    [ -z "$said" ] || fail "$said"
}

run_checked() {
    local log=$work/$1.valgrind.log
    shift
    "${checked[@]}" --log-file="$log" "$@" || fail "status $?: $(head -n 40 "$log")"
    valgrind_is_silent "$log"
}

replicate_and_restore() {
    local db=$work/app.db row
    config_write "$work/it.yml" "$db" "$(replica_file "$work/store")" \
        "levels: [{interval: 1s}]
snapshot: {interval: 1s}"
    app_start app "$db"
    app_must app batch 60 3000
    spawn "$work/it.log" "${checked[@]}" --log-file="$work/replicate.valgrind.log" \
        "$walferry" replicate -config "$work/it.yml"
    run_pid=$pid
    for row in 61 62 63; do
        app_must app update 1 20
        app_must app insert 1
        wait_until "row $row is restorable" row_is_restorable "$work/it.yml" "$db" "$row"
    done
    app_must app delete 5 40
    app_must app vacuum
    app_must app checkpoint passive
    app_must app insert 1
    wait_until "a compaction is there" has_level 1
    pid_stop "$run_pid" TERM
    [ "$status" -eq 0 ] || fail "status $status: $(head -n 40 "$work/replicate.valgrind.log")"
    valgrind_is_silent "$work/replicate.valgrind.log"
    run_checked restore "$walferry" restore -config "$work/it.yml" -integrity-check full \
        -o "$work/out.db" "$db"
    pages_equal "$db" "$work/out.db" || fail "the restored database differs"
    run_checked verify "$walferry" verify -config "$work/it.yml" "$db"
}

has_level() {
    objects "$work/it.yml" "$work/app.db" | grep -q "^$1 " || { app_must app insert 1 && false; }
}

# Against a server: HTTP, signatures, XML.
s3_replicate_and_restore() {
    local db=$work/app.db
    s3_start versitygw "$work/store" || skip "$s3_missing"
    config_write "$work/it.yml" "$db" "$(replica_s3 app)"
    app_start app "$db"
    app_must app batch 60 3000
    run_checked replicate "$walferry" replicate -once -force-snapshot -config "$work/it.yml"
    app_must app insert 5
    run_checked replicate2 "$walferry" replicate -once -config "$work/it.yml"
    run_checked restore "$walferry" restore -config "$work/it.yml" -o "$work/out.db" "$db"
    pages_equal "$db" "$work/out.db" || fail "the restored database differs"
}

tap_run "replicate, restore and verify are valgrind-clean" replicate_and_restore
tap_run "replicate and restore with an S3 server are valgrind-clean" s3_replicate_and_restore
tap_end
