#!/usr/bin/env bash
# What somebody gets who changes a resource while its pods run, or whose pods end by themselves: the
# change arrives without a restart, and a Job ends when its work is done and in the bucket.
# shellcheck source=e2e/node/lib.sh
. "$(dirname "$0")/lib.sh"

retention() {
    local before
    shop_make change
    kube_ns wait --for=condition=Ready sqlr/shop --timeout="${deadline_s}s" >/dev/null
    [ "$(retention_window)" = 2592000 ] || fail "the window is $(retention_window) s, not 30 days"
    before=$(container_of shop walferry)
    kube_ns patch sqlr shop --type=merge -p '{"spec":{"retention":{"window":"36h"}}}' >/dev/null
    wait_until "the ConfigMap has it" config_says 1d12h
    # A kubelet refreshes what is mounted each minute or so, and whenever the pod itself changes.
    kube_ns annotate pod "$(app_pod shop)" example.com/touched=1 >/dev/null
    wait_until "the sidecar has the new window" retention_window_is 129600
    in_cluster run curl -sf "http://$(app_ip shop):9090/metrics" |
        grep -q '^walferry_retention_window_seconds{.*} 129600$' || fail "the metric does not say so"
    [ "$(container_of shop walferry)" = "$before" ] || fail "restarted: $before, $(container_of shop walferry)"
    condition_is sqlr shop Ready True
    rows_commit shop 3 >/dev/null
    wait_until "everything is shipped" is_shipped shop
}
retention_window() { sidecar_value shop 'd["retention"]["window_seconds"]'; }
retention_window_is() { [ "$(retention_window)" = "$1" ]; }
config_says() { kube_ns get configmaps -o yaml | grep -q "retention: $1\$"; }
tap_run a_changed_retention_reaches_the_running_sidecar retention

suspended() {
    local before
    shop_make suspend
    rows_commit shop 3 >/dev/null
    wait_until "everything is shipped" is_shipped shop
    before=$(container_of shop walferry)
    kube_ns patch sqlr shop --type=merge -p '{"spec":{"suspend":true}}' >/dev/null
    wait_until "the resource says so" condition_is sqlr shop Replicating False Suspended
    wait_until "the sidecar knows" touched_until_log_says 'suspended"?[=:]true'
    rows_commit shop 5 >/dev/null
    wait_until "the lag is told" is_behind shop
    bucket_has shop 3 || fail "the bucket has $(bucket_rows shop)"
    kube_ns patch sqlr shop --type=merge -p '{"spec":{"suspend":false}}' >/dev/null
    wait_until "the sidecar goes on" touched_until_log_says 'suspended"?[=:]false'
    wait_until "everything is shipped" is_shipped shop
    bucket_has shop 8 || fail "the bucket has $(bucket_rows shop)"
    [ "$(container_of shop walferry)" = "$before" ] || fail "restarted: $before, $(container_of shop walferry)"
}
is_behind() { [ "$(sidecar_value "$1" 'd["lag"]["commits"]')" -gt 0 ]; }
# The pod is touched now and then, so that the kubelet refreshes what is mounted.
touches=0
touched_until_log_says() {
    touches=$((touches + 1))
    [ $((touches % 20)) -ne 1 ] ||
        kube_ns annotate --overwrite pod "$(app_pod shop)" "example.com/touched=$touches" >/dev/null
    kube_ns logs "$(app_pod shop)" -c walferry | grep -qE "$1"
}
tap_run a_suspended_replica_goes_on_where_it_was suspended

# Two Jobs of one CronJob, one after the other: the second has what the first left.
job() {
    scene_begin job
    secret_make "" ""
    replica_make nightly
    apply <<'END'
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: "0 0 1 1 *"
  concurrencyPolicy: Forbid
  jobTemplate:
    spec:
      backoffLimit: 0
      template:
        metadata: {labels: {walferry.dev/replica: nightly}}
        spec:
          restartPolicy: Never
          securityContext: {runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000}
          containers:
            - name: work
              image: localhost/app:1
              imagePullPolicy: Never
              args: [/data/app.db, rows, "40"]
              volumeMounts: [{name: data, mountPath: /data}]
          volumes: [{name: data, emptyDir: {}}]
END
    local round
    for round in 1 2; do
        kube_ns create job "run-$round" --from=cronjob/nightly >/dev/null
        kube_ns wait --for=condition=Complete "job/run-$round" --timeout="${deadline_s}s" >/dev/null
        # Nothing is left to do when the Job is complete: no waiting here.
        [ "$(bucket_rows nightly)" = "$((round * 40)) $((round * 40))" ] ||
            fail "the bucket has $(bucket_rows nightly) after round $round"
    done
}
tap_run a_job_completes_and_its_rows_are_in_the_bucket job

tap_end
