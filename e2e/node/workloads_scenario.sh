#!/usr/bin/env bash
# Workloads of every kind that may have a database, and what becomes of their pods when the resource
# is edited or deleted under them.
# shellcheck source=e2e/node/lib.sh
. "$(dirname "$0")/lib.sh"

# pod_spec ARGS [YAML lines]: the spec of a pod with the application, on an emptyDir, as one line of YAML.
pod_spec() {
    echo "{securityContext: {runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000, runAsNonRoot: true}, ${2:-}
      containers: [{name: app, image: localhost/app:1, imagePullPolicy: Never, args: $1,
        volumeMounts: [{name: data, mountPath: /data}]}],
      volumes: [{name: data, emptyDir: {}}]}"
}
serving='[/data/app.db, "8080"]'

# ---- a network proxy that is a native sidecar ---------------------------------------------------

proxied() {
    local last
    scene_begin proxied
    secret_make "" ""
    replica_make shop
    # The proxy "works" once its port answers, as kubelet sees by its startup probe.
    apply <<END
apiVersion: v1
kind: Pod
metadata: {name: shop, labels: {app: shop, walferry.dev/replica: shop}}
spec: $(pod_spec "$serving" 'initContainers: [
      {name: istio-proxy, restartPolicy: Always, image: localhost/app:1, imagePullPolicy: Never,
       args: [/tmp/proxy.db, "15000"], startupProbe: {httpGet: {path: /healthz, port: 15000}, periodSeconds: 1}},
      {name: migrate, image: localhost/app:1, imagePullPolicy: Never, args: [/data/app.db, rows, "7"],
       volumeMounts: [{name: data, mountPath: /data}]}],')
END
    [ "$(get pod shop '{.spec.initContainers[*].name}')" = "istio-proxy walferry-restore walferry migrate" ] ||
        fail "order: $(get pod shop '{.spec.initContainers[*].name}')"
    wait_until "the pod is ready" app_is_ready shop
    started_before istio-proxy walferry-restore
    started_before walferry-restore walferry
    started_before walferry migrate
    # What the migration wrote is replicated like the rest.
    has_rows shop 7
    last=$(rows_commit shop 3)
    wait_until "everything is shipped" is_shipped shop
    kube_ns delete pod shop --wait=true >/dev/null
    app_make shop
    wait_until "another pod is ready" app_is_ready shop
    must_have_rows shop "$last"
}
# started_before A B: by what kubelet says.
started_before() {
    kube_ns get pod shop -o json | python3 -c 'import json, sys
at = {}
for c in json.load(sys.stdin)["status"]["initContainerStatuses"]:
    state = c["state"].get("running") or c["state"]["terminated"]
    at[c["name"]] = state["startedAt"]
sys.exit(not at[sys.argv[1]] <= at[sys.argv[2]])' "$1" "$2" || fail "$1 did not start before $2"
}
tap_run a_network_proxy_starts_before_the_restore_and_migrations_are_replicated proxied

# ---- pods without a name of their own -----------------------------------------------------------

generated() {
    local pod last
    scene_begin generated
    secret_make "" ""
    replica_make shop
    pod=$(kube_ns create -o name -f - <<END
apiVersion: v1
kind: Pod
metadata: {generateName: shop-, labels: {app: shop, walferry.dev/replica: shop}}
spec: $(pod_spec "$serving")
END
    )
    [[ $pod == pod/shop-?* ]] || fail "$pod"
    wait_until "the pod is ready" app_is_ready shop
    last=$(rows_commit shop 5)
    wait_until "everything is shipped" is_shipped shop
    wait_until "the resource names the pod" is sqlr shop '{.status.databases[0].pod}' "${pod#pod/}"
    kube_ns delete "$pod" --wait=true >/dev/null
    app_make shop
    wait_until "another pod is ready" app_is_ready shop
    must_have_rows shop "$last"
}
tap_run a_pod_whose_name_the_server_makes_is_injected_and_replicated generated

# A dry run asks the webhook, too, and leaves nothing behind.
dry_run() {
    shop_make dry-run
    rows_commit shop 1 >/dev/null
    wait_until "all is well" condition_is sqlr shop Ready True
    kube_ns delete deployment shop >/dev/null
    wait_until "its pod is gone" pods_are_gone
    kube_ns create --dry-run=server -o json -f - >"$work/dry.json" <<END
apiVersion: v1
kind: Pod
metadata: {name: dry, labels: {app: shop, walferry.dev/replica: shop}}
spec: $(pod_spec "$serving")
END
    grep -q '"walferry-restore' "$work/dry.json" || fail "not injected: $(cat "$work/dry.json")"
    pods_are_gone
}
pods_are_gone() { [ -z "$(kube_ns get pods -o name)" ]; }
tap_run a_dry_run_shows_what_would_be_injected_and_does_nothing dry_run

# ---- a CronJob ----------------------------------------------------------------------------------

cron() {
    scene_begin cron
    secret_make "" ""
    replica_make shop
    # Never by itself within this scene; each run is made from it, as the schedule would.
    apply <<END
apiVersion: batch/v1
kind: CronJob
metadata: {name: shop}
spec:
  schedule: "0 0 31 12 *"
  concurrencyPolicy: Forbid
  jobTemplate:
    spec:
      backoffLimit: 0
      template:
        metadata: {labels: {walferry.dev/replica: shop}}
        spec: $(pod_spec '[/data/app.db, rows, "20"]' 'restartPolicy: Never,')
END
    # The disk goes with each pod; the rows add up.
    job_runs first '20 20'
    job_runs second '40 40'
    job_runs third '60 60'
    refused 'concurrencyPolicy: Forbid' <<END
apiVersion: batch/v1
kind: CronJob
metadata: {name: overlapping}
spec:
  schedule: "* * * * *"
  jobTemplate: {spec: {template: {metadata: {labels: {walferry.dev/replica: shop}}, spec: $(pod_spec '[/data/app.db, rows, "20"]' 'restartPolicy: Never,')}}}
END
}
job_runs() { # NAME "COUNT LAST"
    kube_ns create job "$1" --from=cronjob/shop >/dev/null
    wait_until "Job $1 has succeeded" is job "$1" '{.status.succeeded}' 1
    [ "$(kube_ns logs "job/$1" -c app)" = "$2" ] || fail "Job $1: $(kube_ns logs "job/$1" -c app), expected $2"
}
tap_run each_run_of_a_cron_job_has_the_rows_of_all_runs_before cron

# ---- a StatefulSet with a prefix for each pod ---------------------------------------------------

stateful() {
    local pod
    scene_begin stateful
    secret_make "" ""
    replica_make shop 'prefixTemplate: "{{namespace}}/{{name}}/{{database}}/{{podName}}"'
    apply <<END
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: shop}
spec:
  replicas: 2
  serviceName: shop
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop, walferry.dev/replica: shop}}
    spec: $(pod_spec "$serving")
END
    wait_until "both are ready" is statefulset shop '{.status.readyReplicas}' 2
    for pod in shop-0 shop-0 shop-0 shop-1 shop-1 shop-1 shop-1 shop-1; do
        row_post "$pod"
    done
    wait_until "both are in the status" reports_both
    wait_until "both are shipped" both_are_shipped
    condition_is sqlr shop SingleWriter True
    kube_ns delete pods shop-0 shop-1 --grace-period=0 --force >/dev/null 2>&1
    wait_until "both are ready again" both_have_their_rows
}
row_post() { in_cluster run curl -sf --max-time 10 --data row "http://$(get pod "$1" '{.status.podIP}'):8080/rows" >/dev/null; }
rows_of() { in_cluster run curl -sf --max-time 10 "http://$(get pod "$1" '{.status.podIP}'):8080/rows"; }
reports_both() {
    [ "$(get sqlr shop '{.status.databases[*].pod}' | tr ' ' '\n' | sort | tr '\n' ' ')" = "shop-0 shop-1 " ] &&
        is sqlr shop '{.status.injectedPods}' 2
}
both_are_shipped() {
    local pod
    for pod in shop-0 shop-1; do
        in_cluster run curl -sf --max-time 5 "http://$(get pod "$pod" '{.status.podIP}'):9090/status" |
            python3 -c 'import json, sys
d = json.load(sys.stdin)["databases"][0]["destinations"][0]
sys.exit(not (d["acknowledged_txid"] and d["lag"]["pages"] == 0 and d["lag"]["commits"] == 0))' || return 1
    done
}
both_have_their_rows() { [ "$(rows_of shop-0)" = "3 3" ] && [ "$(rows_of shop-1)" = "5 5" ]; }
tap_run each_pod_of_a_stateful_set_has_a_history_of_its_own stateful

# ---- the resource is edited, deleted, made again ------------------------------------------------

edited() {
    local pod before
    shop_make edited
    pod=$(app_pod shop)
    client_start shop
    kube_ns patch sqlr shop --type merge -p '{"spec":{"sync":{"intervalMilliseconds":3600000}}}' >/dev/null
    wait_until "the sidecar has the new pace: commits wait" has_lag_of_seconds 10
    kube_ns patch sqlr shop --type merge -p '{"spec":{"sync":{"intervalMilliseconds":1000}}}' >/dev/null
    client_stop
    wait_until "the sidecar has the old pace again" is_shipped shop
    # What a running sidecar cannot take up is said, and the pod goes on as it was.
    kube_ns patch sqlr shop --type merge -p '{"spec":{"sidecar":{"terminationFlushSeconds":25}}}' >/dev/null
    wait_until "the resource says that a rollout is due" condition_is sqlr shop Injected False PodsOutdated
    [ "$(app_pod shop)" = "$pod" ] || fail "the pod was replaced"
    [ "$(restarts "$pod" walferry)" = 0 ] || fail "the sidecar was restarted"
    before=$(rows_commit shop 3)
    wait_until "it goes on shipping" is_shipped shop
    kube_ns rollout restart deployment shop >/dev/null
    wait_until "there is another pod" has_other_pod shop "$pod"
    wait_until "it is ready" app_is_ready shop
    wait_until "the resource is good" condition_is sqlr shop Injected True
    must_have_rows shop "$before"
}
has_lag_of_seconds() { [ "$(sidecar_value shop "d['lag']['seconds'] >= $1")" = True ]; }
tap_run an_edited_resource_reaches_the_running_sidecar_or_says_that_a_rollout_is_due edited

deleted() {
    local pod last
    shop_make deleted
    pod=$(app_pod shop)
    rows_commit shop 5 >/dev/null
    wait_until "everything is shipped" is_shipped shop
    kube_ns delete sqlr shop >/dev/null
    # The pod keeps what it has; nothing in the bucket is deleted with the resource.
    last=$(rows_commit shop 5)
    wait_until "the sidecar goes on shipping" is_shipped shop
    app_is_ready shop
    [ "$(restarts "$pod" walferry)" = 0 ] || fail "the sidecar was restarted"
    # A new pod would have no configuration: it is denied until the resource is there again.
    kube_ns delete pod "$pod" --wait=true >/dev/null
    wait_until "the next pod is denied with the reason" has_event ReplicaSet FailedCreate 'there is no SqliteReplica "shop"'
    replica_make shop
    kube_ns rollout restart deployment shop >/dev/null # instead of waiting for its back-off
    wait_until "a pod is ready" app_is_ready shop
    must_have_rows shop "$last"
    wait_until "the resource is good" condition_is sqlr shop Ready True
}
tap_run a_deleted_resource_leaves_running_pods_and_the_bucket_as_they_are deleted

tap_end
