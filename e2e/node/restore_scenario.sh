#!/usr/bin/env bash
# Restores by resource: into a claim, only to be checked, and in place; back to a moment of the past,
# with the future still there; and what happens when the controller dies, or something fails.
# shellcheck source=e2e/node/lib.sh
. "$(dirname "$0")/lib.sh"

claim() { echo "persistentVolumeClaim: {claimName: $1}"; }

# restore_make NAME LINE...: a SqliteRestore of shop; lines of its spec.
restore_make() {
    {
        printf 'apiVersion: walferry.dev/v1alpha1\nkind: SqliteRestore\nmetadata: {name: %s}\n' "$1"
        printf 'spec:\n  sourceRef: {name: shop}\n'
        shift
        printf '  %s\n' "$@"
    } | apply
}

# restore_ends NAME CONDITION: Complete or Failed; shows the message of the other one.
restore_ends() {
    wait_until "restore $1 is over" restore_is_over "$1"
    condition_is sqlrr "$1" "$2" True || fail "not $2: $(get sqlrr "$1" '{.status.message}')"
}
restore_is_over() {
    condition_is sqlrr "$1" Complete True || condition_is sqlrr "$1" Failed True
}

# past_make ROWS MORE: rows, `moment` after them, more rows; `future` is the transaction of the last.
past_make() {
    rows_commit shop "$1" >/dev/null
    wait_until "everything is shipped" is_shipped shop
    moment=$(date -u +%FT%T.%3NZ)
    rows_commit shop "$2" >/dev/null
    wait_until "everything is shipped" is_shipped shop
    future=$(shipped_txid "$(app_ip shop)")
}

# bucket_rows_at TXID: "COUNT LAST" of a restore to it.
bucket_rows_at() {
    rm -f "$work"/past.db*
    s3_endpoint=$s3_service
    config_write "$work/past.yml" /data/app.db "$(replica_s3 "$namespace/shop/main" | sed 's/^bucket: .*/bucket: backups/')"
    in_cluster run "$walferry" restore -txid "$1" -config "$work/past.yml" -o "$work/past.db" /data/app.db >/dev/null &&
        sqlite3 -batch -separator ' ' "$work/past.db" 'SELECT count(*), coalesce(max(id), 0) FROM row'
}

# is_at ROWS: exactly these, in a sound database.
is_at() {
    [ "$(app_ask shop /rows)" = "$1 $1" ] || fail "there are (count, last): $(app_ask shop /rows)"
    [ "$(app_ask shop /integrity)" = ok ] || fail "$(app_ask shop /integrity)"
}

to_claim() {
    local txid
    shop_make toclaim
    past_make 10 10
    volume_make copy
    restore_make copy "mode: ToClaim" "targetTime: $moment" "verify: Full" "target: {claimName: copy, path: shop.db}"
    restore_ends copy Complete
    [ "$(in_cluster shell sqlite3 "$volumes/$namespace-copy/shop.db" 'SELECT count(*), max(id) FROM row')" = '10|10' ]
    txid=$(get sqlrr copy '{.status.restoredTxid}')
    [ "$(bucket_rows_at "$txid")" = "10 10" ] || fail "restoredTxid $txid is another state"
    wait_until "an event says so" has_event SqliteRestore RestoreCompleted "$txid"
    is_at 20 # the application goes on
    # What lies there already is not overwritten, and why is told.
    restore_make again "mode: ToClaim" "target: {claimName: copy, path: shop.db}"
    restore_ends again Failed
    [[ $(get sqlrr again '{.status.message}') == *"exists"* ]] || fail "$(get sqlrr again '{.status.message}')"
}
tap_run a_restore_to_a_claim_writes_the_database_of_that_moment to_claim

verify() {
    shop_make verify
    past_make 10 1
    restore_make check "mode: Verify" "targetTime: $moment"
    restore_ends check Complete
    condition_is sqlrr check Verified True
    restore_make tooold "mode: Verify" "targetTime: 2020-01-01T00:00:00Z"
    restore_ends tooold Failed
    wait_until "an event says so" has_event SqliteRestore RestoreFailed oldest
}
tap_run a_restore_can_be_tried_without_keeping_it verify

# in_place_make NAME [VOLUME]
in_place_make() {
    scene_begin "$1"
    secret_make "" ""
    replica_make shop
    app_make shop ${2:+"$2"}
}

in_place_is_done() { # ROWS FUTURE_ROWS
    local tip last
    condition_is sqlrr back Resumed True || fail "not resumed"
    [ "$(get deployment shop '{.spec.replicas}')" = 1 ]
    wait_until "the pod is ready" app_is_ready shop
    is_at "$1"
    tip=$(get sqlrr back '{.status.tipTxid}')
    [[ $tip > $future ]] || fail "tip $tip is not behind $future"
    last=$(rows_commit shop 5)
    [ "$last" = $(($1 + 5)) ] || fail "the next row is $last"
    wait_until "everything is shipped" is_shipped shop
    wait_until "the bucket has it" bucket_has shop "$last"
    # What was given up is there, as it was.
    [ "$(bucket_rows_at "$future")" = "$2 $2" ] || fail "at $future there are $(bucket_rows_at "$future")"
    wait_until "the resource is well" reports_no_lag
    condition_is sqlr shop SingleWriter True
    [ -z "$(get sqlr shop '{.status.restore}')" ]
}

in_place_volume() {
    in_place_make inplace "$(claim disk)"
    volume_make disk
    wait_until "the pod is ready" app_is_ready shop
    past_make 10 10
    restore_make back "mode: InPlace" "targetTime: $moment"
    restore_ends back Complete
    in_place_is_done 10 20
    wait_until "an event says so" has_event SqliteRestore RestoreCompleted "newest state"
    # And forward again, to what was given up.
    future=$(shipped_txid "$(app_ip shop)")
    restore_make forth "mode: InPlace" "targetTxid: \"$(get sqlrr back '{.status.restoredTxid}')\""
    restore_ends forth Complete
    wait_until "the pod is ready" app_is_ready shop
    is_at 10
}
tap_run an_application_with_a_disk_goes_back_in_place_and_its_future_stays in_place_volume

in_place_empty() {
    in_place_make inplace
    wait_until "the pod is ready" app_is_ready shop
    past_make 10 10
    restore_make back "mode: InPlace" "targetTime: $moment" "verify: Full"
    restore_ends back Complete
    in_place_is_done 10 20
}
tap_run an_application_without_a_disk_goes_back_in_place in_place_empty

controllers() { kube -n walferry get pods -l app.kubernetes.io/name=walferry -o name; }

in_place_kills() {
    local step pod
    in_place_make kills "$(claim disk)"
    volume_make disk
    wait_until "the pod is ready" app_is_ready shop
    past_make 10 10
    restore_make back "mode: InPlace" "targetTime: $moment"
    for step in Locked Fenced Restored Resumed; do
        wait_until "$step" condition_is sqlrr back "$step" True
        for pod in $(controllers); do
            kube -n walferry delete "$pod" --grace-period=0 --force >/dev/null 2>&1
        done
    done
    restore_ends back Complete
    in_place_is_done 10 20
    kube -n walferry rollout status deployment --timeout="${deadline_s}s" >/dev/null
}
tap_run a_restore_in_place_goes_on_after_the_controller_was_killed_at_each_step in_place_kills

in_place_fails() {
    in_place_make fails
    wait_until "the pod is ready" app_is_ready shop
    past_make 10 10
    restore_make old "mode: InPlace" "targetTime: 2020-01-01T00:00:00Z"
    restore_ends old Failed
    [[ $(get sqlrr old '{.status.message}') == *"stays stopped: Deployment shop (1)"* ]] ||
        fail "$(get sqlrr old '{.status.message}')"
    [ "$(get deployment shop '{.spec.replicas}')" = 0 ]
    # The next one knows how many there were.
    restore_make back "mode: InPlace" "targetTime: $moment"
    restore_ends back Complete
    in_place_is_done 10 20
}
tap_run a_restore_in_place_that_fails_leaves_the_application_stopped_and_the_next_starts_it in_place_fails

# While it goes on nobody brings a pod back.
in_place_locked() {
    in_place_make locked
    wait_until "the pod is ready" app_is_ready shop
    past_make 5 5
    kube_ns patch sqlr shop --subresource status --type merge \
        -p '{"status":{"restore":{"name":"nobody","uid":"x","podsMayRun":false}}}' >/dev/null
    # The lock of a restore that is gone is released by itself.
    wait_until "the lock is gone" lock_is_free
    restore_make back "mode: InPlace" "targetTime: $moment"
    wait_until "it is locked" condition_is sqlrr back Locked True
    restore_make second "mode: InPlace" "targetTime: $moment"
    restore_ends back Complete
    restore_ends second Complete
    wait_until "the pod is ready" app_is_ready shop
    is_at 5
}
lock_is_free() { [ -z "$(get sqlr shop '{.status.restore}')" ]; }
tap_run restores_in_place_take_turns_and_a_lost_lock_is_released in_place_locked

tap_end
