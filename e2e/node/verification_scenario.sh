#!/usr/bin/env bash
# Jobs that do what a resource asks for: a bucket that is not there is made, and what lies in it is restored
# each minute to see that it can be. An object that is damaged is found, named, and an alert.
# shellcheck source=e2e/node/lib.sh
. "$(dirname "$0")/lib.sh"

store=/var/lib/kubelet/s3 # on the node: a bucket is a folder

# replica_of BUCKET LINE...: the replica "shop", which makes its bucket; lines of its spec.
replica_of() {
    {
        printf 'apiVersion: walferry.dev/v1alpha1\nkind: SqliteReplica\nmetadata: {name: shop}\n'
        printf 'spec:\n  databases: [{name: main, path: /data/app.db, journalMode: Enable}]\n'
        printf '  destination: {createBucket: true, s3: {bucket: %s, endpoint: "%s", ' "$1" "$s3_service"
        printf 'region: us-east-1, forcePathStyle: true, credentialsSecretRef: {name: s3-keys}}}\n'
        shift
        printf '  %s\n' "$@"
    } | apply
}

# bucket_of NAME BUCKET LINE: a SqliteBucket; a line of its spec.
bucket_of() {
    apply <<END
apiVersion: walferry.dev/v1alpha1
kind: SqliteBucket
metadata: {name: $1}
spec:
  $3
  s3: {bucket: $2, endpoint: "$s3_service", region: us-east-1, forcePathStyle: true, credentialsSecretRef: {name: s3-keys}}
END
}

has_bucket() { in_cluster shell test -d "$store/$1"; }

# damage BUCKET: in the middle of its largest object; prints which one that is.
damage() {
    # shellcheck disable=SC2016 # expanded inside
    in_cluster shell bash -c 'file=$(find "$1" -path "*/0000/*" -name "*.ltx" -printf "%s %p\n" | sort -n | tail -n 1 | cut -d" " -f2)
        at=$(($(stat -c %s "$file") / 2))
        printf "\\377\\000\\377" | dd of="$file" bs=1 seek=$at conv=notrunc status=none && basename "$file" .ltx' _ "$store/$1"
}

# leader_metric LINE: the leading controller says so.
leader_metric() {
    local ip
    for ip in $(kube -n walferry get pods -l app.kubernetes.io/name=walferry -o 'jsonpath={.items[*].status.podIP}'); do
        in_cluster run curl -sf --max-time 5 "http://$ip:8080/metrics" >"$work/metrics.$ip" || continue
        grep -qF -- "$1" "$work/metrics.$ip" && return
    done
    return 1
}

verification_ended_after() { # MOMENT
    local at
    at=$(get sqlr shop '{.status.lastVerification.time}')
    [ -n "$at" ] && [[ $at > $1 ]]
}

verified() {
    local bucket object first
    scene_begin verification
    bucket=made-$namespace
    secret_make "" ""
    ! has_bucket "$bucket" || fail "there is a bucket $bucket already"
    replica_of "$bucket" 'verification: {schedule: "* * * * *", mode: Full, jitterSeconds: 0}'
    app_make shop
    wait_until "the bucket is made" has_bucket "$bucket"
    wait_until "the resource says so" is sqlr shop '{.status.createdBuckets[0]}' primary
    wait_until "an event says so" has_event SqliteReplica BucketCreated "Bucket $bucket of destination primary"
    wait_until "the pod is ready" app_is_ready shop
    rows_commit shop 20 >/dev/null
    wait_until "everything is shipped" is_shipped shop
    wait_until "a Job of the schedule has restored it" condition_is sqlr shop RestoreVerified True Passed
    first=$(get sqlr shop '{.status.lastVerification.time}')
    is sqlr shop '{.status.lastVerification.result}' Passed
    [[ $(get sqlr shop '{.status.lastVerification.txid}') =~ ^[0-9a-f]{16}$ ]] || fail "no TXID"
    [[ $(get sqlr shop '{.status.lastVerification.durationSeconds}') =~ ^[0-9]+$ ]] || fail "no duration"
    wait_until "an event says so" has_event SqliteReplica VerificationSucceeded
    # Damage: nothing of the running application reads it; only a restore does.
    object=$(damage "$bucket")
    kube_ns create job --from=cronjob/walferry-verify-shop at-once >/dev/null # or wait for the next minute
    wait_until "the next Job has ended" verification_ended_after "$first"
    wait_until "the damage is found" condition_is sqlr shop RestoreVerified False Failed
    is sqlr shop '{.status.lastVerification.result}' Failed
    [[ $(get sqlr shop '{.status.lastVerification.message}') == *main* ]] || [[ $(get sqlr shop '{.status.lastVerification.message}') == *"$object"* ]] ||
        fail "it names nothing: $(get sqlr shop '{.status.lastVerification.message}')"
    wait_until "an event says so" has_event SqliteReplica VerificationFailed
    condition_is sqlr shop Ready False Failed
    # The alert SqliteVerificationFailed is about this very line.
    wait_until "the alert has what it fires on" leader_metric \
        "walferry_replica_condition{namespace=\"$namespace\",name=\"shop\",type=\"RestoreVerified\",status=\"False\",reason=\"Failed\"} 1"
    app_is_ready shop
    rows_commit shop 1 >/dev/null
}
tap_run a_missing_bucket_is_made_and_verified_each_minute_until_damage_is_found verified

# A SqliteBucket makes its own, and one that is only read is never written to.
shared() {
    local bucket before
    scene_begin bucket
    bucket=shared-$namespace
    secret_make "" ""
    bucket_of shared "$bucket" 'createBucket: true'
    wait_until "it is probed" condition_is sqlb shared Available True Available
    has_bucket "$bucket"
    is sqlb shared '{.status.capabilities.fencing}' Atomic
    wait_until "an event says so" has_event SqliteBucket BucketCreated "$bucket"
    before=$(in_cluster shell stat -c %Z "$store/$bucket")
    bucket_of reader "$bucket" 'accessMode: ReadOnly'
    wait_until "it is probed, too" condition_is sqlb reader Available True ReadOnly
    [ "$(in_cluster shell stat -c %Z "$store/$bucket")" = "$before" ] || fail "the probe of a ReadOnly bucket wrote"
    # Pods cannot have it as their destination.
    apply <<'END'
apiVersion: walferry.dev/v1alpha1
kind: SqliteReplica
metadata: {name: shop}
spec:
  databases: [{name: main, path: /data/app.db}]
  destination: {bucketRef: {name: reader}}
END
    app_make shop
    wait_until "its pods are denied with the way out" has_event ReplicaSet FailedCreate 'SqliteBucket "reader"' 'is ReadOnly' secondaryDestinations
}
tap_run a_bucket_resource_makes_its_bucket_and_one_that_is_only_read_is_left_alone shared

tap_end
