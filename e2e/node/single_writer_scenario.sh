#!/usr/bin/env bash
# Two writers on one prefix: refused where they are written down, with the way out in the answer; and
# where they came about all the same, one history, and a loser that is named.
# shellcheck source=e2e/node/lib.sh
. "$(dirname "$0")/lib.sh"

# deployment NAME REPLICAS STRATEGY [LINE]: a Deployment of the replica "shop", as YAML; LINE is one more of
# its container.
deployment() {
    cat <<END
apiVersion: apps/v1
kind: Deployment
metadata: {name: $1}
spec:
  replicas: $2
  strategy: $3
  selector: {matchLabels: {app: $1}}
  template:
    metadata: {labels: {app: $1, walferry.dev/replica: shop}}
    spec:
      terminationGracePeriodSeconds: 60
      securityContext: {runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000, runAsNonRoot: true}
      containers:
        - name: app
          image: localhost/app:1
          imagePullPolicy: Never
          args: [/data/app.db, "8080"]
          readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
          volumeMounts: [{name: data, mountPath: /data}]
          ${4:-}
      volumes: [{name: data, emptyDir: {}}]
END
}

# must_refuse TEXT COMMAND...: it fails, and the answer says what to do.
must_refuse() {
    local text=$1 answer
    shift
    ! answer=$("$@" 2>&1) || fail "was accepted: $*"
    [[ $answer == *"$text"* ]] || fail "no \"$text\" in: $answer"
}

rollouts() {
    local recreate='spec.strategy.type: Recreate'
    shop_make rollouts
    deployment two 2 '{type: Recreate}' | refused 'set replicas: 1' 'StatefulSet with {{podName}}'
    deployment rolling 1 '{type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}' | refused "$recreate"
    deployment default 1 '{}' | refused "$recreate" # 25 %, rounded up
    # And what is there already is not made into that.
    must_refuse "$recreate" kube_ns patch deployment shop --type merge \
        -p '{"spec":{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":"50%"}}}}'
    must_refuse 'set replicas: 1' kube_ns patch deployment shop -p '{"spec":{"replicas":2}}'
    must_refuse 'set replicas: 1' kube_ns scale deployment shop --replicas=2
    refused 'set replicas: 1' <<'END'
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: shop}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: shop}, minReplicas: 1, maxReplicas: 3}
END
    refused 'StatefulSet with {{podName}}' <<'END'
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: everywhere}
spec:
  selector: {matchLabels: {app: everywhere}}
  template:
    metadata: {labels: {app: everywhere, walferry.dev/replica: shop}}
    spec: {containers: [{name: app, image: localhost/app:1, volumeMounts: [{name: data, mountPath: /data}]}], volumes: [{name: data, emptyDir: {}}]}
END
    # The application noticed nothing, and the way that was named works.
    app_is_ready shop
    must_have_rows shop "$(rows_commit shop 3)"
    kube_ns scale deployment shop --replicas=0 >/dev/null
    kube_ns scale deployment shop --replicas=1 >/dev/null
    kube_ns rollout status deployment shop --timeout="${deadline_s}s" >/dev/null
    deployment shop 1 '{type: RollingUpdate, rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}' | apply
}
tap_run rollouts_and_scales_that_would_make_two_writers_are_refused_with_the_fix rollouts

# A second pod of the same replica by another Deployment: seen at the pod only.
second_pod() {
    shop_make second-pod
    deployment other 1 '{type: Recreate}' | apply
    wait_until "its pod is refused with the reason" is_refused
    [ -z "$(kube_ns get pods -l app=other -o name)" ] || fail "there is a second pod"
    # Once the first is gone for good, the second takes over where it was.
    local last
    last=$(rows_commit shop 10)
    kube_ns delete deployment shop >/dev/null
    wait_until "the other one runs" app_is_ready other
    must_have_rows other "$last"
}
is_refused() { has_event ReplicaSet FailedCreate 'runs with the same SqliteReplica' 'Recreate'; }
tap_run a_second_pod_of_one_replica_waits_until_the_first_has_gone second_pod

# With enforcement: Warn both run, and the store decides which of them goes on.
both_run() { # NAMESPACE
    shop_make "$1" 'singleWriter: {enforcement: Warn}'
    rows_commit shop 10 >/dev/null
    wait_until "everything is shipped" is_shipped shop
    deployment other 1 '{type: Recreate}' | apply
    wait_until "the second runs" app_is_ready other
    has_rows other 10
    wait_until "the resource names both" single_writer_says MultipleWriters "$(app_pod shop)" "$(app_pod other)"
}
# single_writer_says REASON TEXT...
single_writer_says() {
    local message text
    condition_is sqlr shop SingleWriter False "$1" || return 1
    message=$(get sqlr shop '{.status.conditions[?(@.type=="SingleWriter")].message}')
    shift
    for text; do
        [[ $message == *"$text"* ]] || return 1
    done
}
destination_is() { [ "$(sidecar_value "$1" "d['state']")" = "$2" ]; } # NAME STATE

# must_go_on WINNER LOSER: both applications do; what lies in the store is the winner's.
must_go_on() {
    local last
    app_is_ready "$2"
    last=$(rows_commit "$1" 10)
    wait_until "the winner ships" is_shipped "$1"
    kube_ns delete deployment "$2" >/dev/null
    wait_until "the resource is good again" condition_is sqlr shop SingleWriter True
    disk_lose "$1"
    must_have_rows "$1" "$last"
}

# The second has an object accepted; the first, which ships as ever, finds its number taken.
fenced() {
    local loser
    both_run fenced
    loser=$(app_pod shop)
    rows_commit other 20 >/dev/null
    wait_until "the second has shipped" is_shipped other
    rows_commit shop 10 >/dev/null
    wait_until "the first is fenced" destination_is shop fenced
    destination_is other following
    wait_until "the resource names the loser" single_writer_says Fenced "pod $loser was fenced"
    wait_until "an event names the loser" has_event SqliteReplica MultipleWriters "pod $loser was fenced"
    must_go_on other shop
}
tap_run of_two_pods_on_one_prefix_one_goes_on_and_the_other_is_fenced_and_named fenced

# The second has nothing in that history yet: it never gets in.
kept_out() {
    local loser
    both_run kept-out
    loser=$(app_pod other)
    rows_commit shop 10 >/dev/null
    wait_until "the first has shipped" is_shipped shop
    rows_commit other 20 >/dev/null
    wait_until "the second is refused" destination_is other refused
    destination_is shop following
    wait_until "the resource names it" condition_is sqlr shop Replicating False LineageRefused
    wait_until "an event names it" has_event SqliteReplica LineageRefused "$loser"
    must_go_on shop other
}
tap_run a_second_pod_that_has_written_a_history_of_its_own_is_kept_out_and_named kept_out

# A predecessor that is ending serves on, as it may until its grace period is over. With Enforce nobody is
# let in beside it; with Warn its successor is, and falls behind what the predecessor still ships.
stale() {
    local first second last
    scene_begin stale
    secret_make "" ""
    replica_make shop 'singleWriter: {enforcement: Warn}'
    deployment shop 1 '{type: Recreate}' 'lifecycle: {preStop: {sleep: {seconds: 40}}}' | apply
    wait_until "the pod is ready" app_is_ready shop
    rows_commit shop 5 >/dev/null
    wait_until "everything is shipped" is_shipped shop
    first=$(app_pod shop)
    ip=$(app_ip shop)
    kube_ns delete pod "$first" --wait=false >/dev/null
    wait_until "its successor runs beside it" has_ready_successor shop "$first"
    second=$(app_pod shop)
    wait_until "an event on what owns it says so" has_event ReplicaSet MultipleWriters "pod \"$first\"" "may still write"
    last=$(rows_post "$ip" 10)
    [ "$last" = 15 ] || fail "the predecessor acknowledged $last"
    wait_until "the predecessor has shipped them" bucket_has shop 15
    kube_ns get pod "$first" >/dev/null || fail "the predecessor was gone before it had shipped: the scene is too slow"
    # What the successor takes now is its own history; the store keeps it out, and it is named.
    rows_commit shop 3 >/dev/null
    wait_until "the successor is refused" destination_is shop refused
    [[ $(sidecar_value shop "d['state_detail']") == *"older state of this replica"* ]] || fail "$(sidecar_value shop d)"
    wait_until "the resource names it" condition_is sqlr shop Replicating False LineageRefused
    wait_until "an event names it" has_event SqliteReplica LineageRefused "$second"
    app_is_ready shop || wait_until "the predecessor is gone" has_ready_successor shop "$first"
    # The way out that it tells: the next pod has every row that counted as replicated, and goes on.
    disk_lose shop
    must_have_rows shop 15
    last=$(rows_commit shop 2)
    [ "$last" = 17 ] || fail "it goes on with row $last"
    wait_until "everything is shipped" is_shipped shop
    wait_until "the resource is good again" reports_no_lag
}
# rows_post IP COUNT: as rows_commit, to a pod that is known by its address.
rows_post() {
    # shellcheck disable=SC2016 # expanded inside
    in_cluster run bash -c 'for ((i = 0; i < $2; i++)); do
        curl -sf --max-time 10 --data "row $i" "http://$1:8080/rows" || exit 1
    done | tail -n 1' _ "$1" "$2"
}
# has_ready_successor NAME POD: another pod than that is there, and ready.
has_ready_successor() {
    has_other_pod "$1" "$2" &&
        [ "$(get pod "$(app_pod "$1")" '{.status.conditions[?(@.type=="Ready")].status}')" = True ]
}
tap_run a_successor_that_was_let_in_beside_an_ending_pod_is_kept_out_as_stale_and_named stale

tap_end
