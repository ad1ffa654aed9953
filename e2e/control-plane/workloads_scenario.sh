#!/usr/bin/env bash
# Workloads on a real control plane: real Deployments, ReplicaSets and StatefulSets, whose scales are
# judged, whose pods are injected by a namespace's default, and who are rolled out by the operator,
# which has the chart's roles and nothing more.
# shellcheck source=e2e/cluster/scenario.sh
. "$(dirname "$0")/../cluster/scenario.sh"
# shellcheck disable=SC2119 # what operator_begin takes is not ours to pass on
tap_need helm
# shellcheck source=e2e/cluster/operator.sh
. "$(dirname "$0")/../cluster/operator.sh"

workload() { # KIND NAME RESOURCE [LINE OF THE SPEC]
    apply <<END
apiVersion: apps/v1
kind: $1
metadata: {name: $2}
spec:
  ${4:-}
  replicas: 1
  selector: {matchLabels: {app: $2}}
  template:
    metadata: {labels: {app: $2, walferry.dev/replica: "$3"}}
    spec:
      securityContext: {runAsUser: 1000, runAsNonRoot: true}
      containers: [{name: app, image: "localhost/app:1", volumeMounts: [{name: data, mountPath: /data}]}]
      volumes: [{name: data, emptyDir: {}}]
END
}
recreate='strategy: {type: Recreate}'

# describes KIND NAME TEXT: an event MultipleWriters with TEXT is among what kubectl shows of the object.
describes() { kube_ns describe "$1" "$2" | grep MultipleWriters | grep -q "$3"; }

# not_scaled WORKLOAD COUNT TEXT: scaling is refused, and the answer has TEXT.
not_scaled() {
    ! kube_ns scale "$1" --replicas="$2" >"$work/scale" 2>&1 || fail "was accepted"
    grep -q "$3" "$work/scale" || fail "no \"$3\" in: $(cat "$work/scale")"
}

scaled() {
    operator_begin
    scene_begin scaled
    replica shop
    replica each 'prefixTemplate: "{{name}}/{{podName}}"'
    workload Deployment shop shop "$recreate"
    workload StatefulSet each each 'serviceName: each'
    not_scaled deployment/shop 2 '2 pods of this Deployment'
    kube_ns scale statefulset/each --replicas=2 >/dev/null
    kube_ns scale deployment/shop --replicas=0 >/dev/null
    refused '4 pods of this Deployment' <<'END'
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: shop}
spec: {minReplicas: 1, maxReplicas: 4, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: shop}}
END
    kube annotate namespace "$namespace" walferry.dev/enforcement=Warn >/dev/null
    kube_ns scale deployment/shop --replicas=2 >"$work/scale" 2>&1 || fail "$(cat "$work/scale")"
    grep -q 'Warning: .*2 pods of this Deployment' "$work/scale" || fail "$(cat "$work/scale")"
    wait_until "an event on the Deployment says so" describes deployment shop '2 pods of this Deployment'
    # A resource that only warns, by its own word.
    replica other 'singleWriter: {enforcement: Warn}'
    kube annotate namespace "$namespace" walferry.dev/enforcement- >/dev/null
    workload Deployment other other # its strategy is RollingUpdate
    wait_until "an event on the Deployment says so" describes deployment other 'starts the new pod while the old one'
    operator_end
}
tap_run scales_and_autoscalers_that_would_make_two_writers_are_refused scaled

defaulted() {
    operator_begin
    scene_begin defaulted
    replica shop
    pod_yaml one '""' | refused 'walferry.dev/default-replica'
    kube annotate namespace "$namespace" walferry.dev/default-replica=shop >/dev/null
    pod_yaml one '""' | apply
    [ "$(get pod one '{.spec.initContainers[*].name}')" = "walferry-restore walferry" ]
    [ "$(get pod one '{.metadata.labels.walferry\.dev/replica}')" = "" ]
    wait_until "the pod is counted" is sqlr shop '{.status.injectedPods}' 1
    # Warnings instead of denials: what cannot be injected passes, and says so.
    kube annotate namespace "$namespace" walferry.dev/enforcement=Warn >/dev/null
    workload Deployment lost nowhere "$recreate"
    wait_until "its pod is there" has_pod lost
    [ -z "$(kube_ns get pods -l app=lost -o 'jsonpath={.items[*].spec.initContainers[*].name}')" ]
    wait_until "an event says so" has_event InjectionSkipped
    operator_end
}
has_pod() { [ -n "$(kube_ns get pods -l "app=$1" -o name)" ]; }
has_event() { [ -n "$(kube_ns get events.events.k8s.io -o name --field-selector "reason=$1")" ]; }
tap_run a_namespace_has_a_default_and_can_want_warnings defaulted

# pods_have_hash NAME: every pod of the application was injected by the current spec.
pods_have_hash() {
    local want
    want=$(get sqlr "$1" '{.status.specHash}')
    [ -n "$want" ] && [ "$(kube_ns get pods -l "app=$1" \
        -o 'jsonpath={.items[*].metadata.annotations.walferry\.dev/spec-hash}')" = "$want" ]
}
image_set() { # NAME IMAGE
    kube_ns patch sqlr "$1" --type merge -p "{\"spec\":{\"sidecar\":{\"image\":\"$2\"}}}" >/dev/null
}
injected_says() { # NAME TEXT
    get sqlr "$1" '{.status.conditions[?(@.type=="Injected")].message}' | grep -q "$2"
}
has_image() {
    [ "$(kube_ns get pods -l app=shop \
        -o 'jsonpath={.items[*].spec.initContainers[?(@.name=="walferry")].image}')" = "$1" ]
}

rolled() {
    local generation
    operator_begin
    scene_begin rolled
    replica shop 'rollout: Auto'
    workload Deployment shop shop "$recreate"
    wait_until "the pod is current" pods_have_hash shop
    wait_until "and counted" is sqlr shop '{.status.injectedPods}' 1
    image_set shop localhost/walferry:2
    wait_until "the chart's roles do not allow it" \
        injected_says shop 'may not roll out Deployment shop: set rollout.enabled'
    wait_until "an event says so" has_event RolloutForbidden
    install_chart --set rollout.enabled=true
    image_set shop localhost/walferry:3
    wait_until "the pod is made anew" has_image localhost/walferry:3
    wait_until "and current" pods_have_hash shop
    [ "$(get deployment shop '{.spec.template.metadata.annotations.walferry\.dev/spec-hash}')" = \
        "$(get sqlr shop '{.status.specHash}')" ]
    wait_until "nothing is outdated" condition_is sqlr shop Injected True
    generation=$(get deployment shop '{.metadata.generation}')
    [ "$generation" = 2 ] || fail "generation $generation: written more than once"
    operator_end
    install_chart # as it was
}
tap_run rollout_auto_makes_outdated_pods_anew_where_the_chart_allows_it rolled

operator_leave

tap_end
