#!/usr/bin/env bash
# The operator against a real API server, as a process outside of pods with the ServiceAccount that
# the chart makes: so the chart's roles are all it has. Nothing runs on a node here; what pods look
# like after admission, and what is written into resources, is looked at.
# shellcheck source=e2e/cluster/scenario.sh
. "$(dirname "$0")/../cluster/scenario.sh"
tap_need helm
# shellcheck source=e2e/cluster/operator.sh
. "$(dirname "$0")/../cluster/operator.sh"

injected() {
    operator_begin
    scene_begin injected pod-security.kubernetes.io/enforce=restricted
    replica shop
    pod_yaml one shop | apply
    [ "$(get pod one '{.spec.initContainers[*].name}')" = "walferry-restore walferry" ]
    [ "$(get pod one '{.spec.initContainers[1].restartPolicy}')" = Always ]
    [ "$(get pod one '{.spec.initContainers[1].securityContext.runAsUser}')" = 1000 ]
    # Once more through the webhook: nothing is added twice.
    kube_ns get pod one -o json >"$work/one.json"
    kube_ns delete pod one --force --grace-period=0 >/dev/null 2>&1
    python3 -c 'import json, sys
p = json.load(sys.stdin)
p["metadata"] = {"name": "two", "labels": p["metadata"]["labels"], "annotations": p["metadata"]["annotations"]}
del p["status"]
print(json.dumps(p))' <"$work/one.json" >"$work/two.json"
    wait_until "the first pod is forgotten" applied "$work/two.json"
    [ "$(get pod two '{.spec.initContainers[*].name}')" = "walferry-restore walferry" ]
    operator_end
    [ "$status" -eq 0 ] || fail "$(cat "$work/controller.log")"
}
applied() { kube_ns apply -f - <"$1" >/dev/null 2>&1; }
tap_run a_labelled_pod_is_injected_in_a_restricted_namespace injected

configured() {
    operator_begin
    scene_begin configured
    replica shop
    wait_until "the ConfigMap is there" is configmap walferry-shop '{.metadata.ownerReferences[0].name}' shop
    get configmap walferry-shop '{.data.walferry\.yml}' >"$work/walferry.yml"
    # What the sidecar will read is what the program takes.
    "$walferry" config -config "$work/walferry.yml" -no-expand-env check >"$work/check" 2>&1 || fail "$(cat "$work/check")"
    wait_until "the status says that there are no pods" condition_is sqlr shop Injected False NoMatchingPods
    pod_yaml one shop | apply
    wait_until "the pod is counted" is sqlr shop '{.status.injectedPods}' 1
    condition_is sqlr shop Ready False
    kube_ns delete configmap walferry-shop >/dev/null
    wait_until "a ConfigMap that somebody deleted is back" is configmap walferry-shop '{.metadata.ownerReferences[0].name}' shop
    kube_ns patch configmap walferry-shop --type=merge -p '{"data":{"walferry.yml":"dbs: []"}}' >/dev/null
    wait_until "one that somebody wrote to says what the resource says" \
        is configmap walferry-shop '{.data.walferry\.yml}' "$(cat "$work/walferry.yml")"
    kube_ns delete sqlr shop >/dev/null
    wait_until "the ConfigMap goes with its owner" gone configmap walferry-shop
    operator_end
}
tap_run a_resource_becomes_a_config_map_that_the_sidecar_takes configured

denied() {
    operator_begin
    scene_begin denied
    pod_yaml one nowhere | refused 'SqliteReplica' 'nowhere'
    apply <<'END'
apiVersion: v1
kind: Pod
metadata: {name: other}
spec: {containers: [{name: app, image: localhost/app:1}]}
END
    operator_end
    # Nobody serves: pods that ask are refused, all others are not touched.
    replica shop
    pod_yaml two shop | refused 'pods.walferry.dev'
    apply <<'END'
apiVersion: v1
kind: Pod
metadata: {name: another}
spec: {containers: [{name: app, image: localhost/app:1}]}
END
}
tap_run pods_that_cannot_be_injected_are_denied_and_others_are_never_touched denied

two_writers() {
    operator_begin
    scene_begin two-writers
    replica shop
    refused 'replicas' <<'END'
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop, walferry.dev/replica: shop}}
    spec: {containers: [{name: app, image: localhost/app:1, volumeMounts: [{name: data, mountPath: /data}]}], volumes: [{name: data, emptyDir: {}}]}
END
    operator_end
}
tap_run a_deployment_that_would_make_two_writers_is_refused two_writers

probed() {
    operator_begin
    scene_begin probed
    apply <<'END'
apiVersion: walferry.dev/v1alpha1
kind: SqliteBucket
metadata: {name: shared}
spec: {s3: {bucket: backups, endpoint: "http://10.88.0.1:7070", credentialsSecretRef: {name: s3-keys}}}
END
    wait_until "a probe is made" has_job probe
    get configmap walferry-bucket-shared '{.data.walferry\.yml}' >"$work/walferry.yml"
    "$walferry" config -config "$work/walferry.yml" -no-expand-env check >"$work/check" 2>&1 || fail "$(cat "$work/check")"
    operator_end
}
has_job() { [ -n "$(kube_ns get jobs -l "walferry.dev/purpose=$1" -o name)" ]; }
tap_run a_bucket_is_probed_by_a_job_in_its_own_namespace probed

verified() {
    operator_begin
    scene_begin verified
    replica shop
    kube_ns patch sqlr shop --type merge -p '{"spec":{"verification":{"schedule":"0 3 * * *","timeZone":"Europe/Berlin"}}}' >/dev/null
    wait_until "the CronJob is there" is cronjob walferry-verify-shop '{.spec.timeZone}' Europe/Berlin
    wait_until "the status tells of it" condition_is sqlr shop RestoreVerified Unknown NeverRun
    operator_end
    # A new leader writes nothing; what somebody else has written, or deleted, is made again.
    controller_flags=(-namespaces "$namespace")
    controller_start
    wait_until "the new one leads and has looked" has_looked
    [ -z "$(metric 'rest_client_requests_total{method="PATCH",code="200"}')" ] || fail "it has written"
    kube_ns patch cronjob walferry-verify-shop --type merge -p '{"spec":{"schedule":"1 2 * * *"}}' >/dev/null
    wait_until "its schedule is the resource's" is cronjob walferry-verify-shop '{.spec.schedule}' '0 3 * * *'
    # Who takes a field away owns nothing afterwards.
    cron_cut
    wait_until "the field is back" is cronjob walferry-verify-shop '{.spec.startingDeadlineSeconds}' 3600
    wait_until "its mark is that of its generation" is_marked
    operator_end
    cron_cut
    controller_start
    wait_until "a new leader has seen it, too" is cronjob walferry-verify-shop '{.spec.startingDeadlineSeconds}' 3600
    wait_until "its mark is that of its generation" is_marked
    kube_ns delete cronjob walferry-verify-shop >/dev/null
    wait_until "it is there again" is cronjob walferry-verify-shop '{.spec.timeZone}' Europe/Berlin
    kube_ns patch sqlr shop --type merge -p '{"spec":{"verification":{"timeZone":"Europe/Atlantis"}}}' >/dev/null
    wait_until "the time zone is refused" condition_is sqlr shop RestoreVerified False InvalidSchedule
    kube_ns patch sqlr shop --type json -p '[{"op":"remove","path":"/spec/verification"}]' >/dev/null
    wait_until "the CronJob is gone" gone cronjob walferry-verify-shop
    operator_end
    controller_flags=()
}
cron_cut() { kube_ns patch cronjob walferry-verify-shop --type json -p '[{"op":"remove","path":"/spec/startingDeadlineSeconds"}]' >/dev/null; }
is_marked() {
    [[ $(get cronjob walferry-verify-shop '{.metadata.annotations.walferry\.dev/spec-hash}') == \
        *-"$(get cronjob walferry-verify-shop '{.metadata.generation}')" ]]
}
# Everything that was there has had its pass.
has_looked() {
    [ "$(metric 'leader_election_master_status{name="walferry-controller"}')" = 1 ] &&
        [ "$(metric 'walferry_operator_cache_objects{resource="sqlitereplicas"}')" = 1 ] &&
        [ "$(metric 'workqueue_depth{name="sqlitereplica"}')" = 0 ] &&
        [ "$(metric 'workqueue_unfinished_work_seconds{name="sqlitereplica"}')" = 0 ]
}
tap_run verification_by_schedule_is_a_cron_job verified

certificates() {
    operator_begin
    scene_begin certificates
    replica shop
    kube -n $release delete secret walferry-webhook >/dev/null
    wait_until "the certificate is there again" secret_is_there
    wait_until "admission works with it" pod_is_admitted
    operator_end
}
secret_is_there() { kube -n $release get secret walferry-webhook >/dev/null 2>&1; }
pod_is_admitted() { pod_yaml one shop | kube_ns apply -f - >/dev/null 2>&1; }
tap_run a_deleted_certificate_is_made_anew certificates

operator_leave

tap_end
