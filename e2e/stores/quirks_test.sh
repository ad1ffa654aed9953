#!/usr/bin/env bash
# A real store (versitygw) behind the quirk proxy: whatever happens to requests on the way there and
# to answers on the way back, everything is shipped (in one piece and in parts), compacted,
# snapshotted and expired, there is one history, and a restore through the same quirk is page for
# page the database. EACH=2 spoils more: each second request instead of each third.
# shellcheck source=e2e/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=e2e/stores/lib.sh
. "$root/e2e/stores/lib.sh"

tap_need sqlite3 curl "$peers/versitygw"
each=${EACH:-3}

# As scene(), with the proxy between; $direct is the configuration without it.
quirky_scene() {
    retention=4s scene "$1"
    direct=$work/direct.yml
    writer=$root/build/$variant/e2e/tools/quirk_proxy app_start proxy "$s3_port"
    cp "$it" "$direct"
    sed -i "s|:$s3_port|:${reply#ok }|" "$it"
}

# newest LEVEL: the newest TXID of a level, in hexadecimal.
newest() {
    objects "$direct" "$db" | awk -v level="$1" '$1 == level { print $3 }' | sort | tail -n 1
}

is_newer() {
    [[ $(newest "$1") > $2 ]]
}

is_shipped() {
    [ "$(curl -s -o /dev/null -w '%{http_code}' --unix-socket "$work/it.sock" -X POST \
        -H 'Content-Type: application/json' \
        -d "{\"path\":\"$db\",\"wait\":true,\"timeout\":10}" http://walferry/sync)" = 200 ]
}

suffered() {
    app_must proxy count
    echo "${reply##* }"
}

works_through() {
    quirky_scene "$1"
    it_start
    for quirk in "$@"; do
        app_must proxy "$quirk 0 - - 0 $each"
        spoiled=$(suffered)
        app_must app batch 350 20000 # more than a part
        wait_until "$quirk: a large object is shipped" is_shipped
        compacted=$(newest 1) snapshotted=$(newest 9)
        app_must app update 1 30
        app_must app checkpoint passive
        app_must app delete 20 400
        wait_until "$quirk: small ones are shipped" is_shipped
        wait_until "$quirk: compaction" is_newer 1 "$compacted"
        wait_until "$quirk: snapshot" is_newer 9 "$snapshotted"
        [ "$(suffered)" -gt "$spoiled" ] || fail "$quirk: nothing was spoiled"
        # The proxy spoils by count, not by meaning: what is asked again succeeds.
        restores_equal "$it"
        history_is_one "$direct"
        "$walferry" verify -config "$direct" "$db" >"$work/verify.log" 2>&1 ||
            fail "$quirk: $(cat "$work/verify.log")"
    done
    wait_until "retention" snapshots_have_gone
    app_must proxy none
    it_stop
    restores_equal "$direct"
    ! grep -q fenced "$work/it.log" || fail "fenced by itself: $(grep fenced "$work/it.log")"
}

# Each life of the scenes above makes more snapshots than four seconds keep.
snapshots_have_gone() {
    [ "$(objects "$direct" "$db" | grep -c '^9 ')" -le 4 ]
}

store_start versitygw || exit 1
tap_run "refusals: 503, 429 with Retry-After, 500, 200 with an error" \
    works_through unavailable throttle broken ok-error
tap_run "connections: reset in the request, reset and truncated in the answer" \
    works_through reset-request reset-answer truncate
tap_run "answers that drip, and answers lost after the store has done it" \
    works_through drip lose-answer
store_end
tap_end
