#!/usr/bin/env bash
# The whole way against a real S3 server (versitygw), over http and over https with a private CA:
# replicating while an application writes, kills, outages, the end, -exec, -once, folders, and
# several destinations of which one is away.
# shellcheck source=e2e/lib.sh
. "$(dirname "$0")/lib.sh"

tap_need sqlite3 openssl curl "$peers/versitygw"

# ---- the store ----

# A private CA and a certificate of it for 127.0.0.1.
certificates_make() {
    {
        certificates_make_aloud
    } 2>"$work/openssl.log" || give_up "$(cat "$work/openssl.log")"
}

certificates_make_aloud() {
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=walferry test CA" \
        -keyout "$work/ca.key" -out "$work/ca.pem"
    openssl req -newkey rsa:2048 -nodes -subj "/CN=127.0.0.1" \
        -keyout "$work/server.key" -out "$work/server.csr"
    printf 'subjectAltName=IP:127.0.0.1\n' >"$work/server.ext"
    openssl x509 -req -days 2 -in "$work/server.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" \
        -CAcreateserial -extfile "$work/server.ext" -out "$work/server.pem"
}

# store_start SCHEME
store_start() {
    if [ "$1" = http ]; then
        s3_start versitygw "$work/store"
        return
    fi
    certificates_make
    s3_start versitygw "$work/store" "$work/server.pem" "$work/server.key" "$work/ca.pem"
}

store_is_back() {
    s3_start_again || give_up "versitygw does not come back: $(cat "$work/store/store.log")"
}

# One database with rows in it, one S3 destination. $2: global settings.
scene() {
    store_start "$1"
    db=$work/app.db
    it=$work/it.yml
    config_write "$it" "$db" "$(replica_s3 app)" "${2:-}"
    app_start app "$db"
    app_must app insert 10
}

# ---- tests ----

replicates_and_survives_a_kill() {
    scene "$1"
    it_start
    for burst in 1 2 3; do
        app_must app batch 200 2000
        app_must app insert 20
        app_must app update 1 $((burst * 50))
        arrives "$(app_last app)"
        app_must app insert 1 # not yet shipped, most likely
        pid_stop "$it_pid" KILL
        app_must app delete $((burst * 20)) $((burst * 20 + 9))
        app_must app checkpoint passive
        app_must app update $((burst * 30)) $((burst * 30 + 2))
        it_start
    done
    app_must app insert 1
    arrives "$(app_last app)"
    it_stop
    restores_equal "$it"
}

# How many uploads have failed so far, from the sidecar's own status.
put_failures() {
    curl -s --unix-socket "$work/it.sock" http://walferry/status |
        sed -nE 's/.*"PUT":\{[^}]*"errors":([0-9]+).*/\1/p'
}

uploads_fail() {
    [ "$(put_failures)" -gt "$1" ]
}

outage_is_made_up_for() {
    scene "$1" "socket: {enabled: true, path: $work/it.sock}"
    it_start
    arrives 10
    failures=$(put_failures)
    s3_stop
    # The application goes on, checkpoints and all, and so does the log.
    for _ in 1 2 3 4 5; do
        app_must app batch 300 1500
        app_must app checkpoint passive
    done
    wait_until "the outage is felt" uploads_fail "$failures"
    is_running "$it_pid" || fail "ended in the outage"
    store_is_back
    arrives 1510
    app_must app insert 1
    arrives 1511
    it_stop
    restores_equal "$it"
}

end_ships_the_tail() {
    scene "$1"
    it_start
    arrives 10
    app_must app batch 500 1000
    it_stop
    restores_equal "$it"
}

end_without_store_says_so() {
    scene http "shutdown-sync-timeout: 2s"
    it_start
    arrives 10
    s3_stop
    app_must app insert 1
    pid_stop "$it_pid" TERM
    [ "$status" -eq 1 ] || fail "exit status $status, not 1"
    grep -q 'unshipped' "$work/it.log" || fail "does not tell of unshipped commits"
}

exec_propagates_the_exit_status() {
    scene http
    app_stop app
    cat >"$work/application" <<'APP'
#!/bin/sh
sqlite3 "$1" "INSERT INTO app_row VALUES(1001, 1, 'from the child')"
exit 7
APP
    chmod +x "$work/application"
    status=0
    "$walferry" replicate -config "$it" -exec "$work/application $db" </dev/null || status=$?
    [ "$status" -eq 7 ] || fail "exit status $status, the application's was 7"
    row_is_restorable "$it" "$db" 1001 || fail "the application's last row is not in the replica"
    restores_equal "$it"
}

exec_passes_signals_on() {
    scene http
    app_stop app
    cat >"$work/application" <<'APP'
#!/bin/bash
trap 'sqlite3 "$1" "INSERT INTO app_row VALUES(1002, 1, 1)"; exit 3' TERM
echo >"$1.ready"
while :; do read -r -t 1 <> <(:); done
APP
    chmod +x "$work/application"
    spawn "$work/it.log" "$walferry" replicate -config "$it" -exec "$work/application $db"
    it_pid=$pid
    wait_until "the application runs" test -e "$db.ready"
    pid_stop "$it_pid" TERM
    [ "$status" -eq 3 ] || fail "exit status $status, the application's was 3"
    row_is_restorable "$it" "$db" 1002 || fail "what the application wrote at its end is missing"
}

once_ships_and_ends() {
    scene http
    "$walferry" replicate -config "$it" -once </dev/null || fail "first -once"
    restores_equal "$it"
    "$walferry" replicate -config "$it" -once </dev/null || fail "-once with nothing to do"
    [ "$(objects "$it" "$db" | wc -l)" -eq 1 ] || fail "-once with nothing to do wrote an object"
    app_must app insert 1
    "$walferry" replicate -config "$it" -once -force-snapshot </dev/null || fail "-force-snapshot"
    objects "$it" "$db" | grep -q '^9 ' || fail "no snapshot"
    restores_equal "$it"
}

once_without_store_fails() {
    scene http "shutdown-sync-timeout: 2s"
    s3_stop
    status=0
    "$walferry" replicate -config "$it" -once </dev/null || status=$?
    [ "$status" -eq 1 ] || fail "exit status $status, not 1"
}

# A restore of a database of the folder, by the URL that directory mode gave it.
folder_row_is_restorable() {
    db_remove "$work/asked.db"
    "$walferry" restore -config "$work/$1.yml" -o "$work/asked.db" "$work/none.db" >/dev/null 2>&1 &&
        [ "$(db_ask "$work/asked.db" "SELECT count(*) FROM app_row WHERE id = $2")" = 1 ]
}

folder_of_databases() {
    store_start http
    mkdir -p "$work/data/team"
    {
        printf 'dbs:\n  - dir: %s\n    pattern: "*.db"\n    recursive: true\n    watch: true\n' \
            "$work/data"
        printf '    replica:\n'
        replica_s3 all | sed 's/^/      /'
    } >"$work/it.yml"
    for name in one team/two three; do
        config_write "$work/${name##*/}.yml" "$work/none.db" "$(replica_s3 "all/$name.db")"
    done
    app_start one "$work/data/one.db"
    app_start two "$work/data/team/two.db"
    app_must one insert 3
    app_must two insert 5
    it=$work/it.yml
    it_start
    wait_until "one.db is restorable" folder_row_is_restorable one 3
    wait_until "team/two.db is restorable" folder_row_is_restorable two 5
    app_start three "$work/data/three.db" # appears while the sidecar runs
    app_must three insert 7
    wait_until "three.db is restorable" folder_row_is_restorable three 7
    it_stop
}

two_destinations() {
    {
        printf 'dbs:\n  - path: %s\n    replicas:\n' "$work/app.db"
        {
            echo "name: away"
            replica_s3 app
        } | sed '1s/^/      - /; 2,$s/^/        /'
        printf '      - name: here\n        url: file://%s\n' "$work/here"
    } >"$work/it.yml"
}

# here ROW, away ROW: the newest row that a restore from this destination has.
here() {
    db_remove "$work/here.db"
    "$walferry" restore -o "$work/here.db" "file://$work/here" >/dev/null 2>&1 &&
        [ "$(db_ask "$work/here.db" "SELECT max(id) FROM app_row")" = "$1" ]
}

away() {
    restore_with "$walferry" "$it" "$db" "$work/away.db" -replica away >/dev/null 2>&1 &&
        [ "$(db_ask "$work/away.db" "SELECT max(id) FROM app_row")" = "$1" ]
}

one_of_two_destinations_is_away() {
    scene http
    two_destinations
    it_start
    arrives 10
    s3_stop
    app_must app insert 5
    wait_until "the other destination goes on" here 15
    app_must app insert 5
    wait_until "the other destination still goes on" here 20
    # A restore by name of the database falls through to the one that is there.
    restore_with "$walferry" "$it" "$db" "$work/out.db" || fail "restore with one destination away"
    [ "$(db_ask "$work/out.db" "SELECT max(id) FROM app_row")" = 20 ] || fail "older rows"
    store_is_back
    wait_until "the one that was away has caught up" away 20
    it_stop
    restores_equal "$it"
}

# The disk goes away while one destination lags; the restore falls through to the other.
lagging_destination_goes_on_after_a_restore() {
    scene http
    two_destinations
    it_start
    arrives 10
    s3_stop
    app_must app insert 5
    wait_until "the other destination goes on" here 15
    pid_stop "$it_pid" KILL
    app_kill app
    db_remove "$db"
    rm -r "$work/.app.db-walferry"
    "$walferry" restore -config "$it" "$db" </dev/null || fail "restore does not fall through"
    app_start app "$db"
    app_must app insert 5
    it_start
    wait_until "the restored destination goes on" here 20
    store_is_back
    wait_until "the one that lagged has caught up" away 20
    app_must app insert 5
    wait_until "both go on" here 25
    wait_until "both go on" away 25
    it_stop
    app_stop app
    away 25 && here 25 && pages_equal "$db" "$work/away.db" && pages_equal "$db" "$work/here.db"
}

unknown_ca_is_refused() {
    scene https
    sed -i '/ca-file/d' "$it"
    status=0
    "$walferry" ltx -config "$it" "$db" >"$work/ltx.log" 2>&1 </dev/null || status=$?
    cat "$work/ltx.log"
    [ "$status" -ne 0 ] || fail "listed over a certificate that nobody vouches for"
    grep -qi certificate "$work/ltx.log" || fail "the error does not speak of the certificate"
}

wrong_secret_is_named() {
    scene http
    sed -i 's/\(secret-access-key:\).*/\1 not-the-secret-CANARY/' "$it"
    status=0
    restore_with "$walferry" "$it" "$db" "$work/out.db" -if-replica-exists \
        >"$work/restore.log" 2>&1 || status=$?
    cat "$work/restore.log"
    [ "$status" -eq 1 ] || fail "exit status $status: a refusal is not \"no backup\""
    [ ! -e "$work/out.db" ] || fail "left an output"
    grep -qE '403|SignatureDoesNotMatch' "$work/restore.log" || fail "does not say what S3 answered"
    ! grep -q CANARY "$work/restore.log" || fail "prints the secret"
}

for scheme in http https; do
    tap_run "$scheme: replicates while writing, is killed three times, restores page for page" \
        replicates_and_survives_a_kill $scheme
    tap_run "$scheme: an outage of the store is made up for" outage_is_made_up_for $scheme
    tap_run "$scheme: a graceful end ships the tail" end_ships_the_tail $scheme
done
tap_run "https: a certificate of an unknown CA is refused" unknown_ca_is_refused
tap_run "a wrong secret is an error, not an empty replica" wrong_secret_is_named
tap_run "an end without the store exits 1 and says why" end_without_store_says_so
tap_run "-exec: the application's exit status is ours, its last row is shipped" \
    exec_propagates_the_exit_status
tap_run "-exec: SIGTERM reaches the application, what it then writes is shipped" \
    exec_passes_signals_on
tap_run "-once ships what is there, and costs nothing when there is nothing" once_ships_and_ends
tap_run "-once without the store exits 1" once_without_store_fails
tap_run "a folder of databases, also one that appears later" folder_of_databases
tap_run "one of two destinations is away: the other goes on, restores fall through" \
    one_of_two_destinations_is_away
tap_run "a destination that lagged when the disk was lost goes on after a restore from the other" \
    lagging_destination_goes_on_after_a_restore
tap_end
