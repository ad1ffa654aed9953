#!/usr/bin/env bash
# The whole way against S3 servers of other makers (e2e/stores/serve): MinIO, and Swift, which cannot
# create conditionally, so that fencing is only a look before the write. STORES=minio runs one.
# shellcheck source=e2e/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=e2e/stores/lib.sh
. "$root/e2e/stores/lib.sh"

tap_need sqlite3 curl

replicates_and_survives_a_kill() {
    scene "${FUNCNAME[0]}"
    it_start
    for burst in 1 2; do
        app_must app batch 200 2000
        app_must app update 1 $((burst * 50))
        arrives "$(app_last app)"
        app_must app insert 1 # not yet shipped, most likely
        pid_stop "$it_pid" KILL
        app_must app delete $((burst * 20)) $((burst * 20 + 9))
        app_must app checkpoint passive
        it_start
    done
    app_must app batch 400 20000 # a multipart upload
    arrives "$(app_last app)"
    it_stop
    restores_equal "$it"
    history_is_one "$it"
    "$walferry" replicate -config "$it" -once -force-snapshot </dev/null || fail "-force-snapshot"
    "$walferry" verify -config "$it" "$db" || fail "verify"
}

fencing_is() {
    curl -s --unix-socket "$work/it.sock" http://walferry/status | grep -q "\"fencing\":\"$1\""
}

tells_what_the_store_can_do() {
    scene "${FUNCNAME[0]}"
    it_start
    arrives 10
    fencing_is "$1" || fail "$(curl -s --unix-socket "$work/it.sock" http://walferry/status)"
    it_stop
}

# A second writer that finds TXIDs taken: it loses, and nothing of the first is overwritten.
second_writer_loses() {
    scene "${FUNCNAME[0]}"
    it_start
    arrives 10
    app_must app insert 5
    arrives 15
    it_stop
    sed "s|$work/app.db|$work/other.db|; s|it.sock|other.sock|" "$it" >"$work/other.yml"
    app_start other "$work/other.db"
    app_must other insert 3
    spawn "$work/other.log" "$walferry" replicate -config "$work/other.yml"
    other_pid=$pid
    wait_until "the second writer is refused" grep -qE 'diverged|refused|descend|adopt' "$work/other.log"
    pid_stop "$other_pid" TERM
    restores_equal "$it"
}

require_fencing_refuses() {
    scene "${FUNCNAME[0]}"
    sed -i 's|^      type: s3|      require-fencing: true\n      type: s3|' "$it"
    it_start
    wait_until "the refusal is told" grep -q 'require-fencing' "$work/it.log"
    pid_stop "$it_pid" TERM
    [ "$status" -ne 0 ] || fail "an end with nothing shipped answers 0"
    sed -i '/require-fencing/d' "$it"
    [ -z "$(objects "$it" "$db")" ] || fail "objects were written all the same"
}

for kind in minio swift; do
    [ "${STORES:-$kind}" = "$kind" ] || continue
    if ! store_start $kind; then
        tap_skip "$kind" "$s3_missing"
        continue
    fi
    tap_run "$kind: replicates, is killed twice, restores page for page" \
        replicates_and_survives_a_kill
    tap_run "$kind: a second database on the prefix is refused" second_writer_loses
    if [ $kind = minio ]; then
        tap_run "minio: fencing is atomic" tells_what_the_store_can_do atomic
    else
        tap_run "swift: fencing is weak, and status says so" tells_what_the_store_can_do weak
        tap_run "swift: require-fencing refuses" require_fencing_refuses
    fi
    store_end
done
tap_end
